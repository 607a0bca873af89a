# SPDX-License-Identifier: GPL-2.0-or-later
"""The list of a guest's mappings, and where the next one goes."""

from __future__ import annotations

from _bisect import bisect_right
from errno import ENOMEM

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    Region = tuple[int, int, int, int]

PAGE = 4096
LIMIT = 1 << 46
FLOOR = 0x10000  # vm.mmap_min_addr
MAP_GROWSDOWN = 0x100
STACK_GUARD_GAP = 256 * PAGE  # mm/mmap.c, stack_guard_gap


class Regions:
    """Mappings in order of address, each (start, end, PROT_*, MAP_*); like neighbours are one.

    `top`: mappings without an address of their own are placed downwards from there.
    """

    __slots__ = ("_ends", "_flags", "_prots", "_starts", "limit", "top")

    def __init__(self, top: int = LIMIT) -> None:
        self.limit = LIMIT
        self.top = top
        self._starts: list[int] = []
        self._ends: list[int] = []
        self._prots: list[int] = []
        self._flags: list[int] = []

    def regions(self) -> Iterator[tuple[int, int, int, int]]:
        """Yield (start, end, PROT_*, MAP_*) of every mapping in order."""
        return zip(list(self._starts), list(self._ends), list(self._prots), list(self._flags), strict=True)

    def region_at(self, address: int) -> tuple[int, int, int, int] | None:
        """Return the mapping that holds `address`."""
        i = bisect_right(self._starts, address) - 1
        if i >= 0 and address < self._ends[i]:
            return self._starts[i], self._ends[i], self._prots[i], self._flags[i]
        return None

    def is_free(self, start: int, end: int) -> bool:
        """Tell whether no mapping touches [start, end)."""
        i = bisect_right(self._starts, start) - 1
        if i >= 0 and self._ends[i] > start:
            return False
        return i + 1 >= len(self._starts) or self._starts[i + 1] >= end

    def _carve(self, start: int, end: int) -> tuple[int, int]:
        """Take [start, end) out of the list; return the index span where new entries go."""
        starts, ends, prots, flags = self._starts, self._ends, self._prots, self._flags
        first = bisect_right(starts, start) - 1
        if first < 0 or ends[first] <= start:
            first += 1
        elif starts[first] < start:
            for column, value in ((starts, start), (ends, ends[first]), (prots, prots[first]), (flags, flags[first])):
                column.insert(first + 1, value)
            ends[first] = start
            first += 1
        last = first
        while last < len(starts) and starts[last] < end:
            if ends[last] > end:
                for column, value in ((starts, end), (ends, ends[last]), (prots, prots[last]), (flags, flags[last])):
                    column.insert(last + 1, value)
                ends[last] = end
            last += 1
        return first, last

    def replace(self, start: int, end: int, prot: int | None, flags: int) -> None:
        """Set [start, end) in the list to one mapping, or to none when `prot` is None; merge with like neighbours."""
        first, last = self._carve(start, end)
        if prot is None:
            entry: tuple[list[int], ...] = ([], [], [], [])
        else:
            if first > 0 and self._joins(first - 1, start, prot, flags):
                first -= 1
                start = self._starts[first]
            if last < len(self._starts) and self._starts[last] == end and self._alike(last, prot, flags):
                end = self._ends[last]
                last += 1
            entry = ([start], [end], [prot], [flags])
        for column, value in zip((self._starts, self._ends, self._prots, self._flags), entry, strict=True):
            column[first:last] = value

    def _alike(self, i: int, prot: int, flags: int) -> bool:
        return self._prots[i] == prot and self._flags[i] == flags and not flags & MAP_GROWSDOWN

    def _joins(self, i: int, start: int, prot: int, flags: int) -> bool:
        return self._ends[i] == start and self._alike(i, prot, flags)

    def place(self, size: int, align: int = PAGE) -> int:
        """Find a free range below `top`, highest first, else above it. Raises OSError(ENOMEM)."""
        for ceiling, floor in ((self.top, FLOOR), (self.limit, self.top)):
            i = bisect_right(self._starts, ceiling - 1) - 1
            end = ceiling
            while end > floor:
                start = max(self._ends[i], floor) if i >= 0 else floor
                at = (end - size) & -align
                if at >= start:
                    return at
                if i < 0:
                    break
                end = self._starts[i]
                if self._flags[i] & MAP_GROWSDOWN:
                    end -= STACK_GUARD_GAP
                i -= 1
        raise OSError(ENOMEM, "")

    def overlaps(self, start: int, end: int) -> list[tuple[int, int, int, int]]:
        """Return the parts of mappings that lie in [start, end)."""
        i = max(bisect_right(self._starts, start) - 1, 0)
        found = []
        while i < len(self._starts) and self._starts[i] < end:
            if self._ends[i] > start:
                low, high = max(start, self._starts[i]), min(end, self._ends[i])
                found.append((low, high, self._prots[i], self._flags[i]))
            i += 1
        return found
