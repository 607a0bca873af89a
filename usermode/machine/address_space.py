# SPDX-License-Identifier: GPL-2.0-or-later
"""The guest's mappings: where they are, what they permit, and the mmap(2) family over them.

Guest addresses are host addresses, so the host kernel holds the memory itself; this list knows where the guest's own
mappings lie (placement, `[heap]`, `[stack]`), and the core's table what each page permits.
"""

from __future__ import annotations

from _thread import allocate_lock
from _bisect import bisect_right
from errno import EEXIST, EFAULT, EINVAL, ENOMEM, EPERM

import _usermode_core as core
from syscalls.host.x86_64 import NUMBERS

from usermode.machine.regions import FLOOR, LIMIT, MAP_GROWSDOWN, PAGE, STACK_GUARD_GAP, Regions

PROT_READ, PROT_WRITE, PROT_EXEC = 1, 2, 4
PROT_GROWSDOWN = 0x01000000
MAP_SHARED, MAP_PRIVATE, MAP_TYPE = 1, 2, 0xF
MAP_FIXED, MAP_ANONYMOUS = 0x10, 0x20
MAP_NORESERVE, MAP_FIXED_NOREPLACE = 0x4000, 0x100000
HOST_ONLY_FLAGS = 0x40  # MAP_32BIT has no meaning to the guest's kernel, which ignores unknown bits

MREMAP_MAYMOVE, MREMAP_FIXED, MREMAP_DONTUNMAP = 1, 2, 4

HOST_MMAP, HOST_MUNMAP = NUMBERS["mmap"], NUMBERS["munmap"]
HOST_MPROTECT, HOST_MREMAP = NUMBERS["mprotect"], NUMBERS["mremap"]
HOST_SHMAT, HOST_SHMDT = NUMBERS["shmat"], NUMBERS["shmdt"]
SHM_REMAP, SHM_EXEC = 0o40000, 0o100000


def page_up(size: int) -> int:
    """Round a size or address up to a page."""
    return (size + PAGE - 1) & -PAGE


def guest_permission(prot: int) -> int:
    """Return what PROT_* lets the guest do: as on arm64, writable and executable pages are readable too."""
    return prot & 7 | (1 if prot & 7 else 0)


def host_prot(prot: int) -> int:
    """Return the host's PROT_* of a guest page: readable by the translator, never executable."""
    return guest_permission(prot) & 3


def _checked(result: int) -> int:
    if result < 0:
        raise OSError(-result, "")
    return result


