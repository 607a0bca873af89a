# SPDX-License-Identifier: GPL-2.0-or-later
"""System V shared memory in the guest's address space: shmat(2) and shmdt(2).

The flags of a segment's regions hold the address where its first byte is, or would be if that part was unmapped: by
this shmdt(2) finds what is left of it, as ipc/shm.c does by the offset of each mapping.
"""

from __future__ import annotations

from errno import EINVAL, ENOMEM, EPERM

import _usermode_core as core

from syscalls.host.x86_64 import NUMBERS
from usermode.machine.address_space import (
    MAP_SHARED,
    SEGMENT_MASK,
    checked,
    guest_permission,
    page_up,
)
from usermode.machine.bounds import expand, mapped
from usermode.machine.regions import FLOOR

TYPE_CHECKING = False
if TYPE_CHECKING:
    from usermode.machine.address_space import AddressSpace

HOST_SHMAT, HOST_SHMDT = NUMBERS["shmat"], NUMBERS["shmdt"]
SHM_REMAP, SHM_EXEC = 0o40000, 0o100000


def attach(
    space: AddressSpace, identifier: int, address: int, size: int, prot: int, flags: int
) -> int:
    """Attach a segment of `size` bytes at `address`, or where there is room for 0. Raises OSError."""
    size = page_up(size)
    with space.lock:
        if not address:
            address = space.place(size)
        elif not flags & SHM_REMAP and not space.is_free(address, address + size):
            raise OSError(EINVAL, "")
        elif address + size > space.limit:
            raise OSError(ENOMEM, "")
        elif address < FLOOR:
            raise OSError(EPERM, "")
        expand(space, size - mapped(space, address, address + size), prot, MAP_SHARED)
        checked(core.host_call(HOST_SHMAT, identifier, address, flags & ~SHM_EXEC))
        space.insert(address, address + size, prot, MAP_SHARED | address)
        core.protect(address, address + size, guest_permission(prot))
    return address


def detach(space: AddressSpace, address: int) -> None:
    """Detach what is left of the segment whose first byte is at `address`. Raises OSError(EINVAL)."""
    with space.lock:
        parts = [region for region in space.regions() if region[3] & SEGMENT_MASK == address]
        if not address or not parts:
            raise OSError(EINVAL, "")
        for low, high, _, _ in parts:
            core.protect(low, high, 0)
        result = core.host_call(HOST_SHMDT, address)
        for low, high, prot, _ in parts:
            if result < 0:
                core.protect(low, high, guest_permission(prot))
            else:
                space.remove(low, high)
    checked(result)
