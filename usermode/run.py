# SPDX-License-Identifier: GPL-2.0-or-later
"""The loop of a guest thread: run, answer what stopped it, go on."""

from __future__ import annotations

from syscalls.errors import Restart
from usermode.kernel.signals import deliver_pending
from usermode.machine import stops

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from usermode.kernel.task import Task

    Answer = Callable[[Task, int, tuple[int, ...]], int | None]

PC = 32
SVC_SIZE = 4


def run(task: Task, answer: Answer) -> None:
    """Run a guest thread. Left only by ThreadExit, or with the process."""
    engine = task.engine
    go_on = engine.run
    result: int | None = None
    while True:
        stop = go_on(result)
        result = None
        if isinstance(stop, tuple):
            try:
                result = answer(task, stop[0], stop[1:])
            except Restart:
                engine.set(PC, engine.get(PC) - SVC_SIZE)
                deliver_pending(task)
                continue
        elif stop == stops.SIGNAL:
            deliver_pending(task)
        else:
            from usermode.kernel.traps import handle

            handle(task, stop)
