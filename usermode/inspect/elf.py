# SPDX-License-Identifier: GPL-2.0-or-later
"""An ELF file read into plain data.

Everything that touches pyelftools is here, because a damaged file makes it raise whatever its
parser stumbled over: those become one `UsermodeError` in `parsing`, and the rest of the package
works on checked values.
"""

from __future__ import annotations

import mmap
import os
import stat
import struct
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, cast

from elftools.common.exceptions import ELFError
from elftools.construct import ConstructError
from elftools.elf.dynamic import Dynamic
from elftools.elf.elffile import ELFFile

from usermode.errors import UsermodeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PARSER_FAILURES = (
    ELFError,
    ConstructError,
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    MemoryError,
    TypeError,
    ValueError,
    struct.error,
)
HEADER_SIZE = {32: 52, 64: 64}
PROGRAM_HEADERS_LIMIT = 65536
"""Bytes; execve(2) refuses more, fs/binfmt_elf.c load_elf_phdrs()."""

TYPES = ("ET_NONE", "ET_REL", "ET_EXEC", "ET_DYN", "ET_CORE")


@dataclass(frozen=True)
class Segment:
    """One program header; `kind` is the standard's name, or a number that has none."""

    kind: str
    offset: int
    address: int
    file_size: int
    memory_size: int
    flags: int
    align: int


@dataclass(frozen=True)
class Section:
    """One section header; `kind` as in `Segment`."""

    name: str
    kind: str
    flags: int
    address: int
    offset: int
    size: int


@dataclass
class Elf:
    """An ELF file: headers as lists, and `image`, the bytes of the file."""

    image: mmap.mmap
    kind: str
    machine: str
    bits: int
    little_endian: bool
    entry: int
    segments: list[Segment] = field(default_factory=list)
    sections: list[Section] = field(default_factory=list)
    dynamic: list[tuple[str, int, str]] = field(default_factory=list)
    """(tag, value, string); the string is empty for a tag that names none."""
    warnings: list[str] = field(default_factory=list)

    def tag(self, name: str) -> int | None:
        """Return the value of a dynamic tag, None when it is absent."""
        return next((value for tag, value, _ in self.dynamic if tag == name), None)

    def strings(self, name: str) -> list[str]:
        """Return the strings of every dynamic tag of that name, in their order."""
        return [text for tag, _, text in self.dynamic if tag == name]

    def file_offset(self, address: int) -> int | None:
        """Return where in the file the byte of `address` is, None when no segment holds it."""
        for part in self.segments:
            if part.kind == "PT_LOAD" and part.address <= address < part.address + part.file_size:
                return part.offset + address - part.address
        return None

    def address(self, offset: int) -> int:
        """Return the address a byte of the file is loaded at; its offset when it is not loaded."""
        for part in self.segments:
            if part.kind == "PT_LOAD" and part.offset <= offset < part.offset + part.file_size:
                return part.address + offset - part.offset
        return offset


