# SPDX-License-Identifier: GPL-2.0-or-later
"""Which processes are guests too, and their programs, from what an emulator lets the host kernel show of it."""

from __future__ import annotations

import posix

from usermode.machine.regions import LIMIT

START_CODE = 26 - 3
"""Of the fields of /proc/PID/stat behind the name, which is the second: proc_pid_stat(5)."""

CHUNK = 1 << 16


def is_emulator(pid: bytes) -> bool:
    """Tell whether the process runs this interpreter's own file, and may be looked at."""
    try:
        own, other = posix.stat(b"/proc/thread-self/exe"), posix.stat(b"/proc/%s/exe" % pid)
    except OSError:
        return False
    return (own.st_dev, own.st_ino) == (other.st_dev, other.st_ino)


def program_of(pid: bytes) -> bytes | None:
    """The file with the program's code, if the process is an emulator like this one and may be looked at; else None.

    Such a process has this interpreter's own file as its `exe`, and since launcher.take_over() the guest's start_code.
    """
    try:
        if not is_emulator(pid):
            return None
        fields = _content(b"/proc/%s/stat" % pid).rpartition(b")")[2].split()
        code = int(fields[START_CODE])
        if not 0 < code < LIMIT:
            return None  # its guest has not been loaded yet
        for line in _content(b"/proc/%s/maps" % pid).splitlines():
            words = line.split(None, 5)
            start, _, end = words[0].partition(b"-")
            if int(start, 16) <= code < int(end, 16):
                name = words[5] if len(words) > 5 else b""
                return name.replace(b"\\012", b"\n") if name.startswith(b"/") else None
    except OSError:
        pass  # the host's answer about the link itself tells why
    return None


def _content(path: bytes) -> bytes:
    fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        chunks = []
        while chunk := posix.read(fd, CHUNK):
            chunks.append(chunk)
    finally:
        posix.close(fd)
    return b"".join(chunks)
