# SPDX-License-Identifier: GPL-2.0-or-later
"""The loop of a debugged guest thread, in place of `usermode.run`."""

from __future__ import annotations

import posix
from errno import EBADF, EINTR

from syscalls.arch.generic64.numbers import NUMBERS
from syscalls.errors import Restart
from usermode.debug.forks import FREE
from usermode.debug.namespaces import SETNS, UNSHARE, enter_namespaces
from usermode.debug.session import STEP, Event
from usermode.kernel.signals import deliver_pending
from usermode.kernel.traps import handle
from usermode.machine import stops
from usermode.run import run as run_alone

TYPE_CHECKING = False
if TYPE_CHECKING:
    from usermode.debug.connection import Connection
    from usermode.debug.server import Server
    from usermode.debug.session import Thread
    from usermode.kernel.task import Task
    from usermode.run import Answer

PC, SVC_SIZE = 32, 4
SIGTRAP, SIGSTOP = 5, 19
CLONE, CLONE3 = NUMBERS["clone"], NUMBERS["clone3"]
EXIT, EXIT_GROUP = NUMBERS["exit"], NUMBERS["exit_group"]
CLOSE, DUP3, CLOSE_RANGE = NUMBERS["close"], NUMBERS["dup3"], NUMBERS["close_range"]
KILL, TKILL, TGKILL = NUMBERS["kill"], NUMBERS["tkill"], NUMBERS["tgkill"]
LAST_DESCRIPTOR = 0xFFFFFFFF

WATCHED = {(1, stops.READ): b"rwatch", (2, stops.WRITE): b"watch"}
"""By the watchpoint's permission and the access; one for both kinds is an awatch."""

Call = tuple[int, ...]


