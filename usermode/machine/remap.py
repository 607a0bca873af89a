# SPDX-License-Identifier: GPL-2.0-or-later
"""mremap(2): growing, shrinking and moving mappings of the guest."""

from __future__ import annotations

from errno import EFAULT, EINVAL, ENOMEM, EPERM

import _usermode_core as core

from syscalls.host.x86_64 import NUMBERS
from usermode.machine.address_space import (
    MAP_PRIVATE,
    MAP_TYPE,
    SEGMENT_MASK,
    checked,
    guest_permission,
    page_up,
    untagged,
)
from usermode.machine.bounds import expand
from usermode.machine.regions import FLOOR, PAGE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from usermode.machine.address_space import AddressSpace
    from usermode.machine.regions import Region

MREMAP_MAYMOVE, MREMAP_FIXED, MREMAP_DONTUNMAP = 1, 2, 4
HOST_MREMAP = NUMBERS["mremap"]


def remap(space: AddressSpace, old: int, old_size: int, new_size: int, flags: int, new: int) -> int:
    """Resize or move a mapping and return its address. Raises OSError.

    The tag of the old address is ignored and that of the new one is not, by the kernel's choice.
    """
    old, old_size, new_size = untagged(old), page_up(old_size), page_up(new_size)
    _check(space, old, old_size, new_size, flags, new)
    with space.lock:
        space.locked_take_growth(old, old + old_size)
        region = space.region_at(old)
        if not region:
            raise OSError(EFAULT, "")
        if not old_size and region[3] & MAP_TYPE == MAP_PRIVATE:
            raise OSError(EINVAL, "")
        if not flags & (MREMAP_FIXED | MREMAP_DONTUNMAP) and new_size <= old_size:
            if new_size < old_size:
                space.locked_unmap(old + new_size, old + old_size)
            return old
        if old + min(old_size, new_size) > region[1]:
            if flags == MREMAP_MAYMOVE | MREMAP_FIXED and old_size == new_size:
                return _move_several(space, old, old_size, new)
            raise OSError(EFAULT, "")
        more = new_size if flags & MREMAP_DONTUNMAP else max(new_size - old_size, 0)
        expand(space, more, region[2], region[3])
        if not flags & (MREMAP_FIXED | MREMAP_DONTUNMAP):
            if old_size and _grow_in_place(space, old, old_size, new_size, region):
                return old
            if not flags & MREMAP_MAYMOVE:
                raise OSError(ENOMEM, "")
        return _move(space, old, old_size, new_size, flags, new, region)


def _check(
    space: AddressSpace, old: int, old_size: int, new_size: int, flags: int, new: int
) -> None:
    """Raise OSError for what is refused whatever is mapped: mm/mremap.c, check_mremap_params()."""
    if flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP) or old % PAGE:
        raise OSError(EINVAL, "")
    if not new_size or new_size > space.limit:
        raise OSError(EINVAL, "")
    if not flags & (MREMAP_FIXED | MREMAP_DONTUNMAP):
        return
    if not flags & MREMAP_MAYMOVE or (flags & MREMAP_DONTUNMAP and old_size != new_size):
        raise OSError(EINVAL, "")
    if (
        new % PAGE
        or new + new_size > space.limit
        or (new < old + old_size and old < new + new_size)
    ):
        raise OSError(EINVAL, "")
    if flags & MREMAP_FIXED and new < FLOOR:
        raise OSError(EPERM, "")


def _grow_in_place(
    space: AddressSpace, old: int, old_size: int, new_size: int, region: Region
) -> bool:
    end, new_end = old + old_size, old + new_size
    if end != region[1] or new_end > space.limit or not space.fits(end, new_end):
        return False
    if core.host_call(HOST_MREMAP, old, old_size, new_size, 0, 0) != old:
        return False
    space.insert(end, new_end, region[2], region[3])
    core.protect(end, new_end, guest_permission(region[2]))
    return True


def _move_several(space: AddressSpace, old: int, size: int, new: int) -> int:
    """Move several mappings as Linux does from 6.17 on; an older one says EFAULT.

    Each is moved by itself, so the holes between them change nothing at the new place.
    """
    parts, by = space.overlaps(old, old + size), new - old
    for low, high, _, _ in parts:
        space.locked_unmap(low + by, high + by)
        core.protect(low, high, 0)
    how = MREMAP_FIXED | MREMAP_MAYMOVE
    result = core.host_call(HOST_MREMAP, old, size, size, how, new)
    for low, high, prot, _ in parts:
        if result < 0:
            core.protect(low, high, guest_permission(prot))
            continue
        space.remove(low, high)
    checked(result)
    for low, high, prot, flags in parts:
        moved = by if flags & SEGMENT_MASK else 0
        space.insert(low + by, high + by, prot, flags + moved)
        core.protect(low + by, high + by, guest_permission(prot))
    return new


def _move(
    space: AddressSpace,
    old: int,
    old_size: int,
    new_size: int,
    flags: int,
    new: int,
    region: Region,
) -> int:
    if flags & MREMAP_FIXED:
        space.locked_unmap(new, new + new_size)
        if old_size > new_size:
            space.locked_unmap(old + new_size, old + old_size)
            old_size = new_size
    elif not flags & MREMAP_DONTUNMAP or new < FLOOR or not space.fits(new, new + new_size):
        new = space.place(new_size)
    kept = flags & MREMAP_DONTUNMAP or not old_size
    permission = guest_permission(region[2])
    if not kept:
        core.protect(old, old + old_size, 0)
    how = flags | MREMAP_FIXED | MREMAP_MAYMOVE
    result = core.host_call(HOST_MREMAP, old, old_size, new_size, how, new)
    if result < 0:
        if not kept:
            core.protect(old, old + old_size, permission)
        raise OSError(-result, "")
    if not kept:
        space.remove(old, old + old_size)
    elif old_size:
        core.protect(old, old + old_size, permission)  # its pages are empty now: code is gone too
    moved = new - old if region[3] & SEGMENT_MASK else 0
    space.insert(new, new + new_size, region[2], region[3] + moved)
    core.protect(new, new + new_size, permission)
    return new
