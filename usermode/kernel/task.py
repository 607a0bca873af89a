# SPDX-License-Identifier: GPL-2.0-or-later
"""One guest thread: its engine, signal state, and the ways a system call handler reaches guest and host."""

from __future__ import annotations

import posix
from _thread import get_native_id
from errno import EINTR

import _usermode_core as core

from syscalls.errors import Restart
from syscalls.host.x86_64 import NUMBERS
from usermode.kernel import signal_frame, signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from usermode.kernel.paths import Paths
    from usermode.kernel.process import Process

INTERRUPTED = -512  # ERESTARTSYS: the host had not begun the call
FIRST_ERROR = -4095

SS_DISABLE = 2
SEGV_MAPERR = 1
SP = 31


class ThreadExit(BaseException):
    """The guest thread has ended; its host thread unwinds to its first frame."""


class Task:
    """A guest thread. Only its own host thread uses it, but for `process`.

    `blocked` is its signal mask, bit n-1 for signal n; `held` are caught signals that wait while blocked.
    `altstack` is (address, flags, size) of sigaltstack(2). `wait_mask` is the mask of a sigsuspend(2) that has
    ended, until its signals are delivered.
    """

    __slots__ = (
        "altstack",
        "blocked",
        "clear_child_tid",
        "engine",
        "held",
        "last_fault",
        "memory",
        "process",
        "tid",
        "wait_mask",
    )

    def __init__(self, process: Process, engine: core.Engine) -> None:
        self.process = process
        self.engine = engine
        self.memory = core
        self.tid = get_native_id()
        self.blocked = 0
        self.held: list[bytes] = []
        self.last_fault: tuple[int, int] | None = None
        self.altstack = (0, SS_DISABLE, 0)
        self.clear_child_tid = 0
        self.wait_mask: int | None = None

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
        if handler == signals.SIG_IGN:  # what is pending goes too: do_sigaction()
            for task in list(self.process.tasks.values()):
                task.held = [info for info in task.held if info[0] != number]

    def set_blocked(self, mask: int) -> None:
        """Set the thread's signal mask."""
        signals.set_blocked(self, mask)

    def host_mask(self, mask: int) -> bytes:
        """Return `mask` as the host may have it."""
        return (mask & ~signals.NEVER_BLOCKED).to_bytes(8, "little")

    def held_mask(self) -> int:
        """Return the set of signals that wait here because they are blocked."""
        return sum({1 << info[0] - 1 for info in self.held})

    def take_held(self, wanted: int) -> bytes | None:
        """Take a waiting signal out of the set `wanted`: its siginfo."""
        for i, info in enumerate(self.held):
            if wanted >> info[0] - 1 & 1:
                return self.held.pop(i)
        return None

    def suspend(self, mask: int) -> NoReturn:
        """Wait under the signal mask `mask`; never comes back but as OSError(EINTR) or Restart."""
        if not self.held_mask() & ~mask:
            try:
                self.host(NUMBERS["rt_sigsuspend"], self.host_mask(mask), 8)
            except InterruptedError:
                pass  # as it always ends; the signal is delivered under `mask`
        self.wait_mask = mask
        raise OSError(EINTR, "")

    def on_altstack(self) -> bool:
        """Tell whether the thread runs on its alternate signal stack."""
        return signals.on_altstack(self, self.engine.get(SP))

    def signal_return(self) -> int:
        """Take back the frame that a signal handler began with; returns its x0. A broken one is SIGSEGV."""
        try:
            frame = signal_frame.pop(self)
        except (OSError, ValueError):
            signals.force(self, signals.SIGSEGV, SEGV_MAPERR, self.engine.get(SP))
            return self.engine.get(0)
        self.engine.restore(frame.state)
        self.altstack = frame.altstack
        signals.set_blocked(self, frame.mask)
        return self.engine.get(0)

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
