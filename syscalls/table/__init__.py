# SPDX-License-Identifier: GPL-2.0-or-later
"""The table: one row for every system call of the guest in Linux 6.18, grouped by topic.

A row's form is explained in `syscalls/call.py`, its words in `syscalls/kinds.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from syscalls.table import (
    descriptors,
    events,
    files,
    identity,
    ipc,
    memory,
    mounts,
    processes,
    refused,
    signals,
    sockets,
    system,
    times,
)

if TYPE_CHECKING:
    from syscalls.call import Call


def _by_number() -> dict[int, Call]:
    rows: dict[int, Call] = {}
    topics = (
        files.CALLS,
        descriptors.CALLS,
        mounts.CALLS,
        events.CALLS,
        memory.CALLS,
        processes.CALLS,
        signals.CALLS,
        times.CALLS,
        sockets.CALLS,
        ipc.CALLS,
        identity.CALLS,
        system.CALLS,
        refused.CALLS,
    )
    for row in (row for topic in topics for row in topic):
        if row.number in rows:
            raise ValueError(f"{row.name} has two rows")
        rows[row.number] = row
    return dict(sorted(rows.items()))


TABLE = _by_number()
"""Every row, by the guest's system call number."""
