# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs below this folder that take an argument for how long they go on, with more of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent

pytestmark = [pytest.mark.long, pytest.mark.timeout(4000)]


def test_a_minute_of_threads(check_guest: Callable[..., None]) -> None:
    check_guest(HERE / "threads/hammer.c", arguments=["60"], timeout=300)


def test_ten_thousand_processes(check_guest: Callable[..., None]) -> None:
    check_guest(HERE / "processes/many.c", arguments=["10000"], timeout=3600)
