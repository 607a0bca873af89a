# SPDX-License-Identifier: GPL-2.0-or-later
"""The signal frame that the core builds and takes back, read at the places that the guest's own headers give."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from tests.syscalls.probe import evaluate
from tests.usermode.core.machine import PAGE, READ, SP, WRITE, Space, set_mask
from tests.usermode.core.rows import CORE, configure, row

HEADERS = ("signal.h", "ucontext.h", "asm/sigcontext.h")
PLACES = {
    "info": "0",
    "link": "sizeof(siginfo_t) + offsetof(ucontext_t, uc_link)",
    "stack": "sizeof(siginfo_t) + offsetof(ucontext_t, uc_stack)",
    "mask": "sizeof(siginfo_t) + offsetof(ucontext_t, uc_sigmask)",
    "fault": "sizeof(siginfo_t) + offsetof(ucontext_t, uc_mcontext.fault_address)",
    "registers": "sizeof(siginfo_t) + offsetof(ucontext_t, uc_mcontext.regs)",
    "pstate": "sizeof(siginfo_t) + offsetof(ucontext_t, uc_mcontext.pstate)",
    "records": "sizeof(siginfo_t) + offsetof(ucontext_t, uc_mcontext.__reserved)",
    "end": "sizeof(siginfo_t) + sizeof(ucontext_t)",
    "fpsimd": "FPSIMD_MAGIC",
    "fpsimd_size": "sizeof(struct fpsimd_context)",
    "fpsr": "offsetof(struct fpsimd_context, fpsr)",
    "vectors": "offsetof(struct fpsimd_context, vregs)",
    "esr": "ESR_MAGIC",
    "esr_size": "sizeof(struct esr_context)",
}
SIGRETURN, RT_SIGRETURN = 139, 1
HANDLER, RESTORER, FAULT, ESR, MASK, BEFORE = 0x40_0000, 0x50_0000, 0x1234, 0x9200_0007, 0xF0, 0x5
SA_SIGINFO, SA_ONSTACK = 4, 0x0800_0000
SS_DISABLE, SS_AUTODISARM = 2, 1 << 31
TO_PYTHON = -4096
STATE = struct.Struct("<34Q2I512sQ")


@pytest.fixture(autouse=True)
def open_mask(core: ModuleType) -> Iterator[None]:
    """The host's mask follows the guest's: these tests' thread goes on without one."""
    yield
    set_mask(core, 0)


@pytest.fixture(scope="module")
def place() -> dict[str, int]:
    return dict(zip(PLACES, evaluate("aarch64", HEADERS, list(PLACES.values())), strict=True))


@pytest.fixture
def stack(space: Space) -> int:
    """The end of 16 KiB."""
    return space.map(4 * PAGE, READ | WRITE) + 4 * PAGE


