# SPDX-License-Identifier: GPL-2.0-or-later
"""Answers to the packets of gdb's remote protocol (gdb's manual, appendix E). b"" says that a packet is not known."""

from __future__ import annotations

from errno import EBUSY, EINVAL

import _usermode_core as core

from syscalls.arch.guest import debugger_registers
from usermode.debug import packets
from usermode.debug.forks import ADOPT, FREE
from usermode.debug.packets import number, unhex
from usermode.debug.resume import parse_actions
from usermode.debug.session import CALL
from usermode.debug.signal_numbers import from_gdb, to_gdb
from usermode.debug.target import Files, Memory, kill, thread_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from usermode.debug.connection import Connection
    from usermode.debug.forks import Forks
    from usermode.debug.session import Session, Thread

OK = b"OK"
FEATURES = (
    b"PacketSize=%x;QStartNoAckMode+;multiprocess+;swbreak+;hwbreak+;vContSupported+;"
    b"fork-events+;exec-events+;no-resumed+;"
    b"qXfer:features:read+;qXfer:auxv:read+;qXfer:exec-file:read+;qXfer:threads:read+;"
    b"qXfer:siginfo:read+;QPassSignals+;QCatchSyscalls+" % packets.LIMIT
)
ONE_PROCESS = (
    b"E.only one process can be debugged: detach from one of them, and set detach-on-fork on"
)
WATCH_PERMISSIONS = {b"2": 2, b"3": 1, b"4": 3}
STOPPED_ONLY = frozenset((b"?", *(b"%c" % letter for letter in b"gGpPMXZzcsCSDH")))
"""The requests that want the guest's threads stopped, as gdb sees to itself."""

FILE_SLICE = packets.LIMIT // 2 - 0x40  # each byte may take two


