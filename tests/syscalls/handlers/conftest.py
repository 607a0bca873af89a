# SPDX-License-Identifier: GPL-2.0-or-later
"""The fake guest thread as a fixture."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.syscalls.handlers.fake import fake_task


@pytest.fixture
def task() -> Iterator[Any]:
    """A guest thread without a sysroot."""
    with fake_task() as made:
        yield made
