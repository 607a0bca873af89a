# SPDX-License-Identifier: GPL-2.0-or-later
"""The debugger's end of the interpreter: waits for it, serves it from a thread of its own, hands it on at execve(2).

The thread has every signal blocked, so those for the process still go to guest threads.
"""

from __future__ import annotations

import posix
import time
from _thread import allocate_lock, start_new_thread

import _usermode_core as core

from syscalls.host.x86_64 import NUMBERS
from usermode.debug.caught import CaughtActions
from usermode.debug.commands import Commands
from usermode.debug.connection import Connection, accept
from usermode.debug.forks import Forks
from usermode.debug.loop import Loop
from usermode.debug.packets import INTERRUPT, unhex
from usermode.debug.session import POLL, Event, Session
from usermode.debug.signal_numbers import from_gdb, to_gdb
from usermode.errors import UsermodeError
from usermode.kernel import signals
from usermode.settings import USAGE_STATUS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from usermode.kernel.process import Process
    from usermode.kernel.task import Task
    from usermode.run import Answer

SIGTRAP, SIGSETXID = 5, 33
ALL_CALLS = b"*"


class Server:
    """Serves one debugger. `process.debugger` is this."""

    def __init__(self, process: Process, connection: Connection) -> None:
        self._connection = connection
        self._actions = CaughtActions(process.actions)
        process.actions = self._actions
        self.session = Session(process, self._actions, connection.wake)
        self.session.last_word = self._last_word
        self.forks = Forks(self.session)
        self._commands = Commands(self.session, connection, self.forks)
        self._report: Callable[[Exception], int]
        self._tid = 0
        self._suspended = False

    # ---- hooks of usermode.kernel ----

    def signal(self, task: Task, info: bytes) -> bytes | None:
        """Report a signal before it is delivered; returns what is to be delivered, or None."""
        return self.session.signal(task, info)

    def died(self, task: Task, number: int) -> None:
        """Tell that the process ends by a signal."""
        self.session.died(task, number)

    def forked(self, task: Task, pid: int) -> None:
        """Tell of a child, which waits until the debugger has decided about it."""
        self.forks.report(self.session.threads[task.tid], pid)

    def hand_over(self) -> list[bytes]:
        """Return the options by which the next program takes the debugger over."""
        fd = self._connection.fd
        posix.set_inheritable(fd, True)
        session = self.session
        calls = session.caught_calls
        state = (
            b"%d" % fd,
            b"%d" % (self._flags()),
            b",".join(b"%d" % to_gdb(number) for number in session.passed_signals),
            ALL_CALLS if calls is None else b",".join(b"%d" % number for number in calls),
            b",".join(
                b"%d=%b" % (handle, path.hex().encode())
                for handle, path in self._commands.files.state()
            ),
        )
        return [b"--gdb-connection", b":".join(state)]

    def _flags(self) -> int:
        multiprocess = self._commands.multiprocess
        return self._connection.acknowledge | multiprocess << 1 | self.forks.wanted << 2

    def keep(self) -> None:
        """Do not hand the debugger over after all."""
        posix.set_inheritable(self._connection.fd, False)

    # ---- serving ----

    def take_over(self, state: bytes) -> None:
        """Go on with what hand_over() told. Raises UsermodeError."""
        self._commands.running = True  # the debugger waits for the first stop
        try:
            _, flags, passed, calls, files = state.split(b":")
            self._connection.acknowledge = bool(int(flags) & 1)
            self._commands.multiprocess = bool(int(flags) & 2)
            self.forks.wanted = bool(int(flags) & 4)
            session = self.session
            session.passed_signals = frozenset(from_gdb(int(n)) for n in passed.split(b",") if n)
            wanted = frozenset(int(n) for n in calls.split(b",") if n != ALL_CALLS and n)
            session.caught_calls = None if calls == ALL_CALLS else wanted
            for file in files.split(b","):
                handle, _, path = file.partition(b"=")
                if path:
                    self._commands.files.restore(int(handle), unhex(path))
        except ValueError:
            raise UsermodeError("--gdb-connection: no state", status=USAGE_STATUS) from None

    def start(self, report: Callable[[Exception], int]) -> None:
        """Serve from now on, in a thread of its own. `report` is told of an error of ours."""
        started = allocate_lock()
        started.acquire()

        self._report = report

        def serve() -> None:
            self._tid = core.host_call(NUMBERS["gettid"])
            started.release()
            try:
                self._serve()
            except Exception as error:  # noqa: BLE001  the outermost edge of a thread
                posix._exit(report(error))

        mask = bytearray(8)
        core.host_call(NUMBERS["rt_sigprocmask"], signals.SIG_SETMASK, 0, mask, 8)
        signals.set_host_mask(signals.ASK)
        try:
            start_new_thread(serve, ())
        except RuntimeError:  # by a limit, or since only children enter the next namespace
            self._give_up()
            return
        finally:
            signals.set_exec_mask(int.from_bytes(mask, "little"))
        started.acquire()
        # With its first thread the host's libc takes a signal for itself.
        self._actions.set(SIGSETXID, self._actions.get(SIGSETXID))

    def serve_child(self) -> None:
        """In the child of a fork that the debugger follows."""
        self._connection.inherit()
        self.start(self._report)

    def suspend(self) -> None:
        """Have the serving thread end, and wait until the kernel sees none but the caller."""
        self._suspended = True
        self._connection.wake()
        while not core.host_call(NUMBERS["tgkill"], self.session.pid, self._tid, 0):
            time.sleep(POLL)

    def resume(self) -> None:
        """Serve again, unless the debugger has gone meanwhile."""
        self._suspended = False
        if not self.session.detached:
            self.start(self._report)

    def _give_up(self) -> None:
        posix.write(2, b"usermode: --gdb: no thread can be started; the program goes on alone\n")
        self.session.detach()
        self._connection.close()

    def _serve(self) -> None:
        session, connection, commands = self.session, self._connection, self._commands
        if session.halted:
            session.settle()
            if commands.running:
                self._tell_stop()
        while not (session.detached or self._suspended):
            items = connection.wait()
            if items is None:
                session.detach()
                break
            if commands.running and session.halted:
                session.settle()
                self._tell_stop()
            for item in items:
                if item == INTERRUPT:
                    if session.halt():
                        self._tell_stop()
                elif isinstance(item, bytes) and not session.detached:
                    answer = commands.answer(item)
                    if answer is not None and not session.detached:
                        connection.send(answer)
        if session.detached:
            connection.close()

    def _tell_stop(self) -> None:
        self._commands.running = False
        self._connection.send(self._commands.stop_reply())

    def _last_word(self, kind: bytes, value: int) -> None:
        """Tell how the process ends, from its own thread: it does not come back."""
        if kind == b"X":
            value = to_gdb(value)
        process = b";process:%x" % self.session.pid if self._commands.multiprocess else b""
        self._connection.send(kind + b"%02x" % value + process)


def debug(
    process: Process,
    plain: Answer,
    answer: Answer,
    traced: bool,
    report: Callable[[Exception], int],
) -> Callable[[Task], None]:
    """Connect to the debugger that the settings name, and return what runs the process's threads for it.

    `answer` takes every system call, `plain` those that an engine that is not `traced` has not made itself.
    Raises UsermodeError.
    """
    settings = process.settings
    handed = settings.gdb_connection
    if handed:
        fd = handed.partition(b":")[0]
        connection = Connection(int(fd), acknowledge=False)
        program = process.paths.guest_name(process.executable)
        first = Event(SIGTRAP, b"exec:%b;" % program.hex().encode())
    else:
        connection = Connection(accept(settings.gdb or b""), acknowledge=True)
        first = Event(SIGTRAP)
    server = Server(process, connection)
    if handed:
        server.take_over(handed)
    process.debugger = server
    loop = Loop(server, answer, plain, traced, connection)
    pending: list[Event] = [first]

    def run(task: Task) -> None:
        loop.run(task, pending.pop() if pending else None)

    server.start(report)
    return run
