# SPDX-License-Identifier: GPL-2.0-or-later
"""The file of the running program, wherever it is now: what /proc/self/exe stands for.

A program may be renamed, replaced or deleted while it runs. The launcher maps the whole of it once, beside the
emulator's own memory, without touching it: so the file lives on, /proc/self/map_files names it as /proc/self/exe
would, and its content can be had even by those who may not open that link.
"""

from __future__ import annotations

import posix
from errno import EIO

import _usermode_core as core

from syscalls.host.x86_64 import NUMBERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from usermode.kernel.process import Process

MFD_CLOEXEC, MFD_EXEC = 1, 0x10
EINVAL = -22


def place(process: Process) -> bytes:
    """A path that opens the program: its name while that is the same file, else the link of the mapping."""
    _, _, device, inode, _ = process.program
    name = process.executable
    try:
        status = posix.stat(name)
    except OSError:
        return process.program_link
    return name if (status.st_dev, status.st_ino) == (device, inode) else process.program_link


def open_again(process: Process) -> int:
    """Open the program to be executed again; a deleted one may have to be a copy. Raises OSError."""
    try:
        return posix.open(place(process), posix.O_RDONLY | posix.O_CLOEXEC)
    except PermissionError:
        return _copy(process)


def _copy(process: Process) -> int:
    """Return the mapped content as a file in memory."""
    address, size, _, _, path = process.program
    name = path.rpartition(b"/")[2][:200]
    create = NUMBERS["memfd_create"]
    fd = core.host_call(create, name, MFD_CLOEXEC | MFD_EXEC)
    if fd == EINVAL:  # before Linux 6.3 every file in memory was executable
        fd = core.host_call(create, name, MFD_CLOEXEC)
    if fd < 0:
        raise OSError(-fd, posix.strerror(-fd))
    done = 0
    while done < size:
        count = core.host_call(NUMBERS["write"], fd, address + done, size - done)
        if count <= 0:
            posix.close(fd)
            raise OSError(-count or EIO, "")
        done += count
    return fd
