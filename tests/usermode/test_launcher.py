# SPDX-License-Identifier: GPL-2.0-or-later
"""How the interpreter starts: options, exit statuses, layouts of memory, what it leaves to the guest."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import EXTENSIONS, ROOT, Outcome
from usermode.version import VERSION

Run = Callable[..., Outcome]

SHOW = r"""
#include <stdio.h>
#include <sys/auxv.h>
#include <sys/personality.h>
#include <sys/resource.h>
int main(int count, char **words) {
    struct rlimit limit;
    getrlimit(RLIMIT_STACK, &limit);
    for (int i = 0; i < count; i++) printf("%s|", words[i]);
    printf("%s|%d|%#x\n", (char *)getauxval(AT_EXECFN), limit.rlim_cur == RLIM_INFINITY, personality(-1) & 0x200000);
    return 3;
}
"""


@pytest.fixture(scope="module")
def show(guest_cc: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A guest that shows its arguments, AT_EXECFN, whether its stack is unlimited, and ADDR_COMPAT_LAYOUT."""
    source = tmp_path_factory.mktemp("show") / "show.c"
    source.write_text(SHOW)
    return guest_cc(source)


def test_version(run_guest: Run) -> None:
    outcome = run_guest([], options=["--version"])
    assert outcome.status == 0
    assert outcome.stdout.decode().splitlines()[0] == f"usermode-aarch64 {VERSION}"


def test_help(run_guest: Run) -> None:
    assert run_guest([], options=["-h"]).stdout == run_guest([], options=["--help"]).stdout
    assert b"--sysroot DIR" in run_guest([], options=["--help"]).stdout


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        ([], 2, "no program given"),
        (["--what"], 2, "unknown option --what"),
        (["./missing"], 127, "./missing: No such file or directory"),
        (["/"], 126, "/: Permission denied"),
        (["/etc/passwd"], 126, "/etc/passwd: Permission denied"),
    ],
)
def test_what_cannot_be_run(arguments: list[str], status: int, said: str, run_guest: Run) -> None:
    outcome = run_guest(arguments)
    assert outcome.status == status
    assert outcome.stderr.decode().startswith(f"usermode: {said}\n")
    assert outcome.stdout == b""


def test_names_that_have_no_shape(run_guest: Run) -> None:
    outcome = run_guest(["./two\nlines"])
    assert (outcome.status, outcome.stderr.splitlines()[0]) == (
        127,
        rb"usermode: ./two\nlines: No such file or directory",
    )


def test_arguments(show: Path, run_guest: Run) -> None:
    outcome = run_guest([show, "a b", ""], options=["--argv0", "other"])
    assert (outcome.status, outcome.stdout) == (3, f"other|a b||{show}|0|0\n".encode())


def unlimited_stack() -> None:
    resource.setrlimit(resource.RLIMIT_STACK, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


@pytest.fixture
def can_unlimit() -> None:
    if resource.getrlimit(resource.RLIMIT_STACK)[1] != resource.RLIM_INFINITY:
        pytest.skip("the hard limit of the stack is finite here")


@pytest.mark.usefixtures("can_unlimit")
def test_unlimited_stack(show: Path, interpreter: Path) -> None:
    done = subprocess.run(
        [interpreter, "--argv0", "x", show, "-y"],
        preexec_fn=unlimited_stack,
        capture_output=True,
        timeout=30,
    )
    assert (done.returncode, done.stdout, done.stderr) == (3, f"x|-y|{show}|1|0\n".encode(), b"")


def test_compatible_layout(show: Path, interpreter: Path) -> None:
    if not shutil.which("setarch"):
        pytest.skip("setarch is missing")
    done = subprocess.run(
        ["setarch", "--addr-compat-layout", interpreter, show], capture_output=True, timeout=30
    )
    assert (done.returncode, done.stdout) == (3, f"{show}|{show}|0|0x200000\n".encode())


@pytest.mark.usefixtures("can_unlimit")
def test_the_layout_is_not_tried_twice(show: Path, interpreter: Path) -> None:
    done = subprocess.run(
        [interpreter, "--restore-personality", "0", show],
        preexec_fn=unlimited_stack,
        capture_output=True,
        timeout=30,
    )
    assert done.returncode == 1
    assert b"lies in the guest's address space" in done.stderr


def test_program_by_descriptor(show: Path, interpreter: Path) -> None:
    with show.open("rb") as file:
        done = subprocess.run(
            [
                interpreter,
                "--program-fd",
                str(file.fileno()),
                "--execfn",
                "script",
                "--",
                "/no/path",
            ],
            pass_fds=[file.fileno()],
            capture_output=True,
            timeout=30,
        )
    assert (done.returncode, done.stdout) == (3, b"/no/path|script|0|0\n")


def test_environment_is_used(show: Path, run_guest: Run, tmp_path: Path) -> None:
    (tmp_path / "inner").mkdir()
    shutil.copy(show, tmp_path / "inner" / "program")
    outcome = run_guest(["/inner/program"], env={"USERMODE_SYSROOT": os.fspath(tmp_path)})
    assert (outcome.status, outcome.stdout) == (3, b"/inner/program|/inner/program|0|0\n")


BROKEN_THREAD = """
import _thread, sys, time
sys.path[:0] = [{root!r}, {extensions!r}]
from usermode import launcher

class Task:
    class process:
        class settings:
            debug = {debug!r}

def broken(task):
    raise RuntimeError("a bug")

_thread.start_new_thread(launcher.run_guarded, (Task, broken))
time.sleep(20)
"""


@pytest.mark.usefixtures("core")
@pytest.mark.parametrize("debug", [b"", b"1"])
def test_a_bug_in_a_thread_ends_the_process(debug: bytes) -> None:
    code = BROKEN_THREAD.format(root=str(ROOT), extensions=str(EXTENSIONS), debug=debug)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 70
    first, *rest = done.stderr.splitlines()
    assert first.startswith("usermode: internal error: RuntimeError('a bug')")
    assert bool(rest) == bool(debug)
    assert not debug or rest[-1].endswith(" broken")
