# SPDX-License-Identifier: GPL-2.0-or-later
"""The list of mappings against a plain dict of pages."""

from __future__ import annotations

from errno import ENOMEM
from itertools import groupby

import pytest
from hypothesis import given
from hypothesis import strategies as st

from usermode.machine.regions import FLOOR, LIMIT, MAP_GROWSDOWN, PAGE, STACK_GUARD_GAP, Regions

BASE = 1 << 40
PAGES = 1200  # a few guard gaps
TOP = BASE + PAGES * PAGE
KINDS = [(0, 2), (1, 2), (3, 2), (3, 1), (3, 2 | MAP_GROWSDOWN)]

Model = dict[int, tuple[int, int]]

positions = st.one_of(st.integers(0, PAGES - 1), st.integers(0, 40))
lengths = st.one_of(st.integers(1, 12), st.integers(1, PAGES))
operations = st.lists(
    st.tuples(
        st.sampled_from(["insert", "insert", "remove", "place", "place"]),
        positions,
        lengths,
        st.sampled_from(KINDS),
    ),
    max_size=40,
)


def runs(model: Model) -> list[tuple[int, int, int, int]]:
    """The regions that a model means: neighbours of one kind are one."""
    found = []
    for _, group in groupby(
        enumerate(sorted(model)), lambda item: (item[1] - item[0], model[item[1]])
    ):
        pages = [page for _, page in group]
        found.append((BASE + pages[0] * PAGE, BASE + (pages[-1] + 1) * PAGE, *model[pages[0]]))
    return found


def highest(model: Model, pages: int) -> int | None:
    """Where the highest fit is, by trying every page; below a stack a gap is kept."""
    free = gap = 0
    for page in range(PAGES - 1, -1, -1):
        if page in model:
            free, gap = 0, STACK_GUARD_GAP // PAGE if model[page][1] & MAP_GROWSDOWN else 0
        elif gap:
            gap -= 1
        else:
            free += 1
            if free == pages:
                return page
    return None


@pytest.fixture
def regions() -> Regions:
    return window()


def window() -> Regions:
    """Regions with room between BASE and TOP alone."""
    regions = Regions(TOP)
    regions.insert(FLOOR, BASE, 0, 7)
    regions.insert(TOP, LIMIT, 0, 7)
    return regions


def inner(regions: Regions) -> list[tuple[int, int, int, int]]:
    return [region for region in regions.regions() if region[3] != 7]


@given(operations)
def test_against_a_dict_of_pages(steps: list[tuple[str, int, int, tuple[int, int]]]) -> None:
    regions, model = window(), Model()
    for name, page, length, kind in steps:
        if name == "place":
            expected = highest(model, length)
            if expected is None:
                with pytest.raises(OSError, match=f"Errno {ENOMEM}"):
                    regions.place(length * PAGE)
                continue
            assert regions.place(length * PAGE) == BASE + expected * PAGE
            page = expected
        span = range(page, min(page + length, PAGES))
        start, end = BASE + span.start * PAGE, BASE + span.stop * PAGE
        assert regions.is_free(start, end) == model.keys().isdisjoint(span)
        cut = {page: model[page] for page in span if page in model}
        assert regions.overlaps(start, end) == runs(cut)
        if name == "remove":
            regions.remove(start, end)
            for at in span:
                model.pop(at, None)
        else:
            regions.insert(start, end, *kind)
            model.update(dict.fromkeys(span, kind))
        assert inner(regions) == runs(model)
        for at in (span.start - 1, span.start, span.stop - 1, span.stop):
            found = regions.region_at(BASE + at * PAGE + 5)
            assert (found is not None and found[3] != 7) == (at in model)
            if found and at in model:
                assert found[2:] == model[at]


def test_empty() -> None:
    regions = Regions(TOP)
    assert list(regions.regions()) == []
    assert regions.region_at(BASE) is regions.region_above(0) is regions.region_below(LIMIT) is None
    assert regions.is_free(0, LIMIT)
    assert regions.overlaps(0, LIMIT) == []
    assert regions.place(PAGE) == TOP - PAGE


def test_neighbours_above_and_below(regions: Regions) -> None:
    regions.insert(BASE + 4 * PAGE, BASE + 6 * PAGE, 3, 2)
    low, high = regions.region_below(BASE + 4 * PAGE), regions.region_above(BASE + 4 * PAGE)
    assert low is not None
    assert low[1] == BASE
    assert high is not None
    assert high[0] == TOP
    assert regions.region_above(BASE) == (BASE + 4 * PAGE, BASE + 6 * PAGE, 3, 2)


def test_above_top_when_nothing_is_left_below() -> None:
    regions = Regions(BASE)
    regions.insert(FLOOR, BASE, 3, 2)
    assert regions.place(PAGE) == LIMIT - PAGE


def test_a_search_in_vain_forgets_nothing(regions: Regions) -> None:
    regions.insert(BASE + 990 * PAGE, BASE + 1000 * PAGE, 3, 2)
    at = regions.place(201 * PAGE)  # not into the 200 pages above
    assert at == BASE + (990 - 201) * PAGE
    regions.insert(at, at + 201 * PAGE, 3, 2)
    with pytest.raises(OSError, match=f"Errno {ENOMEM}"):
        regions.place(900 * PAGE)
    assert regions.place(PAGE) == TOP - PAGE


def test_top_can_move(regions: Regions) -> None:
    assert regions.place(PAGE) == TOP - PAGE
    regions.top = TOP - 100 * PAGE
    assert regions.place(PAGE) == TOP - 101 * PAGE


def test_alignment(regions: Regions) -> None:
    align = 64 * PAGE
    for _ in range(5):
        at = regions.place(10 * PAGE, align)
        assert at % align == 0
        assert regions.is_free(at, at + 10 * PAGE)
        regions.insert(at, at + 10 * PAGE, 3, 2)


def test_gap_below_a_stack(regions: Regions) -> None:
    stack = BASE + 600 * PAGE
    regions.insert(stack, TOP, 3, 2 | MAP_GROWSDOWN)
    assert regions.place(PAGE) == stack - STACK_GUARD_GAP - PAGE
    assert not regions.fits(stack - PAGE, stack)
    assert not regions.fits(stack - STACK_GUARD_GAP, stack - STACK_GUARD_GAP + PAGE)
    assert regions.fits(stack - STACK_GUARD_GAP - PAGE, stack - STACK_GUARD_GAP)


def test_iteration_while_the_list_changes(regions: Regions) -> None:
    for i in range(0, 20, 2):
        regions.insert(BASE + i * PAGE, BASE + (i + 1) * PAGE, 3, 2)
    for start, end, _, flags in regions.regions():
        if flags == 2:
            regions.remove(start, end)
    assert inner(regions) == []
