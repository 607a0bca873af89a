# SPDX-License-Identifier: GPL-2.0-or-later
"""`usermode bootstrap`: what it refuses, what it makes of debootstrap's words, and a whole tree."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from usermode.cli import main
from usermode.container import bootstrap


def test_progress() -> None:
    lines = [
        b"I: Retrieving InRelease \n",
        b"I: Validating libc6 2.36-9\n",
        b"I: Validating zlib1g 1:1.2\n",
        b"I: Extracting libc6...\n",
        b"nonsense\n",
    ]
    read_end, write_end = os.pipe()
    os.write(write_end, b"".join(lines))
    os.close(write_end)
    told: list[tuple[str, int, int]] = []
    kept: list[str] = []
    bootstrap._follow(read_end, kept, "T", lambda *step: told.append(step))
    assert told == [
        ("T: retrieving InRelease", 1, 1),
        ("T: validating libc6", 1, 1),
        ("T: validating zlib1g", 2, 2),
        ("T: extracting libc6", 1, 2),
    ]
    assert kept[-1] == "nonsense"


def test_a_folder_in_use_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], interpreter: Path
) -> None:
    if not shutil.which("debootstrap", path=os.environ["PATH"] + ":/usr/sbin"):
        pytest.skip("debootstrap is not installed")
    (tmp_path / "file").touch()
    assert main(["bootstrap", "--interpreter", str(interpreter), str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"usermode: {tmp_path} is not empty\n"
    (tmp_path / "debootstrap").mkdir()
    assert main(["bootstrap", "--interpreter", str(interpreter), str(tmp_path)]) == 1
    assert capsys.readouterr().err.endswith(f"rm -rf {tmp_path}\n")


def test_without_debootstrap(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    interpreter: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(bootstrap.shutil, "which", lambda *a, **k: None)
    assert main(["bootstrap", "--interpreter", str(interpreter), str(tmp_path)]) == 1
    assert "debootstrap is not installed" in capsys.readouterr().err
