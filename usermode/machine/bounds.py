# SPDX-License-Identifier: GPL-2.0-or-later
"""RLIMIT_AS and RLIMIT_DATA over the guest's mappings, as may_expand_vm() of mm/mmap.c counts them."""

from __future__ import annotations

from errno import ENOMEM

from usermode.machine.address_space import MAP_SHARED, PROT_WRITE
from usermode.machine.regions import MAP_GROWSDOWN

TYPE_CHECKING = False
if TYPE_CHECKING:
    from usermode.machine.address_space import AddressSpace


def is_data(prot: int, flags: int) -> bool:
    """Tell whether RLIMIT_DATA counts a mapping: private and writable, and no stack."""
    return bool(prot & PROT_WRITE) and not flags & (MAP_SHARED | MAP_GROWSDOWN)


def mapped(space: AddressSpace, start: int, end: int) -> int:
    """Return how many bytes are mapped in [start, end)."""
    return sum([high - low for low, high, _, _ in space.overlaps(start, end)])


def usage(space: AddressSpace) -> tuple[int, int, int]:
    """Return the bytes of all mappings, of data, and of stacks; of the first stack what a kernel maps at the start."""
    total = data = stack = 0
    for low, high, prot, flags in space.regions():
        total += high - low
        if is_data(prot, flags):
            data += high - low
        elif flags & MAP_GROWSDOWN:
            stack += high - low
    return total - space.uncounted, data, stack - space.uncounted


def may_expand(space: AddressSpace, size: int, prot: int, flags: int) -> bool:
    """Tell whether the limits leave room for `size` bytes more."""
    if not space.bounds:
        return True
    most, most_data, hard_data = space.bounds
    total, data, _ = usage(space)
    if total + size > most:
        return False
    if not is_data(prot, flags) or data + size <= most_data:
        return True
    return most_data == 0 and data + size <= hard_data  # Valgrind's way of asking for no brk(2)


def expand(space: AddressSpace, size: int, prot: int, flags: int) -> None:
    """Raise OSError(ENOMEM) unless there is room."""
    if not may_expand(space, size, prot, flags):
        raise OSError(ENOMEM, "")


def change(space: AddressSpace, size: int, old: int, new: int, flags: int) -> None:
    """Raise OSError(ENOMEM) if memory that becomes writable would be too much data."""
    if not may_expand(space, size, new, flags) and may_expand(space, size, old, flags):
        raise OSError(ENOMEM, "")


def heap_fits(space: AddressSpace, end: int) -> bool:
    """Tell whether RLIMIT_DATA lets the heap reach `end`: check_data_rlimit() of mm/mmap.c."""
    return not space.bounds or end - space.brk_start + space.data_size <= space.bounds[1]
