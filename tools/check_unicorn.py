# SPDX-License-Identifier: GPL-2.0-or-later
"""Check that libunicorn.a is the very library whose insides usermode/core/unicorn_fixes.c relies on.

`check_unicorn.py LIBRARY` exits with status 1 and one line if it is another one. The offsets in unicorn_fixes.c hold
for one build only, so the whole file is pinned; the bytes of one function tell whether a new version could be.
"""

from __future__ import annotations

import hashlib
import io
import sys
from collections.abc import Iterator
from pathlib import Path

from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

VERSION = "2.1.4"
SHA256 = "bb556269ec90752e3b3ded2f3fc6a397427ca73e30ca4818d3cfb05621b5e210"

# testb $8,0x66(%rdi): CF_PARALLEL (0x80000) is bit 3 of the third byte of TCGContext.tb_cflags, which is at 0x64.
FUNCTION = "tcg_gen_mb_aarch64"
INSTRUCTION = bytes.fromhex("f6476608")


def members(archive: bytes) -> Iterator[bytes]:
    """Yield the contents of every file in an archive of ar(1)'s common format (ar.h of glibc)."""
    if not archive.startswith(b"!<arch>\n"):
        raise ValueError("not an ar archive")
    position = 8
    while position + 60 <= len(archive):
        size = int(archive[position + 48 : position + 58])
        yield archive[position + 60 : position + 60 + size]
        position += 60 + size + size % 2


def function_bytes(archive: bytes, name: str, count: int) -> bytes | None:
    """Return the first `count` bytes of function `name`, or None if no object defines it."""
    for member in members(archive):
        if not member.startswith(b"\x7fELF") or name.encode() not in member:
            continue
        elf = ELFFile(io.BytesIO(member))
        table = elf.get_section_by_name(".symtab")
        assert isinstance(table, SymbolTableSection)
        for symbol in table.get_symbol_by_name(name) or ():
            index = symbol["st_shndx"]
            if isinstance(index, int):
                start = symbol["st_value"]
                code: bytes = elf.get_section(index).data()
                return code[start : start + count]
    return None


def problem(library: Path) -> str | None:
    """Return what is wrong with the library, or None."""
    if not library.exists():
        return f"{library} is missing: is unicorn=={VERSION} installed in the virtual environment?"
    archive = library.read_bytes()
    if hashlib.sha256(archive).hexdigest() == SHA256:
        return None
    if function_bytes(archive, FUNCTION, len(INSTRUCTION)) != INSTRUCTION:
        return f"{library}: TCGContext has another layout than in Unicorn {VERSION}"
    return f"{library} is not the one of the wheel unicorn=={VERSION} for x86_64 Linux"


def main() -> int:
    """Check the library named on the command line."""
    found = problem(Path(sys.argv[1]))
    if found:
        sys.stderr.write(f"check_unicorn: {found}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
