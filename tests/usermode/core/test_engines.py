# SPDX-License-Identifier: GPL-2.0-or-later
"""Engines come and go, belong to their thread, and survive a fork."""

from __future__ import annotations

import gc
import os
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.usermode.core.machine import PAGE, READ, WRITE, Space, Thread, opened, run
from usermode.machine import stops


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


def maps() -> int:
    return len(Path("/proc/self/maps").read_text().splitlines())


def test_nothing_leaks(core: ModuleType, space: Space) -> None:
    code = space.code("brk #0")

    def once() -> None:
        for engine in opened(core):
            assert run(engine, code) == stops.BREAKPOINT

    for _ in range(20):
        once()
    files, before = open_files(), maps()
    for _ in range(200):
        once()
    assert open_files() == files
    assert maps() <= before + 3  # malloc's own


def test_collected_engines_close(core: ModuleType) -> None:
    core.Engine()
    before = maps()
    for _ in range(50):
        core.Engine(1 << 20)
    gc.collect()
    assert maps() <= before + 3


def test_closed_engines_refuse(core: ModuleType) -> None:
    engine = core.Engine(buffer_size=1 << 20)
    state = engine.snapshot()
    engine.close()
    engine.close()
    for use in (
        engine.run,
        engine.snapshot,
        lambda: engine.get(0),
        lambda: engine.set(0, 0),
        lambda: engine.restore(state),
        lambda: engine.pass_through(0),
        engine.forked,
    ):
        with pytest.raises(RuntimeError, match="closed"):
            use()
    assert engine.take_signal(0) is None


def test_never_opened(core: ModuleType) -> None:
    engine = core.Engine.__new__(core.Engine)
    with pytest.raises(RuntimeError, match="closed"):
        engine.run()
    engine.close()


def test_opened_twice(engine: Any) -> None:
    with pytest.raises(RuntimeError, match="already"):
        engine.__init__()


def test_other_threads_may_not_run_it(engine: Any, core: ModuleType) -> None:
    def other() -> None:
        with pytest.raises(RuntimeError, match="another thread"):
            engine.run()
        for own in opened(core):
            assert own is not engine
            with pytest.raises(RuntimeError, match="another thread"):
                engine.run()

    Thread(other).join()


def test_detached_engine_goes_on_in_another_thread(core: ModuleType, space: Space) -> None:
    """Nothing of the first thread is left but translations, which follow changes made meanwhile."""
    brk = (0xD4200000).to_bytes(4, "little")
    code = space.map(PAGE, READ | WRITE | 4)
    core.write(code, (0xD28000E9).to_bytes(4, "little") + brk)  # mov x9, #7
    engine = core.Engine(1 << 20)
    with pytest.raises(RuntimeError, match="is a thread's"):
        engine.attach()
    assert run(engine, code, x9=0) == stops.BREAKPOINT
    engine.step(True)
    engine.blocked = 1 << 40
    engine.altstack = (code, 0, PAGE)
    engine.detach()
    with pytest.raises(RuntimeError, match="another thread"):
        engine.run()
    core.write(code, (0xD2800109).to_bytes(4, "little") + brk)  # mov x9, #8
    found = []

    def other() -> None:
        found.append(engine.attach())
        found.append(engine.blocked)
        found.append(engine.altstack[0])
        found.append(run(engine, code, x9=0))
        found.append(engine.get(9))
        core.write(code, bytes(4))
        found.append(run(engine, code))  # a step would end here
        engine.close()

    thread = Thread(other)
    thread.join()
    assert found == [True, 0, 0, stops.BREAKPOINT, 8, stops.UNDEFINED]


@pytest.mark.parametrize("size", [0, 4096, -1, 1 << 31, 1 << 40])
def test_buffer_sizes_out_of_range(size: int, core: ModuleType) -> None:
    with pytest.raises(ValueError, match="1 MiB to 1 GiB"):
        core.Engine(size)


