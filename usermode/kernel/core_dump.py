# SPDX-License-Identifier: GPL-2.0-or-later
"""Core dumps of the guest, as core(5) and fs/coredump.c have them: when, where to, and the ELF file.

The host kernel's own dump would be one of the emulator, tens of megabytes of no use to the guest's debugger, and
named like ours. It is prevented by PR_SET_DUMPABLE, which no limit and no piped helper overrules. So the parent does
not see WCOREDUMP in the status: measured with limits from 0 up, the kernel sets it only if it dumps itself, with a
limit of a page at least, and then it removes what has the dump's name. An internal fault of the emulator is no guest's
death and keeps the host's dump.

The child of a vfork(2) has its dumpable attribute in common with its parent, so its own limit prevents the host's
dump. As in the kernel its parent's threads are neither stopped nor dumped.
"""

from __future__ import annotations

import posix
from _struct import Struct
from errno import EINVAL
from time import sleep, time

import _usermode_core as core

from syscalls.arch.guest import cpu
from syscalls.host.x86_64 import NUMBERS
from usermode.errors import printable
from usermode.kernel import signals
from usermode.kernel.core_memory import Memory, parts, read_file
from usermode.kernel.core_notes import notes
from usermode.machine.regions import PAGE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from usermode.kernel.core_memory import Part
    from usermode.kernel.process import Process
    from usermode.kernel.task import Task

RLIMIT_CORE = 4
INFINITY = (1 << 64) - 1
PR_GET_DUMPABLE, PR_SET_DUMPABLE = 3, 4
DUMPABLE = 1
AT_SECURE = 23
FIRST_PROCESS = 1
NO_PIPE = 1
"""The RLIMIT_CORE with which do_coredump() asks no piped helper either."""

PIPES = (b"|", b"@")
"""A core_pattern that begins so names a program or a socket of the host's, which is given no guest's dump."""
UNPIPED_NAME = b"core.%p"

HALT_MILLISECONDS = 2000
LOCK_SECONDS = 2.0
SETTLE_SECONDS = 0.01
"""How long threads in the midst of a call that Python answers have to finish it."""

_EHDR = Struct("<16sHHIQQQIHHHHHH")
_PHDR = Struct("<IIQQQQQQ")
_LIMIT = Struct("<QQ")
ELF_IDENT = b"\x7fELF\2\1\1".ljust(16, b"\0")
ET_CORE, EV_CURRENT, PT_LOAD, PT_NOTE = 4, 1, 1, 4
PF_X, PF_W, PF_R = 1, 2, 4
PROGRAM_FLAGS = [(p & 1 and PF_R) | (p & 2 and PF_W) | (p & 4 and PF_X) for p in range(8)]
NOTE_ALIGN = 4
CHUNK = 1 << 20
PERCENT = ord("%")
ZEROS = bytes(PAGE)


class Full(Exception):
    """RLIMIT_CORE is reached."""


# ---- when ----


def catch_signals(actions: signals.Actions) -> None:
    """Catch the signals that dump core by default: left to the host they would end the process at once.

    The first process of a pid namespace does not die of them, which the kernel must go on to see to.
    """
    if actions.caught or posix.getpid() == FIRST_PROCESS:
        return
    defaults = [
        number for number in signals.DUMP_CORE if actions.get(number).handler == signals.SIG_DFL
    ]
    actions.caught = signals.DUMP_CORE
    for number in defaults:
        actions.set(number, actions.get(number))


def limit() -> int:
    """Return the soft RLIMIT_CORE."""
    limits = bytearray(16)
    core.host_call(NUMBERS["prlimit64"], 0, RLIMIT_CORE, 0, limits)
    return int.from_bytes(limits[:8], "little")


def dump(task: Task, number: int, info: bytes) -> None:
    """Write the core dump of a process that dies of signal `number`, if there is to be one.

    `info` is the siginfo, b"" for force_sigsegv(). What prevents the dump is told only to who asked for it by an
    option, or with USERMODE_DEBUG: the kernel does not tell it.
    """
    process = task.process
    wanted = process.settings.core
    size = limit() if wanted is None else INFINITY
    if size < PAGE:  # ELF_EXEC_PAGESIZE of binfmt_elf's min_coredump
        return
    info = info or Struct("<iii").pack(number, 0, signals.SI_KERNEL)
    try:
        place = _place(process, number, size)
        if place is not None:
            if not process.vfork_depth:  # which may share its actions
                _ignore_signals(number)
            signals.set_host_mask(signals.ASK)
            _write(task, info.ljust(128, b"\0"), place, size)
            _tell(process, f"core dumped to {printable(place)}")
    except OSError as error:
        _refuse(process, error.strerror or "")
    _prevent_hosts(process)


