# SPDX-License-Identifier: GPL-2.0-or-later
"""Small ELF files made to order, a fake address space to load them into, and stand-ins for the rest."""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Sequence
from typing import NamedTuple

from usermode.loader.interpreter import Cpu, LoadRequest

PAGE = 4096
LIMIT = 1 << 46
AARCH64 = 183
PT_LOAD, PT_INTERP, PT_GNU_STACK = 1, 3, 0x6474E551
R, W, X = 4, 2, 1
CPU = Cpu(AARCH64, b"aarch64", 0x1234, 0x56, 4720)


class Header(NamedTuple):
    """One program header, in the order of the standard's Elf64_Phdr."""

    type: int
    flags: int
    offset: int
    address: int
    file_size: int
    memory_size: int
    align: int = PAGE

    def pack(self) -> bytes:
        kind, flags, offset, address, *sizes = self
        return struct.pack("<IIQQQQQQ", kind, flags, offset, address, address, *sizes)


def elf_file(
    headers: Sequence[Header],
    *,
    kind: int = 3,
    entry: int = 0x100,
    ident: bytes = b"\x7fELF\x02\x01\x01",
    machine: int = AARCH64,
    phentsize: int = 56,
    phnum: int | None = None,
    phoff: int = 64,
    size: int = 0,
    content: dict[int, bytes] | None = None,
) -> bytes:
    """Return an ELF file; the arguments spoil single fields. `content` puts bytes at offsets."""
    count = len(headers) if phnum is None else phnum
    head = struct.pack(
        "<16sHHIQQQIHHHHHH",
        ident,
        kind,
        machine,
        1,
        entry,
        phoff,
        0,
        0,
        64,
        phentsize,
        count,
        0,
        0,
        0,
    )
    table = b"".join(header.pack() for header in headers)
    file = bytearray(max(size, len(head) + len(table)))
    file[: len(head)] = head
    if phoff < 1 << 20:
        file[phoff : phoff + len(table)] = table
    for offset, text in (content or {}).items():
        file[offset : offset + len(text)] = text
    return bytes(file)


TEXT = Header(PT_LOAD, R | X, 0, 0, 0x1800, 0x1800)
DATA = Header(PT_LOAD, R | W, 0x1800, 0x12800, 0x900, 0x3000)


def good(**spoil: object) -> bytes:
    """Return a sound position-independent program of two segments; `spoil` as for elf_file."""
    pattern = bytes(range(1, 252)) * 40
    arguments: dict[str, object] = {"size": 0x3000, "content": {0x400: pattern[: 0x3000 - 0x400]}}
    return elf_file([TEXT, DATA], **{**arguments, **spoil})  # type: ignore[arg-type]


def open_file(content: bytes) -> int:
    """Return an open file with this content; the caller closes it."""
    file = os.memfd_create("elf")
    os.write(file, content)
    return file


class FakeSpace:
    """An address space of pages in a dictionary, with mmap(2)'s rules; also the memory behind it."""

    def __init__(self) -> None:
        self.limit = LIMIT
        self.top = LIMIT
        self.pages: dict[int, bytearray] = {}
        self.rights: dict[int, int] = {}
        self.names: dict[int, tuple[int, bytes]] = {}
        self.calls: list[tuple[str, int, int]] = []

    def place(self, size: int, align: int, /) -> int:
        at = (self.top - size) & -align
        while any(at <= page < at + size for page in self.pages):
            at = (min(page for page in self.pages if at <= page < at + size) - size) & -align
        return at

    def map(
        self, address: int, size: int, protection: int, flags: int, fd: int, offset: int, /
    ) -> int:
        self.calls.append(("map", address, size))
        if not size or offset % PAGE:
            raise OSError(errno.EINVAL, "")
        size = (size + PAGE - 1) & -PAGE
        if flags & 0x100010:
            if address % PAGE or address < 0x10000 or address + size > LIMIT:
                raise OSError(errno.EINVAL, "")
        else:
            address = self.place(size, PAGE)
        span = range(address, address + size, PAGE)
        if flags & 0x100000 and any(page in self.pages for page in span):
            raise OSError(errno.EEXIST, "")
        for page in span:
            content = b"" if flags & 0x20 else os.pread(fd, PAGE, offset + page - address)
            self.pages[page] = bytearray(content.ljust(PAGE, b"\0"))
            self.rights[page] = protection
        return address

    def unmap(self, address: int, size: int, /) -> None:
        self.calls.append(("unmap", address, size))
        for page in range(address, address + size, PAGE):
            self.pages.pop(page, None)
            self.rights.pop(page, None)

    def protect(self, address: int, size: int, protection: int, /) -> None:
        for page in range(address, address + size, PAGE):
            self.rights[page] = protection

    def name(self, address: int, size: int, name: bytes, /) -> None:
        self.names[address] = (size, name)

    def write(self, address: int, data: bytes, /) -> None:
        for at, byte in enumerate(data, address):
            if not self.rights.get(at & -PAGE, 0) & 2:
                raise OSError(errno.EFAULT, "")
            self.pages[at & -PAGE][at % PAGE] = byte

    def read(self, address: int, size: int) -> bytes:
        return bytes(self.pages[at & -PAGE][at % PAGE] for at in range(address, address + size))


def nowhere(path: bytes) -> int:
    """Find no ELF interpreter."""
    raise FileNotFoundError(errno.ENOENT, "", path)


def request(fd: int, **changes: object) -> LoadRequest:
    """Return a request for the open program `fd`; `changes` as for LoadRequest."""
    arguments: dict[str, object] = {
        "path": b"prog",
        "argv": [b"prog", b"one"],
        "envp": [b"A=1"],
        "find": nowhere,
        "credentials": (1, 2, 3, 4),
        "stack_limit": 8 << 20,
        **changes,
    }
    return LoadRequest(CPU, fd, **arguments)  # type: ignore[arg-type]
