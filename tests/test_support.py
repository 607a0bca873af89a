# SPDX-License-Identifier: GPL-2.0-or-later
"""What the other tests stand on: a program is run in full, or killed with all its children."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from tests import support


def test_outcome() -> None:
    outcome = support.run(["sh", "-c", "cat; echo error >&2; exit 3"], stdin=b"in")
    assert outcome == (3, b"in", b"error\n")


def test_time_limit() -> None:
    start = time.monotonic()
    with pytest.raises(AssertionError, match=r"still running.*begun"):
        support.run(["sh", "-c", "echo begun; sleep 60 & sleep 60"], timeout=0.5)
    assert time.monotonic() - start < 30


def test_children_are_killed(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    support.run(["sh", "-c", f"sleep 60 >/dev/null 2>&1 & echo $! > {note}"])
    child = Path("/proc", note.read_text().strip(), "stat")
    for _ in range(100):
        if not child.exists() or child.read_text().rpartition(")")[2].split()[0] == "Z":
            return
        time.sleep(0.05)
    pytest.fail("the child is still there")


def test_compiled_programs_are_kept(tmp_path: Path) -> None:
    source = tmp_path / "a.c"
    source.write_text("// flags: -DSTATUS=5\nint main(void) { return STATUS; }\n")
    program = support.compile_c(source, cpu="x86_64")
    assert support.run([program]).status == 5
    before = os.stat(program).st_mtime_ns
    assert support.compile_c(source, cpu="x86_64") == program
    assert os.stat(program).st_mtime_ns == before
    assert support.compile_c(source, "-DX", cpu="x86_64") != program


def test_compiler_errors_are_shown(tmp_path: Path) -> None:
    source = tmp_path / "a.c"
    source.write_text("int main(void) { return nothing; }\n")
    with pytest.raises(AssertionError, match="nothing"):
        support.compile_c(source)


def test_programs_begin_with_default_actions_and_an_empty_mask() -> None:
    """Also of the signals that libc keeps to itself: one left ignored made a program wait for ever."""
    ignored = (signal.SIGUSR1, 32, 33)
    ignore = (1).to_bytes(8, "little").ljust(32, b"\0")
    for number in ignored:
        support.LIBC.syscall(support.SYS_RT_SIGACTION, int(number), ignore, None, 8)
    old = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR2})
    try:
        status = support.run(["cat", "/proc/self/status"]).stdout.decode()
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, old)
        for number in ignored:
            support.LIBC.syscall(support.SYS_RT_SIGACTION, int(number), bytes(32), None, 8)
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert (fields["SigIgn"], fields["SigBlk"]) == ("0" * 16, "0" * 16)
