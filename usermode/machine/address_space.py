# SPDX-License-Identifier: GPL-2.0-or-later
"""The guest's mappings: where they are, what they permit, and the mmap(2) family over them.

Guest addresses are host addresses, so the host kernel holds the memory itself; this list knows where the guest's own
mappings lie (placement, `[heap]`, `[stack]`), and the core's table what each page permits. What the host can judge it
judges: a call that must fail is made, and its errno is the guest's.
"""

from __future__ import annotations

from _thread import allocate_lock
from errno import EEXIST, EINVAL, ENOMEM, EPERM

import _usermode_core as core

from syscalls.host.x86_64 import NUMBERS
from usermode.machine.regions import FLOOR, LIMIT, MAP_GROWSDOWN, PAGE, Regions

PROT_READ, PROT_WRITE, PROT_EXEC, PROT_SEM = 1, 2, 4, 8
PROT_GROWSDOWN, PROT_GROWSUP = 0x01000000, 0x02000000
PROT_KNOWN = PROT_READ | PROT_WRITE | PROT_EXEC | PROT_SEM
MAP_SHARED, MAP_PRIVATE, MAP_SHARED_VALIDATE, MAP_TYPE = 1, 2, 3, 0xF
MAP_FIXED, MAP_ANONYMOUS, MAP_HUGETLB = 0x10, 0x20, 0x40000
MAP_NORESERVE, MAP_FIXED_NOREPLACE = 0x4000, 0x100000
HUGE_SHIFT, HUGE_MASK, HUGE_DEFAULT = (
    26,
    63,
    21,
)  # <asm-generic/hugetlb_encode.h>; 2 MiB on both CPUs
HOST_ONLY_FLAGS = (
    0xC0  # MAP_32BIT, MAP_ABOVE4G: unknown bits to the guest's kernel, which ignores them
)
PLACING_FLAGS = MAP_FIXED | MAP_FIXED_NOREPLACE | HOST_ONLY_FLAGS
UNKNOWN_FLAG = 0x2000000
SPECIAL_FLAGS = MAP_HUGETLB | MAP_GROWSDOWN | HOST_ONLY_FLAGS

# What a region's flags hold: MAP_TYPE, MAP_ANONYMOUS, MAP_GROWSDOWN, MADV_DONTFORK, and for a System V segment the
# address where its first byte is or would be.
NOT_INHERITED = 0x200
KEPT_FLAGS = MAP_TYPE | MAP_ANONYMOUS | MAP_GROWSDOWN
SEGMENT_MASK = -PAGE

MADV_DONTFORK = 10
TOO_LARGE = 1 << 63

HOST_MMAP, HOST_MUNMAP, HOST_MPROTECT = NUMBERS["mmap"], NUMBERS["munmap"], NUMBERS["mprotect"]
HOST_MADVISE, HOST_FSTATFS = NUMBERS["madvise"], NUMBERS["fstatfs"]
HOST_MINCORE = NUMBERS["mincore"]
STATFS_SIZE, STATFS_FLAGS, ST_NOEXEC = 120, 80, 8  # struct statfs, f_flags: <asm-generic/statfs.h>

GUEST_PERMISSIONS = (0, 1, 3, 3, 5, 5, 7, 7)
"""By PROT_*, what the guest may do: pages that can be written or executed can be read too."""


def page_up(size: int) -> int:
    """Round a size or address up to a page."""
    return (size + PAGE - 1) & -PAGE


def guest_permission(prot: int) -> int:
    """Return what PROT_* lets the guest do."""
    return GUEST_PERMISSIONS[prot & 7]


def host_prot(prot: int) -> int:
    """Return the host's PROT_* of a guest page: readable by the translator, never executable."""
    return GUEST_PERMISSIONS[prot & 7] & 3


def checked(result: int) -> int:
    """Return the result of a host call. Raises OSError if it is an error."""
    if result < 0:
        raise OSError(-result, "")
    return result


def untagged(address: int) -> int:
    """Return an address without its tag byte, as the kernel's untagged_addr() does for most of these calls."""
    return address if address >> 55 & 1 else address & (1 << 56) - 1


