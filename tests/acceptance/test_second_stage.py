# SPDX-License-Identifier: GPL-2.0-or-later
"""debootstrap's second stage, which configures a whole Debian, leaves the same tree as under qemu-aarch64."""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance import reference, trees
from tests.acceptance.reference import Unavailable

RESULTS = reference.ROOT / "build" / "acceptance" / "second-stage"


def configure(first: Path, interpreter: Path) -> tuple[trees.Done, list[str]]:
    """Run the second stage."""
    script = trees.Command.script(trees.SECOND_STAGE)
    job = trees.Job(first, [script], interpreter, list_files=True, timeout=1800)
    (done,), files = trees.run(job)
    return done, files


def expected(first: Path) -> tuple[trees.Done, list[str]]:
    """What the reference does: kept, or done now. Raises Unavailable."""
    qemu = trees.static_qemu()
    path = RESULTS / f"{trees.stamp(first)}-{trees.key(str(qemu))}.json"
    if not path.exists():
        done, files = configure(first, qemu)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps([vars(done), files]))
    row, files = json.loads(path.read_text())
    return trees.Done(**row), files


@pytest.mark.long
@pytest.mark.timeout(4000)
def test_same_tree_as_under_the_reference(
    every_case: bool, record_property: Callable[[str, object], None]
) -> None:
    if not every_case:
        pytest.skip("a long case: USERMODE_ACCEPTANCE=all or --acceptance-all")
    try:
        first, interpreter = trees.first_stage(), trees.ours()
        wanted, wanted_files = expected(first)
    except Unavailable as error:
        pytest.skip(str(error))
    done, files = configure(first, interpreter)
    assert done.status == 0, done.output[-3000:]
    assert done.output.splitlines()[-3:] == ["audit: ", "installed: 88", "processes: 2"]
    assert wanted.output.splitlines()[-3:] == done.output.splitlines()[-3:]
    assert not list(
        difflib.unified_diff(wanted_files, files, "reference", "ours", n=0, lineterm="")
    )
    record_property("seconds of CPU, ours and the reference's", (done.cpu, wanted.cpu))
    print(f"CPU: {done.cpu} s, {done.cpu / wanted.cpu:.2f} of the reference's")
