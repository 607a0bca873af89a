# SPDX-License-Identifier: GPL-2.0-or-later
"""The layouts and flags that x86_64 has of its own; `syscalls/arch/generic64/structs.py` has the form."""

from __future__ import annotations

STAT: tuple[int, dict[str, tuple[int, str]]] = (
    144,
    {
        "st_dev": (0, "Q"),
        "st_ino": (8, "Q"),
        "st_nlink": (16, "Q"),
        "st_mode": (24, "I"),
        "st_uid": (28, "I"),
        "st_gid": (32, "I"),
        "st_rdev": (40, "Q"),
        "st_size": (48, "q"),
        "st_blksize": (56, "q"),
        "st_blocks": (64, "q"),
        "st_atime": (72, "Q"),
        "st_atime_nsec": (80, "Q"),
        "st_mtime": (88, "Q"),
        "st_mtime_nsec": (96, "Q"),
        "st_ctime": (104, "Q"),
        "st_ctime_nsec": (112, "Q"),
    },
)
"""arch/x86/include/uapi/asm/stat.h."""

EPOLL_EVENT: tuple[int, dict[str, tuple[int, str]]] = (12, {"events": (0, "I"), "data": (4, "Q")})
"""linux/eventpoll.h: EPOLL_PACKED."""

OPEN_FLAGS = {
    "O_DIRECT": 0o40000,
    "O_LARGEFILE": 0o100000,
    "O_DIRECTORY": 0o200000,
    "O_NOFOLLOW": 0o400000,
}
"""asm-generic/fcntl.h."""
