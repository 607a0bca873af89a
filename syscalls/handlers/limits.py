# SPDX-License-Identifier: GPL-2.0-or-later
"""setrlimit(2), prlimit(2): the host's limits; one for core dumps concerns us too."""

from __future__ import annotations

from syscalls.host.x86_64 import NUMBERS as HOST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from syscalls.protocols import Task

RLIMIT_CORE = 4
RLIMIT_SIZE = 16
"""struct rlimit64."""


def setrlimit(task: Task, resource: int, new: int) -> int:
    """Set one of the process's limits."""
    return prlimit64(task, 0, resource, new, 0)


def prlimit64(task: Task, pid: int, resource: int, new: int, old: int) -> int:
    """Set a limit, and tell what it was; without `new` the core asks the host itself."""
    limit = task.memory.read(new, RLIMIT_SIZE) if new else 0
    before = bytearray(RLIMIT_SIZE)
    task.host_now(HOST["prlimit64"], pid, resource, limit, before if old else 0)
    if resource == RLIMIT_CORE and pid in (0, task.process.pid):
        task.process.prepare_core_dumps()
    if old:
        task.memory.write(old, before)
    return 0
