# SPDX-License-Identifier: GPL-2.0-or-later
"""pselect6(2), whose last argument points to a pointer."""

from __future__ import annotations

from _struct import unpack

from syscalls.handlers.pointers import checked
from syscalls.host.x86_64 import NUMBERS as HOST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from syscalls.protocols import Task

_SIGSET_ARGUMENT = 16
"""{sigset_t *mask; size_t size}: fs/select.c, struct sigset_argpack."""


def pselect6(
    task: Task,
    count: int,
    readable: int,
    writable: int,
    exceptional: int,
    timeout: int,
    mask_argument: int,
) -> int:
    """Wait for descriptors, with another signal mask for as long as it takes."""
    for pointer in (readable, writable, exceptional):
        checked(pointer)
    packed: bytes | int = 0
    if mask_argument:
        packed = task.memory.read(mask_argument, _SIGSET_ARGUMENT)
        mask, _size = unpack("<QQ", packed)
        checked(mask, 8)
    return task.host(
        HOST["pselect6"], count, readable, writable, exceptional, checked(timeout, 16), packed
    )
