# SPDX-License-Identifier: GPL-2.0-or-later
"""Started by the kernel through binfmt_misc: what the guest sees as its own start. In a user namespace of its own."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from binfmt.entry import Entry

SHOW = r"""
#include <stdio.h>
#include <sys/auxv.h>
int main(int count, char **words) {
    for (int i = 0; i < count; i++) printf("%s|", words[i]);
    printf("%s\n", (char *)getauxval(AT_EXECFN));
    return 0;
}
"""

EXECUTE = r"""
#include <stdio.h>
#include <unistd.h>
int main(int count, char **words) {
    execv(words[1], words + 1);
    perror(words[1]);
    return count;
}
"""

SETUP = """
set -e
mount -t binfmt_misc none "$1"
cat line > "$1/register"
"""


@pytest.fixture
def started(
    interpreter: Path, guest_cc: Callable[..., Path], tmp_path: Path
) -> Callable[[str], list[str]]:
    """Run a shell command where the kernel knows the interpreter; its lines."""
    source = tmp_path / "show.c"
    source.write_text(SHOW)
    shutil.copy(guest_cc(source), tmp_path / "show")
    (tmp_path / "script").write_text("#!./show word\n")
    (tmp_path / "script").chmod(0o755)
    (tmp_path / "mount").mkdir()
    (tmp_path / "line").write_text(Entry(str(interpreter)).line())

    def run(command: str) -> list[str]:
        done = subprocess.run(
            ["unshare", "-Urm", "sh", "-c", SETUP + command, "sh", tmp_path / "mount"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
        )
        if "unshare" in done.stderr or "mount" in done.stderr:
            pytest.skip(f"no binfmt_misc in a user namespace here: {done.stderr.strip()}")
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    return run


def test_program(started: Callable[[str], list[str]]) -> None:
    assert started("./show one 'two three'") == ["./show|one|two three|./show"]


def test_script(started: Callable[[str], list[str]]) -> None:
    """AT_EXECFN is the script that was asked for, argv[0] what stands in its first line."""
    assert started("./script one") == ["./show|word|./script|one|./script"]


def test_unlimited_stack(started: Callable[[str], list[str]]) -> None:
    """The interpreter starts again, and the guest sees the same."""
    command = "ulimit -s unlimited || exit 0\n./show one; ./script two"
    assert started(command) in (["./show|one|./show", "./show|word|./script|two|./script"], [])


def test_program_that_cannot_be_read(
    started: Callable[[str], list[str]], guest_cc: Callable[..., Path], tmp_path: Path
) -> None:
    """The kernel opens it for the interpreter (flag O), whoever executes it."""
    source = tmp_path / "execute.c"
    source.write_text(EXECUTE)
    shutil.copy(guest_cc(source), tmp_path / "execute")
    (tmp_path / "show").chmod(0o111)
    without_capabilities = "setpriv --bounding-set -all --inh-caps -all"
    if not shutil.which("setpriv"):
        pytest.skip("setpriv is missing")
    expected = ["./show|one|./show"]
    assert started(f"{without_capabilities} ./show one") == expected
    assert started(f"{without_capabilities} ./execute ./show one") == expected
