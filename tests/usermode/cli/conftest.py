# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixtures for tests of the commands around the registration."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import support
from tests.binfmt.namespace import short_folder


@pytest.fixture
def folder() -> Iterator[Path]:
    with short_folder() as path:
        yield path


@pytest.fixture
def installation(folder, interpreter) -> Path:
    """A root with the interpreter, the sample program and systemd's folders."""
    sample = support.BUILD / "usermode-sample"
    if not sample.exists():
        pytest.skip("build/usermode-sample is not built: run `make`")
    root = folder / "r"
    place = root / "usr/libexec/usermode"
    place.mkdir(parents=True)
    shutil.copy(interpreter, place)
    shutil.copy(sample, place)
    (root / "run/systemd/system").mkdir(parents=True)
    (root / "etc/binfmt.d").mkdir(parents=True)
    return root
