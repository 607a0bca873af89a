# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest's start imports what hot_modules.txt lists, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from tests.support import Outcome

LIST = Path(__file__).with_name("hot_modules.txt")
HELLO = '#include <stdio.h>\nint main(void) { puts("hello"); return 0; }\n'


def test_modules_at_start(
    guest_cc: Callable[..., Path], run_guest: Callable[..., Outcome], tmp_path: Path
) -> None:
    source = tmp_path / "hello.c"
    source.write_text(HELLO)
    outcome = run_guest([guest_cc(source)], env={"USERMODE_DEBUG": "modules"})
    assert (outcome.status, outcome.stdout) == (0, b"hello\n"), outcome.stderr
    loaded = set(outcome.stderr.decode().split())
    listed = set(LIST.read_text().split())
    assert loaded, "USERMODE_DEBUG=modules printed nothing"
    assert loaded <= listed, f"imported at start, not in {LIST.name}: {sorted(loaded - listed)}"
    assert listed <= loaded, f"in {LIST.name}, but not imported: {sorted(listed - loaded)}"
