# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import errno
import os
import time

import pytest

from tests.usermode.loader.builder import (
    AARCH64,
    DATA,
    LIMIT,
    PT_GNU_STACK,
    PT_INTERP,
    TEXT,
    Header,
    R,
    W,
    X,
    elf_file,
    good,
    open_file,
)
from usermode.errors import CANNOT_EXECUTE, LoadError
from usermode.loader.elf import Elf, parse

TOO_MANY = [TEXT] * 1171  # 65576 bytes


def parsed(content: bytes, path: bytes = b"prog") -> Elf:
    file = open_file(content)
    try:
        return parse(file, path, AARCH64, LIMIT)
    finally:
        os.close(file)


def test_sound_program() -> None:
    elf = parsed(good())
    assert (elf.fixed, elf.entry, elf.phdr, elf.phnum) == (False, 0x100, 64, 2)
    assert (elf.low, elf.high, elf.align, elf.disjoint) == (0, 0x16000, 4096, True)
    assert (elf.interpreter, elf.stack) == (None, None)
    text, data = elf.segments
    assert (text.offset, text.address, text.file_end, text.end) == (0, 0, 0x1800, 0x1800)
    assert (data.offset, data.address, data.file_end, data.end) == (
        0x1800,
        0x12800,
        0x13100,
        0x15800,
    )


@pytest.mark.parametrize(
    ("align", "taken"), [(0, 4096), (3, 4096), (0x4001, 4096), (0x4000, 0x4000)]
)
def test_an_alignment_that_is_no_power_of_two_does_not_count(align: int, taken: int) -> None:
    assert parsed(elf_file([TEXT, DATA._replace(align=align)])).align == taken


@pytest.mark.parametrize("flags", range(8))
def test_protection_has_the_bits_of_mmap(flags: int) -> None:
    protection = parsed(elf_file([TEXT._replace(flags=flags)], size=0x1800)).segments[0].protection
    assert protection == (flags & R and 1) + (flags & W and 2) + (flags & X and 4)


def test_interpreter_and_stack_flags() -> None:
    path = b"/lib/ld.so\0"
    headers = [
        TEXT,
        Header(PT_INTERP, R, 0x400, 0, len(path), 0),
        Header(PT_GNU_STACK, R | W, 0, 0, 0, 0),
    ]
    elf = parsed(elf_file(headers, size=0x1800, content={0x400: path}))
    assert (elf.interpreter, elf.stack) == (b"/lib/ld.so", R | W)


def test_the_first_interpreter_counts() -> None:
    headers = [Header(PT_INTERP, R, at, 0, 3, 0) for at in (0x400, 0x410)]
    elf = parsed(elf_file([TEXT, *headers], size=0x1800, content={0x400: b"/a\0", 0x410: b"/b\0"}))
    assert elf.interpreter == b"/a"


def test_interpreter_beyond_the_first_page() -> None:
    headers = [TEXT, Header(PT_INTERP, R, 0x1700, 0, 5, 0)]
    assert (
        parsed(elf_file(headers, size=0x1800, content={0x1700: b"/x/y\0"})).interpreter == b"/x/y"
    )


def test_headers_at_the_end_of_the_file() -> None:
    elf = parsed(elf_file([TEXT, DATA], phoff=0x2000, size=0x3000))
    assert (len(elf.segments), elf.phdr) == (2, 0x2000 - 0x1800 + 0x12800)


def test_headers_outside_every_segment_have_no_address() -> None:
    small = TEXT._replace(file_size=0x800, memory_size=0x800)
    assert parsed(elf_file([small], phoff=0x1000, size=0x2000)).phdr == 0


def test_pages_shared_by_segments_are_noticed() -> None:
    near = Header(1, R | W, 0x800, 0x1800, 0x10, 0x10)
    assert not parsed(elf_file([TEXT, near], size=0x2000)).disjoint
    assert not parsed(elf_file([DATA, TEXT], size=0x3000)).disjoint


def test_most_program_headers_the_kernel_takes() -> None:
    elf = parsed(elf_file(TOO_MANY[:1170], size=1 << 17))
    assert len(elf.segments) == 1170


