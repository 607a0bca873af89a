# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixtures for tests of the C core."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

from tests.usermode.core import machine, rows


@pytest.fixture
def space(core: ModuleType) -> Iterator[machine.Space]:
    """Guest memory that is unmapped after the test."""
    space = machine.Space(core)
    yield space
    space.close()


@pytest.fixture
def engine(core: ModuleType, space: machine.Space) -> Iterator[Any]:
    """An engine of the test's thread."""
    yield from machine.opened(core)


@pytest.fixture
def call(core: ModuleType, engine: Any) -> Iterator[Callable[..., int]]:
    """call(name, *arguments): what pass_through() returns for one of rows.CALLS."""
    flags = struct.pack("<2I", *rows.O_DIRECTORY)
    rows.configure(core, dict(rows.CALLS.values()), rows.STAT, flags)
    yield lambda name, *arguments: engine.pass_through(rows.CALLS[name][0], *arguments)
    rows.configure(core, {})


@pytest.fixture
def page(space: machine.Space) -> int:
    """Four pages to read and write."""
    return space.map(4 * machine.PAGE, machine.READ | machine.WRITE)