def _prevent_hosts(process: Process) -> None:
    if process.vfork_depth:
        hard = process.limit(RLIMIT_CORE)[1]
        core.host_call(NUMBERS["prlimit64"], 0, RLIMIT_CORE, _LIMIT.pack(NO_PIPE, hard), 0)
    else:
        core.host_call(NUMBERS["prctl"], PR_SET_DUMPABLE, 0)


def _refuse(process: Process, reason: str) -> None:
    if process.settings.core is not None or process.settings.debug:
        posix.write(2, f"usermode: no core dump: {reason}\n".encode("utf-8", "backslashreplace"))


def _tell(process: Process, text: str) -> None:
    if process.settings.debug:
        posix.write(2, f"usermode: {text}\n".encode("utf-8", "backslashreplace"))


def _ignore_signals(number: int) -> None:
    """From now on only SIGKILL ends the process: prepare_signal() of the kernel while a core is dumped."""
    for other in range(1, signals.LAST_SIGNAL + 1):
        if other not in (signals.SIGKILL, signals.SIGSTOP, number, *signals.FAULTS):
            core.signal_set(other, signals.SIG_IGN, 0)


# ---- where to ----


def _place(process: Process, number: int, size: int) -> bytes | None:
    """Return the file's name, None when there is to be no dump. Raises OSError."""
    if core.auxv(AT_SECURE) or core.host_call(NUMBERS["prctl"], PR_GET_DUMPABLE) != DUMPABLE:
        _refuse(process, "the program is not dumpable")
        return None
    pattern = process.settings.core
    if not pattern:
        pattern = read_file("/proc/sys/kernel/core_pattern").rstrip(b"\n")
        if pattern.startswith(PIPES):
            if process.settings.core is None:
                _refuse(process, "kernel.core_pattern is no file's name; --core writes one")
                return None
            pattern = UNPIPED_NAME
        elif b"%p" not in pattern and int(read_file("/proc/sys/kernel/core_uses_pid")):
            pattern += b".%p"
    return format_name(pattern, _values(process, number, size))


def _values(process: Process, number: int, size: int) -> dict[int, bytes]:
    """Return what stands for the letters of a core_pattern: format_corename()."""
    tid = core.host_call(NUMBERS["gettid"])
    program = process.executable
    return {
        ord(letter): text
        for letter, text in (
            ("%", b"%"),
            ("p", b"%d" % process.pid),
            ("P", b"%d" % process.pid),
            ("i", b"%d" % tid),
            ("I", b"%d" % tid),
            ("u", b"%d" % posix.getuid()),
            ("g", b"%d" % posix.getgid()),
            ("d", b"%d" % DUMPABLE),
            ("s", b"%d" % number),
            ("t", b"%d" % int(time())),
            ("h", _escaped(posix.uname().nodename.encode("utf-8", "surrogateescape"))),
            ("e", _escaped(read_file("/proc/thread-self/comm").rstrip(b"\n"))),
            ("f", _escaped(program.rpartition(b"/")[2])),
            ("E", _escaped(program)),
            ("c", b"%d" % size),
        )
    }


def _escaped(text: bytes) -> bytes:
    """Return text that cannot lead to another folder: cn_vprintf()."""
    text = text.replace(b"/", b"!")
    if text in (b".", b".."):
        return b"!" + text[1:]
    return text or b"!"


def format_name(pattern: bytes, values: dict[int, bytes]) -> bytes:
    """Return the file name of a core_pattern, without unknown letters and a last lone %. Raises OSError if empty."""
    name = b""
    i = 0
    while i < len(pattern):
        if pattern[i] == PERCENT:
            name += values.get(pattern[i + 1], b"") if i + 1 < len(pattern) else b""
            i += 2
        else:
            name += pattern[i : i + 1]
            i += 1
    if not name:
        raise OSError(EINVAL, posix.strerror(EINVAL))
    return name


def _open(place: bytes, explicit: bool) -> int:
    """Create the file as do_coredump() does; one that was named explicitly is not removed before. Raises OSError."""
    flags = posix.O_CREAT | posix.O_WRONLY | posix.O_CLOEXEC | posix.O_NOFOLLOW | posix.O_NONBLOCK
    if explicit:
        flags |= posix.O_TRUNC
    else:
        flags |= posix.O_EXCL
        try:
            posix.unlink(place)
        except OSError:
            pass  # if that matters, open() says so
    fd = posix.open(place, flags, 0o600)
    if posix.fstat(fd).st_mode & 0o170000 != 0o100000:
        posix.close(fd)
        raise OSError(EINVAL, "not a regular file")
    return fd