class AddressSpace(Regions):
    """The mappings of one guest process. All methods raise OSError as the system call of that name does.

    `lock` is held around every change; methods that begin with `locked_` expect that.
    """

    # `bounds`: the guest's RLIMIT_AS and its RLIMIT_DATA, soft and hard, if one is finite; `uncounted` bytes of the
    # stack are mapped in advance; `data_size` bytes of the program's data count as part of the heap.
    __slots__ = ("bounds", "brk", "brk_start", "data_size", "labels", "lock", "uncounted")

    def __init__(self, top: int = LIMIT) -> None:
        """Make an empty space whose mappings are placed downwards from `top`."""
        super().__init__(top)
        self.lock = allocate_lock()
        self.labels: dict[int, tuple[int, bytes]] = {}
        self.brk_start = self.brk = self.data_size = self.uncounted = 0
        self.bounds: tuple[int, int, int] | None = None

    def map(
        self, address: int, size: int, prot: int, flags: int, fd: int = -1, offset: int = 0
    ) -> int:
        """Map as mmap(2) and return the address; `offset` in bytes."""
        length = (size + PAGE - 1) & -PAGE
        clean = flags & ~PLACING_FLAGS
        align, refused = PAGE, 0
        if flags & SPECIAL_FLAGS or flags & MAP_TYPE == MAP_SHARED_VALIDATE:
            refused = self._refused_flags(flags)
            if flags & MAP_HUGETLB:
                align = 1 << (flags >> HUGE_SHIFT & HUGE_MASK or HUGE_DEFAULT)
                length = (length + align - 1) & -align
        if refused or not 0 < length <= self.limit:
            if length > self.limit:
                length = TOO_LARGE
            return checked(
                core.host_call(HOST_MMAP, 0, length, prot & 7, clean | refused, fd, offset)
            )
        if prot & PROT_EXEC and not flags & MAP_ANONYMOUS:
            self._check_executable(fd)
        with self.lock:
            if not address and not flags & (MAP_FIXED | MAP_FIXED_NOREPLACE):
                address, fixed = self.place(length, align), MAP_FIXED_NOREPLACE
            else:
                address, fixed = self._choose(address, length, align, flags)
            if self.bounds:
                self._check_bounds(address, length, prot, flags)
            if flags & MAP_TYPE == MAP_SHARED_VALIDATE:
                fixed = MAP_FIXED  # NOREPLACE is not among the flags that it knows
            host = GUEST_PERMISSIONS[prot & 7] & 3
            result = core.host_call(HOST_MMAP, address, length, host, clean | fixed, fd, offset)
            if result < 0:
                if result != -EEXIST:
                    raise OSError(-result, "")
                address = self._beside_ours(address, length, align, host, clean, flags, fd, offset)
            self.insert(address, address + length, prot & 7, flags & KEPT_FLAGS)
            core.protect(address, address + length, GUEST_PERMISSIONS[prot & 7])
        return address

    def _refused_flags(self, flags: int) -> int:
        """Return flags for which the host refuses what the guest's kernel would, in its own order of errors."""
        refused = 0
        if flags & MAP_GROWSDOWN and (not flags & MAP_ANONYMOUS or flags & MAP_TYPE == MAP_SHARED):
            refused = MAP_GROWSDOWN
        unknown = flags & (HOST_ONLY_FLAGS | MAP_FIXED_NOREPLACE)
        if unknown and flags & MAP_TYPE == MAP_SHARED_VALIDATE:
            refused |= UNKNOWN_FLAG
        return refused

    def _check_executable(self, fd: int) -> None:
        """Refuse code from a file system mounted noexec; the host's mapping is never executable."""
        status = bytearray(STATFS_SIZE)
        if core.host_call(HOST_FSTATFS, fd, status) == 0 and status[STATFS_FLAGS] & ST_NOEXEC:
            raise OSError(EPERM, "")

    def _choose(self, address: int, length: int, align: int, flags: int) -> tuple[int, int]:
        """Return (address, host flag) for a mapping: MAP_FIXED over the guest's own, else NOREPLACE."""
        if flags & (MAP_FIXED | MAP_FIXED_NOREPLACE):
            if address + length > self.limit:
                raise OSError(ENOMEM, "")
            if address % PAGE:
                raise OSError(EINVAL, "")
            if address < FLOOR:
                raise OSError(EPERM, "")
            self.locked_take_growth(address, address + length)
            if not self.is_free(address, address + length):
                if flags & MAP_FIXED_NOREPLACE:
                    raise OSError(EEXIST, "")
                return address, MAP_FIXED
            return address, MAP_FIXED_NOREPLACE
        address = (max(address & -PAGE, FLOOR) + align - 1) & -align
        if address + length > self.limit or not self.fits(address, address + length):
            address = self.place(length, align)
        return address, MAP_FIXED_NOREPLACE

    def _check_bounds(self, address: int, length: int, prot: int, flags: int) -> None:
        from usermode.machine.bounds import expand, mapped

        expand(self, length - mapped(self, address, address + length), prot, flags)

    def _beside_ours(
        self,
        address: int,
        length: int,
        align: int,
        prot: int,
        clean: int,
        flags: int,
        fd: int,
        offset: int,
    ) -> int:
        """A stack has grown there, or something of the emulator's own lies there: place the mapping elsewhere."""
        if flags & (MAP_FIXED | MAP_FIXED_NOREPLACE):
            raise OSError(ENOMEM, "")
        self.locked_take_growth(address, address + length)
        address = self.place(length, align)
        flags = clean | MAP_FIXED_NOREPLACE
        return checked(core.host_call(HOST_MMAP, address, length, prot, flags, fd, offset))

    def unmap(self, address: int, size: int) -> None:
        """Unmap as munmap(2)."""
        end = address + ((size + PAGE - 1) & -PAGE)
        if address % PAGE or not size or end > self.limit:
            if address <= self.limit or untagged(address) == address:
                raise OSError(EINVAL, "")
            self.unmap(untagged(address), size)
            return
        with self.lock:
            self.locked_unmap(max(address, FLOOR), end)

    def locked_unmap(self, start: int, end: int) -> None:
        """Unmap what is the guest's: the range may span mappings of the emulator's own."""
        self.locked_take_growth(start, end)
        for low, high, prot, _ in self.overlaps(start, end):
            core.protect(low, high, 0)
            result = core.host_call(HOST_MUNMAP, low, high - low)
            if result < 0:
                core.protect(low, high, guest_permission(prot))
                raise OSError(-result, "")
            self.remove(low, high)

    def protect(self, address: int, size: int, prot: int) -> None:
        """Change permissions as mprotect(2): up to the first hole, which is ENOMEM."""
        address = untagged(address)
        grows = prot & (PROT_GROWSDOWN | PROT_GROWSUP)
        if address % PAGE or grows == PROT_GROWSDOWN | PROT_GROWSUP:
            raise OSError(EINVAL, "")
        if not size:
            return
        end = address + ((size + PAGE - 1) & -PAGE)
        if size > self.limit or end > 1 << 64:
            raise OSError(ENOMEM, "")
        if prot & ~(PROT_KNOWN | grows):
            raise OSError(EINVAL, "")
        with self.lock:
            self.locked_take_growth(address, end)
            if grows:
                address = self._growing_start(address, grows)
            at = address
            for low, high, old, flags in self.overlaps(address, end):
                if low != at:
                    break
                self._protect(low, high, old, prot & 7, flags)
                at = high
        if at != end:
            raise OSError(ENOMEM, "")

    def _growing_start(self, address: int, grows: int) -> int:
        """PROT_GROWSDOWN begins at the start of the mapping; nothing grows upwards on these CPUs."""
        region = self.region_at(address)
        if not region:
            raise OSError(ENOMEM, "")
        if grows == PROT_GROWSUP or not region[3] & MAP_GROWSDOWN:
            raise OSError(EINVAL, "")
        return region[0]

    def _protect(self, low: int, high: int, old_prot: int, prot: int, flags: int) -> None:
        """Rights are taken from the guest before the host enforces it, and granted after the host allows it."""
        old, new = GUEST_PERMISSIONS[old_prot], GUEST_PERMISSIONS[prot]
        if self.bounds and prot & ~old_prot & PROT_WRITE:
            from usermode.machine.bounds import change

            change(self, high - low, old_prot, prot, flags)
        asked = prot & ~old_prot & PROT_EXEC and not flags & MAP_ANONYMOUS
        if asked:  # is it code from a file system mounted noexec? The host knows
            checked(core.host_call(HOST_MPROTECT, low, high - low, old & 3 | PROT_EXEC))
        if old & ~new:
            core.protect(low, high, old & new)
        if asked or old & 3 != new & 3:
            result = core.host_call(HOST_MPROTECT, low, high - low, new & 3)
            if result < 0:
                core.protect(low, high, old)
                raise OSError(-result, "")
        if new & ~old:
            core.protect(low, high, new)
        if prot != old_prot:
            self.insert(low, high, prot, flags)

    def name(self, address: int, size: int, label: bytes) -> None:
        """Give a range its name in /proc/self/maps, such as b"[stack]"."""
        self.labels[address] = (address + size, label)

    def set_brk_start(self, address: int) -> None:
        """Begin the heap at `address`, page aligned, empty."""
        self.brk_start = self.brk = address

    def set_brk(self, address: int) -> int:
        """Move the end of the heap as brk(2) and return where it is now; it never fails."""
        if address < self.brk_start:
            return self.brk
        with self.lock:
            old, new = (self.brk + PAGE - 1) & -PAGE, (address + PAGE - 1) & -PAGE
            if new > old:
                if new > self.limit or not self.fits(old, new + PAGE):
                    return self.brk
                if self.bounds and not self._heap_fits(address, new - old):
                    return self.brk
                flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE
                if core.host_call(HOST_MMAP, old, new - old, 3, flags, -1, 0) != old:
                    return self.brk
                self.insert(old, new, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS)
                core.protect(old, new, 3)
            elif new < old:
                self.locked_unmap(new, old)
            self.brk = address
            self.labels[self.brk_start] = (new, b"[heap]")
        return address

    def _heap_fits(self, end: int, more: int) -> bool:
        from usermode.machine.bounds import heap_fits, may_expand

        return heap_fits(self, end) and may_expand(self, more, PROT_READ | PROT_WRITE, MAP_PRIVATE)

    def grow_down(self, address: int, limit: int) -> bool:
        """Extend a MAP_GROWSDOWN mapping over a fault just below it, down to `limit` bytes in all."""
        from usermode.machine.growth import grow_down

        with self.lock:
            return grow_down(self, address, limit)

    def locked_take_growth(self, start: int, end: int) -> None:
        """Take in what has grown into [start, end) under the kernel's own accesses."""
        for region in self.reaching(start, end):
            if region[3] & MAP_GROWSDOWN:
                below = region[0] - PAGE
                if core.host_call(HOST_MINCORE, below, PAGE, bytearray(1)) != -ENOMEM:
                    from usermode.machine.growth import take_growth

                    take_growth(self, region)

    def forget_code(self, address: int, size: int) -> None:
        """Have the code in a range translated again: its bytes were discarded or replaced."""
        with self.lock:
            for low, high, prot, _ in self.overlaps(address & -PAGE, page_up(address + size)):
                if prot & PROT_EXEC:
                    core.protect(low, high, guest_permission(prot))

    def advise_fork(self, address: int, size: int, advice: int) -> int:
        """Give a range MADV_DONTFORK or MADV_DOFORK, and note it for the child."""
        with self.lock:
            result = core.host_call(HOST_MADVISE, address, size, advice)
            if result in (0, -ENOMEM):  # ENOMEM: there was a hole, the rest was done
                for low, high, prot, flags in self.overlaps(address, page_up(address + size)):
                    flags &= ~NOT_INHERITED
                    if advice == MADV_DONTFORK:
                        flags |= NOT_INHERITED
                    self.insert(low, high, prot, flags)
        return checked(result)

    def forked(self) -> None:
        """In the child of a fork: the lock is free, and what the child was not to have is gone."""
        self.lock = allocate_lock()
        for low, high, _, flags in self.regions():
            if flags & NOT_INHERITED:
                core.protect(low, high, 0)
                self.remove(low, high)

    def remap(self, old: int, old_size: int, new_size: int, flags: int, new: int) -> int:
        """Resize or move a mapping as mremap(2) and return its address."""
        from usermode.machine.remap import remap

        return remap(self, old, old_size, new_size, flags, new)

    def attach(self, identifier: int, address: int, size: int, prot: int, flags: int) -> int:
        """Attach a System V segment of `size` bytes at `address`, or where there is room for 0."""
        from usermode.machine.segments import attach

        return attach(self, identifier, address, size, prot, flags)

    def detach(self, address: int) -> None:
        """Detach the segment that was attached at `address`."""
        from usermode.machine.segments import detach

        detach(self, address)
