# SPDX-License-Identifier: GPL-2.0-or-later
"""Registers: by index, as a whole, and those that tell of time and caches."""

from __future__ import annotations

import random
import time
from struct import Struct
from typing import Any

import pytest

from tests.usermode.core.machine import PAGE, PC, READ, SP, WRITE, Space, run
from usermode.machine import stops

SNAPSHOT = Struct("<34QII512sQ")  # x0…x30, sp, pc, pstate; fpsr, fpcr; v0…v31; tpidr_el0
NZCV = 0xF << 28


def test_by_index(engine: Any) -> None:
    for index in range(33):
        engine.set(index, index * 0x1234_5678_9ABC)
    assert [engine.get(index) for index in range(33)] == [i * 0x1234_5678_9ABC for i in range(33)]
    engine.set(3, -1)
    assert engine.get(3) == (1 << 64) - 1
    for wrong in (-1, 33, 1 << 40):
        with pytest.raises(IndexError):
            engine.get(wrong)
        with pytest.raises(IndexError):
            engine.set(wrong, 0)
    with pytest.raises(TypeError):
        engine.set(3, "x")


def test_snapshot_and_restore(engine: Any) -> None:
    chance = random.Random(1)
    words = [chance.getrandbits(64) for _ in range(33)]
    vectors = chance.randbytes(512)
    for nzcv in range(16):
        pstate = nzcv << 28
        fpsr, fpcr = 0x0800_009F, 0x07C8_0000 & chance.getrandbits(32)
        state = SNAPSHOT.pack(*words, pstate, fpsr, fpcr, vectors, 0x1234_5678_9ABC_DEF0)
        engine.restore(state)
        assert engine.snapshot() == state
    assert engine.get(SP) == words[31]
    assert engine.get(PC) == words[32]


def test_only_flags_of_pstate_are_restored(space: Space, engine: Any) -> None:
    state = list(SNAPSHOT.unpack(engine.snapshot()))
    state[33] = (1 << 64) - 1
    engine.restore(SNAPSHOT.pack(*state))
    assert SNAPSHOT.unpack(engine.snapshot())[33] == NZCV
    code = space.code("mrs x3, currentel\nbrk #0")
    assert run(engine, code) == stops.UNDEFINED  # still EL0


@pytest.mark.parametrize("wrong", [b"", bytes(SNAPSHOT.size - 1), bytes(SNAPSHOT.size + 1), "x"])
def test_restore_refuses_other_sizes(wrong: Any, engine: Any) -> None:
    with pytest.raises(ValueError, match="bytes"):
        engine.restore(wrong)


def test_guest_and_snapshot_agree(space: Space, engine: Any) -> None:
    code = space.code(
        "cmp x1, x1\nmov x2, #0x3c00000\nmsr fpcr, x2\nfmov d5, #1.5\nmovi d6, #0\n"
        "fdiv d7, d5, d6\nmsr tpidr_el0, x1\nmrs x10, nzcv\nmrs x11, fpcr\nmrs x12, fpsr\n"
        "mrs x13, tpidr_el0\nbrk #0"
    )
    assert run(engine, code, x1=0x77) == stops.BREAKPOINT
    state = SNAPSHOT.unpack(engine.snapshot())
    assert state[33] == engine.get(10) == 0x6000_0000
    assert state[35] == engine.get(11) == 0x3C0_0000
    assert state[34] == engine.get(12) == 0x2  # DZC
    assert state[37] == engine.get(13) == 0x77
    assert state[36][5 * 16 : 5 * 16 + 8] == Struct("<d").pack(1.5)


def test_rounding_mode_is_restored(space: Space, engine: Any) -> None:
    """FPCR works after restore(), not only reads back."""
    code = space.code("fdiv d2, d0, d1\nfmov x3, d2\nbrk #0")
    state = list(SNAPSHOT.unpack(engine.snapshot()))
    state[36] = Struct("<d8xd8x").pack(1.0, 3.0).ljust(512, b"\0")
    results = []
    for mode in (1, 2):  # to plus infinity, to minus infinity
        state[35] = mode << 22
        engine.restore(SNAPSHOT.pack(*state))
        assert run(engine, code) == stops.BREAKPOINT
        results.append(engine.get(3))
    assert results[0] == results[1] + 1


def test_constants(space: Space, engine: Any) -> None:
    code = space.code(
        "mrs x3, ctr_el0\nmrs x4, dczid_el0\nmrs x5, cntfrq_el0\nmrs x6, tpidrro_el0\nbrk #0"
    )
    assert run(engine, code) == stops.BREAKPOINT
    ctr = engine.get(3)
    assert (ctr & 0xF, ctr >> 16 & 0xF) == (
        4,
        4,
    )  # lines of 64 bytes: what the core invalidates by IC IVAU
    assert engine.get(4) == 4  # DC ZVA is permitted and clears 64 bytes
    assert engine.get(5) == 62_500_000
    assert engine.get(6) == 0


def test_dc_zva_clears_its_block(space: Space, engine: Any) -> None:
    page = space.map(PAGE, READ | WRITE)
    space.core.write(page, b"\xff" * PAGE)
    code = space.code("dc zva, x2\nbrk #0")
    assert run(engine, code, x2=page + 128 + 17) == stops.BREAKPOINT
    assert space.core.read(page, PAGE) == b"\xff" * 128 + bytes(64) + b"\xff" * (PAGE - 192)


def test_counter_follows_the_clock(space: Space, engine: Any) -> None:
    """CNTVCT_EL0 counts CLOCK_MONOTONIC at the frequency that CNTFRQ_EL0 tells."""
    code = space.code("isb\nmrs x3, cntvct_el0\nbrk #0")
    pairs = []
    for _ in range(2):
        before = time.monotonic_ns()
        assert run(engine, code) == stops.BREAKPOINT
        after = time.monotonic_ns()
        pairs.append((before // 16, engine.get(3), after // 16 + 1))
        time.sleep(0.01)
    for before, counter, after in pairs:
        assert before <= counter <= after
