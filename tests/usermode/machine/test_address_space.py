# SPDX-License-Identifier: GPL-2.0-or-later
"""The memory calls over the real core, compared with the host kernel's own answers to the same calls.

Two windows of one process get the same calls: one through AddressSpace, one straight to the host. The results, the
errnos and the permissions in /proc/self/maps must agree. Both lie far from what Python itself has mapped.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Iterator
from errno import EFAULT, EINVAL
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

PAGE = 4096
PAGES = 48
GUEST, HOST = 1 << 40, 1 << 41
SIZE = PAGES * PAGE
PRIVATE, SHARED, FIXED, ANONYMOUS, NOREPLACE = 2, 1, 0x10, 0x20, 0x100000
CALLS = {"mmap": 9, "mprotect": 10, "munmap": 11, "mremap": 25}  # <asm/unistd_64.h>

Step = tuple[Any, ...]


class Windows:
    """The same calls to a guest's address space and to the host."""

    def __init__(self, core: ModuleType) -> None:
        from usermode.machine.address_space import AddressSpace

        self.core = core
        self.space = AddressSpace(GUEST + SIZE)

    def clear(self) -> None:
        self.space.unmap(GUEST, SIZE)
        self.host("munmap", HOST, SIZE)
        assert list(self.space.regions()) == []

    def host(self, name: str, *arguments: int) -> int:
        result: int = self.core.host_call(CALLS[name], *arguments)
        return result

    def guest(self, name: str, *arguments: int) -> int:
        methods: dict[str, Callable[..., int | None]] = {
            "mmap": self.space.map,
            "mprotect": self.space.protect,
            "munmap": self.space.unmap,
            "mremap": self.space.remap,
        }
        try:
            return methods[name](*arguments) or 0
        except OSError as error:
            return -(error.errno or 0)

    def compare(self, name: str, *arguments: int, addresses: tuple[int, ...] = (0,)) -> int:
        """Make the call in both windows; `addresses`: which arguments count from the window's start."""
        here = [value + GUEST * (i in addresses) for i, value in enumerate(arguments)]
        there = [value + HOST * (i in addresses) for i, value in enumerate(arguments)]
        guest, host = self.guest(name, *here), self.host(name, *there)
        guest -= GUEST * (guest >= GUEST)
        host -= HOST * (host >= HOST)
        assert guest == host, f"{name}{arguments}: {guest} instead of {host}"
        return host

    def rights(self, base: int) -> dict[int, str]:
        """What the host's /proc/self/maps says of every page of a window."""
        pages = {}
        for line in Path("/proc/self/maps").read_text().splitlines():
            span, rights, *_ = line.split()
            start, end = (int(text, 16) for text in span.split("-"))
            if base <= start < base + SIZE:
                pages.update(
                    dict.fromkeys(range((start - base) // PAGE, (end - base) // PAGE), rights)
                )
        return pages

    def check(self) -> None:
        """The guest's list is what the host has in its window; the core's table and the host's pages follow from it."""
        shown = {}
        for start, end, prot, flags in self.space.regions():
            assert prot in range(8)
            rights = "".join(
                letter if prot & bit else "-" for letter, bit in (("r", 1), ("w", 2), ("x", 4))
            )
            rights += "s" if flags & 15 == SHARED else "p"
            for address in range(start, end, PAGE):
                shown[(address - GUEST) // PAGE] = rights
        assert shown == self.rights(HOST)
        real = self.rights(GUEST)
        assert real.keys() == shown.keys()
        for page in range(PAGES):
            rights = shown.get(page, "----")
            permission = self.core.permission(GUEST + page * PAGE)
            wanted = ("w" in rights) * 2 | ("x" in rights) * 4
            assert permission == (wanted | (1 if wanted or "r" in rights else 0))
            if page in real:  # readable by the translator, never executable
                assert (
                    real[page][:3]
                    == ("r" if permission else "-") + ("w" if permission & 2 else "-") + "-"
                )


@pytest.fixture(scope="module")
def both(core: ModuleType) -> Windows:
    return Windows(core)


@pytest.fixture
def windows(both: Windows) -> Iterator[Windows]:
    yield both
    both.clear()


places = st.integers(0, PAGES - 1)
sizes = st.integers(1, 16)
prots = st.integers(0, 7)
steps = st.one_of(
    st.tuples(
        st.just("mmap"),
        places,
        sizes,
        prots,
        st.sampled_from([FIXED, FIXED, NOREPLACE]),
        st.sampled_from([1, 2]),
    ),
    st.tuples(st.just("munmap"), places, sizes),
    st.tuples(st.just("mprotect"), places, sizes, prots),
    st.tuples(st.just("mremap"), places, sizes, sizes, st.sampled_from([0, 0, 3, 7]), places),
)


def perform(windows: Windows, step: Step) -> None:
    name, page, count, *rest = step
    size = min(count, PAGES - page) * PAGE
    at = page * PAGE
    if name == "mmap":
        prot, fixed, kind = rest
        windows.compare("mmap", at, size, prot, fixed | kind | ANONYMOUS, -1, 0)
    elif name == "munmap":
        windows.compare("munmap", at, size)
    elif name == "mprotect":
        windows.compare("mprotect", at, size, rest[0])
    else:
        new_size, flags, target = rest
        if page + new_size > PAGES or target + new_size > PAGES:
            return
        if len(windows.space.overlaps(GUEST + at, GUEST + at + size)) > 1:
            return  # Linux 6.17 began to move several mappings at once
        shared = any(
            region[3] & SHARED for region in windows.space.overlaps(GUEST + at, GUEST + at + size)
        )
        if shared and new_size * PAGE > size:
            return  # each shared anonymous mapping is a file of its own, so neighbours differ
        arguments = (at, size, new_size * PAGE, flags, target * PAGE)
        windows.compare("mremap", *arguments, addresses=(0, 4) if flags & 2 else (0,))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(steps, max_size=25))
def test_random_calls(both: Windows, calls: list[Step]) -> None:
    try:
        for step in calls:
            perform(both, step)
            both.check()
    finally:
        both.clear()


TOP = 1 << 64

MMAP_ERRORS = {
    "no size": (0, 0, 3, FIXED | PRIVATE | ANONYMOUS, -1, 0),
    "size rounds to 0": (0, TOP - 1, 3, FIXED | PRIVATE | ANONYMOUS, -1, 0),
    "huge": (0, 1 << 62, 3, FIXED | PRIVATE | ANONYMOUS, -1, 0),
    "beyond the end": (0, 1 << 47, 3, FIXED | PRIVATE | ANONYMOUS, -1, 0),
    "misaligned": (5, PAGE, 3, FIXED | PRIVATE | ANONYMOUS, -1, 0),
    "misaligned, not to replace": (5, PAGE, 3, NOREPLACE | PRIVATE | ANONYMOUS, -1, 0),
    "offset": (0, PAGE, 1, FIXED | PRIVATE | ANONYMOUS, -1, 1),
    "no type": (0, PAGE, 1, FIXED | ANONYMOUS, -1, 0),
    "unknown type": (0, PAGE, 1, FIXED | ANONYMOUS | 5, -1, 0),
    "validate anonymous": (0, PAGE, 1, FIXED | ANONYMOUS | 3, -1, 0),
    "shared stack": (0, PAGE, 1, FIXED | ANONYMOUS | SHARED | 0x100, -1, 0),
    "no file": (0, PAGE, 1, FIXED | PRIVATE, -1, 0),
    "no file and no size": (0, 0, 1, FIXED | PRIVATE, -1, 0),
    "file not open": (0, PAGE, 1, FIXED | PRIVATE, 999, 0),
}


@pytest.mark.parametrize("arguments", MMAP_ERRORS.values(), ids=MMAP_ERRORS)
def test_mmap_errors(windows: Windows, arguments: tuple[int, ...]) -> None:
    assert windows.compare("mmap", *arguments) < 0
    windows.check()


OTHER_ERRORS = {
    "munmap nothing": ("munmap", 0, 0),
    "munmap misaligned": ("munmap", 1, PAGE),
    "munmap huge": ("munmap", 0, TOP - PAGE),
    "munmap beyond the end": ("munmap", 0, 1 << 47),
    "mprotect misaligned": ("mprotect", 1, PAGE, 1),
    "mprotect unmapped": ("mprotect", 8 * PAGE, PAGE, 1),
    "mprotect unknown": ("mprotect", 0, PAGE, 1 << 30),
    "mprotect two ways": ("mprotect", 0, PAGE, 0x03000000),
    "mprotect upwards": ("mprotect", 0, PAGE, 0x02000000),
    "mprotect no stack": ("mprotect", 0, PAGE, 0x01000000),
    "mprotect huge": ("mprotect", 0, TOP - PAGE, 1),
    "mprotect hole": ("mprotect", 0, 8 * PAGE, 1),
    "mprotect nothing": ("mprotect", 8 * PAGE, 0, 1 << 30),
    "mremap misaligned": ("mremap", 1, PAGE, PAGE, 0, 0),
    "mremap to nothing": ("mremap", 0, PAGE, 0, 0, 0),
    "mremap unknown": ("mremap", 0, PAGE, PAGE, 8, 0),
    "mremap fixed without maymove": ("mremap", 0, PAGE, PAGE, 2, 0),
    "mremap dontunmap without maymove": ("mremap", 0, PAGE, PAGE, 4, 0),
    "mremap dontunmap of another size": ("mremap", 0, PAGE, 2 * PAGE, 5, 0),
    "mremap unmapped": ("mremap", 8 * PAGE, PAGE, 2 * PAGE, 1, 0),
    "mremap beyond": ("mremap", 0, 3 * PAGE, 4 * PAGE, 1, 0),
    "mremap private from nothing": ("mremap", 0, 0, PAGE, 1, 0),
}


@pytest.mark.parametrize("call", OTHER_ERRORS.values(), ids=OTHER_ERRORS)
def test_other_errors(windows: Windows, call: tuple[Any, ...]) -> None:
    windows.compare("mmap", 0, 2 * PAGE, 3, FIXED | PRIVATE | ANONYMOUS, -1, 0)
    result = windows.compare(*call)
    assert result < 0 or call[2] == 0
    windows.check()


def test_file_errors(windows: Windows, tmp_path: Path) -> None:
    name = tmp_path / "file"
    name.write_bytes(bytes(PAGE))
    reading, writing = os.open(name, os.O_RDONLY), os.open(name, os.O_WRONLY)
    folder, path = os.open(tmp_path, os.O_RDONLY), os.open(name, os.O_PATH)
    pipe = os.pipe()
    try:
        for fd in (reading, writing, folder, path, *pipe):
            for prot in (1, 3) if fd in pipe else (1, 3, 5):  # no code in a pipe: EPERM first
                for kind in (SHARED, PRIVATE, 3, 3 | 1 << 25, PRIVATE | 0x100, 0):
                    windows.compare("mmap", 0, PAGE, prot, FIXED | kind, fd, 0)
        windows.compare("mmap", 0, 2 * PAGE, 1, FIXED | SHARED, reading, TOP - PAGE)
        windows.compare("mmap", 0, PAGE, 1, FIXED | SHARED, reading, 0)
        windows.compare("mprotect", 0, PAGE, 3)
        windows.check()
    finally:
        for fd in (reading, writing, folder, path, *pipe):
            os.close(fd)


def test_limit(windows: Windows) -> None:
    """The end of the guest's addresses is not the host's."""
    limit = windows.space.limit
    for address, size in (
        (limit, PAGE),
        (limit - PAGE, 2 * PAGE),
        (1 << 47, PAGE),
        (TOP - PAGE, PAGE),
    ):
        for fixed in (FIXED, NOREPLACE):
            assert windows.guest("mmap", address, size, 3, fixed | PRIVATE | ANONYMOUS) == -12
        assert windows.guest("munmap", address, size) == -EINVAL
        assert windows.guest("mprotect", address, size, 1) == -12
        assert windows.guest("mremap", address, size, size, 1, 0) == -EFAULT
    assert windows.guest("mmap", 0x1000, PAGE, 3, FIXED | PRIVATE | ANONYMOUS) == -1
    at = windows.space.map(limit, PAGE, 3, PRIVATE | ANONYMOUS)  # a hint
    assert at == GUEST + SIZE - PAGE


def test_what_is_not_the_guests_stays(windows: Windows) -> None:
    """Neither munmap(2) nor MAP_FIXED nor mprotect(2) reaches memory that the guest did not map."""
    ours = GUEST + 4 * PAGE
    assert windows.host("mmap", ours, PAGE, 3, NOREPLACE | PRIVATE | ANONYMOUS, -1, 0) == ours
    try:
        windows.space.unmap(GUEST, SIZE)
        assert 4 in windows.rights(GUEST)
        assert windows.guest("mprotect", ours, PAGE, 0) == -12
        assert windows.guest("mmap", ours, PAGE, 3, FIXED | PRIVATE | ANONYMOUS) == -12
        assert windows.guest("mmap", GUEST, SIZE, 3, FIXED | PRIVATE | ANONYMOUS) == -12
        assert windows.rights(GUEST) == {4: "rw-p"}
        assert windows.core.permission(ours) == 0
    finally:
        windows.host("munmap", ours, PAGE)


def test_content_moves(windows: Windows) -> None:
    space, core = windows.space, windows.core
    at = space.map(0, 4 * PAGE, 3, PRIVATE | ANONYMOUS)
    core.write(at, b"begin")
    core.write(at + 4 * PAGE - 3, b"end")
    moved = space.remap(at, 4 * PAGE, 8 * PAGE, 1, 0)
    assert core.read(moved, 5) == b"begin"
    assert core.read(moved + 4 * PAGE - 3, 6) == b"end\0\0\0"
    if moved != at:
        with pytest.raises(OSError, match=f"Errno {EFAULT}"):
            core.read(at, 1)
    tagged = moved | 0x55 << 56
    space.protect(tagged, PAGE, 1)  # the tag is not looked at
    with pytest.raises(OSError, match=f"Errno {EFAULT}"):
        core.write(moved, b"x")
    space.unmap(tagged, 8 * PAGE)
    assert list(space.regions()) == []


def test_heap(windows: Windows) -> None:
    space = windows.space
    space.set_brk_start(GUEST)
    assert space.set_brk(0) == GUEST
    assert space.set_brk(GUEST + 5) == GUEST + 5
    assert windows.core.read(GUEST, PAGE) == bytes(PAGE)
    assert space.set_brk(GUEST + 3 * PAGE) == GUEST + 3 * PAGE
    assert space.labels[GUEST] == (GUEST + 3 * PAGE, b"[heap]")
    space.map(GUEST + 6 * PAGE, PAGE, 3, FIXED | PRIVATE | ANONYMOUS)
    assert space.set_brk(GUEST + 6 * PAGE) == GUEST + 3 * PAGE
    assert space.set_brk(GUEST + 5 * PAGE) == GUEST + 5 * PAGE
    assert space.set_brk(TOP - 1) == GUEST + 5 * PAGE
    assert space.set_brk(GUEST) == GUEST
    assert [start for start, *_ in space.regions()] == [GUEST + 6 * PAGE]


def test_not_inherited(windows: Windows) -> None:
    space = windows.space
    at = space.map(0, 4 * PAGE, 3, PRIVATE | ANONYMOUS)
    assert space.advise_fork(at + PAGE, 2 * PAGE, mmap.MADV_DONTFORK) == 0
    assert space.advise_fork(at + 2 * PAGE, PAGE, mmap.MADV_DOFORK) == 0
    space.lock.acquire()
    space.forked()  # as the child does
    assert not space.lock.locked()
    assert [(start - at) // PAGE for start, *_ in space.regions()] == [0, 2]
    assert windows.core.permission(at + PAGE) == 0
    windows.host("munmap", at + PAGE, PAGE)
