# SPDX-License-Identifier: GPL-2.0-or-later
"""`usermode syscalls`."""

from __future__ import annotations

import json

import pytest

from syscalls import compatibility
from syscalls.table import TABLE
from usermode.cli import main


def shown(capfd: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run the command, which must succeed in silence, and return what it prints."""
    assert main(["syscalls", *arguments]) == 0
    out, err = capfd.readouterr()
    assert err == ""
    return out


def test_every_call_has_a_line(capfd) -> None:
    lines = [line.split() for line in shown(capfd).splitlines()]
    assert [(int(line[0]), line[1], line[2]) for line in lines] == [
        (call.number, call.name, call.support) for call in TABLE.values()
    ]


@pytest.mark.parametrize("support", ["refused", "partly"])
def test_filters_show_the_reason(capfd, support) -> None:
    rows = json.loads(shown(capfd, f"--{support}", "--json"))
    assert [row["name"] for row in rows] == [
        call.name for call in TABLE.values() if call.support == support
    ]
    assert rows
    assert all(row["note"] for row in rows)


def test_both_filters_add_up(capfd) -> None:
    supports = {
        row["support"] for row in json.loads(shown(capfd, "--refused", "--partly", "--json"))
    }
    assert supports == {"refused", "partly"}


def test_names_are_shown_as_asked_for(capfd) -> None:
    rows = json.loads(shown(capfd, "--json", "write", "read"))
    assert [(row["name"], row["number"]) for row in rows] == [("write", 64), ("read", 63)]


def test_markdown_is_the_page(capfd) -> None:
    assert shown(capfd, "--markdown") == compatibility.as_markdown(compatibility.rows())


def test_an_unknown_name_is_said(capfd) -> None:
    assert main(["syscalls", "opneat"]) == 1
    err = capfd.readouterr().err
    assert err.startswith(
        "usermode: 'opneat' is no system call of the guest's CPU\n  hint: did you mean openat"
    )


def test_two_formats_exclude_each_other(capfd) -> None:
    assert main(["syscalls", "--json", "--markdown"]) == 2
    assert "exclude each other" in capfd.readouterr().err
