# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType

import pytest
from elftools.elf.elffile import ELFFile

from tests.usermode.loader.builder import (
    AARCH64,
    DATA,
    LIMIT,
    PAGE,
    TEXT,
    FakeSpace,
    Header,
    R,
    W,
    X,
    elf_file,
    good,
    open_file,
)
from usermode.errors import LoadError
from usermode.loader.elf import parse
from usermode.loader.image import Image, map_image

BASE = 0x5000_0000_0000 >> 1


def mapped(space: FakeSpace, content: bytes, base: int = BASE) -> Image:
    file = open_file(content)
    try:
        return map_image(space, space, file, parse(file, b"prog", AARCH64, LIMIT), base)
    finally:
        os.close(file)


def test_pages_and_their_content() -> None:
    space, content = FakeSpace(), good()
    image = mapped(space, content)
    assert (image.bias, image.start, image.end) == (BASE, BASE, BASE + 0x16000)
    assert (image.entry, image.phdr) == (BASE + 0x100, BASE + 64)
    text = {BASE: 5, BASE + PAGE: 5}
    data = {BASE + at: 3 for at in (0x12000, 0x13000, 0x14000, 0x15000)}
    assert space.rights == {**text, **data}
    assert space.read(BASE, 0x2000) == content[:0x2000]
    assert space.read(BASE + 0x12000, 0x1100) == content[0x1000:0x2100]
    assert space.read(BASE + 0x13100, 0x2F00) == bytes(0x2F00)


def test_bounds_for_proc_stat() -> None:
    image = mapped(FakeSpace(), good())
    assert (image.code_start, image.code_end) == (BASE, BASE + 0x1800)
    assert (image.data_start, image.data_end) == (BASE + 0x12800, BASE + 0x13100)
    assert image.break_start == BASE + 0x15800


def test_few_calls() -> None:
    space = FakeSpace()
    mapped(space, good())
    assert [call[0] for call in space.calls] == ["map", "map", "map"]


def test_placed_by_the_address_space() -> None:
    space = FakeSpace()
    space.top = 0x3000_0000_0000
    assert mapped(space, good(), base=0).end == space.top


@pytest.mark.parametrize("align", [PAGE, 1 << 16, 1 << 21, 1 << 30])
@pytest.mark.parametrize("base", [0, BASE + 0x123000])
def test_alignment_holds(align: int, base: int) -> None:
    space = FakeSpace()
    space.top = 0x3000_0012_3000
    image = mapped(space, elf_file([TEXT._replace(align=align), DATA], size=0x3000), base)
    assert image.bias % align == 0
    assert (base or space.top) - align - 0x16000 < image.start <= (base or space.top)


def test_fixed_program_goes_where_it_was_linked() -> None:
    space = FakeSpace()
    low, high = TEXT._replace(address=0x400000), DATA._replace(address=0x412800)
    image = mapped(space, elf_file([low, high], kind=2, entry=0x400100, size=0x3000))
    assert (image.bias, image.start, image.entry, image.phdr) == (0, 0x400000, 0x400100, 0x400040)


@pytest.mark.parametrize("overlap", [False, True])
def test_nothing_that_is_mapped_is_replaced(overlap: bool) -> None:
    space = FakeSpace()
    space.map(0x413000, PAGE, 3, 0x100022, -1, 0)
    space.write(0x413000, b"kept")
    near = Header(1, R | W, 0x800, 0x401800, 0x10, 0x10)
    headers = [TEXT._replace(address=0x400000), *([near] if overlap else [])]
    with pytest.raises(LoadError) as caught:
        mapped(space, elf_file([*headers, DATA._replace(address=0x412800)], kind=2, size=0x3000))
    assert caught.value.errno == errno.EEXIST
    assert caught.value.message == "prog: cannot be mapped to 0x400000, 0x16000 bytes: File exists"
    assert space.read(0x413000, 4) == b"kept"


def test_the_later_of_two_segments_in_a_page_wins() -> None:
    space = FakeSpace()
    content = bytearray(
        elf_file([TEXT, Header(1, R | W, 0x2000, 0x1000, 0x1000, 0x1000)], size=0x3000)
    )
    content[0x2000:] = b"n" * 0x1000
    mapped(space, bytes(content))
    assert space.rights == {BASE: 5, BASE + PAGE: 3}
    assert space.read(BASE + PAGE, PAGE) == b"n" * 0x1000


def test_segments_out_of_order() -> None:
    space = FakeSpace()
    content = elf_file([DATA, TEXT], size=0x3000)
    image = mapped(space, content)
    assert image.start == BASE
    assert space.read(BASE, 64) == content[:64]


def test_page_that_is_not_writable_keeps_the_rest_of_the_file() -> None:
    space = FakeSpace()
    content = elf_file(
        [TEXT._replace(memory_size=0x4000)], size=0x3000, content={0x1800: b"t" * 0x800}
    )
    mapped(space, content)
    assert space.read(BASE + 0x1800, 0x800) == b"t" * 0x800
    assert [space.rights[BASE + at] for at in (0, 0x1000, 0x2000, 0x3000)] == [5, 5, 7, 7]
    assert space.read(BASE + 0x2000, 0x2000) == bytes(0x2000)


