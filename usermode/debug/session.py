# SPDX-License-Identifier: GPL-2.0-or-later
"""Stopping all threads of a guest, and letting them go on: what a debugger's commands come down to.

A guest thread is in one of three states, which only it changes, under the session's lock:

RUNNING  in guest code, or in work of ours that ends soon; a halt waits for it
CALL     in a system call, perhaps for long. To the debugger it stands before the call's instruction, as nothing has
         come of the call yet; when the call ends in a halt, the result waits for the thread to go on
PARKED   waits for its turn; its registers are the debugger's

One thread reports what has happened and halts the others. What happens to a second thread meanwhile is forgotten if
going on makes it happen again (the instruction of a breakpoint or a fault has not been executed), else reported later.
"""

from __future__ import annotations

import posix
import time
from _struct import Struct
from _thread import allocate_lock

import _usermode_core as core

from syscalls.host.x86_64 import NUMBERS
from usermode.kernel import signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from usermode.debug.caught import CaughtActions
    from usermode.kernel.process import Process
    from usermode.kernel.task import Task

RUNNING, CALL, PARKED = "running", "call", "parked"
CONTINUE, STEP = "continue", "step"

SIGTRAP, SIGSEGV, SI_QUEUE, SI_USER = 5, 11, -1, 0
PC, SVC_SIZE = 32, 4
POLL, GRACE = 0.0005, 20
"""How often a halt looks again, in seconds, and how often a call may show that it is a short one."""

PATIENCE = 2000
"""How often a thread is looked at that is to leave a system call."""

_INFO = Struct("<iiiiiiQ")  # si_signo, si_errno, si_code, padding, si_pid, si_uid, si_value
_KICK = 0x6B63_6B75_6D67_6462
"""si_value of the signal that takes a thread out of a call; whoever else sends it loses a signal."""


class Event:
    """Why a thread stopped: a signal, and more of it as a stop reply tells it.

    `lasting` says that it does not happen again when the thread goes on. `info` is the siginfo.
    """

    __slots__ = ("detail", "info", "lasting", "signal")

    def __init__(
        self, signal: int, detail: bytes = b"", lasting: bool = False, info: bytes = b""
    ) -> None:
        self.signal = signal
        self.detail = detail
        self.lasting = lasting
        self.info = info


class Thread:
    """A guest thread as the debugger sees it. `action` is CONTINUE, STEP or None; `range` is to be stepped through."""

    __slots__ = (
        "abandon",
        "action",
        "event",
        "fork_pipe",
        "gate",
        "known_call",
        "passed",
        "range",
        "serial",
        "signal",
        "state",
        "stepping",
        "task",
    )

    def __init__(self, task: Task) -> None:
        self.task = task
        self.state = RUNNING
        self.action: str | None = CONTINUE
        self.range = (0, 0)
        self.signal = 0
        self.event: Event | None = None
        self.fork_pipe: tuple[int, int] | None = None
        self.gate = allocate_lock()
        self.gate.acquire()
        self.serial = self.known_call = 0
        self.abandon = False
        self.passed = 0
        self.stepping = False

    def open_gate(self) -> None:
        """Let the thread look whether it is its turn."""
        if self.gate.locked():
            self.gate.release()

    def pc(self) -> int:
        """Return where the debugger sees the thread."""
        return self.task.engine.get(PC) - (SVC_SIZE if self.state == CALL else 0)


