# SPDX-License-Identifier: GPL-2.0-or-later
"""The check of libunicorn.a accepts the pinned library and nothing else."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support import ROOT
from tools import check_unicorn

LIBRARY = ROOT / ".venv/lib/python3.11/site-packages/unicorn/lib/libunicorn.a"


@pytest.fixture(scope="module")
def archive() -> bytes:
    if not LIBRARY.exists():
        pytest.skip("no virtual environment in .venv: run `make`")
    return LIBRARY.read_bytes()


def test_pinned_library(archive: bytes) -> None:
    assert check_unicorn.problem(LIBRARY) is None
    code = check_unicorn.function_bytes(archive, check_unicorn.FUNCTION, 4)
    assert code == check_unicorn.INSTRUCTION


def test_other_library(archive: bytes, tmp_path: Path) -> None:
    other = tmp_path / "libunicorn.a"
    other.write_bytes(archive.replace(check_unicorn.INSTRUCTION, bytes.fromhex("f6476508")))
    assert "another layout" in (check_unicorn.problem(other) or "")
    other.write_bytes(archive + b"\n")
    assert "not the one" in (check_unicorn.problem(other) or "")


def test_missing_library(tmp_path: Path) -> None:
    assert "missing" in (check_unicorn.problem(tmp_path / "libunicorn.a") or "")


def test_each_function_is_replaced_once() -> None:
    """The linker takes the first of several definitions without a word (--allow-multiple-definition)."""
    core = ROOT / "usermode/core"
    names = (core / "wraps").read_text().split()
    assert len(names) == len(set(names)), "a name twice in usermode/core/wraps"
    defined = [
        name
        for source in sorted(core.glob("*.c"))
        for name in re.findall(
            r"^[\w *]*\b__wrap_(\w+)\([^;{]*\{", source.read_text(), re.MULTILINE
        )
    ]
    assert len(defined) == len(set(defined)), f"defined twice: {sorted(defined)}"