def merged(areas: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Return (offset, size) areas in order, those that touch or overlap as one.

    Without it a hostile file could have the same bytes read once for each of 65535 headers.
    """
    found: list[tuple[int, int]] = []
    for offset, size in sorted(areas):
        if found and offset <= sum(found[-1]):
            start, length = found[-1]
            found[-1] = (start, max(length, offset + size - start))
        else:
            found.append((offset, size))
    return found


@contextmanager
def parsing(path: str, what: str) -> Iterator[None]:
    """Turn what pyelftools raises over damaged data into a `UsermodeError`."""
    try:
        yield
    except PARSER_FAILURES as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UsermodeError(f"{path}: damaged ELF file: {what}: {reason}", status=1) from error


def open_image(path: str) -> mmap.mmap:
    """Map a file privately. Raises UsermodeError when it cannot be read or is not an ELF file."""
    try:
        # O_NONBLOCK: opening a FIFO must not wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise UsermodeError(f"{path}: {error.strerror}", status=1) from error
    except ValueError as error:
        raise UsermodeError(f"{path!r}: {error}", status=1) from error
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise UsermodeError(f"{path}: not a regular file", status=1)
        if os.pread(descriptor, 4, 0) != b"\x7fELF":
            raise UsermodeError(f"{path}: not an ELF file", status=1)
        return mmap.mmap(descriptor, 0, access=mmap.ACCESS_COPY)
    finally:
        os.close(descriptor)


def read_elf(path: str) -> Elf:
    """Read the headers of an ELF file.

    A file whose section headers alone are damaged is read without them, with a warning: a program
    runs by its program headers. Any other damage raises UsermodeError.
    """
    image = open_image(path)
    # pyelftools reads, seeks and tells, which a mapping can do as well as a file.
    stream = cast("IO[bytes]", image)
    warnings: list[str] = []
    bits = 64 if image[4:5] == b"\x02" else 32
    if len(image) < HEADER_SIZE[bits]:
        raise UsermodeError(f"{path}: damaged ELF file: it ends inside the header", status=1)
    try:
        with parsing(path, "section headers"):
            file = ELFFile(stream)
            sections = read_sections(file, len(image))
    except UsermodeError:
        forget_sections(image, bits)
        warnings.append("the section headers are damaged; programs run without them")
        sections = []
        with parsing(path, "header"):
            file = ELFFile(stream)
    with parsing(path, "header"):
        header = file.header
        kind = header["e_type"] if header["e_type"] in TYPES else f"type {header['e_type']}"
        elf = Elf(
            image,
            kind,
            str(header["e_machine"]),
            file.elfclass,
            file.little_endian,
            header["e_entry"],
        )
    elf.sections, elf.warnings = sections, warnings
    with parsing(path, "program headers"):
        elf.segments = read_segments(file, len(image))
    with parsing(path, "dynamic section"):
        elf.dynamic = read_dynamic(file)
    return elf


def forget_sections(image: mmap.mmap, bits: int) -> None:
    """Clear e_shoff, e_shnum and e_shstrndx in our private copy; offsets of elf(5)."""
    for start, end in ((0x28, 0x30), (0x3C, 0x40)) if bits == 64 else ((0x20, 0x24), (0x30, 0x34)):
        image[start:end] = bytes(end - start)


def read_sections(file: ELFFile, file_size: int) -> list[Section]:
    """Read the section headers; ValueError when one lies outside of the file."""
    found = []
    for section in file.iter_sections():
        header = section.header
        end = header["sh_offset"] + header["sh_size"]
        if header["sh_type"] not in ("SHT_NOBITS", "SHT_NULL") and end > file_size:
            raise ValueError(f"section {section.name!r} ends beyond the end of the file")
        found.append(
            Section(
                section.name,
                str(header["sh_type"]),
                header["sh_flags"],
                header["sh_addr"],
                header["sh_offset"],
                header["sh_size"],
            )
        )
    return found


def read_segments(file: ELFFile, file_size: int) -> list[Segment]:
    """Read the program headers; ValueError when they cannot be loaded as they are."""
    if file.num_segments() * file.header["e_phentsize"] > PROGRAM_HEADERS_LIMIT:
        raise ValueError(f"{file.num_segments()} program headers, more than execve(2) accepts")
    found = []
    for index, part in enumerate(file.iter_segments()):
        header = part.header
        if header["p_type"] == "PT_LOAD" and header["p_filesz"] > header["p_memsz"]:
            raise ValueError(f"program header {index} has more bytes in the file than in memory")
        # A segment of zeros alone has no bytes in the file, and its offset may be any.
        taken = header["p_filesz"] if header["p_type"] == "PT_LOAD" else 0
        if taken and header["p_offset"] + taken > file_size:
            raise ValueError(f"program header {index} ends beyond the end of the file (truncated?)")
        found.append(
            Segment(
                str(header["p_type"]),
                header["p_offset"],
                header["p_vaddr"],
                header["p_filesz"],
                header["p_memsz"],
                header["p_flags"],
                header["p_align"],
            )
        )
    return found


def read_dynamic(file: ELFFile) -> list[tuple[str, int, str]]:
    """Read the dynamic segment, or the dynamic section of a file that has no segments."""
    tables: list[Dynamic] = [part for part in file.iter_segments() if isinstance(part, Dynamic)]
    tables = tables or [part for part in file.iter_sections() if isinstance(part, Dynamic)]
    found = []
    for table in tables[:1]:
        for tag in table.iter_tags():
            name = str(tag.entry.d_tag)
            text = getattr(tag, name.removeprefix("DT_").lower(), "")
            found.append((name, int(tag.entry.d_val), text if isinstance(text, str) else ""))
    return found
