# SPDX-License-Identifier: GPL-2.0-or-later
"""Every C program below this folder: run on the host first, then as a guest, with the same output and status."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SOURCES = sorted(HERE.glob("*/*.c"))


@pytest.mark.parametrize(
    "source", SOURCES, ids=lambda path: str(path.relative_to(HERE).with_suffix(""))
)
def test_guest_program(source: Path, check_guest: Callable[..., None]) -> None:
    check_guest(source)
