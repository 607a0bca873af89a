# SPDX-License-Identifier: GPL-2.0-or-later
"""Accesses that the page table permits and the host refuses: SIGBUS behind a file's end, at the very instruction."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from syscalls.host.x86_64 import NUMBERS
from tests.usermode.core.machine import EXECUTE, PAGE, PC, READ, WRITE, Space, run
from usermode.machine import stops

BAD = 4
PROGRAM = "add x9, x9, #1\n{}\nadd x9, x9, #1\nbrk #0"
INSTRUCTIONS = [
    ("ldr x3, [x2]", stops.READ),
    ("ldr x3, [x2], #8", stops.READ),
    ("ldrsw x3, [x2]", stops.READ),
    ("ldrsb x3, [x2, #1]!", stops.READ),
    ("ldp x3, x4, [x2], #16", stops.READ),
    ("ldr q0, [x2]", stops.READ),
    ("ldxr x3, [x2]", stops.READ),
    ("ldar x3, [x2]", stops.READ),
    ("str x3, [x2]", stops.WRITE),
    ("str x3, [x2, #8]!", stops.WRITE),
    ("stp x3, x4, [x2, #16]!", stops.WRITE),
    ("str q0, [x2]", stops.WRITE),
    ("stlr x3, [x2]", stops.WRITE),
    ("ldadd x3, x4, [x2]", stops.WRITE),
    ("ldclrb w3, w4, [x2]", stops.WRITE),
    ("swp x3, x4, [x2]", stops.WRITE),
    ("ldsmax x3, x4, [x2]", stops.WRITE),
    ("cas x3, x4, [x2]", stops.WRITE),
    ("casp x4, x5, x6, x7, [x2]", stops.WRITE),
    ("dc zva, x2", stops.WRITE),
]
READS_FIRST = ("cas", "casp", "ldclr", "ldsmax")
"""Of these the host may do a load before the store: either is a fault of the instruction."""


@pytest.fixture
def file(tmp_path: Path) -> Iterator[int]:
    """A file of two pages."""
    fd = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT)
    os.ftruncate(fd, 2 * PAGE)
    yield fd
    os.close(fd)


@pytest.mark.parametrize("cached", [False, True], ids=["first access", "cached permission"])
@pytest.mark.parametrize(("instruction", "access"), INSTRUCTIONS)
def test_data_behind_the_end(
    instruction: str, access: int, cached: bool, file: int, space: Space, engine: Any
) -> None:
    code = space.code(PROGRAM.format(instruction))
    page = space.map(2 * PAGE, READ | WRITE, file) + PAGE
    if cached:  # the engine's TLB knows the page before the file shrinks
        touch = space.code("ldr x0, [x2]\nstr x0, [x2]\nbrk #0")
        assert run(engine, touch, x2=page) == stops.BREAKPOINT
    os.ftruncate(file, PAGE)
    registers = {"x2": page + 64, "x3": 0x1111, "x4": 0x2222, "x5": 0x3333}
    assert run(engine, code, x9=0, **registers) == stops.BUS
    assert engine.get(PC) == code + BAD
    assert engine.get(9) == 1
    for name, value in registers.items():
        assert engine.get(int(name[1:])) == value, name
    address, kind = engine.fault()
    offset = {"ldrsb x3, [x2, #1]!": 1, "str x3, [x2, #8]!": 8, "stp x3, x4, [x2, #16]!": 16}
    assert address == page + 64 + offset.get(instruction, 0)
    assert kind == access or (kind == stops.READ and instruction.startswith(READS_FIRST))

    os.ftruncate(file, 2 * PAGE)
    assert engine.run() == stops.BREAKPOINT
    assert engine.get(9) == 2


def test_many_in_one_block(file: int, space: Space, engine: Any) -> None:
    """The instruction is found among many accesses of one block, each of which the TLB knows or not."""
    good = space.map(PAGE, READ | WRITE)
    page = space.map(2 * PAGE, READ | WRITE, file) + PAGE
    os.ftruncate(file, PAGE)
    for index in range(8):
        body = ["ldr x3, [x1]", "str x3, [x1, #8]", "add x9, x9, #1"] * 8
        body[3 * index] = "ldr x3, [x2]" if index % 2 else "ldadd x3, x4, [x2]"
        code = space.code("\n".join(body))
        assert run(engine, code, x1=good, x2=page, x9=0) == stops.BUS
        assert (engine.get(PC), engine.get(9)) == (code + 12 * index, index)


def test_code_behind_the_end(file: int, space: Space, engine: Any) -> None:
    page = space.map(2 * PAGE, READ | EXECUTE, file) + PAGE
    space.core.write(page, (0x91000529).to_bytes(4, "little") + (0xD4200000).to_bytes(4, "little"))
    os.ftruncate(file, PAGE)
    code = space.code("blr x2")
    assert run(engine, code, x2=page, x9=0) == stops.BUS
    assert engine.fault() == (page, stops.EXECUTE)
    assert (engine.get(PC), engine.get(30)) == (page, code + 4)
    os.ftruncate(file, 2 * PAGE)
    space.core.write(page, (0x91000529).to_bytes(4, "little") + (0xD4200000).to_bytes(4, "little"))
    assert engine.run() == stops.BREAKPOINT
    assert engine.get(9) == 1


def test_host_page_gone(space: Space, engine: Any, core: ModuleType) -> None:
    """The host's rights are tighter than the table says, as for a moment during an munmap(2) in another thread."""
    page = space.map(PAGE, READ | WRITE)
    code = space.code(PROGRAM.format("str x3, [x2]"))
    core.host_call(NUMBERS["mprotect"], page, PAGE, 1)
    assert run(engine, code, x2=page, x9=0) == stops.FAULT
    assert engine.fault() == (page, stops.WRITE)
    assert (engine.get(PC), engine.get(9)) == (code + BAD, 1)
    core.host_call(NUMBERS["mprotect"], page, PAGE, 3)
    assert engine.run() == stops.BREAKPOINT


def test_ten_thousand_in_turn(file: int, space: Space, engine: Any) -> None:
    """A fault leaves nothing behind: no stack, no block, no mask."""
    page = space.map(2 * PAGE, READ | WRITE, file) + PAGE
    os.ftruncate(file, PAGE)
    code = space.code("ldr x3, [x2]")
    for _ in range(10_000):
        assert run(engine, code, x2=page) == stops.BUS


def test_copies_fail(file: int, space: Space, core: ModuleType) -> None:
    page = space.map(2 * PAGE, READ | WRITE, file) + PAGE
    os.ftruncate(file, PAGE)
    for attempt in (
        lambda: core.read(page, 8),
        lambda: core.read(page - 8, 16),
        lambda: core.write(page, b"x"),
        lambda: core.read_string(page),
    ):
        with pytest.raises(OSError, match="Bad address"):
            attempt()
