# SPDX-License-Identifier: GPL-2.0-or-later
"""Signal actions of a debugged process: signals that would end or stop it are caught as well, to be reported first."""

from __future__ import annotations

import _usermode_core as core

from usermode.kernel import signals

UNREPORTED = frozenset(
    (
        *signals.IGNORED_BY_DEFAULT,
        *signals.FAULTS,  # always caught
        signals.SIGKILL,
        signals.SIGSTOP,
    )
)
"""Signals whose default action is left to the host."""


class CaughtActions(signals.Actions):
    """As `Actions`, but the host catches what the guest leaves to SIG_DFL, until release()."""

    __slots__ = ("_released",)

    def __init__(self, before: signals.Actions) -> None:
        """Take over from `before`. What the host has for signals caught already is our own handler."""
        super().__init__()
        self._known = dict(before._known)
        self.caught = before.caught
        self._released = False
        for number in range(1, signals.LAST_SIGNAL + 1):
            self.get(number)
        self.catch_again()

    def set(self, number: int, action: signals.Action) -> None:
        """Set the action of a signal. Raises OSError(EINVAL)."""
        super().set(number, action)
        self._catch(number, action)

    def catch_again(self) -> None:
        """Catch what the host has back at SIG_DFL: that is how a signal stops the process."""
        for number, action in self._known.items():
            self._catch(number, action)

    def _catch(self, number: int, action: signals.Action) -> None:
        reported = number not in UNREPORTED and not self._released
        if reported and action.handler == signals.SIG_DFL:
            core.signal_catch(number, signals.SA_RESTART)

    def release(self) -> None:
        """Leave SIG_DFL to the host again."""
        self._released = True
        for number, action in self._known.items():
            caught = number in self.caught or number in UNREPORTED
            if not caught and action.handler == signals.SIG_DFL:
                core.signal_set(number, signals.SIG_DFL, 0)
