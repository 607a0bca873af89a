# SPDX-License-Identifier: GPL-2.0-or-later
"""What programs of the host see of a guest: ps(1), pgrep(1), and the files of /proc."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

WAIT = r"""
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
int main(int count, char **words) {
    if (count > 1 && words[1][0] == 'f' && fork()) return wait(NULL) < 0;
    puts("ready");
    fflush(stdout);
    getchar();
    return count;
}
"""


@pytest.fixture(params=["run", "forked"])
def guest(
    request: pytest.FixtureRequest,
    interpreter: Path,
    guest_cc: Callable[..., Path],
    tmp_path: Path,
) -> Iterator[int]:
    """The process id of a guest that waits: one that was started so, or its child."""
    source = tmp_path / "wait.c"
    source.write_text(WAIT)
    program = tmp_path / "waiting-guest"
    shutil.copy(guest_cc(source), program)
    process = subprocess.Popen(
        [interpreter, "--argv0", "first word", program, request.param, "x y"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"VARIABLE": "value"},
    )
    with process:
        assert process.stdout
        assert process.stdout.readline() == b"ready\n"
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        yield int(children[0]) if children else process.pid
        process.communicate(b"\n")


def test_files_of_proc(guest: int) -> None:
    folder = Path(f"/proc/{guest}")
    words = (folder / "cmdline").read_bytes()
    if not words.startswith(b"first word"):
        pytest.skip("this kernel does not let a process change what is shown of it")
    assert words.split(b"\0")[::2] == [b"first word", b"x y"]
    assert (folder / "environ").read_bytes() == b"VARIABLE=value\0"
    assert (folder / "comm").read_text() == "waiting-guest\n"
    assert "[heap]" in (folder / "maps").read_text()


def test_ps(guest: int) -> None:
    if not shutil.which("ps"):
        pytest.skip("ps is missing")
    shown = subprocess.run(
        ["ps", "-o", "comm=,args=", "-p", str(guest)], capture_output=True, text=True, check=True
    ).stdout
    assert shown.split(None, 1)[0] == "waiting-guest"
    assert shown.split(None, 1)[1].startswith("first word ")
    assert "usermode" not in shown


def test_pgrep(guest: int) -> None:
    if not shutil.which("pgrep"):
        pytest.skip("pgrep is missing")
    found = subprocess.run(
        ["pgrep", "-f", "^first word .* x y"], capture_output=True, text=True, check=True
    ).stdout.split()
    assert str(guest) in found
    assert str(os.getpid()) not in found
