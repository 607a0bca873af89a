# SPDX-License-Identifier: GPL-2.0-or-later
"""Atomics and barriers between two engines, which Unicorn by itself gives no meaning.

With the stock library every test of two threads fails: counters lose a twentieth to a quarter of their updates, and
store buffering with `dmb ish` shows the forbidden outcome in 1 of 3,000 rounds, with STLR and LDAR in 1 of 20.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest

from tests.usermode.core.machine import PAGE, READ, WRITE, Space, assemble, opened, run, together
from usermode.machine import stops

ROUNDS = 200_000
RESULT = "brk #0"

LDXR = "1: ldxr x3, [x2]\nadd x3, x3, #1\nstxr w5, x3, [x2]\ncbnz w5, 1b"
LDADD = "mov x3, #1\n1: ldadd x3, x4, [x2]"
CAS = "1: ldr x3, [x2]\nmov x4, x3\nadd x5, x3, #1\ncas x4, x5, [x2]\ncmp x3, x4\nb.ne 1b"
LDXP = "1: ldxp x3, x4, [x2]\nadd x3, x3, #1\nadd x4, x4, #1\nstxp w5, x3, x4, [x2]\ncbnz w5, 1b"
CASP = (
    "1: ldp x4, x5, [x2]\nmov x10, x4\nmov x11, x5\nadd x6, x4, #1\nadd x7, x5, #1\n"
    "casp x4, x5, x6, x7, [x2]\ncmp x4, x10\nccmp x5, x11, #0, eq\nb.ne 1b"
)
# A lock by SWP around a plain counter.
SWP = (
    "mov w3, #1\n1: swpa w3, w4, [x2]\ncbnz w4, 1b\n"
    "ldr x6, [x2, #8]\nadd x6, x6, #1\nstr x6, [x2, #8]\nstlr wzr, [x2]"
)


def loop(body: str) -> str:
    return f"0: {body}\nsubs x9, x9, #1\nb.ne 0b\n{RESULT}"


def run_in_threads(core: ModuleType, *starts: dict[str, int]) -> list[Any]:
    """Run one engine a thread, each from its `pc` to a BRK. Returns the x registers of each."""
    results: list[Any] = [None] * len(starts)

    def body(index: int) -> None:
        for engine in opened(core):
            assert run(engine, **starts[index]) == stops.BREAKPOINT
            results[index] = [engine.get(i) for i in range(31)]

    together(*(lambda i=i: body(i) for i in range(len(starts))))
    return results


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (LDXR, LDXR),
        (LDADD, LDADD),
        (CAS, CAS),
        (LDXP, LDXP),
        (CASP, CASP),
        (LDXR, LDADD),
        (CAS, LDADD),
        (SWP, SWP),
    ],
    ids=["ldxr", "ldadd", "cas", "ldxp", "casp", "ldxr-ldadd", "cas-ldadd", "swp"],
)
def test_counters(first: str, second: str, core: ModuleType, space: Space) -> None:
    data = space.map(PAGE, READ | WRITE)
    codes = [space.code(loop(body)) for body in (first, second)]
    run_in_threads(core, *({"pc": code, "x2": data, "x9": ROUNDS} for code in codes))
    counters = {LDXP: (0, 8), CASP: (0, 8), SWP: (8,)}.get(first, (0,))
    assert [space.word(data + offset) for offset in counters] == [2 * ROUNDS] * len(counters)


@pytest.mark.parametrize("size", ["b", "h", ""])
@pytest.mark.parametrize(("name", "start", "step"), [("ldumax", 0, 1), ("ldumin", -1, -1)])
def test_maximum_never_falls(
    name: str, start: int, step: int, size: str, core: ModuleType, space: Space
) -> None:
    """Each thread raises its value; the old one that comes back is never below what it wrote before."""
    bits = {"b": 8, "h": 16, "": 64}[size]
    count = min(1 << bits, ROUNDS) - 2
    word = "x" if bits == 64 else "w"
    condition = "b.lo" if step > 0 else "b.hi"
    body = (
        f"0: {name}{size} {word}3, {word}4, [x2]\ncmp {word}4, {word}6\n{condition} 2f\n"
        f"mov x6, x3\nadd x3, x3, x7\nsubs x9, x9, #1\nb.ne 0b\n{RESULT}\n2: mov x0, #1\n{RESULT}"
    )
    data = space.map(PAGE, READ | WRITE)
    first = start & (1 << bits) - 1
    space.word(data, first)
    registers = {"x2": data, "x3": first, "x6": first, "x7": step, "x9": count, "x0": 0}
    code = space.code(body)
    results = run_in_threads(core, {"pc": code, **registers}, {"pc": code, **registers})
    assert [x[0] for x in results] == [0, 0]


def signed(value: int, bits: int) -> int:
    return value - (1 << bits) if value >> bits - 1 else value


OPERATIONS = {
    "ldadd": lambda a, b, bits: a + b,
    "ldclr": lambda a, b, bits: a & ~b,
    "ldeor": lambda a, b, bits: a ^ b,
    "ldset": lambda a, b, bits: a | b,
    "swp": lambda a, b, bits: b,
    "ldumax": lambda a, b, bits: max(a, b),
    "ldumin": lambda a, b, bits: min(a, b),
    "ldsmax": lambda a, b, bits: max(a, b, key=lambda v: signed(v, bits)),
    "ldsmin": lambda a, b, bits: min(a, b, key=lambda v: signed(v, bits)),
}
VALUES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0x8000, 0x7FFF_FFFF, 0x8000_0000, 1 << 63, (1 << 64) - 1)


@pytest.mark.parametrize("name", OPERATIONS)
def test_results(name: str, space: Space, engine: Any) -> None:
    """The old value is zero-extended into the register; only the bytes of the access change."""
    data = space.map(PAGE, READ | WRITE)
    for suffix, word, bits in (("b", "w", 8), ("h", "w", 16), ("", "w", 32), ("", "x", 64)):
        code = space.code(f"{name}{suffix} {word}3, {word}4, [x2]\n{RESULT}")
        mask = (1 << bits) - 1
        for a in VALUES:
            for b in VALUES:
                space.word(data, a)
                assert run(engine, code, x2=data, x3=b, x4=-1) == stops.BREAKPOINT
                assert engine.get(4) == a & mask, (name, bits, hex(a), hex(b))
                new = OPERATIONS[name](a & mask, b & mask, bits) & mask
                assert space.word(data) == a & ~mask | new, (name, bits, hex(a), hex(b))


# Store buffering: both threads store, then load what the other stores. Both loads giving the old value is forbidden.

LITMUS_ROUNDS = 20_000
LINE = 128
# x2 own flags, x3 the other's, x4 own variables, x5 the other's, x6 results, x9 rounds, x10 the round's number
LITMUS = """
0: add x10, x10, #1
str x10, [x2]
mov x12, #1000
1: ldr x11, [x3]
cmp x11, x10
b.hs 2f
subs x12, x12, #1 // the other thread may not be running
b.ne 1b
2: mov x12, #1
{}
str x13, [x6], #8
add x4, x4, #128
add x5, x5, #128
subs x9, x9, #1
b.ne 0b
brk #0
"""
DMB = "str x12, [x4]\ndmb ish\nldr x13, [x5]"
DSB = "str x12, [x4]\ndsb ish\nldr x13, [x5]"
STLR_LDAR = "stlr x12, [x4]\nldar x13, [x5]"


@pytest.mark.parametrize("body", [DMB, DSB, STLR_LDAR], ids=["dmb", "dsb", "stlr-ldar"])
def test_store_buffering(body: str, core: ModuleType, space: Space) -> None:
    code = space.code(LITMUS.format(body))
    flags = [space.map(PAGE, READ | WRITE) for _ in range(2)]
    variables = [space.map(LITMUS_ROUNDS * LINE, READ | WRITE) for _ in range(2)]
    results = [space.map(LITMUS_ROUNDS * 8, READ | WRITE) for _ in range(2)]

    def start(own: int, other: int) -> dict[str, int]:
        return {
            "pc": code, "x2": flags[own], "x3": flags[other], "x4": variables[own],
            "x5": variables[other], "x6": results[own], "x9": LITMUS_ROUNDS, "x10": 0,
        }  # fmt: skip

    run_in_threads(core, start(0, 1), start(1, 0))
    seen = [memoryview(core.read(at, LITMUS_ROUNDS * 8)).cast("Q") for at in results]
    outcomes = list(zip(*seen, strict=True))
    assert outcomes.count((0, 0)) == 0
    assert len(set(outcomes)) > 1, "the threads never met"


def test_barriers_are_generated(space: Space, engine: Any) -> None:
    """Every kind of DMB, DSB and ISB runs, and a load between a STLR and an LDAR sees its own store."""
    kinds = "\n".join(
        f"{op} {domain}"
        for op in ("dmb", "dsb")
        for domain in ("ish", "ishld", "ishst", "sy", "ld", "st", "osh", "nsh")
    )
    data = space.map(PAGE, READ | WRITE)
    code = space.code(f"{kinds}\nisb\nstlr x3, [x2]\nldr x4, [x2]\nldar x5, [x2]\nbrk #0")
    assert run(engine, code, x2=data, x3=9) == stops.BREAKPOINT
    assert (engine.get(4), engine.get(5)) == (9, 9)


def test_exclusive_pair_needs_its_monitor(space: Space, engine: Any) -> None:
    data = space.map(PAGE, READ | WRITE)
    code = space.code(
        "ldxr x3, [x2]\nclrex\nstxr w4, x3, [x2]\nstxr w5, x3, [x2]\n"
        "ldxr x3, [x2]\nstxr w6, x3, [x2]\nldxr x3, [x2]\nadd x7, x2, #64\nstxr w8, x3, [x7]\nbrk #0"
    )
    assert run(engine, code, x2=data) == stops.BREAKPOINT
    assert [engine.get(i) for i in (4, 5, 6, 8)] == [1, 1, 0, 1]


def test_assembler_is_cached() -> None:
    assert assemble("nop") == bytes.fromhex("1f2003d5")
