# SPDX-License-Identifier: GPL-2.0-or-later
"""What vCont and its forerunners say about each thread (gdb's manual, E.2 "Packets")."""

from __future__ import annotations

from usermode.debug.packets import number
from usermode.debug.session import CONTINUE, STEP
from usermode.debug.signal_numbers import from_gdb

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from usermode.debug.session import Thread

    Action = tuple[str | None, int, tuple[int, int]]

_KINDS = {b"c": CONTINUE, b"C": CONTINUE, b"s": STEP, b"S": STEP, b"r": STEP}


def parse_actions(
    text: bytes, parse_thread: Callable[[bytes], int], current: int
) -> Callable[[Thread], Action]:
    """Return what gives each thread its (action, signal, range). Raises ValueError.

    `text` is ";ACTION[:THREAD];…" of vCont, where the leftmost action that fits counts, or one of c, s, Csig and Ssig,
    for which the other threads go on. `current` is the thread that gets the signal.
    """
    rows: list[tuple[int, Action]] = []
    if text.startswith(b";"):
        for part in text[1:].split(b";"):
            action, _, thread = part.partition(b":")
            rows.append((parse_thread(thread) if thread else -1, _action(action)))
    else:
        rows += [(current, _action(text)), (-1, (CONTINUE, 0, (0, 0)))]

    def of(thread: Thread) -> Action:
        for tid, action in rows:
            if tid in (-1, 0, thread.task.tid):
                kind, signal, span = action
                return kind, signal if thread.task.tid in (tid, current) else 0, span
        return None, 0, (0, 0)

    return of


def _action(text: bytes) -> Action:
    kind = _KINDS.get(text[:1])
    if kind is None:
        raise ValueError(f"no action: {text!r}")
    if text[:1] in b"CS":
        return kind, from_gdb(number(text[1:3])), (0, 0)
    if text[:1] == b"r":
        start, _, end = text[1:].partition(b",")
        return kind, 0, (number(start), number(end))
    if text[1:]:
        raise ValueError("an address to go on at is not supported")
    return kind, 0, (0, 0)
