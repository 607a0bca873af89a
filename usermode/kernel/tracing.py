# SPDX-License-Identifier: GPL-2.0-or-later
"""--strace: where the lines of `syscalls.trace` go."""

from __future__ import annotations

import posix
from errno import EBADF

import _usermode_core as core

from syscalls.host.x86_64 import NUMBERS
from usermode.errors import UsermodeError, printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from syscalls.dispatch import Dispatcher
    from usermode.kernel.task import Task

STANDARD_ERROR = 2
F_DUPFD_CLOEXEC, FIRST_DESCRIPTOR = 1030, 1000


class Output:
    """Standard error as it was at the start (`name` is b""), or a file that is appended to.

    Its descriptor lies above those that programs get, and is opened again should the guest close it.
    """

    __slots__ = ("_fd", "_name")

    def __init__(self, name: bytes) -> None:
        """Open it. Raises UsermodeError."""
        self._name = name
        self._fd = self._open()

    def _open(self) -> int:
        if not self._name:
            return self._move_up(STANDARD_ERROR)
        flags = posix.O_WRONLY | posix.O_CREAT | posix.O_APPEND | posix.O_CLOEXEC
        try:
            fd = posix.open(self._name, flags, 0o666)
        except OSError as error:
            raise UsermodeError(f"{printable(self._name)}: {error.strerror}") from error
        kept = self._move_up(fd)
        posix.close(fd)
        return kept

    def _move_up(self, fd: int) -> int:
        kept = core.host_call(NUMBERS["fcntl"], fd, F_DUPFD_CLOEXEC, FIRST_DESCRIPTOR)
        if kept == -EBADF:
            raise UsermodeError("--strace: standard error is closed")
        return kept if kept >= 0 else posix.dup(fd)  # RLIMIT_NOFILE may be below FIRST_DESCRIPTOR

    def write(self, line: str) -> None:
        """Write one line at once."""
        data = line.encode("utf-8", "surrogateescape")
        try:
            posix.write(self._fd, data)
        except OSError as error:
            if error.errno != EBADF:
                raise
            self._fd = self._open()
            posix.write(self._fd, data)


def traced(
    dispatcher: Dispatcher, name: bytes
) -> Callable[[Task, int, tuple[int, ...]], int | None]:
    """Return the function that answers a system call and shows it in `name` (see Output)."""
    from syscalls.trace import Tracer

    return Tracer(dispatcher, Output(name).write, with_pid=True).call