class AddressSpace(Regions):
    """The mappings of one guest process. All methods raise OSError as the system call of that name does."""

    __slots__ = ("brk", "brk_start", "labels", "lock", "segments")

    def __init__(self, top: int = LIMIT) -> None:
        """Make an empty space whose mappings are placed downwards from `top`."""
        super().__init__(top)
        self.lock = allocate_lock()
        self.labels: dict[int, tuple[int, bytes]] = {}
        self.segments: dict[int, int] = {}
        self.brk_start = self.brk = 0

    def _fixed(self, address: int, size: int) -> None:
        if address % PAGE:
            raise OSError(EINVAL, "")
        if address + size > self.limit:
            raise OSError(ENOMEM, "")
        if address < FLOOR:
            raise OSError(EPERM, "")

    def _choose(self, address: int, size: int, flags: int) -> tuple[int, int]:
        """Return (address, host flag) for a new mapping: MAP_FIXED over the guest's own, else NOREPLACE."""
        if flags & MAP_FIXED_NOREPLACE:
            self._fixed(address, size)
            if not self.is_free(address, address + size):
                raise OSError(EEXIST, "")
        elif flags & MAP_FIXED:
            self._fixed(address, size)
            if not self.is_free(address, address + size):
                return address, MAP_FIXED
        else:
            address = page_up(address)
            if address < FLOOR or address + size > self.limit or not self.is_free(address, address + size):
                address = self.place(size)
        return address, MAP_FIXED_NOREPLACE

    # ---- mmap(2) and its family ----

    def map(self, address: int, size: int, prot: int, flags: int, fd: int = -1, offset: int = 0) -> int:
        """Map as mmap(2) and return the address; `offset` in bytes."""
        if not size or offset % PAGE or flags & MAP_TYPE not in (1, 2, 3):
            raise OSError(EINVAL, "")
        size = page_up(size)
        if size > self.limit:
            raise OSError(ENOMEM, "")
        with self.lock:
            address, fixed = self._choose(address, size, flags)
            clean = flags & ~(MAP_FIXED | MAP_FIXED_NOREPLACE | MAP_GROWSDOWN | HOST_ONLY_FLAGS)
            result = core.host_call(HOST_MMAP, address, size, host_prot(prot), clean | fixed, fd, offset)
            if result == -EEXIST and fixed == MAP_FIXED_NOREPLACE:
                result = self._beside_ours(size, prot, clean, flags, fd, offset)
            address = _checked(result)
            self.replace(address, address + size, prot & 7, flags & (MAP_TYPE | MAP_GROWSDOWN))
            core.protect(address, address + size, guest_permission(prot))
        return address

    def _beside_ours(self, size: int, prot: int, clean: int, flags: int, fd: int, offset: int) -> int:
        """Something of the emulator's own lies there: place the mapping elsewhere, if the guest lets us."""
        if flags & (MAP_FIXED | MAP_FIXED_NOREPLACE):
            return -ENOMEM
        address = self.place(size)
        return core.host_call(HOST_MMAP, address, size, host_prot(prot), clean | MAP_FIXED_NOREPLACE, fd, offset)

    def unmap(self, address: int, size: int) -> None:
        """Unmap as munmap(2)."""
        if address % PAGE or not size or page_up(size) > self.limit or address > self.limit - page_up(size):
            raise OSError(EINVAL, "")
        with self.lock:
            self._unmap(max(address, FLOOR), address + page_up(size))

    def _unmap(self, start: int, end: int) -> None:
        """Only what is the guest's goes: the range may span mappings of the emulator's own."""
        for low, high, _, _ in self.overlaps(start, end):
            core.protect(low, high, 0)
            _checked(core.host_call(HOST_MUNMAP, low, high - low))
            self.replace(low, high, None, 0)

    def protect(self, address: int, size: int, prot: int) -> None:
        """Change permissions as mprotect(2): up to the first hole, which is ENOMEM."""
        if address % PAGE or prot & ~0x0300000F:
            raise OSError(EINVAL, "")
        if not size:
            return
        end = address + page_up(size)
        if page_up(size) > self.limit or end > self.limit:
            raise OSError(ENOMEM, "")
        with self.lock:
            if prot & PROT_GROWSDOWN:
                region = self.region_at(address)
                if not region or not region[3] & MAP_GROWSDOWN:
                    raise OSError(EINVAL, "")
                address = region[0]
            at = address
            for low, high, old, flags in self.overlaps(address, end):
                if low != at:
                    break
                self._protect(low, high, old, prot, flags)
                at = high
        if at != end:
            raise OSError(ENOMEM, "")

    def _protect(self, low: int, high: int, old_prot: int, prot: int, flags: int) -> None:
        """Rights are taken from the guest before the host enforces it, and granted after the host allows it."""
        old, new = guest_permission(old_prot), guest_permission(prot)
        if old & ~new:
            core.protect(low, high, old & new)
        if old & 3 != new & 3:
            result = core.host_call(HOST_MPROTECT, low, high - low, host_prot(prot))
            if result < 0:
                core.protect(low, high, old)
                raise OSError(-result, "")
        if new & ~old:
            core.protect(low, high, new)
        self.replace(low, high, prot & 7, flags)

    def set_mmap_base(self, top: int) -> None:
        """Place mappings without an address downwards from `top`."""
        self.top = top & -PAGE

    def name(self, address: int, size: int, label: bytes) -> None:
        """Give a range its name in /proc/self/maps, such as b"[stack]"."""
        self.labels[address] = (address + size, label)

    # ---- brk(2) ----

    def set_brk_start(self, address: int) -> None:
        """Begin the heap at `address`, page aligned, empty."""
        self.brk_start = self.brk = address

    def set_brk(self, address: int) -> int:
        """Move the end of the heap as brk(2) and return where it is now; it never fails."""
        with self.lock:
            old, new = page_up(self.brk), page_up(address)
            if address < self.brk_start or new > self.limit:
                return self.brk
            if new > old:
                if not self.is_free(old, new + PAGE) or not self._grow_heap(old, new):
                    return self.brk
            elif new < old:
                self._unmap(new, old)
            self.brk = address
            self.name(self.brk_start, new - self.brk_start, b"[heap]")
            return address

    def _grow_heap(self, old: int, new: int) -> bool:
        flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE
        if core.host_call(HOST_MMAP, old, new - old, PROT_READ | PROT_WRITE, flags, -1, 0) != old:
            return False
        self.replace(old, new, PROT_READ | PROT_WRITE, MAP_PRIVATE)
        core.protect(old, new, 3)
        return True

    # ---- mremap(2) ----

    def remap(self, old: int, old_size: int, new_size: int, flags: int, new: int) -> int:
        """Resize or move a mapping as mremap(2) and return its address."""
        known = MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP
        if flags & ~known or old % PAGE or not new_size or old >= self.limit:
            raise OSError(EINVAL, "")
        if flags & (MREMAP_FIXED | MREMAP_DONTUNMAP) and not flags & MREMAP_MAYMOVE:
            raise OSError(EINVAL, "")
        old_size, new_size = page_up(old_size), page_up(new_size)
        if flags & MREMAP_DONTUNMAP and old_size != new_size:
            raise OSError(EINVAL, "")
        if max(old_size, new_size) > self.limit:
            raise OSError(ENOMEM, "")
        with self.lock:
            region = self.region_at(old)
            if not region or (old_size and old + old_size > region[1]):
                raise OSError(EFAULT, "")
            if not flags & (MREMAP_FIXED | MREMAP_DONTUNMAP) and old_size:
                if new_size <= old_size:
                    if new_size < old_size:
                        self._unmap(old + new_size, old + old_size)
                    return old
                if self._grow_in_place(old, old_size, new_size, region):
                    return old
                if not flags & MREMAP_MAYMOVE:
                    raise OSError(ENOMEM, "")
            return self._move(old, old_size, new_size, flags, new, region)

    def _grow_in_place(self, old: int, old_size: int, new_size: int, region: tuple[int, int, int, int]) -> bool:
        end, new_end = old + old_size, old + new_size
        if end != region[1] or new_end > self.limit or not self.is_free(end, new_end):
            return False
        if core.host_call(HOST_MREMAP, old, old_size, new_size, 0, 0) != old:
            return False
        self.replace(end, new_end, region[2], region[3])
        core.protect(end, new_end, guest_permission(region[2]))
        return True

    def _move(
        self, old: int, old_size: int, new_size: int, flags: int, new: int, region: tuple[int, int, int, int]
    ) -> int:
        if flags & MREMAP_FIXED:
            if new % PAGE or new + new_size > self.limit or (new < old + old_size and old < new + new_size):
                raise OSError(EINVAL, "")
            if new < FLOOR:
                raise OSError(EPERM, "")
            self._unmap(new, new + new_size)
        elif new and flags & MREMAP_DONTUNMAP and self.is_free(page_up(new), page_up(new) + new_size):
            new = page_up(new)
        else:
            new = self.place(new_size)
        kept = flags & MREMAP_DONTUNMAP or not old_size
        if not kept:
            core.protect(old, old + old_size, 0)
        result = core.host_call(HOST_MREMAP, old, old_size, new_size, flags | MREMAP_FIXED | MREMAP_MAYMOVE, new)
        if result < 0:
            if not kept:
                core.protect(old, old + old_size, guest_permission(region[2]))
            raise OSError(-result, "")
        if not kept:
            self.replace(old, old + old_size, None, 0)
        self.replace(new, new + new_size, region[2], region[3])
        core.protect(new, new + new_size, guest_permission(region[2]))
        return new

    # ---- growing stacks ----

    def grow_down(self, address: int, limit: int) -> bool:
        """Extend a MAP_GROWSDOWN mapping over a fault just below it, down to `limit` bytes in all."""
        with self.lock:
            i = bisect_right(self._starts, address)
            if i >= len(self._starts) or not self._flags[i] & MAP_GROWSDOWN:
                return False
            start, end = address & -PAGE, self._starts[i]
            if self._ends[i] - start > limit or not self.is_free(max(start - STACK_GUARD_GAP, FLOOR), end):
                return False
            prot, flags = self._prots[i], self._flags[i]
            wanted = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE
            if core.host_call(HOST_MMAP, start, end - start, host_prot(prot), wanted, -1, 0) != start:
                return False
            high = self._ends[i]
            self.replace(start, high, prot, flags)
            core.protect(start, end, guest_permission(prot))
            return True

    # ---- code whose bytes change without a change of mapping ----

    def forget_code(self, address: int, size: int) -> None:
        """Have the code in a range translated again: its bytes were discarded or replaced."""
        for low, high, prot, _ in self.overlaps(address & -PAGE, page_up(address + size)):
            if prot & PROT_EXEC:
                core.protect(low, high, guest_permission(prot))

    # ---- shmat(2) and shmdt(2) ----

    def attach(self, identifier: int, address: int, size: int, prot: int, flags: int) -> int:
        """Attach a System V segment of `size` bytes at `address`, or where there is room for 0."""
        size = page_up(size)
        with self.lock:
            if not address:
                address = self.place(size)
            elif address < FLOOR or address + size > self.limit:
                raise OSError(EINVAL, "")
            elif not self.is_free(address, address + size) and not flags & SHM_REMAP:
                raise OSError(EINVAL, "")
            _checked(core.host_call(HOST_SHMAT, identifier, address, flags & ~SHM_EXEC))
            self.replace(address, address + size, prot, MAP_SHARED)
            self.segments[address] = size
            core.protect(address, address + size, guest_permission(prot))
        return address

    def detach(self, address: int) -> None:
        """Detach the segment that was attached at `address`."""
        with self.lock:
            size = self.segments.get(address)
            if size is None:
                raise OSError(EINVAL, "")
            core.protect(address, address + size, 0)
            _checked(core.host_call(HOST_SHMDT, address))
            del self.segments[address]
            self.replace(address, address + size, None, 0)
