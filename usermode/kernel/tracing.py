# SPDX-License-Identifier: GPL-2.0-or-later
"""--strace: every system call as a line, as strace(1) writes it."""

from __future__ import annotations

import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from syscalls.dispatch import Dispatcher
    from usermode.kernel.task import Task


def traced(dispatcher: Dispatcher, output: bytes) -> Callable[[Task, int, tuple[int, ...]], int | None]:
    def answer(task: Task, number: int, arguments: tuple[int, ...]) -> int | None:
        from syscalls.arch.generic64.numbers import NUMBERS
        name = {v: k for k, v in NUMBERS.items()}.get(number, str(number))
        posix.write(2, f"{name}({', '.join(map(hex, arguments))})".encode())
        result = dispatcher.call_any(task, number, arguments)
        posix.write(2, f" = {result if result is None or result < 0 else hex(result)}\n".encode())
        return result
    return answer
