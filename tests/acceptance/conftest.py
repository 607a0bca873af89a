# SPDX-License-Identifier: GPL-2.0-or-later
"""The option that chooses every acceptance case instead of the quick ones."""

from __future__ import annotations

import os

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --acceptance-all (known when pytest is given this folder; USERMODE_ACCEPTANCE=all works everywhere)."""
    parser.addoption(
        "--acceptance-all",
        action="store_true",
        help="run every acceptance case, not only the quick ones",
    )


@pytest.fixture(scope="session")
def every_case(pytestconfig: pytest.Config) -> bool:
    """Whether the long cases are wanted too."""
    wanted = os.environ.get("USERMODE_ACCEPTANCE") == "all"
    return wanted or bool(pytestconfig.getoption("--acceptance-all", default=False))