def fill(engine: Any, sp: int) -> bytes:
    """Give every register a value of its own; returns the state."""
    words = [0x1000 + i for i in range(31)] + [sp, 0x60_0000, 0xA000_0000]
    vectors = bytes(0x80 + i // 16 for i in range(512))
    engine.restore(STATE.pack(*words, 0x0800_0001, 0x0100_0000, vectors, 7))
    engine.set_blocked(BEFORE)
    state: bytes = engine.snapshot()
    return state


def enter(engine: Any, flags: int = SA_SIGINFO, fault: int = 0, esr: int = 0) -> Any:
    info = struct.pack("<iii", 10, 0, -6).ljust(128, b"i")
    return engine.enter_handler(info, HANDLER, flags, RESTORER, MASK, fault, esr)


def test_frame(core: ModuleType, engine: Any, stack: int, place: dict[str, int]) -> None:
    state = fill(engine, stack)
    assert enter(engine, fault=FAULT, esr=ESR)
    frame = engine.get(SP)
    content = core.read(frame, stack - frame)

    def word(name: str, index: int = 0) -> int:
        found: int = struct.unpack_from("<Q", content, place[name] + 8 * index)[0]
        return found

    assert frame % 16 == 0
    assert content[:128] == struct.pack("<iii", 10, 0, -6).ljust(128, b"i")
    assert (word("link"), word("mask"), word("fault")) == (0, BEFORE, FAULT)
    assert struct.unpack_from("<QiiQ", content, place["stack"]) == (0, SS_DISABLE, 0, 0)
    registers = content[place["registers"] : place["pstate"] + 8]
    assert registers == state[: 34 * 8]
    records = content[place["records"] :]
    assert struct.unpack_from("<II", records) == (place["fpsimd"], place["fpsimd_size"])
    assert records[place["fpsr"] : place["fpsimd_size"]] == state[34 * 8 : -8]
    esr = struct.unpack_from("<IIQ", records, place["fpsimd_size"])
    assert esr == (place["esr"], place["esr_size"], ESR)
    assert struct.unpack_from("<II", records, place["fpsimd_size"] + place["esr_size"]) == (0, 0)
    record = engine.get(29)
    assert record >= frame + place["end"]
    assert struct.unpack("<QQ", core.read(record, 16)) == (0x1000 + 29, 0x1000 + 30)
    ucontext = frame + 128
    assert [engine.get(i) for i in (0, 1, 2, 3)] == [10, frame, ucontext, 0x1003]
    assert (engine.get(30), engine.get(32), engine.blocked) == (RESTORER, HANDLER, MASK)


def test_and_back(core: ModuleType, engine: Any, stack: int) -> None:
    configure(core, {SIGRETURN: row(CORE, RT_SIGRETURN)})
    for fault, esr in ((0, 0), (FAULT, ESR)):
        state = fill(engine, stack)
        assert enter(engine, 0, fault, esr)
        frame = engine.get(SP)
        engine.restore(STATE.pack(*range(31), frame, 4, 0, 0, 0, bytes(512), 7))
        assert engine.pass_through(SIGRETURN) == 0x1000
        assert engine.snapshot() == state
        assert engine.blocked == BEFORE


def test_broken_frames(
    core: ModuleType, engine: Any, stack: int, place: dict[str, int], space: Space
) -> None:
    configure(core, {SIGRETURN: row(CORE, RT_SIGRETURN)})
    fill(engine, stack)
    assert enter(engine)
    frame = engine.get(SP)
    whole = core.read(frame, stack - frame)
    first = frame + place["records"]
    for wrong in (
        struct.pack("<II", 0, 0),  # no record of the vectors
        struct.pack("<II", place["fpsimd"], place["fpsimd_size"] + 16),
        struct.pack("<II", place["esr"], 0),  # would never end
        struct.pack("<II", place["esr"], 24),
        struct.pack("<II", place["esr"], 4096),
        struct.pack("<II", 0x12345678, 16),
    ):
        core.write(first, wrong)
        assert engine.pass_through(SIGRETURN) == TO_PYTHON
        core.write(frame, whole)
    twice = core.read(first, place["fpsimd_size"])
    core.write(first + place["fpsimd_size"], twice)
    assert engine.pass_through(SIGRETURN) == TO_PYTHON
    for sp in (frame + 8, stack, 0, 1 << 63):
        engine.set(SP, sp)
        assert engine.pass_through(SIGRETURN) == TO_PYTHON
    assert engine.blocked == MASK


def test_alternate_stack(core: ModuleType, engine: Any, stack: int, space: Space) -> None:
    configure(core, {SIGRETURN: row(CORE, RT_SIGRETURN)})
    start = space.map(4 * PAGE, READ | WRITE)
    end = start + 4 * PAGE
    for flags in (0, SS_AUTODISARM):
        fill(engine, stack)
        engine.altstack = (start, flags, 4 * PAGE)
        assert enter(engine, 0)
        assert stack - 4 * PAGE < engine.get(SP) < stack
        fill(engine, stack)
        engine.altstack = (start, flags, 4 * PAGE)
        assert enter(engine, SA_ONSTACK)
        assert start < engine.get(SP) < end
        assert engine.altstack == ((0, SS_DISABLE, 0) if flags else (start, 0, 4 * PAGE))
        inner = engine.get(SP)
        assert enter(engine, SA_ONSTACK)
        assert engine.get(SP) < inner
        for _ in range(2):
            assert engine.pass_through(SIGRETURN) is not None
        assert engine.altstack == (start, flags, 4 * PAGE)


def test_no_room(engine: Any, stack: int) -> None:
    state = fill(engine, stack - 4 * PAGE + 4096)
    assert not enter(engine)
    assert engine.snapshot() == state
    assert engine.blocked == BEFORE
    fill(engine, 0)
    assert not enter(engine)
