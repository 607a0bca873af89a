# SPDX-License-Identifier: GPL-2.0-or-later
"""What the threads of a guest process share."""

from __future__ import annotations

import posix
import sys
from _struct import unpack
from _thread import allocate_lock

import _usermode_core as core

from syscalls.host.x86_64 import NUMBERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from usermode.debug.server import Server
    from usermode.kernel.paths import Paths
    from usermode.kernel.signals import Actions
    from usermode.kernel.task import Task
    from usermode.machine.address_space import AddressSpace
    from usermode.settings import Settings

SAME_IN_VFORK_CHILD = (
    *("program", "argv", "environment", "auxv", "argument_range", "environment_range"),
    *("layout", "sigreturn", "run", "unsupported_counts"),
)
"""What a child that shares the memory has in common with its parent."""

PAGE = 4096
RLIMIT_STACK, RLIMIT_CORE = 3, 4
_PRLIMIT = NUMBERS["prlimit64"]


class Process:
    """A guest process: address space, signal actions, and the facts that /proc shows.

    `program` is the mapping of the program's whole file, its size, device, inode, and the name at the start: see
    `usermode.kernel.own_program`. `auxv` is the auxiliary vector as bytes, `argument_range` and `environment_range`
    are the addresses (start, end) of the strings. `vfork_depth` tells how many vfork(2) children deep its code runs on
    its parents' thread. `debugger` is told of signals, and of the end.
    """

    __slots__ = (
        "_paths",
        "actions",
        "argument_range",
        "argv",
        "auxv",
        "debugger",
        "environment",
        "environment_range",
        "layout",
        "lock",
        "peak",
        "program",
        "run",
        "settings",
        "sigreturn",
        "space",
        "spare_engines",
        "tasks",
        "unsupported_counts",
        "vfork_depth",
    )

    def __init__(self, space: AddressSpace, actions: Actions, settings: Settings) -> None:
        self.space = space
        self.actions = actions
        self.settings = settings
        self.program = (0, 0, 0, 0, b"")
        self.argv: list[bytes] = []
        self.environment: list[bytes] = []
        self.auxv = b""
        self.argument_range = (0, 0)
        self.environment_range = (0, 0)
        self.layout = (0, 0, 0, 0, 0, 0)
        self.peak = 0
        self.sigreturn = 0
        self.vfork_depth = 0
        self.tasks: dict[int, Task] = {}
        self.spare_engines: list[core.Engine] = []
        self.lock = allocate_lock()
        self.debugger: Server | None = None
        self.run: Callable[[Task], None]
        self.unsupported_counts: dict[str, int] = {}
        self._paths: Paths | None = None

    @property
    def pid(self) -> int:
        """The process id."""
        return posix.getpid()

    @property
    def sysroot(self) -> bytes:
        """The folder in which absolute paths are looked up first, or b""."""
        return self.settings.sysroot

    @property
    def paths(self) -> Paths:
        """The process's view of paths, made at first use."""
        if self._paths is None:
            from usermode.kernel.paths import Paths

            self._paths = Paths(self, core.host_call, self.settings.sysroot or None)
        return self._paths

    @property
    def first_thread_ended(self) -> bool:
        """Whether other threads alone are left: /proc/self shows a zombie then."""
        return self.pid not in self.tasks

    @property
    def program_link(self) -> bytes:
        """The link to the program's file that anyone may read, and CAP_CHECKPOINT_RESTORE follow."""
        address, size, _, _, _ = self.program
        owner = b"self"
        if self.first_thread_ended:  # /proc/thread-self has no such folder, /proc/TID has
            owner = b"%d" % core.host_call(NUMBERS["gettid"])
        end = address + (size + PAGE - 1 & -PAGE)
        return b"/proc/%s/map_files/%x-%x" % (owner, address, end)

    @property
    def executable(self) -> bytes:
        """What /proc/self/exe names, " (deleted)" included; without /proc the name at the start."""
        try:
            return posix.readlink(self.program_link)
        except OSError:
            return self.program[4]

    @property
    def executable_file(self) -> bytes:
        """A path that opens the running program, also when it was deleted; following it may then need a capability."""
        from usermode.kernel.own_program import place

        return place(self)

    def has_thread(self, tid: int) -> bool:
        """Tell whether this is a thread of the process, or its own id, which stays when the first thread ends."""
        return tid in self.tasks or tid == self.pid

    def is_guest(self, pid: int) -> bool:
        """Tell whether another process is known to be a guest too."""
        from usermode.kernel.other_guests import is_emulator

        return is_emulator(b"%d" % pid)

    def limit(self, resource: int) -> tuple[int, int]:
        """Return the guest's (soft, hard) limit RLIMIT_*."""
        own = self.settings.limits.get(resource)
        if own is None:
            both = bytearray(16)
            core.host_call(_PRLIMIT, 0, resource, 0, both)
            soft, hard = unpack("<2Q", both)
            own = soft, hard
        return own

    def stack_limit(self) -> int:
        """Return the soft RLIMIT_STACK in bytes."""
        return self.limit(RLIMIT_STACK)[0]

    def set_limit(self, resource: int, soft: int, hard: int) -> None:
        """Set RLIMIT_AS, RLIMIT_DATA or RLIMIT_STACK as setrlimit(2). Raises OSError."""
        from usermode.kernel.limits import change

        change(self, resource, soft, hard)

    def adopt_limits(self) -> None:
        """Take over the limits that the process was started with."""
        first = getattr(sys, "usermode_limits", b"")
        if first or self.settings.limits:
            from usermode.kernel.limits import adopt

            adopt(self, first)

    def unsupported(self, what: str) -> None:
        """Count a request that is refused because nothing here supports it; said once on demand."""
        count = self.unsupported_counts.get(what, 0)
        self.unsupported_counts[what] = count + 1
        if not count and self.settings.debug:
            posix.write(2, f"usermode: unsupported: {what}\n".encode())

    def prepare_core_dumps(self) -> None:
        """Be ready to write core dumps, if RLIMIT_CORE or --core wants any."""
        limits = bytearray(16)
        core.host_call(NUMBERS["prlimit64"], 0, RLIMIT_CORE, 0, limits)
        if any(limits[:8]) or self.settings.core is not None:
            from usermode.kernel.core_dump import catch_signals

            catch_signals(self.actions)

    def mappings(self) -> Iterator[tuple[int, int, bytes, int, tuple[int, int], int, bytes]]:
        """Yield (start, end, permissions, offset, (major, minor), inode, name) as /proc/self/maps shows them."""
        from usermode.kernel.host_maps import guest_mappings

        return guest_mappings(self.space)

    def memory_usage(self) -> tuple[int, int, int]:
        """Return the bytes of all mappings, of private writable ones, and of stacks."""
        from usermode.machine.bounds import usage

        sizes = usage(self.space)
        self.peak = max(self.peak, sizes[0])
        return sizes

    def peak_usage(self) -> int:
        """Return the most bytes of mappings that anybody asked for."""
        self.memory_usage()
        return self.peak

    def sharing_memory(self, with_actions: bool) -> Process:
        """Return the child of a vfork(2): the same memory and program, its own threads and signal actions.

        `with_actions`: the actions too are one and the same, as CLONE_SIGHAND has it.
        """
        actions = self.actions if with_actions else self.actions.copy()
        child = Process(self.space, actions, self.settings.for_child())
        for name in SAME_IN_VFORK_CHILD:
            setattr(child, name, getattr(self, name))
        child._paths = self.paths.of(child)
        child.vfork_depth = self.vfork_depth + 1
        return child

    def forget_other_threads(self, survivor: Task) -> None:
        """In the child of a fork only the calling thread is left."""
        self.vfork_depth = 0
        self.tasks = {survivor.tid: survivor}
        self.lock = allocate_lock()
        self.space.forked()

    def before_exit(self) -> None:
        """Tell what USERMODE_DEBUG asks for at the end of a process."""
        if self.settings.debug == b"modules":
            posix.write(2, ("\n".join(sorted(sys.modules)) + "\n").encode())
