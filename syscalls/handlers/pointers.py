# SPDX-License-Identifier: GPL-2.0-or-later
"""The one rule about guest addresses that a handler must keep: below the limit, or EFAULT.

The guest's memory is the host's at the same address, so the host kernel itself finds unmapped and
protected pages. What it cannot know is where the guest ends and the emulator begins.
"""

from __future__ import annotations

from errno import EFAULT

LIMIT = 1 << 46
"""First address that is not the guest's."""


def checked(address: int, size: int = 1) -> int:
    """The address, when `size` bytes from there may be the guest's; OSError(EFAULT) when not.

    NULL passes: what it means is for the call to say.
    """
    if address + size > LIMIT:
        raise OSError(EFAULT, "a pointer beyond the guest's memory")
    return address
