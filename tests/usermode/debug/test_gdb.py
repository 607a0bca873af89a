# SPDX-License-Identifier: GPL-2.0-or-later
"""gdb-multiarch drives guests: what its commands show and what becomes of the program."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests import support
from tests.usermode.debug.remote import Debugged, debugged, need_gdb, sysroot

HERE = Path(__file__).parent
Start = Callable[..., Any]

pytestmark = pytest.mark.long


@pytest.fixture
def start(
    interpreter: Path, guest_cc: Callable[..., Path], tmp_path: Path
) -> Iterator[Callable[..., Debugged]]:
    """start(name, *arguments, dynamic=False): a guest from name.c that waits for gdb."""
    need_gdb()
    running = []

    def start(name: str, *arguments: str, dynamic: bool = False) -> Debugged:
        program = guest_cc(HERE / f"{name}.c", "-O0", dynamic=dynamic)
        options = sysroot() if dynamic else ()
        context = debugged(interpreter, tmp_path, [program, *arguments], options)
        running.append(context)
        return context.__enter__()

    yield start
    for context in running:
        context.__exit__(None, None, None)


def line(name: str, text: str) -> int:
    """The number of the first line of a program that has this text."""
    lines = (HERE / f"{name}.c").read_text().splitlines()
    return next(i for i, found in enumerate(lines, 1) if text in found)


@pytest.mark.parametrize("dynamic", [False, True])
def test_looks_at_a_program_and_changes_it(start: Start, dynamic: bool) -> None:
    guest = start("values", "word", dynamic=dynamic)
    seen = guest.gdb(
        *("break sum", "continue", "backtrace", "print n", "print p[1]", "print p[2].y"),
        *("up", "print quarter", "print points", "print argv[1]"),
        *("break half", "continue", "print v", "print $d0", "finish", "set var counter = 77"),
        *("print $sp == $x29 || $sp < $x29", "print $fpcr", "info auxv", "continue"),
    )
    assert re.search(r"#0  sum \(p=0x\w+, n=3\) at .*values.c:\d+\n#1  0x\w+ in main", seen), seen
    for text in (
        *("= 3\n", "= {x = 2, y = 2.5}", "= 3.5\n", "= 0.25\n", '"word"'),
        *("{{x = 1, y = 1.5}, {x = 2, y = 2.5}, {x = 3, y = 3.5}}", "= 3.75\n"),
        *("f = 3.75", "Value returned is $", "= 1.875\n", "AT_HWCAP", "AT_ENTRY"),
        "exited with code 06]",
    ):
        assert text in seen, f"{text!r} is missing in\n{seen}"
    assert guest.status() == 6
    assert guest.stdout() == b"total 6 half 1.875 counter 77 own 5 word\n"


def test_libraries_are_read_through_the_connection(start: Start) -> None:
    guest = start("values", dynamic=True)
    seen = guest.gdb("break main", "continue", "info sharedlibrary", "break puts", "x/2i $pc")
    assert re.search(r"0x\w+ +0x\w+ +Yes .*/lib/ld-linux-aarch64.so.1", seen), seen
    assert re.search(r"0x\w+ +0x\w+ +Yes .*/lib/libc.so.6", seen), seen
    assert re.search(r"Breakpoint 2 at 0x\w+", seen), seen
    assert "<main" in seen
    assert guest.status() == -9, "gdb kills what it leaves behind"


def test_steps(start: Start) -> None:
    guest = start("values")
    seen = guest.gdb(
        *("break main", "continue", "next", "next", "step", "next", "next", "next", "next"),
        *("stepi", "nexti", "until", "finish", "next", "step", "info frame", "continue"),
    )
    order = [int(n) for n in re.findall(r"^(\d+)\t", seen, re.MULTILINE)]
    begin = line("values", "struct point points[3]")
    loop = line("values", "for (int i")
    assert order[:4] == [begin, begin + 1, begin + 2, line("values", "int total = 0")]
    assert order[4:7] == [loop, loop + 1, loop + 2]
    assert guest.status() == 6


def test_steps_over_many_instructions_and_calls(start: Start) -> None:
    guest = start("values")
    seen = guest.gdb("break main", "continue", "stepi 3000", "info registers pc", "continue")
    assert "exited with code 06]" in seen
    assert b"total 6 half 1.875" in guest.stdout()


def test_conditions_and_counts(start: Start) -> None:
    guest = start("values")
    place = line("values", "in the loop")
    seen = guest.gdb(
        *(
            f"break values.c:{place} if i == 2",
            "continue",
            "print i",
            "print total",
            "info breakpoints",
        ),
        *("delete", "tbreak half", "continue", "continue"),
    )
    assert re.search(r"= 2\n.*= 6\n", seen, re.DOTALL), seen
    assert "breakpoint already hit 1 time" in seen
    assert "Temporary breakpoint 2, half" in seen


def test_watches_a_variable(start: Start) -> None:
    guest = start("values")
    seen = guest.gdb("watch counter", *["continue"] * 3)
    assert seen.count("Hardware watchpoint 1: counter") == 3, seen
    values = re.findall(r"Old value = (\d+)\nNew value = (\d+)", seen)
    assert values == [("0", "1"), ("1", "3")]
    assert "exited with code 06]" in seen


def test_watches_reads(start: Start) -> None:
    guest = start("values")
    seen = guest.gdb(
        *("break half", "continue", "rwatch counter", "continue", "backtrace 1", "delete"),
        *("awatch own", "continue"),
    )
    assert re.search(r"Hardware read watchpoint 2: counter\n\nValue = 3\n", seen), seen
    assert "#0  0x" in seen.split("Value = 3")[1]


def test_what_comes_between_exclusives_does_not_keep_the_store_from_being_made(
    start: Start,
) -> None:
    guest = start("exclusives")
    seen = guest.gdb(
        *("break count", "continue", "next", "next", "print counter", "delete"),
        *("watch counter if counter == 4", "continue", "delete", "break between", "continue"),
        *("stepi", "print counter", "continue", "continue", "delete", "continue"),
    )
    assert "$1 = 1\n" in seen, seen
    assert "New value = 4\n" in seen, seen
    assert "$2 = 5\n" in seen, seen
    assert guest.stdout() == b"counter 9\n"


def test_threads(start: Start) -> None:
    guest = start("threads")
    seen = guest.gdb(
        *("break work", "continue", "info threads", "thread apply all backtrace 2"),
        *("set scheduler-locking on", "print shared", "next", "next", "next", "print shared - $1"),
        *("set scheduler-locking off", "delete", "continue"),
    )
    listed = re.search(r"  Id +Target Id.*?\n\n", seen, re.DOTALL)
    assert listed
    assert len(re.findall(r"Thread \d+\.\d+", listed[0])) == 5, seen
    assert re.search(r"work \(n=[123]\)", listed[0])
    assert "pause ()" in listed[0]
    assert seen.count("\nThread ") >= 5
    assert "$2 = 1\n" in seen, "only the current thread goes on"
    assert "exited with code 03]" in seen
    assert guest.stdout() == b"shared 600 sum 1200 watched 9\n"


def test_a_breakpoint_that_many_threads_hit(start: Start) -> None:
    """Each hit is counted once, whichever threads come at the same time."""
    guest = start("threads")
    place = line("threads", "shared++")
    seen = guest.gdb(f"break threads.c:{place}", "ignore 1 1000000", "continue", "info breakpoints")
    assert guest.stdout() == b"shared 600 sum 1200 watched 9\n"
    assert "breakpoint already hit 600 times" in seen, seen


def test_a_watchpoint_that_another_thread_hits(start: Start) -> None:
    guest = start("threads")
    seen = guest.gdb("watch watched", "watch shared if shared == 600", *["continue"] * 4)
    assert ("0", "5") in re.findall(r"Old value = (\d+)\nNew value = (\d+)", seen), seen
    assert ("5", "9") in re.findall(r"Old value = (\d+)\nNew value = (\d+)", seen), seen
    assert guest.stdout() == b"shared 600 sum 1200 watched 9\n"


def test_the_only_thread_that_may_run_ends(start: Start) -> None:
    guest = start("threads")
    seen = guest.gdb(
        *("break work", "continue", "delete", "set scheduler-locking on", "continue"),
        *("set scheduler-locking off", "thread 1", "continue"),
    )
    assert "No unwaited-for children left" in seen, seen
    assert guest.stdout() == b"shared 600 sum 1200 watched 9\n"


def test_signals_are_reported_first(start: Start) -> None:
    guest = start("signals")
    seen = guest.gdb(
        *("continue", "print $_siginfo.si_signo", "backtrace", "signal 0", "print got"),
        *("continue", "handle SIGTERM nostop noprint nopass", "continue"),
        *("print $_siginfo._sifields._sigfault", "backtrace 1", "x/i $pc", "continue"),
    )
    assert seen.count("received signal SIGUSR1") == 2, seen
    assert "$1 = 10" in seen
    assert "raise (" in seen
    assert "$2 = 0" in seen
    assert "received signal SIGTERM" in seen
    assert "received signal SIGSEGV" in seen
    assert "{si_addr = 0x123450}" in seen
    assert re.search(r"#0  0x\w+ in crash \(place=0x123450\)", seen)
    assert "terminated with signal SIGSEGV" in seen
    assert guest.status() == -11
    assert guest.stdout() == b"got 0\ngot 10\nafter SIGTERM\n"


def test_signals_that_nobody_wants_to_see(start: Start) -> None:
    guest = start("signals")
    seen = guest.gdb("handle SIGUSR1 nostop noprint pass", "continue", "print got", "continue")
    assert "received signal SIGUSR1" not in seen
    assert "$1 = 20" in seen
    assert "terminated with signal SIGTERM" in seen
    assert guest.status() == -15


def test_a_step_enters_the_handler(start: Start) -> None:
    guest = start("signals")
    seen = guest.gdb("break handler", "continue", "continue", "backtrace", "finish", "print got")
    assert "Breakpoint 1, handler (number=10)" in seen
    assert "<signal handler called>" in seen, seen


def test_the_program_s_own_breakpoint(start: Start) -> None:
    guest = start("signals", "brk")
    seen = guest.gdb(
        *("handle SIGUSR1 nostop pass", "handle SIGTERM nostop nopass", "continue", "x/i $pc"),
        *("set var $pc = $pc + 4", "continue"),
    )
    assert "received signal SIGTRAP" in seen
    assert re.search(r"=> 0x\w+ <main\+\d+>:\tbrk\t#0x1", seen), seen
    assert "received signal SIGSEGV" in seen


def test_interrupts_a_loop(start: Start) -> None:
    guest = start("waits", "spin")
    seen = guest.gdb(
        *("continue", "backtrace", "set var stop = 3", "continue"),
        interrupt=lambda: guest.stdout() == b"begun\n",
    )
    assert "received signal SIGINT" in seen
    assert re.search(r"spin \(\) at", seen), seen
    assert guest.status() == 4
    assert guest.stdout() == b"begun\nstop 3\n"


def test_interrupts_a_system_call_and_calls_a_function(start: Start) -> None:
    """The call is made again afterwards, as if nothing had been."""
    guest = start("waits")
    seen = guest.gdb(
        *("continue", "x/i $pc", "print twice(21)", "x/i $pc", "up", "up", "print ends"),
        *('call (long)write(ends[1], "hello", 5)', "continue"),
        interrupt=lambda: guest.stdout() == b"begun\n",
    )
    assert len(re.findall(r"=> 0x\w+ <read\+\d+>:\tsvc\t#0x0", seen)) == 2, seen
    assert "= 42\n" in seen
    assert guest.status() == 4
    assert guest.stdout() == b"begun\nread 5: hello\nstop 0\n"


def test_detaches(start: Start) -> None:
    guest = start("values")
    seen = guest.gdb("break sum", "watch counter", "continue", "detach")
    assert "detached]" in seen
    assert guest.status() == 6
    assert guest.stdout().startswith(b"total 6 half 1.875 counter 3")


def test_detaches_from_waiting_threads(start: Start) -> None:
    guest = start("threads")
    guest.gdb("break work", "continue", "detach")
    assert guest.status() == 3
    assert guest.stdout() == b"shared 600 sum 1200 watched 9\n"


def test_kills(start: Start) -> None:
    guest = start("threads")
    guest.gdb("break work", "continue", "kill")
    assert guest.status() == -9


def test_catches_system_calls(start: Start) -> None:
    guest = start("values")
    seen = guest.gdb(
        "catch syscall write", "continue", "print $x8", "continue", "print $x0", "continue"
    )
    assert "(call to syscall write)" in seen, seen
    assert "(returned from syscall write)" in seen
    assert "$1 = 64\n" in seen
    assert "exited with code 06]" in seen


def test_stays_with_the_parent_and_over_exec(start: Start) -> None:
    guest = start("programs")
    seen = guest.gdb(
        *("break child", "break second", "catch exec", "continue", "info breakpoints"),
        *("continue", "backtrace 1", "continue"),
    )
    assert "Catchpoint 3 (exec'd" in seen, seen
    assert "Breakpoint 2, second ()" in seen
    assert "exited with code 011]" in seen
    assert guest.status() == 9
    assert guest.stdout() == b"fork 7\nsecond\nvfork 9\nsecond\n"


def test_tells_of_forks_and_stays_with_the_parent(start: Start) -> None:
    guest = start("programs")
    seen = guest.gdb("catch fork", "break child", "continue", "continue", "continue")
    assert seen.count("Catchpoint 1 (forked process") == 2, seen
    assert seen.count("[Detaching after fork from child process") == 2
    assert "hit Breakpoint" not in seen
    assert guest.stdout() == b"fork 7\nsecond\nvfork 9\nsecond\n"
    assert guest.status() == 9


def test_follows_a_child(start: Start) -> None:
    guest = start("programs")
    seen = guest.gdb(
        *("set follow-fork-mode child", "break child", "watch *(int *)$sp", "delete 2"),
        *("continue", "backtrace", "stepi", "finish", "continue"),
    )
    assert "[Attaching after Thread" in seen, seen
    assert re.search(r"hit Breakpoint 1(\.\d)?, child \(\)", seen), seen
    assert "Value returned is $1 = 7" in seen
    assert "[Inferior 2 (process" in seen
    assert "exited with code 07]" in seen
    assert guest.status() == 9, "the parent goes on alone"
    assert guest.stdout() == b"fork 7\nsecond\nvfork 9\nsecond\n"


def test_follows_a_child_into_another_program(start: Start) -> None:
    guest = start("programs")
    seen = guest.gdb(
        *("catch fork", "continue", "delete", "set follow-fork-mode parent", "tbreak vfork"),
        *("continue", "set follow-fork-mode child", "break second", "continue", "backtrace 1"),
        "continue",
    )
    assert "is executing new program" in seen, seen
    assert re.search(r"hit Breakpoint \d(\.\d)?, second \(\)", seen), seen
    assert "exited with code 011]" in seen
    assert guest.status() == 9
    assert guest.stdout() == b"fork 7\nsecond\nvfork 9\nsecond\n"


def test_maps_show_the_guest(start: Start) -> None:
    guest = start("values")
    seen = guest.gdb("info proc mappings")
    assert str(support.BUILD / "guest" / "values-") in seen, seen
    assert "[stack]" in seen
    assert "libpython" not in seen
