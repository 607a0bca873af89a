# SPDX-License-Identifier: GPL-2.0-or-later
"""System calls that concern the debugger itself: what stops the process, starts another, or wants one thread."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.usermode.debug.remote import Debugged, Packets, debugged

HERE = Path(__file__).parent
SUPPORTED = b"qSupported:multiprocess+;fork-events+;exec-events+"
Start = Callable[..., Debugged]


@pytest.fixture
def start(
    interpreter: Path, guest_cc: Callable[..., Path], tmp_path: Path
) -> Iterator[Callable[..., Debugged]]:
    running = []

    def start(name: str, *arguments: str) -> Debugged:
        context = debugged(interpreter, tmp_path, [guest_cc(HERE / f"{name}.c", "-O0"), *arguments])
        running.append(context)
        return context.__enter__()

    yield start
    for context in running:
        context.__exit__(None, None, None)


def test_stop_signals_are_told_and_stop_nobody(start: Start) -> None:
    """As ptrace(2) has it: the process that a debugger continues is not stopped any more."""
    guest = start("calls", "stop")
    with guest.connect() as packets:
        assert packets.ask(b"vCont;c").startswith(b"T11thread:")
        assert packets.ask(b"qXfer:siginfo:read::0,4") == b"m\x13\0\0\0"
        assert packets.ask(b"vCont;C11").startswith(b"T12thread:")
        assert packets.ask(b"vCont;C12") == b"W05"
    assert guest.stdout() == b"after SIGSTOP\nafter SIGTSTP\n"


def test_another_signal_in_place_of_a_stop(start: Start) -> None:
    guest = start("calls", "stop")
    with guest.connect() as packets:
        packets.ask(b"vCont;c")
        assert packets.ask(b"vCont;C0f") == b"X0f"
    assert guest.status() == -15


def test_a_signal_ends_the_call_in_which_the_thread_was_found(start: Start) -> None:
    guest = start("calls", "sleep")
    with guest.connect() as packets:
        packets.send(b"$vCont;c#a8")
        while guest.stdout() != b"begun\n":
            time.sleep(0.05)
        packets.send(b"\x03")
        assert packets.packet().startswith(b"T02thread:")
        assert packets.ask(b"vCont;C1e") == b"W05"
    assert guest.stdout() == b"begun\nsignal 10\n-1 Interrupted system call\n"


def need_namespaces() -> None:
    if subprocess.run(["unshare", "--user", "--mount", "--pid", "true"]).returncode:
        pytest.skip("user namespaces are not permitted here")


def test_a_program_for_which_no_thread_can_be_started_goes_on_alone(start: Start) -> None:
    need_namespaces()
    guest = start("calls", "exec")
    with guest.connect() as packets:
        packets.send(b"$vCont;c#a8")
        assert guest.status() == 5
    assert guest.stdout() == b"0\nlast\n"
    assert guest.process.stderr
    assert guest.process.stderr.read().startswith(b"usermode: --gdb: no thread can be started;")


def test_namespaces_that_want_a_single_thread(start: Start) -> None:
    need_namespaces()
    guest = start("calls", "namespaces")
    with guest.connect() as packets:
        assert packets.ask(b"QCatchSyscalls:1;61") == b"OK"
        assert packets.ask(b"vCont;c").startswith(b"T05syscall_entry:61;")
        assert packets.ask(b"vCont;c").startswith(b"T05syscall_return:61;")
        assert packets.ask(b"QCatchSyscalls:0") == b"OK"
        assert packets.ask(b"vCont;c") == b"W05"
    assert guest.stdout() == b"0 \nchild 1\n"


@pytest.mark.parametrize("detach", [False, True])
def test_a_core_dump_of_a_debugged_program(
    interpreter: Path, guest_cc: Callable[..., Path], tmp_path: Path, detach: bool
) -> None:
    """The signals of core dumps are caught already when the debugger comes."""
    program = guest_cc(HERE / "calls.c", "-O0")
    options = (f"--core={tmp_path}/dump",)
    with (
        debugged(interpreter, tmp_path, [program, "abort"], options) as guest,
        guest.connect() as packets,
    ):
        assert packets.ask(b"vCont;c").startswith(b"T06thread:")
        assert packets.ask(b"D") == b"OK" if detach else packets.ask(b"vCont;C06") == b"X06"
        assert guest.status() == -6
    assert (tmp_path / "dump").stat().st_size > 4096


def first_child(packets: Packets) -> bytes:
    """Let the program run until it forks; the child's process id as it is told."""
    packets.ask(SUPPORTED)
    told = packets.ask(b"vCont;c")
    assert told.startswith(b"T05fork:p"), told
    return told[9:].partition(b".")[0]


def test_two_processes_cannot_be_debugged(start: Start) -> None:
    guest = start("programs")
    with guest.connect() as packets:
        child = first_child(packets)
        for _ in range(2):
            assert packets.ask(b"vCont;c").startswith(b"E.only one process")
        assert packets.ask(b"D;" + child) == b"OK"
        child = packets.ask(b"vCont;c")[9:].partition(b".")[0]
        assert packets.ask(b"vCont;c").startswith(b"E.only one process")
        assert packets.ask(b"vKill;" + child) == b"OK"
        assert packets.ask(b"vCont;c").startswith(b"T05exec:")
        assert packets.ask(b"vCont;c").startswith(b"W09")
    assert guest.stdout() == b"fork 7\nvfork 0\nsecond\n"
