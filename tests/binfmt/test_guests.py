# SPDX-License-Identifier: GPL-2.0-or-later
"""Guests that the kernel starts: many at once, in chroots, unreadable, with rights of their own."""

from __future__ import annotations

import functools
import os
import resource
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from binfmt.entry import Entry
from binfmt.registry import Registry
from tests.binfmt.namespace import isolated, isolated_with_all_ids, mount_table
from tests.support import ROOT, transparent

NOBODY = 65534
AS_NOBODY: dict[str, Any] = {"user": NOBODY, "group": NOBODY, "extra_groups": []}
HOSTILE = {
    "USERMODE_SYSROOT": "/nonexistent",
    "USERMODE_STRACE": "trace",
    "USERMODE_DEBUG": "modules",
    "USERMODE_HANDOVER": "9:--sysroot12:/nonexistent",
    "LD_PRELOAD": "/nonexistent/lib.so",
    "PYTHONPATH": "/nonexistent",
    "PYTHONHOME": "/nonexistent",
}


def register(folder: Path, interpreter: Path, flags: str = "POF") -> None:
    Registry(str(mount_table(folder))).register(Entry(str(interpreter), flags=flags))


def copied(program: Path, folder: Path, mode: int) -> Path:
    """Copy a program there, with that mode."""
    copy = folder / "show"
    shutil.copy(program, copy)
    copy.chmod(mode)
    return copy


def start(program: Path | str, *arguments: str, **more: Any) -> subprocess.CompletedProcess[str]:
    """Run a program to its end; `argv0` may differ from its path."""
    argv = [more.pop("argv0", str(program)), *arguments]
    return subprocess.run(
        argv, executable=program, input="", capture_output=True, text=True, timeout=60, **more
    )


