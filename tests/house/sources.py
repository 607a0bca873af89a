# SPDX-License-Identifier: GPL-2.0-or-later
"""The project's files, and the exceptions from its rules."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.support import ROOT

NOT_OURS = {".git", ".hypothesis", ".venv", ".cache", "build", "dist", "__pycache__"}
CODE = {".py", ".pyi", ".c", ".h", ".S", ".lds", ".sh", ".mk"}


def files(*suffixes: str) -> Iterator[Path]:
    """Yield the project's files, relative to its root: those with the suffixes, or all."""
    for folder, folders, names in os.walk(ROOT):
        folders[:] = sorted(
            name for name in folders if name not in NOT_OURS and not name.endswith("_cache")
        )
        for name in sorted(names):
            path = Path(folder, name)
            if path.is_file() and (not suffixes or path.suffix in suffixes):
                yield path.relative_to(ROOT)


def text(path: Path) -> str:
    """Return a file's contents; bytes that are no UTF-8 become U+FFFD."""
    return (ROOT / path).read_text(errors="replace")


def exceptions(rule: str) -> dict[str, Any]:
    """Return the exceptions of a rule: see exceptions.toml."""
    table = tomllib.loads(Path(__file__).with_name("exceptions.toml").read_text())
    found: dict[str, Any] = table.get(rule, {})
    return found
