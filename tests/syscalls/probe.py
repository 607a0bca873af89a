# SPDX-License-Identifier: GPL-2.0-or-later
"""Asks a compiler for the values of C expressions, without running anything: it is also asked for another CPU."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from elftools.elf.elffile import ELFFile
from elftools.elf.sections import SymbolTableSection

from tests.support import COMPILERS


def evaluate(cpu: str, headers: Sequence[str], expressions: Sequence[str]) -> list[int]:
    """The values of constant integer expressions, as signed 64-bit numbers."""
    values = _compile(cpu, headers, expressions)
    assert isinstance(values, list), values
    return values


def known_names(cpu: str, headers: Sequence[str], names: Sequence[str]) -> dict[str, int]:
    """The values of those of the names that the headers have."""
    names = list(names)
    while True:
        values = _compile(cpu, headers, names)
        if isinstance(values, list):
            return dict(zip(names, values, strict=True))
        unknown = set(re.findall(r"error: .(\w+). undeclared", values))
        assert unknown & set(names), values
        names = [name for name in names if name not in unknown]


def _compile(cpu: str, headers: Sequence[str], expressions: Sequence[str]) -> list[int] | str:
    """The values, or the compiler's complaints."""
    compiler = COMPILERS[cpu]
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    includes = "".join(f"#include <{header}>\n" for header in ["stddef.h", *headers])
    items = "".join(f"(long long)({expression}),\n" for expression in expressions)
    source = f"#define _GNU_SOURCE\n{includes}const long long probe[] = {{\n{items}}};\n"
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "probe.o"
        command = [compiler, "-x", "c", "-c", "-o", str(target), "-"]
        done = subprocess.run(
            command, input=source, capture_output=True, text=True, env={"PATH": "/usr/bin:/bin"}
        )
        if done.returncode:
            return done.stderr
        with target.open("rb") as file:
            elf = ELFFile(file)
            symbols = elf.get_section_by_name(".symtab")
            assert isinstance(symbols, SymbolTableSection)
            symbol = (symbols.get_symbol_by_name("probe") or [])[0]
            data: bytes = elf.get_section(symbol["st_shndx"]).data()[symbol["st_value"] :]
    width = 8
    return [
        int.from_bytes(data[i * width : (i + 1) * width], "little", signed=True)
        for i in range(len(expressions))
    ]
