# SPDX-License-Identifier: GPL-2.0-or-later
"""What people do in a Debian tree: install and build packages, make users, locales, virtual environments."""

from __future__ import annotations

import urllib.request

import pytest

from tests.acceptance import trees
from tests.acceptance.reference import Unavailable
from tests.acceptance.steps import Step, steps


@pytest.mark.long
@pytest.mark.timeout(6000)  # the first has to make the tree
@pytest.mark.parametrize("step", steps(), ids=lambda step: step.name)
def test_step(step: Step, every_case: bool) -> None:
    """The step succeeds, and its output holds what it should."""
    if not every_case:
        pytest.skip("a long case: USERMODE_ACCEPTANCE=all or --acceptance-all")
    if step.network:
        try:
            urllib.request.urlopen(trees.mirror(), timeout=20).close()
        except (OSError, Unavailable) as error:
            pytest.skip(f"no network: {error}")
    try:
        done = step.run(trees.ours())
    except Unavailable as error:
        pytest.skip(str(error))
    if problem := step.problem(done):
        pytest.fail(problem, pytrace=False)
