# SPDX-License-Identifier: GPL-2.0-or-later
"""The registration line, and what the kernel makes of it in a user namespace with its own binfmt_misc."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from binfmt.configuration import parse_line
from binfmt.entry import Entry, in_order, lacking
from binfmt.magic import MAGIC, matches

EXECUTABLE = bytes.fromhex("7f454c460201010000000000000000000200b700")


def test_magic_is_that_of_an_executable() -> None:
    assert MAGIC == EXECUTABLE


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({}, True),
        ({16: 3}, True),  # ET_DYN
        ({7: 3}, True),  # ELFOSABI_GNU
        ({16: 1}, False),  # ET_REL
        ({18: 62, 19: 0}, False),  # x86-64
        ({4: 1}, False),  # 32-bit
        ({5: 2}, False),  # big endian
        ({8: 0x41, 9: 0x49, 10: 2}, False),  # AppImage
    ],
)
def test_matches(change: dict[int, int], expected: bool) -> None:
    head = bytearray(EXECUTABLE)
    for index, value in change.items():
        head[index] = value
    assert matches(bytes(head)) is expected


def test_appimages_match_on_request() -> None:
    head = bytearray(EXECUTABLE)
    head[8:11] = b"AI\x02"
    assert matches(bytes(head), appimage=True)


def test_delimiter_is_one_that_does_not_occur() -> None:
    assert Entry("/a:b").line().startswith("|usermode-aarch64|M||")
    assert Entry("/a:b|c").line().startswith(",usermode-aarch64,M,,")


def test_flags_are_in_the_kernel_s_order() -> None:
    assert Entry("/a", flags="FCP").flags == "POCF"  # C implies O
    assert Entry("/a", flags="TF").flags == "OFT"  # T implies O
    assert in_order("ZFPA") == "PFAZ"


def test_flag_t_does_what_p_does() -> None:
    entry = Entry("/a", flags="OCFT", appimage=True)
    assert (entry.portable.flags, entry.portable.mask) == ("POCF", entry.mask)
    assert (lacking("FT"), lacking("OF"), lacking("")) == ([], ["P"], ["P", "O", "F"])
    held = parse_line(entry.portable.line())
    assert held.equivalent(entry)
    assert not held.same(entry)
    assert not held.equivalent(Entry("/a", flags="OFT", appimage=True))


@pytest.mark.parametrize(
    "parts",
    [
        {"name": "a/b"},
        {"name": "register"},
        {"name": ""},
        {"interpreter": "usermode"},
        {"interpreter": "/a:b|c,d%e@f!g"},
        {"interpreter": "/a\nb"},
        {"name": "n" * 1900},
        {"interpreter": "/" + "a" * 127},
        {"flags": "PX"},
        {"flags": "PT"},
    ],
)
def test_bad_parts(parts: dict[str, str]) -> None:
    with pytest.raises(ValueError, match=r"."):
        Entry(**parts)  # type: ignore[arg-type]


REGISTER = """
set -e
mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
printf %s "$1" > /proc/sys/fs/binfmt_misc/register
shift
"$@"
"""


def in_namespace(line: str, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command where only `line` is registered."""
    unshare = ["unshare", "--user", "--map-root-user", "--mount"]
    probe = [*unshare, "mount", "-t", "binfmt_misc", "none", "/proc/sys/fs/binfmt_misc"]
    made = subprocess.run(probe, capture_output=True, text=True, check=False)
    if made.returncode:
        pytest.skip(f"no binfmt_misc of our own here: {made.stderr.strip()}")
    return subprocess.run(
        [*unshare, "sh", "-c", REGISTER, "sh", line, *command],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture
def static_program(tmp_path: Path) -> Path:
    source = tmp_path / "show.c"
    source.write_text(
        "#include <stdio.h>\n"
        'int main(int n, char **v) { for (int i = 0; i < n; i++) printf("[%s]", v[i]);'
        ' puts(""); return 7; }\n'
    )
    target = tmp_path / "show"
    subprocess.run(
        ["aarch64-linux-gnu-gcc", "-static", "-o", target, source], check=True, timeout=60
    )
    return target


def test_program_runs_by_itself(interpreter: Path, static_program: Path) -> None:
    done = in_namespace(Entry(str(interpreter)).line(), str(static_program), "a", "b c")
    assert (done.stdout, done.stderr, done.returncode) == (f"[{static_program}][a][b c]\n", "", 7)


def test_argv0_is_kept(interpreter: Path, static_program: Path) -> None:
    command = ("bash", "-c", f"exec -a other {static_program} x")
    done = in_namespace(Entry(str(interpreter)).line(), *command)
    assert (done.stdout, done.returncode) == ("[other][x]\n", 7)


def test_empty_chroot_without_proc(interpreter: Path, static_program: Path, tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    shutil.copy(static_program, root / "show")
    done = in_namespace(Entry(str(interpreter)).line(), "chroot", str(root), "/show", "x")
    assert (done.stdout, done.stderr, done.returncode) == ("[/show][x]\n", "", 7)


@pytest.mark.parametrize("proc", ["missing", "a link to itself", "empty"])
def test_guests_start_guests_without_proc(
    interpreter: Path, guest_cc: Callable[..., Path], tmp_path: Path, proc: str
) -> None:
    """debootstrap(8) leaves /proc as a symbolic link to itself until its second stage has mounted it."""
    root = tmp_path / "root"
    root.mkdir()
    if proc == "empty":
        (root / "proc").mkdir()
    elif proc != "missing":
        (root / "proc").symlink_to("/proc")
    source = tmp_path / "start.c"
    source.write_text(
        "#include <stdio.h>\n#include <unistd.h>\n"
        "int main(int n, char **v) { if (n > 1) execv(v[1], v + 1); return n > 1 ? 1 : 9; }\n"
    )
    shutil.copy(guest_cc(source), root / "start")
    line = Entry(str(interpreter)).line()
    done = in_namespace(line, "chroot", str(root), "/start", "/start", "/start")
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 9)


def test_execute_only_program(interpreter: Path, static_program: Path) -> None:
    """Flag O hands the open file over, so that nobody needs to read it by its path."""
    static_program.chmod(0o111)
    done = in_namespace(Entry(str(interpreter)).line(), str(static_program))
    assert (done.stdout, done.returncode) == (f"[{static_program}]\n", 7)