@isolated
def test_many_at_once(folder, interpreter, sample) -> None:
    """200 guests live at the same time, and each ends with its own arguments and status."""
    register(folder, interpreter)
    command = [str(sample), *(f"word {i}" for i in range(3))]
    guests = [
        subprocess.Popen(
            [*command, str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for number in range(200)
    ]
    pids = [guest.pid for guest in guests]
    answers = [guest.communicate(timeout=120) for guest in guests]
    assert [guest.returncode for guest in guests] == [23] * 200
    for number, (output, messages) in enumerate(answers):
        assert output.decode().splitlines()[:-1] == [*command, str(number)]
        assert messages == b""
    assert not [pid for pid in pids if os.path.exists(f"/proc/{pid}")]
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, 0)


@isolated
def test_chroot_without_proc(folder, interpreter, sample) -> None:
    register(folder, interpreter)
    root = folder / "root"
    root.mkdir()
    shutil.copy(sample, root / "show")
    done = start("/show", "x", argv0="zero", preexec_fn=lambda: os.chroot(root), cwd="/")
    assert (done.returncode, done.stderr) == (23, "")
    assert done.stdout.startswith("zero\nx\nsecure=0 ")


@isolated_with_all_ids
def test_program_that_may_only_be_executed(folder, interpreter, sample) -> None:
    """A user without the right to read the program runs it: flag O."""
    register(folder, interpreter)
    program = copied(sample, folder, 0o111)
    assert start("/bin/cat", str(program), cwd="/", **AS_NOBODY).returncode == 1
    done = start(program, "x", cwd="/", **AS_NOBODY)
    assert (done.returncode, done.stderr) == (23, "")
    assert done.stdout == f"{program}\nx\nsecure=0 uid={NOBODY} euid={NOBODY}\n"


@pytest.fixture(params=["P", "T"])
def run_as_owner(request, folder, interpreter, sample) -> Callable[[str], None]:
    """Start a set-user-ID program of root's as somebody else, with a hostile environment; by flag P and by flag T."""
    if request.param == "T":
        interpreter = transparent(interpreter)

    @isolated_with_all_ids
    def check(flags: str, expected: str) -> None:
        if os.statvfs(folder).f_flag & os.ST_NOSUID:
            pytest.skip("the folder for temporary files is mounted with nosuid")
        register(folder, interpreter, flags)
        program = copied(sample, folder, 0o4755)
        place = folder / "place"
        place.mkdir()
        place.chmod(0o777)
        done = start(program, cwd=place, env=HOSTILE, **AS_NOBODY)
        if not expected:
            assert done.returncode == 2
            assert "sysroot /nonexistent" in done.stderr
            return
        assert (done.stderr, done.returncode) == ("", 23)
        assert done.stdout == f"{program}\n{expected}\n"
        assert list(place.iterdir()) == []

    return check


def test_credentials_of_the_program(run_as_owner) -> None:
    """Flag C: the owner's rights, AT_SECURE, and an environment that has no say."""
    run_as_owner(flags="POCF", expected=f"secure=1 uid={NOBODY} euid=0")


SHOW_ENVIRONMENT = """
#include <stdio.h>
extern char **environ;
int main(void) { for (char **entry = environ; *entry; entry++) puts(*entry); return 0; }
"""


@pytest.mark.parametrize("start", [lambda path: path, transparent], ids=["P", "T"])
def test_privileged_programs_do_not_hand_our_variables_on(
    folder, interpreter, guest_cc, start
) -> None:
    """As glibc removes LD_PRELOAD: a child of a program that made root its real user is not AT_SECURE."""
    (folder / "show.c").write_text(SHOW_ENVIRONMENT)
    show_environment(
        folder=folder, interpreter=start(interpreter), built=guest_cc(folder / "show.c")
    )


@isolated_with_all_ids
def show_environment(folder, interpreter, built) -> None:
    register(folder, interpreter, "POCF")
    environment = {"USERMODE_SYSROOT": "/nonexistent", "USERMODE_STRACE": "x", "KEPT": "USERMODE_"}
    program = copied(built, folder, 0o4755)
    user: dict[str, Any] = AS_NOBODY | {"cwd": "/"}
    for limit in resource.getrlimit(resource.RLIMIT_STACK):
        # With an unlimited stack the interpreter starts again by itself, and is privileged still.
        limits = (limit, resource.getrlimit(resource.RLIMIT_STACK)[1])
        user["preexec_fn"] = functools.partial(resource.setrlimit, resource.RLIMIT_STACK, limits)
        done = start(program, env=environment, **user)
        assert (done.stdout, done.stderr) == ("KEPT=USERMODE_\n", ""), limit


def test_without_flag_c_nothing_is_gained(run_as_owner) -> None:
    """The interpreter listens to the user, as it runs with the user's rights only."""
    run_as_owner(flags="POF", expected="")


@isolated_with_all_ids
def test_set_user_id_is_ignored_without_flag_c(folder, interpreter, sample) -> None:
    register(folder, interpreter)
    program = copied(sample, folder, 0o4755)
    done = start(program, cwd="/", **AS_NOBODY)
    assert done.stdout == f"{program}\nsecure=0 uid={NOBODY} euid={NOBODY}\n"


EXECUTING = sorted((ROOT / "tests/guest/exec").glob("*.c"))
EXECUTING.remove(ROOT / "tests/guest/exec/own_program.c")  # needs capabilities over the machine
EXECUTING.remove(ROOT / "tests/guest/exec/damaged.c")  # the entry does not match all of its files


@pytest.mark.parametrize("source", EXECUTING, ids=[source.stem for source in EXECUTING])
def test_execve_with_flag_t(source: Path, folder, interpreter, guest_cc) -> None:
    """With it the kernel starts what a guest executes: the programs of tests/guest, which runs them natively too."""
    execute_with_flag_t(guest_cc(source), folder=folder, interpreter=transparent(interpreter))


@isolated_with_all_ids
def execute_with_flag_t(program: Path, folder, interpreter) -> None:
    register(folder, interpreter)
    done = start(program, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
