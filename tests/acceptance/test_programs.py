# SPDX-License-Identifier: GPL-2.0-or-later
"""Real Debian arm64 programs do under the interpreter what they do under qemu-aarch64.

Compared byte by byte: exit status, standard output, standard error, and the files left behind.
"""

from __future__ import annotations

import pytest

from tests.acceptance import reference, world
from tests.acceptance.cases import Case, all_cases


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(
            case,
            id=case.id,
            # The reference may have to run first; the case's own limit ends each run.
            marks=pytest.mark.timeout(2 * case.timeout + 120),
        )
        for case in all_cases()
    ],
)
def test_same_as_reference(case: Case, every_case: bool) -> None:
    """The case's result under the interpreter equals the reference's."""
    if not case.quick and not every_case:
        pytest.skip("a long case: USERMODE_ACCEPTANCE=all or --acceptance-all")
    try:
        ours, sysroot = reference.ours(), reference.sysroot(case)
        expected = reference.reference(case)
        actual = world.run(case, ours, sysroot)
    except (reference.Unavailable, world.WorldError) as error:
        pytest.skip(str(error))
    found = reference.difference(case, expected, actual, ("reference", "ours"))
    if found:
        pytest.fail(f"{case.id} differs from the reference:\n{found}", pytrace=False)
