# SPDX-License-Identifier: GPL-2.0-or-later
"""Children of a debugged process: which of the two the debugger stays with.

The parent reports the fork while the child waits at one end of a pipe. The debugger then detaches from one of them
(gdb's `follow-fork-mode`): from the child, which runs free, or from the parent, which gives the connection to the child
and runs free itself. A child that is forgotten, by an error or the parent's end, runs free as well.

A vfork(2) is told as a fork: here the child has memory of its own, and its parent merely waits.
"""

from __future__ import annotations

import posix

from usermode.debug.connection import out_of_the_way
from usermode.debug.session import Event
from usermode.debug.target import kill

TYPE_CHECKING = False
if TYPE_CHECKING:
    from usermode.debug.session import Session, Thread

SIGTRAP = 5
FREE, ADOPT = b"f", b"a"


class Forks:
    """The pipes to children that wait, by process id. `wanted` says whether the debugger is to be asked at all."""

    __slots__ = ("_events", "_pipes", "_session", "wanted")

    def __init__(self, session: Session) -> None:
        self._session = session
        self._pipes: dict[int, int] = {}
        self._events: dict[int, Event] = {}
        self.wanted = False

    def prepare(self) -> tuple[int, int] | None:
        """Before a fork: make the pipe."""
        if not self.wanted:
            return None
        ends = posix.pipe2(posix.O_CLOEXEC)
        return out_of_the_way(ends[0]), out_of_the_way(ends[1])

    def report(self, thread: Thread, pid: int) -> None:
        """In the parent: tell the debugger of the child, which is free once the parent may go on."""
        if thread.fork_pipe is None:
            return
        event = Event(SIGTRAP, b"fork:p%x.%x;" % (pid, pid), lasting=True)
        self._pipes[pid] = thread.fork_pipe[1]
        self._events[pid] = event
        self._session.report(thread, event)
        self.settle(pid, FREE)
        self._session.back_in_call(thread)

    def over(self, thread: Thread) -> None:
        """In the parent: the call has ended."""
        if thread.fork_pipe is not None:
            for fd in thread.fork_pipe:
                posix.close(fd)
            thread.fork_pipe = None

    def waiting(self, pid: int) -> bool:
        """Tell whether a process is a child that waits."""
        return pid in self._pipes

    def told(self) -> int:
        """Return the child of the fork that was told last, if it still waits, else 0. Others may wait to be told."""
        current = self._session.current
        event = current.event if current else None
        return next((pid for pid in self._pipes if self._events[pid] is event), 0)

    def kill(self, pid: int) -> None:
        """End a child that waits."""
        kill(pid)
        self.settle(pid, FREE)

    def settle(self, pid: int, verdict: bytes) -> None:
        """Let a child go on, if it waits: FREE or ADOPT."""
        fd = self._pipes.pop(pid, -1)
        self._events.pop(pid, None)
        if fd >= 0:
            posix.write(fd, verdict)

    def verdict(self, thread: Thread) -> bytes:
        """In the child: wait for what the debugger decides."""
        assert thread.fork_pipe is not None
        reading, writing = thread.fork_pipe
        posix.close(writing)
        said = posix.read(reading, 1)
        posix.close(reading)
        thread.fork_pipe = None
        self._pipes.clear()
        self._events.clear()
        return said or FREE
