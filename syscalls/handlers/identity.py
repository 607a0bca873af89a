# SPDX-License-Identifier: GPL-2.0-or-later
"""uname(2): the host's kernel, on the guest's machine."""

from __future__ import annotations

from syscalls.arch.guest import cpu
from syscalls.host.x86_64 import NUMBERS as HOST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from syscalls.protocols import Task

UTS_LENGTH = 65
"""Bytes of each field, NUL included: linux/utsname.h, __NEW_UTS_LEN + 1."""

MACHINE_OFFSET = 4 * UTS_LENGTH
UTSNAME_SIZE = 6 * UTS_LENGTH


def uname(task: Task, address: int) -> int:
    """Fill the guest's struct utsname."""
    names = bytearray(UTSNAME_SIZE)
    task.host(HOST["uname"], names)
    names[MACHINE_OFFSET : MACHINE_OFFSET + UTS_LENGTH] = cpu.PLATFORM.ljust(UTS_LENGTH, b"\0")
    task.memory.write(address, names)
    return 0
