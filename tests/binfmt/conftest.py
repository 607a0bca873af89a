# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixtures for tests of the registration."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import support
from tests.binfmt.namespace import short_folder


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path, which everybody may enter."""
    with short_folder() as path:
        yield path


@pytest.fixture(scope="session")
def sample() -> Path:
    """The built sample program."""
    path = support.BUILD / "usermode-sample"
    if not path.exists():
        pytest.skip("build/usermode-sample is not built: run `make`")
    return path
