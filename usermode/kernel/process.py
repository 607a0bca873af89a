# SPDX-License-Identifier: GPL-2.0-or-later
"""What the threads of a guest process share."""

from __future__ import annotations

import posix
from _thread import allocate_lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from usermode.kernel.paths import Paths
    from usermode.kernel.signals import Actions
    from usermode.kernel.task import Task
    from usermode.machine.address_space import AddressSpace
    from usermode.settings import Settings


class Process:
    """A guest process: address space, signal actions, and the facts that /proc shows.

    `executable` is the absolute path of the program; `auxv` its auxiliary vector as bytes; `stack` the
    address ranges (start, end) of its argument and environment strings.
    """

    __slots__ = (
        "_paths",
        "actions",
        "argument_range",
        "argv",
        "auxv",
        "environment",
        "environment_range",
        "executable",
        "lock",
        "run",
        "settings",
        "sigreturn",
        "space",
        "tasks",
        "unsupported_counts",
    )

    def __init__(self, space: AddressSpace, actions: Actions, settings: Settings) -> None:
        self.space = space
        self.actions = actions
        self.settings = settings
        self.executable = b""
        self.argv: list[bytes] = []
        self.environment: list[bytes] = []
        self.auxv = b""
        self.argument_range = (0, 0)
        self.environment_range = (0, 0)
        self.sigreturn = 0
        self.tasks: dict[int, Task] = {}
        self.lock = allocate_lock()
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
            import _usermode_core as core

            from usermode.kernel.paths import Paths

            self._paths = Paths(self, core.host_call, self.settings.sysroot or None)
        return self._paths

    def unsupported(self, what: str) -> None:
        """Count a request that is refused because nothing here supports it; said once on demand."""
        count = self.unsupported_counts.get(what, 0)
        self.unsupported_counts[what] = count + 1
        if not count and self.settings.debug:
            posix.write(2, f"usermode: unsupported: {what}\n".encode())

    def mappings(self) -> Iterator[tuple[int, int, bytes, int, tuple[int, int], int, bytes]]:
        """Yield (start, end, permissions, offset, (major, minor), inode, name) as /proc/self/maps shows them."""
        from usermode.kernel.host_maps import guest_mappings

        return guest_mappings(self.space)

    def forget_other_threads(self, survivor: Task) -> None:
        """In the child of a fork only the calling thread is left."""
        self.tasks = {survivor.tid: survivor}
        self.lock = allocate_lock()
        self.space.forked()

    def before_exit(self) -> None:
        """Tell what USERMODE_DEBUG asks for at the end of a process."""
        if self.settings.debug == b"modules":
            import sys

            posix.write(2, ("\n".join(sorted(sys.modules)) + "\n").encode())
