# SPDX-License-Identifier: GPL-2.0-or-later
"""CPython's own tests of processes, threads and signals end for a guest as they do natively."""

from __future__ import annotations

import pytest

from tests.acceptance import reference, world
from tests.acceptance.cpython import suite
from tests.acceptance.cpython.suite import Module


@pytest.mark.parametrize(
    "module",
    [
        pytest.param(module, id=module.name, marks=pytest.mark.timeout(4 * module.timeout))
        for module in suite.modules()
    ],
)
def test_same_outcomes(module: Module, every_case: bool) -> None:
    """Each test of the module is passed, failed or skipped on both sides."""
    if not module.quick and not every_case:
        pytest.skip("a long module: USERMODE_ACCEPTANCE=all or --acceptance-all")
    try:
        count, found = suite.compare(module, [] if every_case else module.quick)
    except (reference.Unavailable, world.WorldError) as error:
        pytest.skip(str(error))
    assert count > 0
    assert not found, "\n".join(f"{name}: {text}" for name, text in found.items())


def test_failed_part_fails_its_test() -> None:
    """A failed subtest is not forgotten when the test itself ends."""
    lines = ["started", "fail", "ok"]
    text = "".join(f'["test.m.T.t", "{outcome}", ""]\n' for outcome in lines)
    assert suite.parse(text) == {"test.m.T.t": ("fail", "")}


def test_difference_with_a_reason() -> None:
    """A difference counts unless modules.toml gives a reason for it."""
    native, guest = {"test.m.T.t": ("ok", "")}, {"test.m.T.t": ("fail", "why")}
    assert list(suite.differences(Module("m"), native, guest)) == ["test.m.T.t"]
    assert not suite.differences(Module("m", differs={"T.t": "a reason"}), native, guest)
    assert suite.differences(Module("m"), native, {})
