# SPDX-License-Identifier: GPL-2.0-or-later
"""The futexes that a thread still holds when it ends: exit_robust_list() of kernel/futex/core.c, get_robust_list(2).

The kernel does this too, but only when the host thread ends, which is after the guest's thread id was cleared: whoever
waits for that may have freed the list by then. A whole process that ends is left to the kernel.

The owner alone may change a futex word that has FUTEX_WAITERS set. So that bit is set first, atomically by the
kernel, and the word that says "the owner died" is then stored as it is.
"""

from __future__ import annotations

from _struct import Struct

import _usermode_core as core

from syscalls.host.x86_64 import NUMBERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from usermode.kernel.task import Task

HEAD = Struct("<QqQ")
"""struct robust_list_head: the first entry, the way from an entry to its futex word, the entry being changed."""

LIST_LIMIT = 2048
ENTRY_PI = 1
FUTEX_WAITERS, FUTEX_OWNER_DIED, TID_MASK = 0x80000000, 0x40000000, 0x3FFFFFFF
FUTEX_WAKE, FUTEX_WAKE_OP = 1, 5
OR_WAITERS = (2 | 8) << 28 | 31 << 12
"""FUTEX_OP(FUTEX_OP_OR | FUTEX_OP_OPARG_SHIFT, 31, FUTEX_OP_CMP_EQ, 0) of <linux/futex.h>."""

_POINTER = Struct("<Q")
_WORD = Struct("<I")
_FUTEX = NUMBERS["futex"]


def leave(task: Task) -> None:
    """Mark every futex of the thread's list as left by a dead owner. A broken list ends the walk, as in the kernel."""
    head_pointer, size = bytearray(8), bytearray(8)
    if core.host_call(NUMBERS["get_robust_list"], 0, head_pointer, size) < 0:
        return
    (head,) = _POINTER.unpack(head_pointer)
    core.host_call(NUMBERS["set_robust_list"], 0, HEAD.size)
    try:
        first, offset, pending = HEAD.unpack(core.read(head, HEAD.size))
        entry = first
        for _ in range(LIST_LIMIT):
            if entry & ~ENTRY_PI == head:
                break
            following = _POINTER.unpack(core.read(entry & ~ENTRY_PI, 8))[0]
            if entry != pending:
                _owner_died(task.tid, entry, offset)
            entry = following
        if pending:
            _owner_died(task.tid, pending, offset)
    except OSError:
        pass  # the list is the guest's own to break


def _owner_died(tid: int, entry: int, offset: int) -> None:
    address = (entry & ~ENTRY_PI) + offset
    word = _WORD.unpack(core.read(address, 4))[0]
    if address % 4 or word & TID_MASK != tid:
        return
    if not entry & ENTRY_PI:
        nobody = bytearray(4)
        core.host_call(_FUTEX, nobody, FUTEX_WAKE_OP, 0, 0, address, OR_WAITERS)
        word |= FUTEX_WAITERS
    core.write(address, _WORD.pack(word & FUTEX_WAITERS | FUTEX_OWNER_DIED))
    core.host_call(_FUTEX, address, FUTEX_WAKE, 1, 0, 0, 0)