class Loop:
    """Runs the threads of one process. `answer` takes every call, `plain` those of an engine that is not traced."""

    __slots__ = ("_answer", "_connection", "_forks", "_plain", "_server", "_session", "_traced")

    def __init__(
        self, server: Server, answer: Answer, plain: Answer, traced: bool, connection: Connection
    ) -> None:
        self._server = server
        self._session = server.session
        self._forks = server.forks
        self._answer = answer
        self._plain = plain
        self._traced = traced
        self._connection = connection

    def run(self, task: Task, first: Event | None = None) -> None:
        """Run a guest thread. Left only by ThreadExit, or with the process."""
        thread = self._session.join(task, first)
        task.engine.trace(True)
        try:
            result = self._debugged(thread)
        finally:
            self._session.leave(thread)
        task.engine.trace(self._traced)
        task.engine.step(False)
        task.engine.interrupt(False)
        if result is not None:
            task.engine.set(0, result)
        run_alone(task, self._plain)

    def _debugged(self, thread: Thread) -> int | None:
        """Run until there is no debugger any more; returns the result of a call that is still to be set."""
        session, task = self._session, thread.task
        engine = task.engine
        result: int | None = None
        while session.turn(thread):
            stop = engine.run(result)
            result = None
            if isinstance(stop, tuple):
                result = self._call(thread, stop)
            elif stop == stops.SIGNAL:
                self._signals(thread)
            elif stop == stops.STEP:
                self._stepped(thread)
            elif stop == stops.WATCH:
                session.report(thread, self._watch_event(*engine.fault()))
            elif stop == stops.BREAKPOINT and engine.get(PC) in session.breakpoints:
                session.report(thread, Event(SIGTRAP, b"swbreak:;"))
            elif stop != stops.INTERRUPT:
                handle(task, stop)
        return result

    # ---- system calls ----

    def _call(self, thread: Thread, call: Call) -> int | None:
        """Make a call; the value for x0, or None when registers are set already."""
        session, task = self._session, thread.task
        number = call[0]
        caught = session.caught_calls is None or number in session.caught_calls
        if caught:
            session.report(thread, Event(SIGTRAP, b"syscall_entry:%x;" % number, lasting=True))
        if self._stops_itself(task, call):
            info = session.sent_by_itself(SIGSTOP)
            wanted = session.report(thread, Event(SIGSTOP, lasting=True, info=info))
            thread.signal = 0 if wanted == SIGSTOP else wanted
            return 0
        if not session.begin_call(thread):
            self._again(task)
            return None
        try:
            result = self._make_call(thread, call)
        except Restart:
            self._forks.over(thread)
            session.end_call(thread)
            self._again(task)
            self._signals(thread)
            return None
        if posix.getpid() != session.pid:
            return self._in_child(thread, result)
        self._forks.over(thread)
        if not session.end_call(thread) and result == -EINTR:
            self._again(task)
            return None
        if caught:
            if result is not None:
                task.engine.set(0, result)
            session.report(thread, Event(SIGTRAP, b"syscall_return:%x;" % number, lasting=True))
            result = None
        return self._after_call(thread, result)

    def _stops_itself(self, task: Task, call: Call) -> bool:
        """Tell whether the call is raise(SIGSTOP), which stops the one that talks to the debugger, too."""
        number, *targets = call[: 4 if call[0] == TGKILL else 3]
        if number not in (KILL, TKILL, TGKILL) or task.process.debugger is None:
            return False
        signal = targets.pop() & LAST_DESCRIPTOR
        pid, threads = self._session.pid, self._session.threads
        return signal == SIGSTOP and (
            targets == [pid]
            if number == KILL
            else targets[-1] in threads and (number == TKILL or targets[0] == pid)
        )

    def _in_child(self, thread: Thread, result: int | None) -> int | None:
        """Go on free, or as what the debugger looks at now."""
        if thread.fork_pipe is None or self._forks.verdict(thread) == FREE:
            self._connection.close()
            self._session.forget()
            return result
        self._session.adopt(thread)
        if result is not None:
            thread.task.engine.set(0, result)
        self._server.serve_child()
        return None

    @staticmethod
    def _again(task: Task) -> None:
        """Have the thread make its call once more."""
        task.engine.set(PC, task.engine.get(PC) - SVC_SIZE)

    def _make_call(self, thread: Thread, call: Call) -> int | None:
        session, task = self._session, thread.task
        number, arguments = call[0], call[1:]
        ours = self._connection.descriptors
        if number in (CLONE, CLONE3):
            thread.fork_pipe = self._forks.prepare()
        elif number == EXIT_GROUP or (number == EXIT and len(session.threads) == 1):
            session.end_process(thread, b"W", arguments[0] & 0xFF)
        elif number == EXIT:
            session.leave(thread)  # the first thread does not unwind to run()
        elif number == CLOSE and arguments[0] & LAST_DESCRIPTOR in ours:
            return -EBADF
        elif number == DUP3 and arguments[1] & LAST_DESCRIPTOR in ours:
            return -EBADF
        elif number in (UNSHARE, SETNS) and len(session.threads) == 1:
            return enter_namespaces(self._server, self._answer, task, call)
        elif number == CLOSE_RANGE:
            return self._close_range(task, arguments)
        return self._answer(task, number, arguments)

    def _close_range(self, task: Task, arguments: tuple[int, ...]) -> int | None:
        """Make close_range(2) around our own descriptors."""
        first, last = (argument & LAST_DESCRIPTOR for argument in arguments[:2])
        for fd in sorted(self._connection.descriptors):
            if first <= fd <= last:
                if first < fd:
                    before = (first, fd - 1, *arguments[2:])
                    result = self._answer(task, CLOSE_RANGE, before)
                    if result:
                        return result
                if fd == last:
                    return 0
                first = fd + 1
        return self._answer(task, CLOSE_RANGE, (first, last, *arguments[2:]))

    def _after_call(self, thread: Thread, result: int | None) -> int | None:
        """As in `usermode.run`; a step over the call's instruction is done."""
        task = thread.task
        waiting = task.waiting_signals() & ~task.blocked
        if waiting or thread.action == STEP:
            if result is not None:
                task.engine.set(0, result)
                result = None
            if waiting:
                self._signals(thread)
            elif thread.action == STEP:
                self._stepped(thread)
        return result

    # ---- events ----

    def _signals(self, thread: Thread) -> None:
        """Deliver signals. A step that enters a handler ends at its first instruction, as the kernel has it."""
        task = thread.task
        before = task.engine.get(PC)
        deliver_pending(task)
        if thread.task.process.debugger is not None:
            self._session.actions.catch_again()
        if thread.action == STEP and task.engine.get(PC) != before:
            self._session.report(thread, Event(SIGTRAP))

    def _stepped(self, thread: Thread) -> None:
        start, end = thread.range
        if not start <= thread.task.engine.get(PC) < end or self._session.halted:
            self._session.report(thread, Event(SIGTRAP))

    def _watch_event(self, address: int, access: int) -> Event:
        """Tell which watchpoint an access hits. The first byte accessed may lie before it."""
        best: tuple[int, bytes] = (address, b"awatch")
        for start, size, permission in self._session.watchpoints:
            if start < address + 64 and address < start + size:
                kind = WATCHED.get((permission, access), b"awatch" if permission == 3 else b"")
                if kind:
                    best = (max(start, address), kind)
        return Event(SIGTRAP, b"%b:%x;" % (best[1], best[0]))
