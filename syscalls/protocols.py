# SPDX-License-Identifier: GPL-2.0-or-later
"""What handlers may use of the emulator. `usermode.kernel` supplies it, a test may supply a fake.

For type checkers: nothing imports this module when a program runs.
"""

from __future__ import annotations

from typing import Protocol


class Memory(Protocol):
    """The guest's memory. Every method raises OSError(EFAULT) outside it."""

    def read(self, address: int, size: int, /) -> bytes:
        """Read `size` bytes."""

    def write(self, address: int, data: bytes | bytearray, /) -> None:
        """Write all of `data`."""

    def read_string(self, address: int, limit: int = 4096, /) -> bytes:
        """Read up to a NUL, which is left out; OSError(ENAMETOOLONG) if `limit` bytes have none."""


class Paths(Protocol):
    """Which host file a guest's path means: the sysroot and the guest's view of /proc."""

    def resolve(self, dirfd: int, path: bytes, follow: bool) -> tuple[int, bytes]:
        """Return the host's (directory descriptor, path); `follow` says if a last link is followed."""

    def guest_name(self, path: bytes) -> bytes:
        """Return the guest's name of an absolute host path of a directory."""

    def special(self, dirfd: int, path: bytes) -> bytes | None:
        """Return which file of the /proc view the path names, b"exe", b"maps", …, or None."""

    def content(self, name: bytes, host_text: bytes, /) -> bytes:
        """Return what that file shows; `host_text` is what the host's file of the name says."""

    def leave_sysroot(self) -> None:
        """Use the host's files alone from now on."""

    @property
    def executable(self) -> bytes:
        """The absolute path of the guest's program."""

    @property
    def executable_file(self) -> bytes:
        """A path that opens the guest's program."""

    def other_program(self, dirfd: int, path: bytes, /) -> bytes | None:
        """The program of another guest, if `path` names the `exe` of its folder in /proc."""


class Space(Protocol):
    """The guest's memory map. Methods raise OSError as the call of their name does."""

    def map(self, address: int, size: int, prot: int, flags: int, fd: int, offset: int, /) -> int:
        """mmap(2)."""

    def unmap(self, address: int, size: int, /) -> None:
        """munmap(2)."""

    def protect(self, address: int, size: int, prot: int, /) -> None:
        """mprotect(2)."""

    def remap(self, old: int, old_size: int, new_size: int, flags: int, new: int, /) -> int:
        """mremap(2)."""

    def set_brk(self, address: int, /) -> int:
        """brk(2): return the end of the heap, which is the old one if the new one cannot be."""

    def attach(self, identifier: int, address: int, size: int, prot: int, flags: int, /) -> int:
        """shmat(2) of a segment of `size` bytes."""

    def detach(self, address: int, /) -> None:
        """shmdt(2)."""

    def advise_fork(self, address: int, size: int, advice: int, /) -> int:
        """madvise(2) with MADV_DONTFORK or MADV_DOFORK."""

    def forget_code(self, address: int, size: int, /) -> None:
        """Translate again what lies there: its content has changed behind the engine's back."""


class Process(Protocol):
    """What the threads of a guest share."""

    @property
    def pid(self) -> int:
        """The process id."""

    @property
    def space(self) -> Space:
        """The memory map."""

    def has_thread(self, tid: int, /) -> bool:
        """Tell whether this is a thread of the process, or its own id."""

    def is_guest(self, pid: int, /) -> bool:
        """Tell whether another process is known to be a guest too."""

    def limit(self, resource: int, /) -> tuple[int, int]:
        """getrlimit(2): the guest's (soft, hard)."""

    def set_limit(self, resource: int, soft: int, hard: int, /) -> None:
        """setrlimit(2), of RLIMIT_AS, RLIMIT_DATA and RLIMIT_STACK."""

    def unsupported(self, what: str) -> None:
        """Count a request that nothing here supports."""

    def prepare_core_dumps(self) -> None:
        """Be ready to write core dumps, if RLIMIT_CORE permits any."""


class Task(Protocol):
    """A guest thread."""

    clear_child_tid: int
    """Address of the word that the end of the thread clears, 0 for none: set_tid_address(2)."""

    altstack: tuple[int, int, int]
    """(address, flags, size) of sigaltstack(2)."""

    @property
    def tid(self) -> int:
        """The thread id."""

    @property
    def memory(self) -> Memory:
        """The guest's memory."""

    @property
    def paths(self) -> Paths:
        """The process's path rules."""

    @property
    def process(self) -> Process:
        """The process."""

    def host(self, number: int, *arguments: int | bytes | bytearray) -> int:
        """Make a host call that may block, by the host's number; bytes go by their address.

        Raises OSError, and Restart when a signal came before the host began it.
        """

    def host_now(self, number: int, *arguments: int | bytes | bytearray) -> int:
        """Make a host call that does not block; signals wait. Raises OSError."""

    def pass_through(self, number: int, arguments: tuple[int, ...]) -> int:
        """Make guest call `number` as its HOST row says; the kernel's result, -errno on errors.

        -4096: a path needs the sysroot or the /proc view. Raises Restart like `host`.
        """

    def signal_action(self, number: int, /) -> tuple[int, int, int, int]:
        """Return (handler, flags, restorer, mask) of a signal."""

    def set_signal_action(
        self, number: int, handler: int, flags: int, restorer: int, mask: int, /
    ) -> None:
        """Set a signal's action for the whole process. Raises OSError(EINVAL)."""

    def waiting_signals(self) -> int:
        """Return which of SIGSEGV and SIGBUS wait in the emulator, as a set: the host never blocks these."""

    def leave_on_host(self, wanted: int, /) -> None:
        """Have those of the set `wanted` wait on the host from now on, where signalfd(2) reads them."""

    def take_waiting(self, wanted: int, /) -> bytes | None:
        """Take one of them that is in the set `wanted`: its siginfo, or None."""

    def on_altstack(self) -> bool:
        """Tell whether the thread runs on its alternate signal stack."""

    def broken_frame(self) -> None:
        """Raise the SIGSEGV of an rt_sigreturn(2) that finds no whole frame."""

    def clone(self, words: tuple[int, ...], extended: bool, /) -> int:
        """Start a thread or a process; return its id, 0 in the child.

        `words` are those of struct clone_args, with the stack's top as `stack`, and `stack_size` 0, from clone(2);
        `extended`: they come from clone3(2).
        """

    def execute(
        self, dirfd: int, path: bytes, argv: list[bytes], envp: list[bytes], flags: int, /
    ) -> int:
        """Replace the program: execveat(2). Comes back with 0 when that was only checked."""

    def exit(self, status: int, /) -> int:
        """End the thread; does not return."""

    def exit_group(self, status: int, /) -> int:
        """End the process; does not return."""
