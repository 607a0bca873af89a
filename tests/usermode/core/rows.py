# SPDX-License-Identifier: GPL-2.0-or-later
"""Rows of passed-through calls, in the form that syscalls.compile gives the core, and a small table of them."""

from __future__ import annotations

import os
import struct
from errno import EPERM
from struct import Struct
from types import ModuleType

from syscalls.call import (
    EPOLL_IN,
    EPOLL_OUT,
    IOVEC,
    MMSGHDR,
    MSGHDR,
    OPEN_FLAGS,
    PATH,
    POINTER,
    POINTER_IF_USED,
    STAT_OUT,
    VALUE,
)
from syscalls.host.x86_64 import NUMBERS

ROWS, ROW_SIZE = 512, 16
UNKNOWN, HOST, PYTHON, REFUSE, CORE = range(5)
WRITES_MEMORY = 1
_ROW = Struct("<BBh6B6x")


def row(mode: int, host: int = 0, *treatments: int, flags: int = 0) -> bytes:
    return _ROW.pack(mode, flags, host, *treatments, *(0,) * (6 - len(treatments)))


def host_row(name: str, *treatments: int, flags: int = 0) -> bytes:
    """A row that passes host call `name`, its arguments treated as in syscalls.call."""
    return row(HOST, NUMBERS[name], *treatments, flags=flags)


def table(rows: dict[int, bytes]) -> bytes:
    """Rows by guest call number; all others are unknown."""
    return b"".join(rows.get(number, bytes(ROW_SIZE)) for number in range(ROWS))


def configure(
    core: ModuleType,
    rows: dict[int, bytes],
    stat: bytes = b"",
    flags: bytes = b"",
    sysroot: bool = False,
) -> None:
    core.configure(table(rows), stat, flags, sysroot)


# Guest numbers are those of include/uapi/asm-generic/unistd.h.
CALLS = {
    "read": (63, host_row("read", VALUE, POINTER, VALUE, flags=WRITES_MEMORY)),
    "write": (64, host_row("write", VALUE, POINTER, VALUE)),
    "readv": (65, host_row("readv", VALUE, IOVEC, VALUE, flags=WRITES_MEMORY)),
    "writev": (66, host_row("writev", VALUE, IOVEC, VALUE)),
    "sendmsg": (211, host_row("sendmsg", VALUE, MSGHDR, VALUE)),
    "recvmsg": (212, host_row("recvmsg", VALUE, MSGHDR, VALUE, flags=WRITES_MEMORY)),
    "sendmmsg": (269, host_row("sendmmsg", VALUE, MMSGHDR, VALUE, VALUE)),
    "recvmmsg": (
        243,
        host_row("recvmmsg", VALUE, MMSGHDR, VALUE, VALUE, POINTER, flags=WRITES_MEMORY),
    ),
    "openat": (56, host_row("openat", VALUE, PATH, OPEN_FLAGS, VALUE)),
    "fstat": (80, host_row("fstat", VALUE, STAT_OUT)),
    "epoll_ctl": (21, host_row("epoll_ctl", VALUE, VALUE, VALUE, EPOLL_IN)),
    "epoll_pwait": (22, host_row("epoll_pwait", VALUE, EPOLL_OUT, VALUE, VALUE, POINTER, VALUE)),
    "fcntl": (25, host_row("fcntl", VALUE, VALUE, POINTER_IF_USED)),
    "kexec_load": (104, row(REFUSE, EPERM)),
    "mmap": (222, row(PYTHON)),
}
# Two fields of struct stat: st_mode at 24 of the host's, 16 of the guest's; st_size at 48 of both.
STAT = struct.pack("<6H", 24, 16, 4, 48, 48, 8)
O_DIRECTORY = (0x4000, os.O_DIRECTORY)
