# SPDX-License-Identifier: GPL-2.0-or-later
"""MAP_GROWSDOWN mappings. They are such mappings on the host too, so they also grow under the kernel's own accesses.

The kernel tells nobody: what has grown is found when the guest uses it, or when a call needs the list to be right.
"""

from __future__ import annotations

from _struct import pack, unpack_from
from errno import ENOMEM

import _usermode_core as core

from syscalls.host.x86_64 import NUMBERS
from usermode.machine.address_space import HOST_MINCORE, guest_permission
from usermode.machine.bounds import may_expand
from usermode.machine.regions import FLOOR, MAP_GROWSDOWN, PAGE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from usermode.machine.address_space import AddressSpace
    from usermode.machine.regions import Region


HOST_PRLIMIT = NUMBERS["prlimit64"]
RLIMIT_STACK = 3


def grow_down(space: AddressSpace, address: int, limit: int) -> bool:
    """Extend a mapping over an access just below it, down to `limit` bytes in all, if the host's grows."""
    above = space.region_above(address)
    if not above or not above[3] & MAP_GROWSDOWN or address < FLOOR or not above[2] & 7:
        return False
    start = address & -PAGE
    end, high, prot, flags = above
    if high - start > limit or not space.is_free(start, end):
        return False
    if not _is_mapped(start):
        if not may_expand(space, end - start, prot, flags):
            return False
        if not _touch(start, limit if space.bounds else 0):
            return (
                False  # no memory, or too near to the mapping below: stack_guard_gap of mm/mmap.c
            )
    _take(space, start, above)
    return True


def take_growth(space: AddressSpace, grown: Region) -> None:
    """Put into the list what has grown below a mapping: the page below it is there."""
    end = grown[0]
    below = space.region_below(end)
    low = below[1] if below else FLOOR
    if low == end:
        return  # that is the guest's own
    high = end - PAGE  # mapped, and all that is mapped lies together
    while low < high:
        middle = (low + high) // 2 & -PAGE
        if _is_mapped(middle):
            high = middle
        else:
            low = middle + PAGE
    _take(space, high, grown)


def _take(space: AddressSpace, start: int, grown: Region) -> None:
    end, high, prot, flags = grown
    space.insert(start, high, prot, flags)
    core.protect(start, end, guest_permission(prot))


def _touch(page: int, limit: int) -> bool:
    """Have the host's mapping grow; `limit`, if any, is the RLIMIT_STACK that it needs: see kernel/limits.py."""
    before = bytearray(16)
    if limit:
        core.host_call(HOST_PRLIMIT, 0, RLIMIT_STACK, 0, before)
        wanted = pack("<Q", min(limit, unpack_from("<Q", before, 8)[0])) + before[8:]
        core.host_call(HOST_PRLIMIT, 0, RLIMIT_STACK, wanted, 0)
    try:
        core.read(page, 1)
    except OSError:
        return False
    finally:
        if limit:
            core.host_call(HOST_PRLIMIT, 0, RLIMIT_STACK, before, 0)
    return True


def _is_mapped(page: int) -> bool:
    return core.host_call(HOST_MINCORE, page, PAGE, bytearray(1)) != -ENOMEM