class Commands:
    """Answers packets for one session. `running` is true from a resumption until the stop reply."""

    def __init__(self, session: Session, connection: Connection, forks: Forks) -> None:
        self.session = session
        self.connection = connection
        self.multiprocess = False
        self._forks = forks
        self._child = 0
        self.running = False
        self._memory = Memory(session.process)
        self.files = Files(session.process)
        self._registers = debugger_registers()
        self._selected = 0
        self._by_letter: dict[bytes, Callable[[bytes], bytes | None]] = {
            b"?": lambda _: self.stop_reply(),
            b"H": self._select,
            b"T": self._alive,
            b"g": lambda _: self._registers.packed(self._snapshot()).hex().encode(),
            b"G": self._set_registers,
            b"p": self._register,
            b"P": self._set_register,
            b"m": self._read_memory,
            b"M": self._write_hex,
            b"X": self._write_binary,
            b"Z": lambda rest: self._point(rest, True),
            b"z": lambda rest: self._point(rest, False),
            b"D": self._detach,
            b"k": lambda _: kill(session.pid),
            b"c": lambda rest: self._resume(b"c" + rest),
            b"s": lambda rest: self._resume(b"s" + rest),
            b"C": lambda rest: self._resume(b"C" + rest),
            b"S": lambda rest: self._resume(b"S" + rest),
            b"v": self._long,
            b"q": self._query,
            b"Q": self._set,
        }

    def answer(self, packet: bytes) -> bytes | None:
        """Answer a packet; None if the answer is the next stop reply, or there is none."""
        handler = self._by_letter.get(packet[:1])
        if handler is None:
            return b""
        if self.running and (packet[:1] in STOPPED_ONLY or packet.startswith(b"vCont;")):
            return b"E%02x" % EBUSY
        try:
            return handler(packet[1:])
        except OSError as error:
            return b"E%02x" % ((error.errno or EINVAL) & 0xFF)
        except (ValueError, IndexError, LookupError, OverflowError):
            return b"E%02x" % EINVAL

    # ---- threads ----

    def thread_id(self, tid: int) -> bytes:
        """Return a thread's id as the protocol writes it."""
        return b"p%x.%x" % (self.session.pid, tid) if self.multiprocess else b"%x" % tid

    def _parse_thread(self, text: bytes) -> int:
        """Return the thread id in a packet, 0 for any and -1 for all. Raises ValueError."""
        if text.startswith(b"p"):
            process, dot, text = text[1:].partition(b".")
            if process not in (b"-1", b"0") and number(process) != self.session.pid:
                raise LookupError("no such process")
            if not dot:
                return -1
        return -1 if text == b"-1" else number(text)

    def _thread(self) -> Thread:
        """Return the selected thread. Raises LookupError."""
        thread = self.session.threads.get(self._selected) or self.session.current
        if thread is None:
            raise LookupError("no thread")
        return thread

    def _child_named(self, thread: bytes) -> int:
        """Return the process id in a thread id if it is that of a child that waits, else 0."""
        process = thread[1:].partition(b".")[0] if thread.startswith(b"p") else b"0"
        pid = 0 if process == b"-1" else number(process)
        return pid if self._forks.waiting(pid) else 0

    def _select(self, rest: bytes) -> bytes:
        self._child = self._child_named(rest[1:])
        if self._child:
            return OK
        tid = self._parse_thread(rest[1:])
        if rest[:1] == b"g":
            if tid > 0 and tid not in self.session.threads:
                raise LookupError("no such thread")
            self._selected = max(tid, 0)
        return OK

    def _alive(self, rest: bytes) -> bytes:
        if self._child_named(rest):
            return OK
        if self._parse_thread(rest) not in self.session.threads:
            raise LookupError("no such thread")
        return OK

    def stop_reply(self) -> bytes:
        """Tell why the guest is stopped, and some registers with it."""
        thread = self.session.current
        if self.session.nobody_runs:
            return b"N"
        if thread is None:
            return b""
        self._selected = thread.task.tid
        event = thread.event
        kind = b"T%02x" % to_gdb(event.signal) if event else b"T02"
        snapshot = self._snapshot()
        registers = b"".join(
            b"%02x:%b;" % (index, self._registers.read(snapshot, index).hex().encode())
            for index in self._registers.EXPEDITED
        )
        detail = event.detail if event else b""
        return kind + detail + b"thread:" + self.thread_id(thread.task.tid) + b";" + registers

    # ---- registers ----

    def _snapshot(self) -> bytes:
        thread = self._thread()
        snapshot = thread.task.engine.snapshot()
        if thread.state == CALL:
            pc = thread.pc().to_bytes(8, "little")
            snapshot = self._registers.written(snapshot, self._registers.PC, pc)
        return snapshot

    def _restore(self, snapshot: bytes) -> bytes:
        self._thread().task.engine.restore(snapshot)
        return OK

    def _own(self) -> None:
        """Make sure that the selected thread's registers can be set."""
        thread = self._thread()
        if thread.state == CALL:
            self.session.take_out(thread)

    def _set_registers(self, rest: bytes) -> bytes:
        snapshot = self._registers.unpacked(unhex(rest))
        self._own()
        return self._restore(snapshot)

    def _register(self, rest: bytes) -> bytes:
        return bytes(self._registers.read(self._snapshot(), number(rest)).hex().encode())

    def _set_register(self, rest: bytes) -> bytes:
        index, _, value = rest.partition(b"=")
        self._own()
        snapshot = self._registers.written(self._snapshot(), number(index), unhex(value))
        return self._restore(snapshot)

    # ---- memory ----

    def _read_memory(self, rest: bytes) -> bytes:
        address, _, size = rest.partition(b",")
        wanted = min(number(size), packets.LIMIT // 2)
        return self._memory.read(number(address), wanted).hex().encode()

    def _write_hex(self, rest: bytes) -> bytes:
        place, _, data = rest.partition(b":")
        return self._write(place, unhex(data))

    def _write_binary(self, rest: bytes) -> bytes:
        place, _, data = rest.partition(b":")
        return self._write(place, data)

    def _write(self, place: bytes, data: bytes) -> bytes:
        address, _, size = place.partition(b",")
        if number(size) != len(data):
            raise ValueError("not as many bytes as announced")
        if data:
            self._memory.write(number(address), data)
        return OK

    def _point(self, rest: bytes, on: bool) -> bytes:
        kind, _, place = rest.partition(b",")
        address, _, size = (place.partition(b";")[0]).partition(b",")
        start, length = number(address), number(size)
        if self._child:
            return OK  # a child has the points of its parent until it is free
        session = self.session
        if kind in (b"0", b"1"):
            if start % 4 or not core.set_breakpoint(start, on):
                raise ValueError("no place for a breakpoint")
            (session.breakpoints.add if on else session.breakpoints.discard)(start)
            return OK
        permission = WATCH_PERMISSIONS.get(kind)
        if permission is None:
            return b""
        if not length or not core.set_watchpoint(start, length, permission, on):
            raise ValueError("no room for a watchpoint")
        watched = session.watchpoints
        (watched.add if on else watched.discard)((start, length, permission))
        return OK

    # ---- going on ----

    def _resume(self, actions: bytes) -> None:
        self.session.resume(parse_actions(actions, self._parse_thread, self._thread().task.tid))
        self.running = True

    def _detach(self, rest: bytes) -> bytes:
        pid = number(rest[1:]) if rest else self.session.pid
        if self._forks.waiting(pid):
            self._forks.settle(pid, FREE)
            return OK
        if pid != self.session.pid:
            raise LookupError("no such process")
        self.connection.send(OK)
        self._forks.settle(self._forks.told(), ADOPT)
        self.session.detach()
        return b""

    def _long(self, rest: bytes) -> bytes | None:
        name, _, arguments = rest.partition(b";")
        if rest == b"Cont?":
            return b"vCont;c;C;s;S;r"
        if name == b"Cont":
            if self._forks.told():
                return ONE_PROCESS
            self._resume(b";" + arguments)
            return None
        if name == b"Kill":
            pid = number(arguments)
            if self._forks.waiting(pid):
                self._forks.kill(pid)
                return OK
            if pid != self.session.pid:
                raise LookupError("no such process")
            self.connection.send(OK)  # there is no later
            kill(pid)
        if name.startswith(b"File:"):
            return self._file(rest[5:])
        return b""

    # ---- files ----

    def _file(self, request: bytes) -> bytes:
        name, _, rest = request.partition(b":")
        try:
            if name == b"setfs":
                return b"F0"
            if name == b"open":
                path, flags, _ = rest.split(b",")
                return b"F%x" % self.files.open(unhex(path), number(flags))
            if name == b"pread":
                handle, size, offset = (number(part) for part in rest.split(b","))
                return _content(self.files.read(handle, min(size, FILE_SLICE), offset))
            if name == b"close":
                self.files.close(number(rest))
                return b"F0"
            if name == b"fstat":
                return _content(self.files.stat(number(rest)))
            if name == b"readlink":
                return _content(self.files.read_link(unhex(rest)))
        except OSError as error:
            return b"F-1,%x" % (error.errno or EINVAL)
        return b""

    # ---- queries ----

    def _query(self, rest: bytes) -> bytes:
        if rest.startswith(b"Supported"):
            offered = rest[9:].lstrip(b":").split(b";")
            self.multiprocess = b"multiprocess+" in offered
            self._forks.wanted = self.multiprocess and b"fork-events+" in offered
            return FEATURES
        if rest == b"C":
            return b"QC" + self.thread_id(self._thread().task.tid)
        if rest.startswith(b"Attached"):
            return b"0"
        if rest == b"fThreadInfo":
            return b"m" + b",".join(self.thread_id(tid) for tid in self.session.threads)
        if rest == b"sThreadInfo":
            return b"l"
        if rest.startswith(b"ThreadExtraInfo,"):
            tid = self._parse_thread(rest.partition(b",")[2])
            return thread_name(self.session.pid, tid).hex().encode()
        if rest.startswith(b"Symbol:"):
            return OK
        if rest.startswith(b"Xfer:"):
            return self._transfer(rest[5:])
        return b""

    def _transfer(self, rest: bytes) -> bytes:
        name, direction, annex, place = rest.split(b":", 3)
        if direction != b"read":
            return b""
        offset, size = (number(part) for part in place.split(b","))
        content = self._object(name, annex)
        if content is None:
            return b""
        piece = content[offset : offset + min(size, FILE_SLICE)]
        return (b"m" if offset + len(piece) < len(content) else b"l") + piece

    def _object(self, name: bytes, annex: bytes) -> bytes | None:
        """Return an object that qXfer reads; None if there is no such kind."""
        process = self.session.process
        if name == b"features":
            if annex != b"target.xml":
                raise ValueError("no such part of the description")
            return self._registers.target_description()
        if name == b"auxv":
            return process.auxv
        if name == b"exec-file":
            return process.paths.guest_name(process.executable)
        if name == b"threads":
            return self._thread_list()
        if name == b"siginfo":
            event = self._thread().event
            if event is None or not event.info:
                raise LookupError("no signal")
            return event.info
        return None

    def _thread_list(self) -> bytes:
        rows = b""
        for tid in list(self.session.threads):
            name = thread_name(self.session.pid, tid).decode("ascii", "replace")
            shown = "".join(c if c.isalnum() or c in " -_.:/@" else "?" for c in name)
            rows += b'<thread id="%b" name="%b"/>' % (self.thread_id(tid), shown.encode())
        return b'<?xml version="1.0"?><threads>' + rows + b"</threads>\n"

    # ---- settings ----

    def _set(self, rest: bytes) -> bytes:
        name, _, value = rest.partition(b":")
        if name == b"StartNoAckMode":
            self.connection.acknowledge = False
            return OK
        if name == b"PassSignals":
            numbers = (from_gdb(number(part)) for part in value.split(b";") if part)
            self.session.passed_signals = frozenset(n for n in numbers if n)
            return OK
        if name == b"CatchSyscalls":
            on, _, calls = value.partition(b";")
            wanted = frozenset(number(part) for part in calls.split(b";") if part)
            self.session.caught_calls = (wanted if calls else None) if on == b"1" else frozenset()
            return OK
        return b""


def _content(data: bytes) -> bytes:
    return b"F%x;" % len(data) + data