def test_file_that_fills_its_memory_keeps_the_rest_of_its_page() -> None:
    space = FakeSpace()
    data = DATA._replace(memory_size=0x900)
    content = elf_file([TEXT, data], size=0x3000, content={0x1800: b"d" * 0x1800})
    mapped(space, content)
    assert space.read(BASE + 0x13000, PAGE) == b"d" * 0x1000


def test_file_that_ends_with_its_page() -> None:
    space = FakeSpace()
    data = Header(1, R | W, 0x1000, 0x11000, 0x1000, 0x1001)
    content = elf_file([TEXT._replace(file_size=0x800, memory_size=0x800), data], size=0x2000)
    mapped(space, content)
    assert sorted(space.rights) == [BASE, BASE + 0x11000, BASE + 0x12000]


def test_segment_without_a_file() -> None:
    space = FakeSpace()
    mapped(space, elf_file([TEXT, Header(1, R, 0x777, 0x20010, 0, 0x1000)], size=0x3000))
    assert [space.rights[BASE + at] for at in (0x20000, 0x21000)] == [3, 3]


def test_segment_without_rights() -> None:
    space = FakeSpace()
    mapped(space, elf_file([TEXT, Header(1, 0, 0x1000, 0x21000, 0x1000, 0x1000)], size=0x3000))
    assert space.rights[BASE + 0x21000] == 0


def test_file_cut_short_in_its_last_page() -> None:
    """The write of zeros meets SIGBUS, which the memory tells as EFAULT; padzero() is the kernel's word for it."""

    class Cut(FakeSpace):
        def write(self, address: int, data: bytes, /) -> None:
            raise OSError(errno.EFAULT, "")

    with pytest.raises(LoadError) as caught:
        mapped(Cut(), good())
    assert caught.value.errno == errno.EFAULT


@pytest.fixture
def space(core: ModuleType) -> Iterator[object]:
    """The true address space, emptied at the end."""
    from usermode.machine.address_space import AddressSpace

    space = AddressSpace()
    yield space
    for start, end, _, _ in list(space.regions()):
        space.unmap(start, end - start)


HELLO = """
#include <stdio.h>
int data[5000] = {1, 2, 3}, bss[50000];
int main(void) { return printf("%d\\n", data[1] + bss[7]); }
"""
LAYOUTS = {
    "pie": ["-pie", "-fPIE"],
    "static-pie": ["-static-pie", "-fPIE"],
    "static": ["-static", "-no-pie", "-Wl,-Ttext-segment=0x2000000000"],
    "no-pie": ["-no-pie", "-Wl,-Ttext-segment=0x2000000000"],
    "pages of 4 KiB": ["-Wl,-z,max-page-size=4096", "-Wl,-z,common-page-size=4096"],
    "pages of 2 MiB": ["-Wl,-z,max-page-size=0x200000", "-static-pie", "-fPIE"],
    "separate code": ["-Wl,-z,separate-code"],
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_real_programs_in_the_true_address_space(
    layout: str,
    core: ModuleType,
    space: FakeSpace,
    guest_cc: Callable[..., Path],
    tmp_path: Path,
) -> None:
    source = tmp_path / "hello.c"
    source.write_text(HELLO)
    program = guest_cc(source, *LAYOUTS[layout], dynamic=True)
    content = program.read_bytes()
    file = os.open(program, os.O_RDONLY)
    image = map_image(space, core, file, parse(file, b"prog", AARCH64, LIMIT))
    os.close(file)
    with program.open("rb") as stream:
        segments = [s.header for s in ELFFile(stream).iter_segments("PT_LOAD")]
    seen = check_segments(core, content, image.bias, segments)
    everything = range(image.start, image.end, PAGE)
    assert {page for page in everything if core.permission(page)} == seen


def check_segments(
    core: ModuleType, content: bytes, bias: int, segments: Sequence[object]
) -> set[int]:
    """Compare memory with the file; return all pages that belong to segments."""
    seen: set[int] = set()
    for segment in segments:
        start, size, rest = (segment[key] for key in ("p_vaddr", "p_filesz", "p_memsz"))  # type: ignore[index]
        offset, flags = segment["p_offset"], segment["p_flags"]  # type: ignore[index]
        address = start + bias
        assert core.read(address, size) == content[offset : offset + size]
        if flags & W:
            assert core.read(address + size, rest - size) == bytes(rest - size)
        wanted = bool(flags & R) + 2 * bool(flags & W) + 4 * bool(flags & X)
        pages = set(range(address & -PAGE, address + rest, PAGE))
        assert {core.permission(page) for page in pages} == {wanted}
        seen |= pages
    return seen
