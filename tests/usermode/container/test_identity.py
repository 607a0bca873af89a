# SPDX-License-Identifier: GPL-2.0-or-later
"""Which ids a namespace gets."""

from __future__ import annotations

from pathlib import Path

import pytest

from usermode.container import identity
from usermode.container.identity import Range
from usermode.errors import UsermodeError


def test_subordinate_ranges(tmp_path: Path) -> None:
    table = tmp_path / "subuid"
    table.write_text("joe:100000:65536\nann:1:2\n1000:300000:10\nbroken\n")
    assert identity.subordinate(table, ("joe", "1000")) == [(100000, 65536), (300000, 10)]
    assert identity.subordinate(tmp_path / "missing", ("joe", "1000")) == []


@pytest.mark.parametrize("line", ["joe:x:65536", "joe:1", "joe:1:-5", "joe:1:2:3"])
def test_a_damaged_line(tmp_path: Path, line: str) -> None:
    (tmp_path / "subuid").write_text(f"ann:nonsense:1\n{line}\n")
    with pytest.raises(UsermodeError, match="has a damaged line"):
        identity.subordinate(tmp_path / "subuid", ("joe", "1000"))


def test_root_keeps_all_ids() -> None:
    chosen = identity.identity()
    if chosen.single:
        pytest.skip("not root, and without subordinate ids")
    assert not chosen.by_helper
    assert all(part.inside == part.outside for part in chosen.users)


def test_a_user_is_root_inside_and_its_range_comes_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity.os, "geteuid", lambda: 1234)
    monkeypatch.setattr(identity.os, "getegid", lambda: 4321)
    monkeypatch.setattr(identity, "subordinate", lambda table, names: [(100000, 10), (500, 5)])
    monkeypatch.setattr(identity.shutil, "which", lambda name: f"/usr/bin/{name}")
    chosen = identity.identity()
    assert chosen.by_helper
    assert chosen.users == [Range(0, 1234, 1), Range(1, 100000, 10), Range(11, 500, 5)]
    assert chosen.groups[0] == Range(0, 4321, 1)


def test_a_user_without_a_range_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(identity.os, "geteuid", lambda: 1234)
    monkeypatch.setattr(identity, "subordinate", lambda table, names: [])
    assert identity.identity().single
