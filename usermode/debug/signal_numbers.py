# SPDX-License-Identifier: GPL-2.0-or-later
"""Signals as gdb numbers them, which is the same for all systems (gdb's include/gdb/signals.def)."""

from __future__ import annotations

UNKNOWN = 143

_TO_GDB = {
    **{number: number for number in (1, 2, 3, 4, 5, 6, 8, 9, 11, 13, 14, 15, 24, 25, 26, 27, 28)},
    7: 10,  # SIGBUS
    10: 30,  # SIGUSR1
    12: 31,  # SIGUSR2
    17: 20,  # SIGCHLD
    18: 19,  # SIGCONT
    19: 17,  # SIGSTOP
    20: 18,  # SIGTSTP
    21: 21,  # SIGTTIN
    22: 22,  # SIGTTOU
    23: 16,  # SIGURG
    29: 23,  # SIGIO
    30: 32,  # SIGPWR
    31: 12,  # SIGSYS
    32: 77,
    **{number: number + 12 for number in range(33, 64)},
    64: 78,
}
_FROM_GDB = {gdb: number for number, gdb in _TO_GDB.items()}


def to_gdb(number: int) -> int:
    """Return gdb's number of a Linux signal."""
    return _TO_GDB.get(number, UNKNOWN)


def from_gdb(number: int) -> int:
    """Return Linux's number of a signal of gdb's, 0 for none and for those that Linux lacks."""
    return _FROM_GDB.get(number, 0)
