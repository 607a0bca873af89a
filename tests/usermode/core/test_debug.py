# SPDX-License-Identifier: GPL-2.0-or-later
"""What a debugger needs of the engine: single steps, breakpoints, watchpoints, stops by another thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import pytest

from tests.usermode.core.machine import PC, READ, WRITE, Space, run
from usermode.machine import stops

EXIT = "mov x8, #600\nsvc #0\n"
CALL = 600


@contextmanager
def breakpoint_at(core: ModuleType, address: int) -> Iterator[None]:
    assert core.set_breakpoint(address, True)
    yield
    assert core.set_breakpoint(address, False)


@contextmanager
def watchpoint(core: ModuleType, address: int, size: int, permission: int) -> Iterator[None]:
    assert core.set_watchpoint(address, size, permission, True)
    yield
    assert core.set_watchpoint(address, size, permission, False)


def step(engine: Any) -> Any:
    engine.step(True)
    stop = engine.run()
    engine.step(False)
    return stop


def test_steps_one_instruction_at_a_time(core: ModuleType, engine: Any, space: Space) -> None:
    code = space.code(
        "mov x0, #1\nadd x0, x0, #1\nb 1f\nnop\n1: cbz x0, 2f\nldr x1, [x2]\n2: nop\n"
    )
    data = space.map(8, READ)
    engine.set(PC, code)
    engine.set(2, data)
    seen = []
    for _ in range(5):
        assert step(engine) == stops.STEP
        seen.append(engine.get(PC) - code)
    assert seen == [4, 8, 16, 20, 24]
    assert engine.get(0) == 2


def test_a_stepped_system_call_is_answered_first(engine: Any, space: Space) -> None:
    code = space.code(EXIT + "nop")
    engine.set(PC, code + 4)
    engine.set(8, CALL)
    assert step(engine)[0] == CALL
    assert engine.get(PC) == code + 8


def test_steps_leave_other_stops_alone(engine: Any, space: Space) -> None:
    code = space.code(".inst 0\nbrk #0\nldr x1, [x2]\n")
    for offset, reason in ((0, stops.UNDEFINED), (4, stops.BREAKPOINT), (8, stops.FAULT)):
        engine.set(PC, code + offset)
        engine.set(2, 0x20000)
        assert step(engine) == reason
        assert engine.get(PC) == code + offset


def test_steps_and_runs_mix(engine: Any, space: Space) -> None:
    """Blocks translated for steps are not used by runs, nor the other way round."""
    code = space.code("mov x0, #0\n1: add x0, x0, #1\ncmp x0, #50\nb.ne 1b\n" + EXIT)
    for _ in range(3):
        engine.set(PC, code)
        for _ in range(7):
            assert step(engine) == stops.STEP
        assert engine.get(0) == 2
        assert engine.run()[0] == CALL
        assert engine.get(0) == 50


def test_exclusives_succeed_when_stepped(engine: Any, space: Space) -> None:
    """Else `next` over a line with such a loop would never end. What another thread stored makes them fail."""
    code = space.code("1: ldxr x0, [x1]\nadd x0, x0, #1\nstxr w2, x0, [x1]\ncbnz w2, 1b\n" + EXIT)
    word = space.map(8, READ | WRITE)
    engine.set(PC, code)
    engine.set(1, word)
    for _ in range(2):
        step(engine)
    space.word(word, 5)
    step(engine)
    assert engine.get(2) == 1
    for _ in range(4):
        step(engine)
    assert (engine.get(2), space.word(word)) == (0, 6)
    assert engine.run()[0] == CALL


def test_a_breakpoint_is_not_in_memory(core: ModuleType, engine: Any, space: Space) -> None:
    code = space.code("mov x0, #1\nmov x0, #2\nldr w3, [x2, #4]\n" + EXIT)
    plain = core.read(code, 8)
    assert run(engine, code, x2=code)[0] == CALL
    with breakpoint_at(core, code + 4):
        assert run(engine, code, x2=code) == stops.BREAKPOINT
        assert (engine.get(PC), engine.get(0)) == (code + 4, 1)
        assert core.read(code, 8) == plain
    assert engine.run()[0] == CALL
    assert engine.get(3).to_bytes(4, "little") == plain[4:]


def test_a_breakpoint_in_a_loop_hits_each_time(core: ModuleType, engine: Any, space: Space) -> None:
    code = space.code("mov x0, #0\n1: add x0, x0, #1\ncmp x0, #5\nb.ne 1b\n" + EXIT)
    engine.set(PC, code)
    for count in range(5):
        with breakpoint_at(core, code + 4):
            assert engine.run() == stops.BREAKPOINT
        assert engine.get(0) == count
        assert step(engine) == stops.STEP
    assert engine.run()[0] == CALL


def test_too_many_breakpoints_are_refused(core: ModuleType, space: Space) -> None:
    code = space.map(4096 * 4, READ)
    taken = [code + 4 * i for i in range(1100) if core.set_breakpoint(code + 4 * i, True)]
    assert len(taken) == 1024
    for address in taken:
        core.set_breakpoint(address, False)
    with breakpoint_at(core, code):
        pass


@pytest.mark.parametrize(
    ("instruction", "access"),
    [
        ("str x3, [x1]", stops.WRITE),
        ("strb w3, [x1, #7]", stops.WRITE),
        ("str x3, [x1, #-4]", stops.WRITE),
        ("stp x3, x4, [x1, #-8]", stops.WRITE),
        ("str q0, [x1, #-8]!", stops.WRITE),
        ("dc zva, x1", stops.WRITE),
        ("ldadd x3, x4, [x1]", stops.WRITE),
        ("swp x3, x4, [x1]", stops.WRITE),
        ("cas x3, x4, [x1]", stops.WRITE),
        ("ldr x3, [x1]", stops.READ),
        ("ldp x3, x4, [x1, #-8]", stops.READ),
        ("ldxr x3, [x1]", stops.READ),
    ],
)
def test_a_watchpoint_stops_before_the_access(
    core: ModuleType, engine: Any, space: Space, instruction: str, access: int
) -> None:
    code = space.code(f"{instruction}\n{EXIT}")
    data = space.map(4096, READ | WRITE) + 256
    space.word(data, 77)
    with watchpoint(core, data, 8, READ | WRITE):
        assert run(engine, code, x1=data, x3=5) == stops.WATCH
        assert engine.get(PC) == code
        assert engine.fault()[1] == access
        assert engine.get(1) == data
        assert space.word(data) == 77
    assert engine.run()[0] == CALL


NEIGHBOURS = """str x3, [x1, #8]
strb w3, [x1, #-1]
ldr x4, [x1, #8]
add x5, x1, #8
ldadd x3, x4, [x5]
add x5, x1, #16
1: ldxr x4, [x5]
stxr w6, x4, [x5]
cbnz w6, 1b
casp x6, x7, x6, x7, [x5]
stp q0, q1, [x1, #32]
b 2f
2:"""


@pytest.mark.parametrize("permission", [WRITE, READ, READ | WRITE])
def test_neighbours_of_a_watchpoint_do_not_stop(
    core: ModuleType, engine: Any, space: Space, permission: int
) -> None:
    """Nor do they make a later access to the watched word go unnoticed."""
    hit = "str x3, [x1]" if permission & WRITE else "ldr x3, [x1]"
    code = space.code(f"{NEIGHBOURS} {hit}\n{EXIT}")
    data = space.map(4096, READ | WRITE) + 256
    with watchpoint(core, data, 8, permission):
        for _ in range(3):
            assert run(engine, code, x1=data, x3=1) == stops.WATCH
            assert engine.get(PC) == code + 4 * NEIGHBOURS.count("\n")
    assert space.word(data + 8) == 2, "one stored, one added"


def test_a_watchpoint_for_writes_lets_reads_through(
    core: ModuleType, engine: Any, space: Space
) -> None:
    code = space.code("ldr x3, [x1]\nldr x3, [x1]\nldr x3, [x1, #8]\nstr x3, [x1]\n" + EXIT)
    data = space.map(4096, READ | WRITE)
    with watchpoint(core, data, 8, WRITE):
        assert run(engine, code, x1=data) == stops.WATCH
        assert engine.get(PC) == code + 12


def test_code_in_a_watched_page_runs(core: ModuleType, engine: Any, space: Space) -> None:
    code = space.code("mov x0, #0\n1: add x0, x0, #1\nldr x2, [x1]\ncmp x0, #9\nb.ne 1b\n" + EXIT)
    with watchpoint(core, code + 2048, 8, READ):
        assert run(engine, code, x1=code + 1024)[0] == CALL
        assert engine.get(0) == 9
        assert run(engine, code, x1=code + 2048) == stops.WATCH


def test_another_thread_interrupts(engine: Any, space: Space) -> None:
    code = space.code("1: add x0, x0, #1\nb 1b\n")
    for _ in range(20):
        stopped = threading.Event()

        def interrupt(stopped: threading.Event = stopped) -> None:
            while not stopped.is_set():
                engine.interrupt(True)
                time.sleep(0.001)

        thread = threading.Thread(target=interrupt)
        thread.start()
        assert run(engine, code) == stops.INTERRUPT
        stopped.set()
        thread.join()
        assert code <= engine.get(PC) <= code + 4
        assert engine.run() == stops.INTERRUPT, "it stays asked for until taken back"
        engine.interrupt(False)
