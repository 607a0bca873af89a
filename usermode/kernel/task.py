# SPDX-License-Identifier: GPL-2.0-or-later
"""One guest thread: its engine, signal state, and the ways a system call handler reaches guest and host."""

from __future__ import annotations

import posix
from _thread import get_native_id

import _usermode_core as core

from syscalls.errors import Restart
from syscalls.host.x86_64 import NUMBERS
from usermode.kernel import signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from usermode.kernel.paths import Paths
    from usermode.kernel.process import Process

INTERRUPTED = -512  # ERESTARTSYS: the host had not begun the call
FIRST_ERROR = -4095

SP = 31


class ThreadExit(BaseException):
    """The guest thread has ended; its host thread unwinds to its first frame."""


class Task:
    """A guest thread. Only its own host thread uses it, but for `process`.

    Its signal mask and alternate stack are the engine's.
    """

    __slots__ = (
        "clear_child_tid",
        "engine",
        "last_fault",
        "memory",
        "process",
        "tid",
    )

    def __init__(self, process: Process, engine: core.Engine) -> None:
        self.process = process
        self.engine = engine
        self.memory = core
        self.tid = get_native_id()
        self.last_fault: tuple[int, int] | None = None
        self.clear_child_tid = 0

    @property
    def paths(self) -> Paths:
        """The process's view of paths: the sysroot and /proc."""
        return self.process.paths

    def host(self, number: int, *arguments: int | bytes | bytearray) -> int:
        """Make a host call that may block. Raises OSError, and Restart when a signal came before it began."""
        result = core.host_wait(number, *arguments)
        if result >= 0:
            return result
        if result == INTERRUPTED:
            raise Restart
        raise OSError(-result, posix.strerror(-result))

    def host_now(self, number: int, *arguments: int | bytes | bytearray) -> int:
        """Make a host call that does not block; signals wait. Raises OSError."""
        result = core.host_call(number, *arguments)
        if result < 0:
            raise OSError(-result, posix.strerror(-result))
        return result

    def pass_through(self, number: int, arguments: tuple[int, ...]) -> int:
        """Make guest call `number` as its HOST row says; the kernel's result, -errno on errors.

        Raises Restart when a signal came first. -4096: the row's path needs the sysroot or the /proc view.
        """
        result = self.engine.pass_through(number, *arguments)
        if result == INTERRUPTED:
            raise Restart
        return result

    # ---- signals ----

    def signal_action(self, number: int) -> tuple[int, int, int, int]:
        """Return (handler, flags, restorer, mask) of a signal."""
        action = self.process.actions.get(number)
        return action.handler, action.flags, action.restorer, action.mask

    def set_signal_action(
        self, number: int, handler: int, flags: int, restorer: int, mask: int
    ) -> None:
        """Set a signal's action for the whole process. Raises OSError(EINVAL)."""
        self.process.actions.set(number, signals.Action(handler, flags, restorer, mask))

    @property
    def blocked(self) -> int:
        """The signal mask, bit n-1 for signal n."""
        return self.engine.blocked

    @blocked.setter
    def blocked(self, mask: int) -> None:
        self.engine.blocked = mask

    @property
    def altstack(self) -> tuple[int, int, int]:
        """(address, flags, size) of sigaltstack(2)."""
        return self.engine.altstack

    @altstack.setter
    def altstack(self, stack: tuple[int, int, int]) -> None:
        self.engine.altstack = stack

    def waiting_signals(self) -> int:
        """Return which of SIGSEGV and SIGBUS wait here because they are blocked."""
        return self.engine.waiting_signals()

    def take_waiting(self, wanted: int) -> bytes | None:
        """Take one of them that is in the set `wanted`: its siginfo."""
        return self.engine.take_blocked_signal(wanted)

    def leave_on_host(self, wanted: int) -> None:
        """Have those of the set `wanted` wait on the host from now on, where signalfd(2) reads them."""
        core.leave_on_host(wanted)

    def on_altstack(self) -> bool:
        """Tell whether the thread runs on its alternate signal stack."""
        return signals.on_altstack(self, self.engine.get(SP))

    def broken_frame(self) -> None:
        """Raise the SIGSEGV of an rt_sigreturn(2) that finds no frame."""
        signals.force(self, signals.SIGSEGV, signals.SI_KERNEL, 0)

    # ---- starting and ending ----

    def clone(self, words: tuple[int, ...], extended: bool) -> int:
        """Start a thread or a process: see `usermode.kernel.clone`."""
        from usermode.kernel.clone import clone

        return clone(self, words, extended)

    def execute(
        self, dirfd: int, path: bytes, argv: list[bytes], envp: list[bytes], flags: int
    ) -> int:
        """Replace the program: see `usermode.kernel.execute`."""
        from usermode.kernel.execute import execute

        return execute(self, dirfd, path, argv, envp, flags)

    def exit(self, status: int) -> NoReturn:
        """End this thread."""
        from usermode.kernel.threads import exit_thread

        exit_thread(self, status)

    def exit_group(self, status: int) -> NoReturn:
        """End the process."""
        self.process.before_exit()
        core.host_call(NUMBERS["exit_group"], status)  # ends a vfork(2) child alone
        raise AssertionError("exit_group(2) came back")
