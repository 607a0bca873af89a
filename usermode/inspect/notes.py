# SPDX-License-Identifier: GPL-2.0-or-later
"""The notes of an ELF file: build-id, oldest kernel, GNU properties.

Sources: elf(5) "Notes"; NT_GNU_* in <elf.h>; "Program Property" in the
processor's ELF supplement.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

from usermode.inspect.cpu import FEATURE_1_AND, FEATURES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from usermode.inspect.elf import Elf

NT_GNU_ABI_TAG = 1
NT_GNU_BUILD_ID = 3
NT_GNU_PROPERTY_TYPE_0 = 5


@dataclass(frozen=True)
class Note:
    """One note: its owner's name, its number and its bytes."""

    owner: bytes
    number: int
    body: bytes


def notes(elf: Elf) -> Iterator[Note]:
    """Yield the notes of every PT_NOTE, or of the SHT_NOTE sections of a file without segments.

    A note that runs out of its segment ends that segment's notes.
    """
    areas = [
        (part.offset, part.file_size, part.align) for part in elf.segments if part.kind == "PT_NOTE"
    ]
    if not areas:
        areas = [(part.offset, part.size, 4) for part in elf.sections if part.kind == "SHT_NOTE"]
    order = "<" if elf.little_endian else ">"
    for offset, size, align in areas:
        data = elf.image[offset : offset + size]
        align = 8 if align == 8 else 4
        place = 0
        while place + 12 <= len(data):
            name_size, body_size, number = struct.unpack_from(f"{order}III", data, place)
            body = place + 12 + padded(name_size, 4 if align == 4 else 8, 12)
            if body + body_size > len(data):
                break
            owner = data[place + 12 : place + 12 + name_size].rstrip(b"\0")
            yield Note(owner, number, data[body : body + body_size])
            place = body + padded(body_size, align)


def padded(size: int, align: int, before: int = 0) -> int:
    """Round `size` up so that `before + size` is a multiple of `align`."""
    return -(-(before + size) // align) * align - before


def build_id(elf: Elf) -> str | None:
    """Return the build-id in hexadecimal, None when there is none."""
    for note in notes(elf):
        if note.owner == b"GNU" and note.number == NT_GNU_BUILD_ID:
            return note.body.hex()
    return None


def oldest_kernel(elf: Elf) -> str | None:
    """Return the oldest Linux that .note.ABI-tag accepts, as "3.7.0"; None when it does not say."""
    order = "<" if elf.little_endian else ">"
    for note in notes(elf):
        if note.owner == b"GNU" and note.number == NT_GNU_ABI_TAG and len(note.body) >= 16:
            system, *version = struct.unpack_from(f"{order}4I", note.body)
            return ".".join(map(str, version)) if system == 0 else None  # 0 is Linux
    return None


def properties(elf: Elf) -> list[str]:
    """Return the processor features that the whole file was built for (BTI, PAC, GCS)."""
    order = "<" if elf.little_endian else ">"
    step = 8 if elf.bits == 64 else 4
    for note in notes(elf):
        if note.owner != b"GNU" or note.number != NT_GNU_PROPERTY_TYPE_0:
            continue
        place = 0
        while place + 8 <= len(note.body):
            number, size = struct.unpack_from(f"{order}II", note.body, place)
            if number == FEATURE_1_AND and size == 4 and place + 12 <= len(note.body):
                (bits,) = struct.unpack_from(f"{order}I", note.body, place + 8)
                return [name for bit, name in FEATURES.items() if bits & bit]
            place += 8 + padded(size, step)
    return []
