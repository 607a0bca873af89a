# SPDX-License-Identifier: GPL-2.0-or-later
"""Faults stop at their instruction: kind, exact address, PC, and nothing of the instruction done."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from tests.usermode.core.machine import EXECUTE, PAGE, PC, READ, WRITE, Space, run
from usermode.machine import stops

RW, NONE, RW2, RO, RX = (n * PAGE for n in range(5))
PERMISSIONS = (READ | WRITE, 0, READ | WRITE, READ, READ | EXECUTE)
BAD = 4  # the offset of the instruction under test in PROGRAM
PROGRAM = "add x9, x9, #1\n{}\nadd x9, x9, #1\nbrk #0"


class Case(NamedTuple):
    """An instruction with x2 at `base` of the pages above; where, and by what access, it faults."""

    instruction: str
    base: int
    address: int
    access: int


R, W = stops.READ, stops.WRITE
CASES = [
    Case("ldr x3, [x2]", NONE, NONE, R),
    Case("ldrb w3, [x2]", NONE + 5, NONE + 5, R),
    Case("ldr x3, [x2], #8", NONE + 8, NONE + 8, R),
    Case("ldr x3, [x2, #16]!", NONE, NONE + 16, R),
    Case("ldr x2, [x2]", NONE, NONE, R),
    Case("str x3, [x2]", NONE, NONE, W),
    Case("str x3, [x2]", RO + 24, RO + 24, W),
    Case("str x3, [x2, #8]!", RO, RO + 8, W),
    Case("strb w3, [x2], #1", RO + 7, RO + 7, W),
    Case("str x3, [x2]", RX, RX, W),
    Case("ldp x3, x4, [x2]", NONE, NONE, R),
    Case("ldp x3, x4, [x2]", NONE - 8, NONE, R),
    Case("ldp x2, x3, [x2]", NONE - 8, NONE, R),
    Case("ldp x3, x4, [x2], #16", NONE - 8, NONE, R),
    Case("stp x3, x4, [x2, #-16]!", NONE + 8, NONE, W),
    Case("ldr x3, [x2]", NONE - 3, NONE, R),
    Case("str x3, [x2]", NONE - 3, NONE, W),
    Case("str x3, [x2]", NONE + PAGE - 3, NONE + PAGE - 3, W),
    Case("ldr q0, [x2]", NONE - 8, NONE, R),
    Case("str q0, [x2]", NONE - 8, NONE, W),
    Case("ld1 {{v0.16b, v1.16b}}, [x2], #32", NONE - 16, NONE, R),
    Case("ldxr x3, [x2]", NONE, NONE, R),
    Case("ldar x3, [x2]", NONE, NONE, R),
    Case("stlr x3, [x2]", RO, RO, W),
    Case("ldadd x3, x4, [x2]", RO, RO, W),
    Case("ldadd x3, x4, [x2]", NONE, NONE, W),
    Case("cas x3, x4, [x2]", RO, RO, W),
    Case("casp x4, x5, x6, x7, [x2]", RO, RO, W),
    Case("swp x3, x4, [x2]", RO, RO, W),
    Case("ldsmaxb w3, w4, [x2]", RO + 1, RO + 1, W),
    Case("ldumin x3, x4, [x2]", NONE + 8, NONE + 8, W),
    Case("dc zva, x2", NONE, NONE, W),
    Case("dc zva, x2", RO, RO, W),
    Case("dc zva, x2", RX + 64, RX + 64, W),
]


@pytest.fixture
def pages(space: Space) -> int:
    address = space.map(len(PERMISSIONS) * PAGE, READ | WRITE)
    for index, permission in enumerate(PERMISSIONS):
        space.protect_host(address + index * PAGE, PAGE, permission)
    return address


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.instruction}@{case.base:#x}")
def test_data_fault(case: Case, space: Space, engine: Any, pages: int) -> None:
    code = space.code(PROGRAM.format(case.instruction.format()))
    before = space.peek(pages, len(PERMISSIONS) * PAGE)
    registers = {"x2": pages + case.base, "x3": 0x1111, "x4": 0x2222, "x5": 0x3333}
    assert run(engine, code, x9=0, **registers) == stops.FAULT
    assert engine.fault() == (pages + case.address, case.access)
    assert engine.get(PC) == code + BAD
    assert engine.get(9) == 1
    for name, value in registers.items():
        assert engine.get(int(name[1:])) == value, name
    if not case.instruction.startswith(("stp", "str q")):  # stored by halves: Arm ARM B2.2
        assert space.peek(pages, len(PERMISSIONS) * PAGE) == before

    page = pages + case.address & -PAGE
    space.protect_host(page, PAGE, READ | WRITE)
    assert engine.run() == stops.BREAKPOINT
    assert engine.get(9) == 2


@pytest.mark.parametrize(
    "address",
    [1 << 46, (1 << 47) + 8, 0x0000_F000_0000_0000, 0xFFFF_0000_0000_1000, 0xFFFF_FFFF_FFFF_FFF8],
    ids=hex,
)
@pytest.mark.parametrize("access", ["ldr", "str"])
def test_addresses_outside_the_guest(address: int, access: str, space: Space, engine: Any) -> None:
    code = space.code(PROGRAM.format(f"{access} x3, [x2]"))
    assert run(engine, code, x2=address) == stops.FAULT
    assert engine.fault() == (address, R if access == "ldr" else W)
    assert engine.get(PC) == code + BAD


def test_null(space: Space, engine: Any) -> None:
    code = space.code(PROGRAM.format("ldr x3, [x2]"))
    assert run(engine, code, x2=0) == stops.FAULT
    assert engine.fault() == (0, R)


TAG = 0xAA << 56


@pytest.mark.parametrize(
    "instruction",
    [
        "ldr x3, [x2]",
        "str x3, [x2]",
        "ldadd x3, x4, [x2]",
        "swp x3, x4, [x2]",
        "ldxr x3, [x2]\nstxr w5, x3, [x2]\ncbnz w5, .-8",
        "dc zva, x2",
        "ldp x3, x4, [x2]",
    ],
)
def test_tagged_addresses(instruction: str, space: Space, engine: Any, pages: int) -> None:
    code = space.code(PROGRAM.format(instruction))
    assert run(engine, code, x2=pages | TAG, x3=1, x9=0) == stops.BREAKPOINT
    assert engine.get(9) == 2
    assert run(engine, code, x2=(pages + NONE) | TAG) == stops.FAULT
    assert engine.fault()[0] == pages + NONE  # without the tag, as the kernel reports it


def test_many_tagged_addresses_of_one_instruction(space: Space, engine: Any, pages: int) -> None:
    """The instruction is translated for them once; its neighbours with untagged ones go on as they are."""
    loop = "1: ldr x4, [x2]\nadd x4, x4, #1\nstr x4, [x2]\nldr x5, [x6]\nsubs x3, x3, #1\nb.ne 1b\nbrk #0"
    code = space.code(loop)
    space.word(pages, 0)
    assert run(engine, code, x2=pages | TAG, x3=10000, x6=pages) == stops.BREAKPOINT
    assert (space.word(pages), engine.get(5)) == (10000, 10000)


@pytest.mark.parametrize(
    "instructions",
    [
        "ldr x3, [x2]\nmov x3, #1",
        "ldrb w3, [x2]\nmov w3, #1",
        "ldrsw x3, [x2]\nmov x3, #1",
        "ldr xzr, [x2]",
        "ldp x3, x4, [x2]\nmov x3, #1\nmov x4, #1",
        "ldp xzr, x4, [x2, #-8]",
        "ldp x3, xzr, [x2, #-8]\nmov x3, #1",
        "ldr x3, [x2], #8\nmov x3, #1",
        "ldr d0, [x2]\nmovi d0, #0",
        "ldr q0, [x2, #-8]\nmovi v0.2d, #0",
    ],
)
def test_loads_of_what_nobody_uses_fault(
    instructions: str, space: Space, engine: Any, pages: int
) -> None:
    """They look whether something is there: Go's checks for nil, HotSpot's polls."""
    code = space.code(PROGRAM.format(instructions))
    assert run(engine, code, x2=pages + NONE, x9=0) == stops.FAULT
    assert engine.fault() == (pages + NONE, R)
    assert (engine.get(PC), engine.get(9)) == (code + BAD, 1)


def test_registers_are_those_before_the_fault(space: Space, engine: Any, pages: int) -> None:
    """In a block that changes them between accesses, one after the other, near to each other."""
    source = "\n".join(f"add x{r}, x{r}, #1\nstr x{r}, [x2, #{8 * r}]" for r in range(3, 20))
    code = space.code(f"{source}\nbrk #0")
    begin = pages + NONE - 8 * 12  # the store of x12 is the first that faults
    assert run(engine, code, x2=begin, **{f"x{r}": r for r in range(3, 20)}) == stops.FAULT
    assert engine.fault() == (pages + NONE, W)
    assert engine.get(PC) == code + 8 * (12 - 3) + 4
    assert [engine.get(r) for r in range(3, 20)] == [r + (r <= 12) for r in range(3, 20)]
    assert [space.word(begin + 8 * r) for r in range(3, 12)] == [r + 1 for r in range(3, 12)]


def test_first_half_of_a_pair_may_be_stored(space: Space, engine: Any, pages: int) -> None:
    code = space.code(PROGRAM.format("stp x3, x4, [x2]"))
    assert run(engine, code, x2=pages + NONE - 8, x3=7, x4=8) == stops.FAULT
    assert engine.fault() == (pages + NONE, W)
    space.protect_host(pages + NONE, PAGE, READ | WRITE)
    assert engine.run() == stops.BREAKPOINT
    assert (space.word(pages + NONE - 8), space.word(pages + NONE)) == (7, 8)


@pytest.mark.parametrize(
    "instruction", ["dc cvau, x2", "dc civac, x2", "ic ivau, x2", "prfm pldl1keep, [x2]"]
)
def test_hints_never_fault(instruction: str, space: Space, engine: Any, pages: int) -> None:
    code = space.code(PROGRAM.format(instruction))
    assert run(engine, code, x2=pages + NONE, x9=0) == stops.BREAKPOINT
    assert engine.get(9) == 2


def test_store_exclusive_without_monitor_does_not_fault(
    space: Space, engine: Any, pages: int
) -> None:
    code = space.code(PROGRAM.format("stxr w5, x3, [x2]"))
    assert run(engine, code, x2=pages + RO) == stops.BREAKPOINT
    assert engine.get(5) == 1


# Branches. PC is the target, LR is written.


@pytest.mark.parametrize("offset", [RW, NONE + 16, RO])
@pytest.mark.parametrize("branch", ["br", "blr", "ret"])
def test_branch_to_what_is_no_code(
    branch: str, offset: int, space: Space, engine: Any, pages: int
) -> None:
    code = space.code(PROGRAM.format(f"{branch} x2"))
    assert run(engine, code, x2=pages + offset, x9=0) == stops.FAULT
    assert engine.fault() == (pages + offset, stops.EXECUTE)
    assert (engine.get(PC), engine.get(9)) == (pages + offset, 1)
    if branch == "blr":
        assert engine.get(30) == code + BAD + 4


@pytest.mark.parametrize("address", [0x1000, 1 << 46, 0xFFFF_0000_0000_1000], ids=hex)
def test_branch_out_of_the_guest(address: int, space: Space, engine: Any) -> None:
    code = space.code(PROGRAM.format("br x2"))
    assert run(engine, code, x2=address) == stops.FAULT
    assert engine.fault() == (address, stops.EXECUTE)
    assert engine.get(PC) == address


def test_branch_to_a_tagged_address(space: Space, engine: Any) -> None:
    code = space.code("br x2\nadr x3, .\nbrk #0")
    assert run(engine, code, x2=code + 4 | TAG) == stops.BREAKPOINT
    assert engine.get(3) == code + 4  # PC holds no tag
    assert engine.get(PC) == code + 8
    assert run(engine, code, x2=0x1000 | TAG) == stops.FAULT
    assert engine.fault() == (0x1000, stops.EXECUTE)


def test_branch_to_a_misaligned_address(space: Space, engine: Any) -> None:
    code = space.code(PROGRAM.format("br x2"))
    assert run(engine, code, x2=code + 2) == stops.PC_ALIGNMENT
    assert engine.get(PC) == code + 2


def test_falling_into_a_page_that_is_no_code(space: Space, engine: Any) -> None:
    code = space.map(2 * PAGE, READ | EXECUTE)
    space.protect(code + PAGE, PAGE, READ)
    space.core.write(code + PAGE - 8, (0x91000529).to_bytes(4, "little") * 4)  # add x9, x9, #1
    assert run(engine, code + PAGE - 8, x9=0) == stops.FAULT
    assert engine.fault() == (code + PAGE, stops.EXECUTE)
    assert (engine.get(PC), engine.get(9)) == (code + PAGE, 2)


def test_execute_only_code_runs(space: Space, engine: Any) -> None:
    code = space.code("mov x3, #5\nbrk #0", EXECUTE)
    assert run(engine, code) == stops.BREAKPOINT
    assert engine.get(3) == 5


# What is no page fault.


@pytest.mark.parametrize(
    ("instruction", "offset"),
    [
        ("ldxr x3, [x2]", 3),
        ("ldar x3, [x2]", 4),
        ("ldarh w3, [x2]", 1),
        ("stlr w3, [x2]", 2),
        ("stlrh w3, [x2]", 7),
        ("ldlar x3, [x2]", 1),
        ("stllr x3, [x2]", 1),
        ("ldapr w3, [x2]", 5),
        ("ldapur x3, [x2, #-3]", 0),
        ("ldapursw x3, [x2, #2]", 8),
        ("stlur x3, [x2, #8]", 12),
        ("ldadd x3, x4, [x2]", 4),
        ("swp x3, x4, [x2]", 4),
        ("ldsmaxh w3, w4, [x2]", 1),
        ("cas x3, x4, [x2]", 2),
        ("casp x4, x5, x6, x7, [x2]", 8),
        ("ldxp x3, x4, [x2]", 8),
    ],
)
def test_misaligned(instruction: str, offset: int, space: Space, engine: Any, pages: int) -> None:
    code = space.code(PROGRAM.format(instruction))
    assert run(engine, code, x2=pages + offset, x9=0) == stops.ALIGNMENT
    assert (engine.get(PC), engine.get(9)) == (code + BAD, 1)


def test_breakpoint(space: Space, engine: Any) -> None:
    code = space.code("nop\nbrk #0x123")
    assert run(engine, code) == stops.BREAKPOINT
    assert engine.get(PC) == code + 4


@pytest.mark.parametrize(
    "instruction",
    [
        "udf #0",
        ".word 0xffffffff",
        "hvc #0",
        "smc #0",
        "hlt #0",
        "eret",
        "drps",
        "dcps1",
        "msr daifset, #2",
        "msr sctlr_el1, x3",
        "mrs x3, sctlr_el1",
        "mrs x3, midr_el1",
        "mrs x3, currentel",
        "msr tpidrro_el0, x3",
        "msr vbar_el1, x3",
        "tlbi vmalle1",
        "ic iallu",
        "dc isw, x3",
        "at s1e1r, x3",
    ],
)
def test_undefined_for_programs(instruction: str, space: Space, engine: Any) -> None:
    code = space.code(PROGRAM.format(instruction))
    assert run(engine, code, x9=0) == stops.UNDEFINED
    assert (engine.get(PC), engine.get(9)) == (code + BAD, 1)


def test_bti_is_a_hint(space: Space, engine: Any) -> None:
    code = space.code(
        "adr x2, 1f\nbr x2\n1: add x9, x9, #1\nbti jc\nbti c\npaciasp\nautiasp\nbrk #0"
    )
    assert run(engine, code, x9=0) == stops.BREAKPOINT
    assert engine.get(9) == 1
