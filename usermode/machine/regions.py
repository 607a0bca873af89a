# SPDX-License-Identifier: GPL-2.0-or-later
"""The list of a guest's mappings, and where the next one goes."""

from __future__ import annotations

from _bisect import bisect_left, bisect_right
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
    """Mappings in order of address, each (start, end, PROT_*, flags); like neighbours are one.

    What the flags mean is the user's business, but for MAP_GROWSDOWN, below which a gap is kept. `top`: mappings
    without an address of their own are placed downwards from there.
    """

    # No gap between _searched and top is larger than _hole, so most searches need not begin at the top: the
    # free_area_cache of older kernels.
    __slots__ = ("_hole", "_regions", "_searched", "_starts", "_top", "limit")

    def __init__(self, top: int = LIMIT) -> None:
        self.limit = LIMIT
        self._starts: list[int] = []
        self._regions: list[Region] = []
        self.top = top

    @property
    def top(self) -> int:
        """The address below which mappings are placed."""
        return self._top

    @top.setter
    def top(self, address: int) -> None:
        self._top = self._searched = address
        self._hole = 0

    def regions(self) -> Iterator[Region]:
        """Yield (start, end, PROT_*, flags) of every mapping in order."""
        return iter(self._regions[:])

    def region_at(self, address: int) -> Region | None:
        """Return the mapping that holds `address`."""
        i = bisect_right(self._starts, address)
        if i and address < self._regions[i - 1][1]:
            return self._regions[i - 1]
        return None

    def region_above(self, address: int) -> Region | None:
        """Return the first mapping that begins above `address`."""
        i = bisect_right(self._starts, address)
        return self._regions[i] if i < len(self._regions) else None

    def region_below(self, address: int) -> Region | None:
        """Return the last mapping that begins below `address`."""
        i = bisect_left(self._starts, address)
        return self._regions[i - 1] if i else None

    def is_free(self, start: int, end: int) -> bool:
        """Tell whether no mapping touches [start, end)."""
        i = bisect_left(self._starts, end)
        return not i or self._regions[i - 1][1] <= start

    def fits(self, start: int, end: int) -> bool:
        """Tell whether [start, end) is free and leaves the gap below a mapping that grows downwards."""
        above = self.region_above(end - 1)
        if above and above[3] & MAP_GROWSDOWN and above[0] - end < STACK_GUARD_GAP:
            return False
        return self.is_free(start, end)

    def reaching(self, start: int, end: int) -> list[Region]:
        """Return the mappings that begin at or above `start`, up to the first that lies beyond `end`."""
        return self._regions[bisect_left(self._starts, start) : bisect_left(self._starts, end) + 1]

    def overlaps(self, start: int, end: int) -> list[Region]:
        """Return the parts of mappings that lie in [start, end)."""
        regions = self._regions
        last = bisect_left(self._starts, end)
        first = bisect_right(self._starts, start, 0, last)
        if first and regions[first - 1][1] > start:
            first -= 1
        found = regions[first:last]
        if found:
            low, high, prot, flags = found[0]
            if low < start:
                found[0] = start, high, prot, flags
            low, high, prot, flags = found[-1]
            if high > end:
                found[-1] = low, end, prot, flags
        return found

    def insert(self, start: int, end: int, prot: int, flags: int) -> None:
        """Put one mapping in the place of all that was in [start, end); it merges with like neighbours."""
        starts, regions = self._starts, self._regions
        first = bisect_left(starts, start)
        last = bisect_left(starts, end, first)
        if end > self._searched:
            self._note_gaps(regions[max(first - 1, 0) : last + 1])
        new = []
        if last and regions[last - 1][1] > end:
            _, high, old, old_flags = regions[last - 1]
            if old == prot and old_flags == flags:
                end = high
            else:
                new.append((end, high, old, old_flags))
        elif last < len(starts) and starts[last] == end:
            _, high, old, old_flags = regions[last]
            if old == prot and old_flags == flags:
                end = high
                last += 1
        if first and regions[first - 1][1] >= start:
            low, high, old, old_flags = regions[first - 1]
            if old == prot and old_flags == flags:
                first -= 1
                start = low
            elif high > start:
                first -= 1
                new.insert(0, (low, start, old, old_flags))
        if new:
            new.append((start, end, prot, flags))
            new.sort()
            regions[first:last] = new
            starts[first:last] = [region[0] for region in new]
        else:
            regions[first:last] = [(start, end, prot, flags)]
            starts[first:last] = [start]

    def remove(self, start: int, end: int) -> None:
        """Take whatever is in [start, end) out of the list."""
        starts, regions = self._starts, self._regions
        first = bisect_left(starts, start)
        last = bisect_left(starts, end, first)
        new = []
        if last and regions[last - 1][1] > end:
            _, high, prot, flags = regions[last - 1]
            new.append((end, high, prot, flags))
        if first and regions[first - 1][1] > start:
            first -= 1
            low, _, prot, flags = regions[first]
            new.insert(0, (low, start, prot, flags))
        regions[first:last] = new
        starts[first:last] = [region[0] for region in new]
        if end >= self._searched:
            above = first + len(new)
            if new and new[-1][0] == end:
                above -= 1
            end_of_gap = starts[above] if above < len(starts) else self._top
            self._searched = min(max(end_of_gap, self._searched), self._top)

    def _note_gaps(self, near: list[Region]) -> None:
        """A mapping comes into the searched part: no gap grows, but for one that was kept below a stack."""
        for region in near:
            if region[3] & MAP_GROWSDOWN:
                self.top = self._top

    def place(self, size: int, align: int = PAGE) -> int:
        """Find a free range below `top`, highest first, else above it. Raises OSError(ENOMEM)."""
        at = None
        if size > self._hole and align == PAGE:
            at = self._search(self._searched, FLOOR, size, align, self._hole)
        if at is None:
            at = self._search(self._top, FLOOR, size, align, 0)
        if at is None:
            at = self._search(self.limit, self._top, size, align, 0)
        if at is None:
            raise OSError(ENOMEM, "")
        return at

    def _search(self, ceiling: int, floor: int, size: int, align: int, hole: int) -> int | None:
        """Return the highest aligned address in [floor, ceiling) with `size` free bytes.

        `hole`: the largest gap known above `ceiling`.
        """
        regions = self._regions
        i = bisect_left(self._starts, ceiling)
        end = gap_end = ceiling
        if i < len(regions) and regions[i][3] & MAP_GROWSDOWN:
            end = min(end, regions[i][0] - STACK_GUARD_GAP)
        while end > floor:
            i -= 1
            start = max(regions[i][1], floor) if i >= 0 else floor
            at = (end - size) & -align
            if at >= start:
                if ceiling <= self._top:
                    self._searched = gap_end
                    self._hole = hole
                return at
            if end - start > hole:
                hole = end - start
            if i < 0:
                break
            end = gap_end = regions[i][0]
            if regions[i][3] & MAP_GROWSDOWN:
                end -= STACK_GUARD_GAP
        return None
