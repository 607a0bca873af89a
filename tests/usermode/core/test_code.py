# SPDX-License-Identifier: GPL-2.0-or-later
"""Changed code is run as changed, however the change was made, by every engine that may know of it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest

from syscalls import call
from syscalls.host.x86_64 import NUMBERS
from tests.usermode.core.machine import (
    EXECUTE,
    PAGE,
    PC,
    READ,
    WRITE,
    Space,
    Thread,
    assemble,
    opened,
    run,
)
from tests.usermode.core.rows import WRITES_MEMORY, configure, host_row
from usermode.machine import stops

RWX = READ | WRITE | EXECUTE


def routine(value: int) -> bytes:
    """A function that returns `value` in x0."""
    return assemble(f"mov x0, #{value}\nret")


FIRST, SECOND = 11, 22
CALL = "blr x2\nbrk #0"


def calls(engine: Any, caller: int, function: int) -> int:
    """Call a function of the guest and return its result."""
    assert run(engine, caller, x2=function) == stops.BREAKPOINT
    return int(engine.get(0))


@pytest.fixture
def caller(space: Space) -> int:
    return space.code(CALL)


@pytest.fixture
def writable(space: Space, core: ModuleType) -> int:
    """FIRST in a page that may be written and executed."""
    address = space.map(PAGE, RWX)
    core.write(address, routine(FIRST))
    return address


SYNCHRONIZE = "dc cvau, x4\ndsb ish\nic ivau, x4\ndsb ish\nisb"  # Arm ARM B2.4.4
STORE = f"str x3, [x4]\n{SYNCHRONIZE}\nblr x2\nbrk #0"


def test_store_by_the_guest(
    space: Space, engine: Any, writable: int, caller: int, core: ModuleType
) -> None:
    assert calls(engine, caller, writable) == FIRST
    new = int.from_bytes(routine(SECOND)[:8], "little")
    store = space.code(STORE)
    assert run(engine, store, x2=writable, x3=new, x4=writable) == stops.BREAKPOINT
    assert engine.get(0) == SECOND


def test_store_into_the_same_page(space: Space, engine: Any, core: ModuleType) -> None:
    """The code that stores lies beside what it changes."""
    page = space.map(PAGE, RWX)
    core.write(page, assemble(STORE))
    core.write(page + 64, routine(FIRST))
    assert calls(engine, space.code(CALL), page + 64) == FIRST
    new = int.from_bytes(routine(SECOND)[:8], "little")
    assert run(engine, page, x2=page + 64, x3=new, x4=page + 64) == stops.BREAKPOINT
    assert engine.get(0) == SECOND


def test_stores_to_both_pages_of_a_block(space: Space, engine: Any, core: ModuleType) -> None:
    """Both pages were stored to before their code was run, so the way for stores was open; it is closed again."""
    page = space.map(2 * PAGE, RWX)
    function = page + PAGE - 8
    store = space.code(f"str w3, [x4]\n{SYNCHRONIZE}\nblr x2\nbrk #0")
    core.write(function, assemble("mov x0, #1\nmov x1, #1\nadd x0, x0, x1\nret"))
    plus_two = int.from_bytes(assemble("add x0, x0, x1, lsl #1"), "little")
    minus = int.from_bytes(assemble("sub x0, x0, x1"), "little")
    other = space.code("ret")
    four = int.from_bytes(assemble("mov x0, #4"), "little")
    for filled in range(600):  # so many fills that the TLB grows
        run(engine, store, x2=other, x3=filled, x4=space.map(PAGE, RWX))
    for address in (page, page + 2 * PAGE - 8):
        assert run(engine, store, x2=other, x3=0, x4=address) == stops.BREAKPOINT
    assert calls(engine, space.code(CALL), function) == 2
    for address, instruction, result in (
        (page + PAGE, plus_two, 3),
        (function, four, 6),
        (page + PAGE, minus, 3),
    ):
        assert run(engine, store, x2=function, x3=instruction, x4=address) == stops.BREAKPOINT
        assert engine.get(0) == result


def test_store_while_only_writable(
    space: Space, engine: Any, core: ModuleType, caller: int
) -> None:
    """RX, RW, written, RX again: what every JIT with W^X does."""
    function = space.map(PAGE, READ | EXECUTE)
    core.write(function, routine(FIRST))
    assert calls(engine, caller, function) == FIRST
    space.protect(function, PAGE, READ | WRITE)
    store = space.code("str x3, [x4]\nbrk #0")
    new = int.from_bytes(routine(SECOND)[:8], "little")
    assert run(engine, store, x3=new, x4=function) == stops.BREAKPOINT
    assert run(engine, caller, x2=function) == stops.FAULT
    assert engine.fault() == (function, stops.EXECUTE)
    space.protect(function, PAGE, READ | EXECUTE)
    assert calls(engine, caller, function) == SECOND


def test_new_mapping_at_the_address(
    space: Space, engine: Any, core: ModuleType, caller: int
) -> None:
    function = space.map(PAGE, READ | EXECUTE)
    core.write(function, routine(FIRST))
    assert calls(engine, caller, function) == FIRST
    space.protect(function, PAGE, 0)
    core.host_call(NUMBERS["mmap"], function, PAGE, 3, 0x32, -1, 0)  # MAP_FIXED: fresh zeros
    assert run(engine, caller, x2=function) == stops.FAULT
    space.protect(function, PAGE, READ | EXECUTE)
    assert run(engine, caller, x2=function) == stops.UNDEFINED  # zeros are UDF
    core.write(function, routine(SECOND))
    space.protect(function, PAGE, READ | EXECUTE)
    assert calls(engine, caller, function) == SECOND


def test_same_rights_again_drop_code(
    space: Space, engine: Any, core: ModuleType, caller: int
) -> None:
    """MAP_FIXED of another file over a library: the rights stay, the contents do not."""
    function = space.map(PAGE, READ | EXECUTE)
    core.write(function, routine(FIRST))
    assert calls(engine, caller, function) == FIRST
    core.host_call(NUMBERS["mmap"], function, PAGE, 3, 0x32, -1, 0)
    space.protect(function, PAGE, READ | EXECUTE)
    assert run(engine, caller, x2=function) == stops.UNDEFINED


def test_core_write(engine: Any, core: ModuleType, writable: int, caller: int) -> None:
    assert calls(engine, caller, writable) == FIRST
    core.write(writable, routine(SECOND))
    assert calls(engine, caller, writable) == SECOND


@pytest.fixture
def passing(core: ModuleType) -> Iterator[None]:
    """Guest calls 63 read, 65 readv, 243 recvmmsg and 212 recvmsg, passed through."""
    value, pointer = call.VALUE, call.POINTER
    rows = {
        63: host_row("read", value, pointer, value, flags=WRITES_MEMORY),
        65: host_row("readv", value, call.IOVEC, value, flags=WRITES_MEMORY),
        212: host_row("recvmsg", value, call.MSGHDR, value, flags=WRITES_MEMORY),
        243: host_row("recvmmsg", value, call.MMSGHDR, value, value, pointer, flags=WRITES_MEMORY),
    }
    configure(core, rows)
    yield
    configure(core, {})


def test_read_into_code(
    engine: Any, space: Space, writable: int, caller: int, passing: None
) -> None:
    assert calls(engine, caller, writable) == FIRST
    out, into = os.pipe()
    os.write(into, routine(SECOND))
    assert engine.pass_through(63, out, writable, 64) == 8
    assert calls(engine, caller, writable) == SECOND
    os.write(into, routine(FIRST))
    vector = space.map(PAGE, READ | WRITE)
    space.word(vector, writable)
    space.word(vector + 8, 64)
    assert engine.pass_through(65, out, vector, 1) == 8
    assert calls(engine, caller, writable) == FIRST
    os.close(out)
    os.close(into)


def test_read_of_a_huge_count_is_quick(
    engine: Any, space: Space, writable: int, passing: None
) -> None:
    """The whole buffer is looked through for code: in steps of what is not mapped, not of pages."""
    out, into = os.pipe()
    os.write(into, b"x")
    page = space.map(PAGE, READ | WRITE)
    assert engine.pass_through(63, out, page, (1 << 46) - page) == 1
    os.close(out)
    os.close(into)


@pytest.fixture
def alias(space: Space, core: ModuleType) -> Iterator[tuple[int, int]]:
    """The same page twice: to write, and to execute FIRST."""
    fd = os.memfd_create("code")
    os.ftruncate(fd, PAGE)
    write, execute = space.map(PAGE, READ | WRITE, fd), space.map(PAGE, READ | EXECUTE, fd)
    core.write(write, routine(FIRST))
    yield write, execute
    os.close(fd)


PUBLISH = "str x3, [x4]\ndc cvau, x4\ndsb ish\nic ivau, x2\ndsb ish\nisb\nblr x2\nbrk #0"


def test_invalidation_by_the_guest(
    alias: tuple[int, int], space: Space, engine: Any, caller: int
) -> None:
    """A JIT with two mappings tells of new code by IC IVAU alone."""
    write, execute = alias
    assert calls(engine, caller, execute) == FIRST
    code = space.code(PUBLISH)
    for value in (SECOND, FIRST, SECOND):
        new = int.from_bytes(routine(value)[:8], "little")
        assert run(engine, code, x2=execute, x3=new, x4=write) == stops.BREAKPOINT
        assert engine.get(0) == value


# The writer numbers versions of a function; the reader, having seen number n, must not run an older version.
WRITER = """
1: add x9, x9, #1
bfi w3, w9, #5, #16
str w3, [x4]
dc cvau, x4
dsb ish
ic ivau, x2
dsb ish
stlr x9, [x6]
{}
cmp x9, x7
b.ne 1b
brk #0
"""
READER = """
1: ldar x10, [x6]
isb
blr x2
cmp x0, x10
b.lo 2f
cmp x10, x7
b.ne 1b
mov x0, #0
brk #0
2: mov x0, #1
brk #0
"""
MOVE_X0 = 0xD2800000  # mov x0, #0; the number is in bits 5 to 20
VERSIONS = 3000


@pytest.mark.parametrize("both_publish", [False, True])
def test_two_engines(
    both_publish: bool, alias: tuple[int, int], space: Space, core: ModuleType
) -> None:
    """IC IVAU of one thread reaches the others; two threads may do it at once, and while rights change."""
    write, execute = alias
    core.write(write, MOVE_X0.to_bytes(4, "little") + routine(0)[4:])
    number = space.map(PAGE, READ | WRITE)
    spare = space.map(PAGE, READ | WRITE)
    writer, reader = space.code(WRITER.format("")), space.code(READER)
    extra = space.code("1: ic ivau, x2\nldr x3, [x6]\ncmp x3, x7\nb.ne 1b\nmov x0, #0\nbrk #0")
    done = threading.Event()
    registers = {"x2": execute, "x6": number, "x7": VERSIONS}

    def write_versions() -> None:
        for engine in opened(core):
            start = {"x3": MOVE_X0, "x4": write, "x9": 0, **registers}
            assert run(engine, writer, **start) == stops.BREAKPOINT
        done.set()

    def follow(code: int) -> None:
        for engine in opened(core):
            assert run(engine, code, **registers) == stops.BREAKPOINT
            assert engine.get(0) == 0

    threads = [Thread(lambda: follow(reader)), Thread(write_versions)]
    if both_publish:
        threads.append(Thread(lambda: follow(extra)))
    while not done.is_set():
        space.protect(spare, PAGE, 0)
        space.protect(spare, PAGE, READ | WRITE)
        done.wait(0.0001)
    for thread in threads:
        thread.join()


def test_write_reaches_other_engines(
    core: ModuleType, space: Space, writable: int, caller: int
) -> None:
    """core.write(), as read(2) in another thread would: the engine runs the new code from then on."""
    results: list[int] = []
    ready, go = threading.Event(), threading.Event()

    def other() -> None:
        for engine in opened(core):
            results.append(calls(engine, caller, writable))
            ready.set()
            go.wait(60)
            results.append(calls(engine, caller, writable))

    thread = Thread(other)
    assert ready.wait(60)
    core.write(writable, routine(SECOND))
    go.set()
    thread.join()
    assert results == [FIRST, SECOND]


# TLB shoot-downs


def test_no_access_after_protect(core: ModuleType, space: Space) -> None:
    """Once protect() has returned, no other thread's load gives what is stored to the page after that."""
    page = space.map(PAGE, READ | WRITE)
    loop = space.code("1: ldr x3, [x2]\nb 1b")
    rounds, before, after = 1000, 1, 2
    go, running, stopped = threading.Semaphore(0), threading.Semaphore(0), threading.Semaphore(0)
    seen: list[int] = []

    def reader() -> None:
        for engine in opened(core):
            for _ in range(rounds):
                go.acquire()
                running.release()
                assert run(engine, loop, x2=page, x3=before) == stops.FAULT
                assert engine.fault() == (page, stops.READ)
                assert engine.get(PC) == loop
                seen.append(engine.get(3))
                stopped.release()

    thread = Thread(reader)
    for _ in range(rounds):
        space.protect_host(page, PAGE, READ | WRITE)
        space.word(page, before)
        go.release()
        assert running.acquire(timeout=60)
        space.protect_host(page, PAGE, 0)
        space.poke(page, after)
        assert stopped.acquire(timeout=60)
    thread.join()
    assert seen == [before] * rounds