class Session:
    """The threads, points and stops of one debugged process."""

    def __init__(self, process: Process, actions: CaughtActions, wake: Callable[[], None]) -> None:
        self.process = process
        self.pid = posix.getpid()
        self.actions = actions
        self.lock = allocate_lock()
        self.threads: dict[int, Thread] = {}
        self.halted = True
        self.detached = False
        self.over = False
        self.nobody_runs = False
        self.current: Thread | None = None
        self.breakpoints: set[int] = set()
        self.watchpoints: set[tuple[int, int, int]] = set()
        self.passed_signals: frozenset[int] = frozenset()
        self.caught_calls: frozenset[int] | None = frozenset()
        self.last_word: Callable[[bytes, int], None]
        self._wake = wake

    # ---- for guest threads ----

    def join(self, task: Task, first: Event | None) -> Thread:
        """Take in a thread that begins. The first of a process tells its event once it is asked."""
        thread = Thread(task)
        with self.lock:
            if first is not None:
                thread.event = first
                thread.action = None
                self.current = thread
            self.threads[task.tid] = thread
        return thread

    def leave(self, thread: Thread) -> None:
        """Forget a thread that ends, before it gives up its engine."""
        with self.lock:
            self.threads.pop(thread.task.tid, None)
            nobody = not any(other.action for other in self.threads.values())
            if nobody and self.threads and not self.halted and not self.detached:
                self.halted = self.nobody_runs = True
                self.current = next(iter(self.threads.values()))
            else:
                nobody = False
        if nobody:
            self._wake()

    def turn(self, thread: Thread) -> bool:
        """Wait until the thread may run guest code. False when there is no debugger any more."""
        attached = self._park(thread)
        if thread.signal:
            self._raise(thread)
        step = thread.action == STEP and attached
        if step or thread.stepping:
            thread.task.engine.step(step)
            thread.stepping = step
        return attached

    def _raise(self, thread: Thread) -> None:
        """Send the thread the signal that the debugger wants it to have, which is not reported again."""
        thread.passed, thread.signal = thread.signal, 0
        core.host_call(NUMBERS["tgkill"], self.pid, thread.task.tid, thread.passed)

    def report(self, thread: Thread, event: Event) -> int:
        """Halt all threads because of an event, and wait; returns the signal to deliver in place of the event's."""
        while True:
            with self.lock:
                if self.detached:
                    return event.signal if event.info else 0
                first = not self.halted
                if first:
                    self.halted = True
                    self.current = thread
                    thread.event = event
                    self._interrupt_all()
            if first:
                self._wake()
            elif not event.lasting:
                return 0
            attached = self._park(thread)
            if first and not attached:
                return event.signal if event.info else 0
            if first:
                signal = thread.signal
                if event.info:
                    thread.signal = 0
                return signal

    def _park(self, thread: Thread) -> bool:
        """Wait until it is the thread's turn. False when there is no debugger any more."""
        while True:
            with self.lock:
                if self.detached or (not self.halted and thread.action):
                    thread.state = RUNNING
                    thread.task.engine.interrupt(False)
                    return not self.detached
                thread.state = PARKED
            thread.gate.acquire()

    def begin_call(self, thread: Thread) -> bool:
        """Enter a system call; False if a halt comes first."""
        with self.lock:
            if self.halted and not self.detached:
                return False
            thread.state = CALL
            thread.serial += 1
            return True

    def back_in_call(self, thread: Thread) -> None:
        """After a report in the midst of a call: it goes on."""
        with self.lock:
            thread.state = CALL
            thread.serial += 1

    def end_call(self, thread: Thread) -> bool:
        """Leave a system call when it is the thread's turn; False if the debugger takes it out for its registers."""
        while True:
            with self.lock:
                go = self.detached or (not self.halted and thread.action)
                if go or thread.abandon:
                    abandoned, thread.abandon = thread.abandon, False
                    thread.state = RUNNING
                    return not abandoned
            thread.gate.acquire()

    def end_process(self, thread: Thread, kind: bytes, value: int) -> None:
        """Tell that the process ends: `kind` b"W" with an exit status, b"X" with a signal."""
        while True:
            with self.lock:
                if self.detached or self.over:
                    return
                if not self.halted:
                    self.over = True
                    break
                if thread.state == RUNNING:
                    thread.state = PARKED
            thread.gate.acquire()
        self.last_word(kind, value)

    def _interrupt_all(self) -> None:
        for thread in self.threads.values():
            if thread.state == RUNNING:
                thread.task.engine.interrupt(True)

    def adopt(self, thread: Thread) -> None:
        """In the child of a fork: it is the debugged process from now on, and stopped."""
        self.lock = allocate_lock()
        self.pid = posix.getpid()
        self.threads = {thread.task.tid: thread}
        self.halted = True
        self.current = thread
        thread.action = thread.event = None
        thread.state = RUNNING

    def forget(self) -> None:
        """In the child of a fork: no debugger, no points. The other threads and their locks are the parent's."""
        self.lock = allocate_lock()
        self.threads = {}
        self.detached = True
        self._remove_points()
        self.process.debugger = None
        self.actions.release()

    # ---- for the debugger's thread ----

    def settle(self) -> None:
        """Wait until no thread runs guest code. A call that has just begun gets a little time to end."""
        tries = 0
        while True:
            with self.lock:
                states = [thread.state for thread in self.threads.values()]
                fresh = [
                    thread
                    for thread in self.threads.values()
                    if thread.state == CALL and thread.known_call != thread.serial
                ]
                self._interrupt_all()
            tries += 1
            if states and RUNNING not in states and (not fresh or tries > GRACE):
                break
            time.sleep(POLL)
        for thread in fresh:
            thread.known_call = thread.serial

    def halt(self) -> bool:
        """Stop all threads at the debugger's wish; False if they are stopped."""
        with self.lock:
            if self.halted or not self.threads:
                return False
            self.halted = True
            if self.current is None or self.current.task.tid not in self.threads:
                self.current = next(iter(self.threads.values()))
            self._interrupt_all()
        self.settle()
        return True

    def resume(self, actions: Callable[[Thread], tuple[str | None, int, tuple[int, int]]]) -> None:
        """Let threads go on: `actions` gives the action of each, a signal, and the range to be stepped through."""
        with self.lock:
            for thread in self.threads.values():
                thread.action, thread.signal, thread.range = actions(thread)
                if thread.action:
                    thread.event = None
                if thread.state == CALL and thread.signal:
                    self._raise(thread)  # the call may not end without it
            self.nobody_runs = False
            self.halted = False
            for thread in self.threads.values():
                thread.open_gate()

    def take_out(self, thread: Thread) -> None:
        """Have a thread park that is in a system call, so that its registers can be set. Raises TimeoutError.

        The call is interrupted, and made again later unless PC is set; one that cannot be interrupted stays.
        """
        tries = 0
        while thread.state != PARKED:
            if not tries % 100:
                thread.abandon = True
                thread.open_gate()
                info = _INFO.pack(SIGSEGV, 0, SI_QUEUE, 0, self.pid, posix.getuid(), _KICK)
                info = info.ljust(signals.SIGINFO_SIZE, b"\0")
                tid = thread.task.tid
                call = NUMBERS["rt_tgsigqueueinfo"]
                core.host_call(call, self.pid, tid, SIGSEGV, info)
            tries += 1
            if tries > PATIENCE:
                thread.abandon = False
                raise TimeoutError("the thread does not leave its system call")
            time.sleep(POLL)

    def detach(self) -> None:
        """Let the guest go on without a debugger."""
        self._remove_points()
        with self.lock:
            self.detached = True
            self.halted = False
            self.process.debugger = None
            self.actions.release()
            for thread in self.threads.values():
                thread.open_gate()
                thread.task.engine.interrupt(True)

    def _remove_points(self) -> None:
        for address in self.breakpoints:
            core.set_breakpoint(address, False)
        for start, size, permission in self.watchpoints:
            core.set_watchpoint(start, size, permission, False)
        self.breakpoints.clear()
        self.watchpoints.clear()

    # ---- hooks of usermode.kernel ----

    def signal(self, task: Task, info: bytes) -> bytes | None:
        """Report a signal before it is delivered; returns what is to be delivered, or None."""
        thread = self.threads[task.tid]
        number = info[0]
        if _INFO.unpack_from(info)[::6] == (SIGSEGV, _KICK):
            return None
        passed = number == thread.passed
        if passed:
            thread.passed = 0
        if number in self.passed_signals:
            return info
        event = Event(number, lasting=True, info=info)
        wanted = number if passed else self.report(thread, event)
        if not wanted or (self._stops(wanted) and not self.detached):
            return None
        return info if wanted == number else self.sent_by_itself(wanted)

    def _stops(self, number: int) -> bool:
        """Tell whether a signal stops the process, and with it the one that talks to the debugger."""
        default = self.process.actions.get(number).handler == signals.SIG_DFL
        return default and number in signals.STOPS_BY_DEFAULT

    def sent_by_itself(self, number: int) -> bytes:
        """Return the siginfo of a signal that the process sends."""
        info = _INFO.pack(number, 0, SI_USER, 0, self.pid, posix.getuid(), 0)
        return info.ljust(signals.SIGINFO_SIZE, b"\0")

    def died(self, task: Task, number: int) -> None:
        """The process ends by a signal."""
        thread = self.threads.get(task.tid)
        if thread is not None:
            self.end_process(thread, b"X", number)