SPOILED = {
    "empty": (b"", "not an AArch64 program: this is an empty file"),
    "text": (b"hello, world\n", "not an AArch64 program: this is no ELF file"),
    "script": (b"#!/bin/sh\n", "not an AArch64 program: this is a script"),
    "windows": (b"MZ\x90\0", "not an AArch64 program: this is a Windows program"),
    "cut short": (good()[:12], "not an AArch64 program: this is an ELF file cut short"),
    "cut in the header": (good()[:63], "not an AArch64 program: this is an ELF file cut short"),
    "x86-64": (good(machine=62), "not an AArch64 program: this is x86-64"),
    "unheard of": (good(machine=9999), "not an AArch64 program: this is ELF machine 9999"),
    "32-bit": (
        good(ident=b"\x7fELF\x01\x01\x01", machine=40),
        "not an AArch64 program: this is 32-bit Arm",
    ),
    "ilp32": (good(ident=b"\x7fELF\x01\x01\x01"), "not an AArch64 program: this is 32-bit AArch64"),
    "big endian": (
        good(ident=b"\x7fELF\x02\x02\x01", machine=183 << 8),
        "not an AArch64 program: this is big-endian AArch64",
    ),
    "object": (good(kind=1), "not a program: ELF type ET_REL, an object file"),
    "core": (good(kind=4), "not a program: ELF type ET_CORE, a core dump"),
    "type": (good(kind=77), "not a program: ELF type 77"),
    "header size": (good(phentsize=32), "program headers of 32 bytes instead of 56"),
    "no headers": (good(phnum=0), "0 program headers"),
    "too many headers": (elf_file(TOO_MANY, size=1 << 17), "1171 program headers"),
    "headers outside": (good(phoff=0x2FC0)[:0x3000], "its program headers lie outside the file"),
    "headers far away": (good(phoff=2**64 - 8), "its program headers lie outside the file"),
    "nothing to load": (
        elf_file([Header(PT_GNU_STACK, 6, 0, 0, 0, 0)]),
        "it has no segment to load",
    ),
    "entry": (good(entry=LIMIT), "its entry point 0x400000000000 is no address"),
}
SEGMENTS = {
    "larger in the file": (
        DATA._replace(memory_size=0x800),
        "a segment of 2048 bytes has 2304 in the file",
    ),
    "beyond the limit": (
        DATA._replace(address=LIMIT - 0x800),
        "a segment at 0x3ffffffff800, 0x3000 bytes, ends beyond 0x400000000000",
    ),
    "address overflows": (
        DATA._replace(address=2**64 - 0x1000 + 0x800),
        "a segment at 0xfffffffffffff800, 0x3000 bytes, ends beyond 0x400000000000",
    ),
    "size overflows": (
        DATA._replace(memory_size=2**64 - 1),
        "a segment at 0x12800, 0xffffffffffffffff bytes, ends beyond 0x400000000000",
    ),
    "offset": (
        DATA._replace(offset=2**63 - 0x800),
        "a segment at offset 0x7ffffffffffff800 of the file",
    ),
    "place in the page": (
        DATA._replace(offset=0x1801),
        "a segment at 0x12800 from offset 0x1801: their places in a page differ",
    ),
    "the whole space": (
        DATA._replace(address=LIMIT - 0x4800),
        "it needs 0x3ffffffff000 bytes of address space",
    ),
    "huge alignment": (DATA._replace(align=1 << 63), "it needs 0x16000 bytes of address space"),
    "interpreter empty": (Header(PT_INTERP, R, 0x400, 0, 1, 1), "PT_INTERP is 1 bytes long"),
    "interpreter long": (Header(PT_INTERP, R, 0x400, 0, 4097, 1), "PT_INTERP is 4097 bytes long"),
    "interpreter outside": (
        Header(PT_INTERP, R, 0x2FFF, 0, 10, 1),
        "PT_INTERP lies outside the file",
    ),
    "interpreter far away": (
        Header(PT_INTERP, R, 2**64 - 4, 0, 10, 1),
        "PT_INTERP lies outside the file",
    ),
    "interpreter without NUL": (
        Header(PT_INTERP, R, 0x400, 0, 10, 1),
        "PT_INTERP does not end with a NUL",
    ),
}
ERRNO = {"interpreter outside": errno.EIO, "interpreter far away": errno.EINVAL}


def refused(content: bytes, path: bytes = b"prog") -> LoadError:
    with pytest.raises(LoadError) as caught:
        parsed(content, path)
    assert caught.value.status == CANNOT_EXECUTE
    assert "\n" not in caught.value.message
    return caught.value


@pytest.mark.parametrize("name", SPOILED)
def test_spoiled_header(name: str) -> None:
    content, line = SPOILED[name]
    error = refused(content)
    assert error.message in (f"prog: {line}", f"prog: damaged ELF file: {line}")
    assert error.errno == (errno.EINVAL if name in ("nothing to load", "entry") else errno.ENOEXEC)


@pytest.mark.parametrize("name", SEGMENTS)
def test_spoiled_segment(name: str) -> None:
    header, line = SEGMENTS[name]
    error = refused(elf_file([TEXT, header], size=0x3000, content={0x400: b"x" * 5000}))
    assert error.message == f"prog: damaged ELF file: {line}"
    default = errno.ENOEXEC if header.type == PT_INTERP else errno.EINVAL
    assert error.errno == ERRNO.get(name, default)


def test_linked_below_the_lowest_address() -> None:
    error = refused(elf_file([TEXT._replace(address=0x8000)], kind=2, size=0x1800))
    assert error.message == "prog: it is linked to address 0x8000, below 0x10000"
    assert error.errno == errno.EPERM


def test_name_that_would_spoil_the_line() -> None:
    assert refused(b"", b"a\nb\xff").message.startswith(r"a\nb\xff: not an")


def test_a_folder_cannot_be_read(tmp_path: object) -> None:
    file = os.open(str(tmp_path), os.O_RDONLY)
    try:
        with pytest.raises(LoadError) as caught:
            parse(file, b"dir", AARCH64, LIMIT)
    finally:
        os.close(file)
    assert caught.value.errno == errno.EISDIR
    assert caught.value.message == "dir: cannot be read: Is a directory"


def test_bss_alone_may_come_from_anywhere() -> None:
    bss = DATA._replace(offset=0x1234, file_size=0)
    assert parsed(elf_file([TEXT, bss], size=0x1800)).segments[1].end == 0x15800


def test_empty_segment_is_nothing() -> None:
    empty = Header(1, R, 0x55, 0x99999, 0, 0, 3)
    assert len(parsed(elf_file([TEXT, empty], size=0x1800)).segments) == 1


def test_parsing_takes_microseconds() -> None:
    file = open_file(good())
    times = []
    for _ in range(50):
        start = time.perf_counter()
        parse(file, b"prog", AARCH64, LIMIT)
        times.append(time.perf_counter() - start)
    os.close(file)
    assert min(times) < 40e-6
