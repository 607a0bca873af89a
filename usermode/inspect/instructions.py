# SPDX-License-Identifier: GPL-2.0-or-later
"""Instructions that the engine does not execute, looked for in a program's code."""

from __future__ import annotations

import sys
from array import array
from dataclasses import dataclass
from typing import TYPE_CHECKING

from usermode.inspect.cpu import EXTENSIONS
from usermode.inspect.elf import merged

if TYPE_CHECKING:
    from collections.abc import Iterable

    from usermode.inspect.cpu import Extension
    from usermode.inspect.elf import Elf

SHF_EXECINSTR = 4
PF_X = 1
WORD = 4
CHUNK = 1 << 20


@dataclass
class Found:
    """How many words of the code belong to an extension, and the address of the first."""

    extension: str
    hwcap: str
    words: int
    address: int


def code_areas(elf: Elf) -> list[tuple[int, int]]:
    """Return (offset, size) of the executable sections, or where none is, of the segments."""
    areas = [
        (part.offset, part.size)
        for part in elf.sections
        if part.flags & SHF_EXECINSTR and part.kind != "SHT_NOBITS"
    ]
    return merged(
        areas
        or [
            (part.offset, part.file_size)
            for part in elf.segments
            if part.kind == "PT_LOAD" and part.flags & PF_X
        ]
    )


def scan(elf: Elf, offered: Iterable[str]) -> list[Found]:
    """Count the words of the code that look like an extension whose hwcap is not `offered`.

    Data among the code can look like one too, so this is a hint, never a proof.
    """
    offered = frozenset(offered)
    missing = [extension for extension in EXTENSIONS if extension.hwcap not in offered]
    rules = rules_by_top_byte(missing)
    found: dict[str, Found] = {}
    for start, size in code_areas(elf):
        end = start + size // WORD * WORD
        for offset in range(start, end, CHUNK):
            words = array("I", elf.image[offset : min(offset + CHUNK, end)])
            if sys.byteorder == "big":
                words.byteswap()  # code is little-endian on either kind of machine
            for index, word in enumerate(words):
                for mask, value, extension in rules[word >> 24]:
                    if word & mask == value:
                        first = found.setdefault(
                            extension.name,
                            Found(
                                extension.name,
                                extension.hwcap,
                                0,
                                elf.address(offset + WORD * index),
                            ),
                        )
                        first.words += 1
                        break
    return list(found.values())


def rules_by_top_byte(extensions: Iterable[Extension]) -> list[list[tuple[int, int, Extension]]]:
    """Return, by a word's highest byte, the (mask, value, extension) that may fit."""
    rules: list[list[tuple[int, int, Extension]]] = [[] for _ in range(256)]
    for extension in extensions:
        for mask, value in extension.encodings:
            for top in range(256):
                if top & mask >> 24 == value >> 24:
                    rules[top].append((mask, value, extension))
    return rules
