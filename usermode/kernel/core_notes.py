# SPDX-License-Identifier: GPL-2.0-or-later
"""The notes of a core dump: fs/binfmt_elf.c, include/linux/elfcore.h, include/uapi/linux/elfcore.h of a 64-bit CPU."""

from __future__ import annotations

import posix
from _struct import Struct

from syscalls.arch.guest import core_registers
from usermode.kernel.core_memory import read_file
from usermode.kernel.proc_files import cmdline
from usermode.machine.regions import PAGE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from usermode.kernel.core_memory import Part
    from usermode.kernel.task import Task

NT_PRSTATUS, NT_PRPSINFO, NT_AUXV = 1, 3, 6
NT_SIGINFO, NT_FILE = 0x53494749, 0x46494C45
CORE = b"CORE"

_HEADER = Struct("<III")
_PAIR, _TRIPLE = Struct("<QQ"), Struct("<QQQ")
# struct elf_prstatus up to its registers: elf_siginfo (signo alone), cursig, sigpend, sighold, pid, ppid, pgrp,
# sid, and utime, stime, cutime, cstime as struct timeval. pr_fpvalid follows the registers.
_PRSTATUS = Struct("<iiihxxQQiiii8q")
_FPVALID = Struct("<ixxxx")
# struct elf_prpsinfo: state, sname, zomb, nice, flag, uid, gid, pid, ppid, pgrp, sid, fname, psargs.
_PRPSINFO = Struct("<BcBbxxxxQIIiiii16s80s")
ARGUMENTS_SIZE = 80
USER_HZ, MICROSECONDS = 100, 1_000_000


class _Stat:
    """What /proc/self/task/TID/stat says (proc_pid_stat(5)); times in ticks."""

    __slots__ = ("flags", "group", "name", "nice", "parent", "session", "times")

    def __init__(self, path: str) -> None:
        text = read_file(path)
        before, _, after = text.rpartition(b") ")
        fields = after.split()
        self.name = before.partition(b" (")[2]
        self.parent, self.group, self.session = (int(fields[i]) for i in (1, 2, 3))
        self.flags = int(fields[6])
        self.times = [int(fields[i]) for i in (11, 12, 13, 14)]
        self.nice = int(fields[16])


def note(name: bytes, kind: int, content: bytes) -> bytes:
    """Return one note, padded."""
    name += b"\0"
    head = _HEADER.pack(len(name), len(content), kind)
    return head + name.ljust(-len(name) % 4 + len(name), b"\0") + content + bytes(-len(content) % 4)


def _pending(tid: int) -> int:
    for line in read_file(f"/proc/self/task/{tid}/status").splitlines():
        if line.startswith(b"SigPnd:"):
            return int(line.split()[1], 16)
    return 0


def _status(task: Task, info: bytes, registers: bytes) -> bytes:
    """Return struct elf_prstatus; the first thread's times are the process's, as fill_prstatus() has it."""
    number = info[0]
    pid = posix.getpid()
    path = "/proc/self/stat" if task.tid == pid else f"/proc/self/task/{task.tid}/stat"
    stat = _Stat(path)
    times = []
    for ticks in stat.times:
        times += [ticks // USER_HZ, ticks % USER_HZ * (MICROSECONDS // USER_HZ)]
    head = _PRSTATUS.pack(
        *(number, 0, 0, number),
        *(_pending(task.tid) | task.waiting_signals(), task.blocked),
        *(task.tid, stat.parent, stat.group, stat.session, *times),
    )
    return head + registers + _FPVALID.pack(1)


def _process_info(task: Task) -> bytes:
    """Return struct elf_prpsinfo, whose fields are those of the thread that dies: fill_psinfo()."""
    process = task.process
    stat = _Stat("/proc/thread-self/stat")
    arguments = cmdline(process, b"")[: ARGUMENTS_SIZE - 1].replace(b"\0", b" ")
    return _PRPSINFO.pack(
        *(0, b"R", 0, stat.nice, stat.flags, posix.getuid(), posix.getgid()),
        *(task.tid, stat.parent, stat.group, stat.session, stat.name, arguments),
    )


def _files(parts: list[Part]) -> bytes:
    """Return NT_FILE: count, page size, (start, end, offset in pages) of each mapping of a file, their names."""
    mapped = [part for part in parts if part.inode]
    ranges = [_TRIPLE.pack(part.start, part.end, part.offset // PAGE) for part in mapped]
    names = [part.name + b"\0" for part in mapped]
    return _PAIR.pack(len(mapped), PAGE) + b"".join(ranges) + b"".join(names)


def notes(task: Task, others: list[Task], info: bytes, parts: list[Part]) -> list[bytes]:
    """Return NT_FILE: count, page size, (start, end, page offset) of each mapping of a file, then their names."""
    result = []
    for thread in [task, *others]:
        registers, more = core_registers(thread.engine.snapshot())
        result.append(note(CORE, NT_PRSTATUS, _status(thread, info, registers)))
        if thread is task:
            result += [
                note(CORE, NT_PRPSINFO, _process_info(task)),
                note(CORE, NT_SIGINFO, info),
                note(CORE, NT_AUXV, task.process.auxv),
                note(CORE, NT_FILE, _files(parts)),
            ]
        result += [note(*each) for each in more]
    return result