@pytest.mark.parametrize("size", ["x", 1.5, None])
def test_buffer_size_is_a_number(size: Any, core: ModuleType) -> None:
    with pytest.raises(TypeError):
        core.Engine(size)


def test_small_buffer_is_flushed_over_and_over(core: ModuleType, space: Space) -> None:
    """More code than the buffer holds, twice: all of it runs, each time."""
    blocks = 20_000
    code = space.map(blocks * 8 + PAGE, READ | 4)
    step = (0x91000529).to_bytes(4, "little") + (0x14000001).to_bytes(4, "little")
    core.write(code, step * blocks + (0xD4200000).to_bytes(4, "little"))
    engine = core.Engine(1 << 20)
    for _ in range(2):
        assert run(engine, code, x9=0) == stops.BREAKPOINT
        assert engine.get(9) == blocks
    engine.close()


def test_many_pages(core: ModuleType, space: Space, engine: Any) -> None:
    """A sweep over more pages than the TLB has entries, again and again while it grows."""
    count = 4096
    data = space.map(count * PAGE, READ | WRITE)
    for index in range(0, count, 64):
        space.word(data + index * PAGE, index)
    code = space.code(
        "0: mov x2, x1\nmov x3, #4096\n1: ldr x4, [x2]\nadd x5, x5, x4\nadd x2, x2, #4096\n"
        "subs x3, x3, #1\nb.ne 1b\nsubs x9, x9, #1\nb.ne 0b\nbrk #0"
    )
    assert run(engine, code, x1=data, x5=0, x9=40) == stops.BREAKPOINT
    assert engine.get(5) == 40 * sum(range(0, count, 64))


def child_status(core: ModuleType, body: Callable[[], None]) -> int:
    """Run body() in a child made by core.fork(); 0 if it returns."""
    pid = core.fork()
    if not pid:
        status = 1
        try:
            body()
            status = 0
        except BaseException:  # noqa: BLE001
            traceback.print_exc()
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_fork(core: ModuleType, space: Space, engine: Any) -> None:
    """The child goes on with its thread's engine and may open others; those of other threads are left alone."""
    data = space.map(PAGE, READ | WRITE)
    loop = space.code("1: ldr x3, [x2]\ncbz x3, 1b\nbrk #0")
    count = space.code("1: add x9, x9, #1\nsubs x3, x3, #1\nb.ne 1b\nbrk #0")
    running = threading.Event()
    engines = []

    def other() -> None:
        for other_engine in opened(core):
            engines.append(other_engine)
            running.set()
            assert run(other_engine, loop, x2=data) == stops.BREAKPOINT

    thread = Thread(other)
    assert running.wait(60)
    assert run(engine, count, x3=1000, x9=0) == stops.BREAKPOINT

    def child() -> None:
        engine.forked()
        assert engine.get(9) == 1000
        assert run(engine, count, x3=1000) == stops.BREAKPOINT
        assert engine.get(9) == 2000
        space.protect(data, PAGE, 0)  # a shoot-down waits for nobody
        space.protect(data, PAGE, READ | WRITE)
        engines.pop().close()  # abandoned, not freed
        engine.close()
        for new in opened(core):
            assert run(new, count, x3=5, x9=0) == stops.BREAKPOINT
            assert new.get(9) == 5

    for _ in range(5):
        assert child_status(core, child) == 0
    space.word(data, 1)
    thread.join()


def test_fork_while_others_open_and_shoot_down(core: ModuleType, space: Space) -> None:
    """The child finds no lock held by a thread that it does not have."""
    page = space.map(PAGE, READ | WRITE)
    done = threading.Event()

    def busy() -> None:
        while not done.is_set():
            for _ in opened(core):
                space.protect(page, PAGE, 0)
                space.protect(page, PAGE, READ | WRITE)

    def child() -> None:
        space.protect(page, PAGE, 0)
        for engine in opened(core):
            engine.set(0, 1)

    threads = [Thread(busy) for _ in range(2)]
    for _ in range(20):
        assert child_status(core, child) == 0
    done.set()
    for thread in threads:
        thread.join()
