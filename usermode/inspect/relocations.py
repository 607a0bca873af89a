# SPDX-License-Identifier: GPL-2.0-or-later
"""How many functions a program chooses at start (IFUNC), usually by what AT_HWCAP says."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from usermode.inspect.cpu import IRELATIVE
from usermode.inspect.elf import merged

if TYPE_CHECKING:
    from usermode.inspect.elf import Elf

STT_GNU_IFUNC = 10
RELA = struct.Struct("<QQq")
"""Elf64_Rela: r_offset, r_info, r_addend."""
SYM = struct.Struct("<IBBHQQ")
"""Elf64_Sym: st_name, st_info, st_other, st_shndx, st_value, st_size."""


def count_ifuncs(elf: Elf) -> int:
    """Count the resolvers that IRELATIVE relocations and STT_GNU_IFUNC symbols name.

    The relocations are found by the dynamic section and by the section headers, the only ones to
    know those of a static program; the symbols, which a library exports, by the section headers.
    """
    resolvers = set()
    for offset, size in relocation_tables(elf):
        for _, info, addend in RELA.iter_unpack(whole(elf.image[offset : offset + size], RELA)):
            if info & 0xFFFFFFFF == IRELATIVE:
                resolvers.add(addend)
    for part in elf.sections:
        if part.kind == "SHT_DYNSYM":
            table = whole(elf.image[part.offset : part.offset + part.size], SYM)
            for _, info, _, section, value, _ in SYM.iter_unpack(table):
                if info & 0xF == STT_GNU_IFUNC and section:
                    resolvers.add(value)
    return len(resolvers)


def relocation_tables(elf: Elf) -> list[tuple[int, int]]:
    """Return (offset, size) of the tables of relocations with addends."""
    tables = {(part.offset, part.size) for part in elf.sections if part.kind == "SHT_RELA"}
    for start, length in (("DT_RELA", "DT_RELASZ"), ("DT_JMPREL", "DT_PLTRELSZ")):
        address = elf.tag(start)
        offset = None if address is None else elf.file_offset(address)
        if offset is not None:
            tables.add((offset, elf.tag(length) or 0))
    return merged(tables)


def whole(data: bytes, record: struct.Struct) -> bytes:
    """Return the data without an incomplete record at its end."""
    return data[: len(data) // record.size * record.size]
