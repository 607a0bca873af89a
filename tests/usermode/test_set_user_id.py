# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest that executes a set-user-ID program: the kernel gives its credentials to a registration with flag C."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from binfmt.entry import Entry

PROGRAM = r"""
#include <stdio.h>
#include <sys/auxv.h>
#include <unistd.h>
int main(int count, char **words) {
    if (count > 1) return execv(words[1], words + 1);
    printf("%d %ld\n", geteuid(), getauxval(AT_SECURE));
    return 0;
}
"""
USER = 1234
INSIDE = """
read go
mount -t binfmt_misc none mount && cat line > mount/register && ./plain ./with-bit
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another user")
@pytest.mark.parametrize(("flag", "shown"), [("C", f"{USER} 1\n"), ("", "0 0\n")])
def test_set_user_id(
    flag: str, shown: str, interpreter: Path, guest_cc: Callable[..., Path], tmp_path: Path
) -> None:
    source = tmp_path / "program.c"
    source.write_text(PROGRAM)
    for name in "plain", "with-bit":
        shutil.copy(guest_cc(source), tmp_path / name)
    os.chown(tmp_path / "with-bit", USER, USER)
    (tmp_path / "with-bit").chmod(0o4755)
    (tmp_path / "mount").mkdir()
    line = Entry(str(interpreter)).line().rstrip("\n").rpartition(":")[0]
    (tmp_path / "line").write_text(f"{line}:POF{flag}")
    process = subprocess.Popen(
        ["unshare", "-Um", "sh", "-c", INSIDE],
        cwd=tmp_path,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    own = Path("/proc/self/ns/user").readlink()
    while process.poll() is None and Path(f"/proc/{process.pid}/ns/user").readlink() == own:
        pass
    if process.poll() is None:
        for file in "uid_map", "gid_map":
            Path(f"/proc/{process.pid}/{file}").write_text("0 0 65536")
    answer, errors = process.communicate("go\n", timeout=60)
    if "unshare" in errors or "mount" in errors:
        pytest.skip(f"no binfmt_misc in a user namespace here: {errors.strip()}")
    assert (answer, errors) == (shown, "")
