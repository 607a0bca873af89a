# SPDX-License-Identifier: GPL-2.0-or-later
"""The O_ flags that differ between guest and host."""

from __future__ import annotations

from syscalls.arch.guest import flags as guest
from syscalls.host.x86_64_structs import OPEN_FLAGS as HOST


def to_host(flags: int) -> int:
    """Return the host's flags for the guest's."""
    return _translated(flags, guest.OPEN_FLAGS, HOST)


def to_guest(flags: int) -> int:
    """Return the guest's flags for the host's."""
    return _translated(flags, HOST, guest.OPEN_FLAGS)


def _translated(flags: int, source: dict[str, int], target: dict[str, int]) -> int:
    result = flags
    for bit in source.values():
        result &= ~bit
    for name, bit in source.items():
        if flags & bit:
            result |= target[name]
    return result
