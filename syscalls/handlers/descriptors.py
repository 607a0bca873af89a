# SPDX-License-Identifier: GPL-2.0-or-later
"""fcntl(2)."""

from __future__ import annotations

from errno import EINVAL

from syscalls.handlers import open_flags
from syscalls.handlers.pointers import LIMIT, checked
from syscalls.host.x86_64 import NUMBERS as HOST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from syscalls.protocols import Task

# Commands have one number on both CPUs: asm-generic/fcntl.h and linux/fcntl.h.
F_GETFL = 3
F_SETFL = 4

_VALUES = frozenset(
    (
        0,  # F_DUPFD
        1,  # F_GETFD
        2,  # F_SETFD
        8,  # F_SETOWN
        9,  # F_GETOWN
        10,  # F_SETSIG
        11,  # F_GETSIG
        1024,  # F_SETLEASE
        1025,  # F_GETLEASE
        1026,  # F_NOTIFY
        1027,  # F_DUPFD_QUERY
        1028,  # F_CREATED_QUERY
        1030,  # F_DUPFD_CLOEXEC
        1031,  # F_SETPIPE_SZ
        1032,  # F_GETPIPE_SZ
        1033,  # F_ADD_SEALS
        1034,  # F_GET_SEALS
    )
)

_POINTERS = {
    # struct flock: {short type, whence; long start, len; int pid}, the same in both layouts
    # (asm-generic/fcntl.h for 64-bit CPUs).
    5: 32,  # F_GETLK
    6: 32,  # F_SETLK
    7: 32,  # F_SETLKW
    36: 32,  # F_OFD_GETLK
    37: 32,  # F_OFD_SETLK
    38: 32,  # F_OFD_SETLKW
    15: 8,  # F_SETOWN_EX: struct f_owner_ex
    16: 8,  # F_GETOWN_EX
    17: 8,  # F_GETOWNER_UIDS: two uid_t
    1035: 8,  # F_GET_RW_HINT: uint64_t
    1036: 8,  # F_SET_RW_HINT
    1037: 8,  # F_GET_FILE_RW_HINT
    1038: 8,  # F_SET_FILE_RW_HINT
}


def fcntl(task: Task, fd: int, command: int, argument: int) -> int:
    """Do a command of fcntl(2); one that is not known here is the host's to judge."""
    number = HOST["fcntl"]
    command &= 0xFFFFFFFF
    if command in _VALUES:
        return task.host(number, fd, command, argument)
    if command == F_GETFL:
        return open_flags.to_guest(task.host(number, fd, command, 0))
    if command == F_SETFL:
        return task.host(number, fd, command, open_flags.to_host(argument & 0xFFFFFFFF))
    if command in _POINTERS:
        return task.host(number, fd, command, checked(argument, _POINTERS[command]))
    if argument >= LIMIT:  # may be a pointer in a command newer than this table
        raise OSError(EINVAL, "unknown fcntl command")
    return task.host(number, fd, command, argument)
