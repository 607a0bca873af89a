# SPDX-License-Identifier: GPL-2.0-or-later
"""The linters, run as tests with the settings of pyproject.toml and .clang-format."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.house.sources import files
from tests.support import ROOT

TOOLS = Path(sys.executable).parent
TYPED = ("syscalls", "binfmt", "usermode", "tools", "packaging/static")


def run(tool: str | Path, *arguments: str) -> None:
    """Run a tool of the virtual environment at the project's root; its words are the failure."""
    command = TOOLS / tool if isinstance(tool, str) else tool
    done = subprocess.run(
        [command, *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command.name} {arguments[0]}:\n{done.stdout}{done.stderr}"


def test_ruff_check() -> None:
    run("ruff", "check", "--quiet", "--output-format=concise", ".")


def test_ruff_format() -> None:
    run("ruff", "format", "--check", "--quiet", ".")


def test_mypy() -> None:
    run("mypy", "--no-error-summary", *(folder for folder in TYPED if (ROOT / folder).exists()))


def test_import_layers() -> None:
    run("lint-imports", "--no-cache")


def test_codespell() -> None:
    run("codespell", ".")


def test_clang_format() -> None:
    tool = shutil.which("clang-format")
    if not tool:
        pytest.skip("clang-format is not installed: run `make`")
    sources = [str(path) for path in files(".c", ".h")]
    run(Path(tool), "--dry-run", "-Werror", *sources)
