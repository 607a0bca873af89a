# SPDX-License-Identifier: GPL-2.0-or-later
"""The list of what works: complete, and docs/compatibility.md is up to date."""

from __future__ import annotations

import json

from syscalls import compatibility
from tests.support import ROOT


def test_document_is_up_to_date() -> None:
    text = (ROOT / "docs/compatibility.md").read_text()
    assert text == compatibility.as_markdown(compatibility.rows()), (
        "run: python -m syscalls.compatibility > docs/compatibility.md"
    )


def test_rows() -> None:
    by_name = {row.name: row for row in compatibility.rows()}
    assert len(by_name) == 325
    assert by_name["read"] == ("read", 63, "full", "host", "")
    assert by_name["mmap"].made_by == "usermode"
    refused = by_name["map_shadow_stack"]
    assert refused.support == "refused"
    assert refused.made_by == "nobody"
    assert refused.note.startswith("EOPNOTSUPP: ")
    assert by_name["mlockall"].support == "partly"
    assert by_name["mlockall"].note


def test_every_call_is_in_the_document_once() -> None:
    text = compatibility.as_markdown(compatibility.rows())
    for row in compatibility.rows():
        assert text.count(f"`{row.name}`") == 1, row.name


def test_text_and_json() -> None:
    calls = compatibility.rows()
    lines = compatibility.as_text(calls).splitlines()
    assert len(lines) == 325
    assert lines[-1].split()[:3] == ["469", "file_setattr", "full"]
    entries = json.loads(compatibility.as_json(calls))
    assert [entry["number"] for entry in entries] == [row.number for row in calls]
    assert set(entries[0]) == {"name", "number", "support", "made_by", "note"}