# ---- the file ----


class _Writer:
    """Writes to the file up to RLIMIT_CORE, which counts what is written, not the holes. Raises Full and OSError."""

    __slots__ = ("_fd", "_left")

    def __init__(self, fd: int, size: int) -> None:
        self._fd = fd
        self._left = size

    def write(self, data: bytes | memoryview, offset: int, unit: int) -> None:
        """Write `data`, whose length is a multiple of `unit`; of what exceeds the limit no part of a unit."""
        fits = data if len(data) <= self._left else data[: self._left // unit * unit]
        while fits:
            done = posix.pwrite(self._fd, fits, offset)
            fits = fits[done:]
            offset += done
            self._left -= done
            data = data[done:]
        if data:
            raise Full

    def write_pages(self, data: bytes, offset: int) -> None:
        """Write pages, but leave a hole for those that are zero."""
        view = memoryview(data)
        start = None
        for at in range(0, len(data), PAGE):
            if data[at : at + PAGE] == ZEROS:
                if start is not None:
                    self.write(view[start:at], offset + start, PAGE)
                start = None
            elif start is None:
                start = at
        if start is not None:
            self.write(view[start:], offset + start, PAGE)


def _write(task: Task, info: bytes, place: bytes, size: int) -> None:
    """Stop the other threads and write the file. Raises OSError."""
    process = task.process
    others = [other for other in list(process.tasks.values()) if other is not task]
    if not process.vfork_depth and not core.halt(HALT_MILLISECONDS):
        _tell(process, "a thread did not stop: its registers in the core dump may be old")
    if others:
        sleep(SETTLE_SECONDS)
    locked = process.space.lock.acquire(timeout=LOCK_SECONDS)
    try:
        memory = Memory()
        found = parts(process.space, memory)
        pieces = notes(task, others, info, found)
        fd = _open(place, bool(process.settings.core))
        try:
            _write_all(fd, _Writer(fd, size), pieces, found, memory)
        finally:
            posix.close(fd)
    finally:
        if locked:
            process.space.lock.release()


def _write_all(
    fd: int, writer: _Writer, pieces: list[bytes], found: list[Part], memory: Memory
) -> None:
    head, offsets, end = _layout(pieces, found)
    at = 0
    try:
        for piece in head:
            writer.write(piece, at, len(piece))
            at += len(piece)
        for part, offset in zip(found, offsets, strict=True):
            for start, stop in memory.runs(part):
                _copy(writer, memory, start, stop, offset - part.start)
    except Full:
        return
    posix.ftruncate(fd, end)


def _layout(pieces: list[bytes], found: list[Part]) -> tuple[list[bytes], list[int], int]:
    """Return the headers and notes, the offset of each part's content, and the file's size.

    There are fewer mappings (vm.max_map_count) than program headers fit (PN_XNUM).
    """
    count = 1 + len(found)
    note_offset = _EHDR.size + count * _PHDR.size
    note_size = sum([len(piece) for piece in pieces])
    at = note_offset + note_size + PAGE - 1 & -PAGE
    head = [
        _EHDR.pack(
            *(ELF_IDENT, ET_CORE, cpu.ELF_MACHINE, EV_CURRENT, 0, _EHDR.size, 0, 0),
            *(_EHDR.size, _PHDR.size, count, 0, 0, 0),
        ),
        _PHDR.pack(PT_NOTE, 0, note_offset, 0, 0, note_size, 0, NOTE_ALIGN),
    ]
    offsets = []
    for part in found:
        flags = PROGRAM_FLAGS[part.prot & 7]
        length = part.end - part.start
        head.append(_PHDR.pack(PT_LOAD, flags, at, part.start, 0, part.size, length, PAGE))
        offsets.append(at)
        at += part.size
    return head + pieces, offsets, at


def _copy(writer: _Writer, memory: Memory, start: int, stop: int, shift: int) -> None:
    """Write the memory [start, stop) to the file at its address plus `shift`; pages that are not there stay holes."""
    while start < stop:
        data = memory.read(start, min(CHUNK, stop - start))
        whole = len(data) & -PAGE
        writer.write_pages(data[:whole], start + shift)
        start += whole or PAGE
