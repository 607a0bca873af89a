# SPDX-License-Identifier: GPL-2.0-or-later
"""What the service writes to the journal. Each kind has its MESSAGE_ID: `journalctl MESSAGE_ID=…` finds them all."""

from __future__ import annotations

from typing import NamedTuple

from binfmt.registry import REGISTERED, REPLACED
from usermode.service import keeper
from usermode.service.manager import ERROR, INFO, WARNING


class Event(NamedTuple):
    """One kind of message; `{reason}` in the text is replaced."""

    name: str
    message_id: str
    priority: int
    text: str


STARTED = Event(
    "started",
    "5e0c5d2f7b814e0f9d0b6a4f3c1d7a20",
    INFO,
    "usermode {reason} watches the registration",
)
STOPPED = Event(
    "stopped", "5e0c5d2f7b814e0f9d0b6a4f3c1d7a21", INFO, "stopping; the registration stays"
)
RELOADED = Event("reloaded", "5e0c5d2f7b814e0f9d0b6a4f3c1d7a22", INFO, "reloaded")

DONE = {
    REGISTERED: Event(
        REGISTERED,
        "5e0c5d2f7b814e0f9d0b6a4f3c1d7a30",
        INFO,
        "registered the interpreter: the entry was missing",
    ),
    REPLACED: Event(
        REPLACED, "5e0c5d2f7b814e0f9d0b6a4f3c1d7a31", INFO, "registered anew, as binfmt.d says"
    ),
    keeper.UPGRADED: Event(
        keeper.UPGRADED,
        "5e0c5d2f7b814e0f9d0b6a4f3c1d7a32",
        INFO,
        "registered the new interpreter; programs that run keep the old one",
    ),
}
"""What was done -> its event."""

STATES = {
    keeper.RIGHT: Event("right", "5e0c5d2f7b814e0f9d0b6a4f3c1d7a40", INFO, "all is right"),
    keeper.SHADOWED: Event(
        "shadowed",
        "5e0c5d2f7b814e0f9d0b6a4f3c1d7a41",
        WARNING,
        "AArch64 programs go elsewhere: {reason}; 'usermode register --again' moves ours ahead",
    ),
    keeper.MASKED: Event(
        "masked", "5e0c5d2f7b814e0f9d0b6a4f3c1d7a42", WARNING, "not registering: {reason}"
    ),
    keeper.NO_FILE: Event(
        "no-file", "5e0c5d2f7b814e0f9d0b6a4f3c1d7a43", ERROR, "not registering: {reason}"
    ),
    keeper.NO_TABLE: Event("no-table", "5e0c5d2f7b814e0f9d0b6a4f3c1d7a44", ERROR, "{reason}"),
    keeper.TAKEN: Event("name-taken", "5e0c5d2f7b814e0f9d0b6a4f3c1d7a45", WARNING, "{reason}"),
    keeper.DISABLED: Event("disabled", "5e0c5d2f7b814e0f9d0b6a4f3c1d7a46", WARNING, "{reason}"),
    keeper.DIFFERS: Event("differs", "5e0c5d2f7b814e0f9d0b6a4f3c1d7a47", WARNING, "{reason}"),
    keeper.NO_INTERPRETER: Event(
        "no-interpreter", "5e0c5d2f7b814e0f9d0b6a4f3c1d7a48", ERROR, "not registering: {reason}"
    ),
    keeper.REFUSED: Event("refused", "5e0c5d2f7b814e0f9d0b6a4f3c1d7a49", ERROR, "{reason}"),
}
"""How it stands -> its event, written when that changes."""
