# SPDX-License-Identifier: GPL-2.0-or-later
"""Which system calls work, as the table says it: for people, as text, JSON and docs/compatibility.md.

Run as a program it writes docs/compatibility.md to standard output.
"""

from __future__ import annotations

import json
from typing import NamedTuple

from syscalls.arch.guest import cpu
from syscalls.call import HOST
from syscalls.errors import error_name

_KERNEL = "6.18"
"""The Linux version whose calls the table lists."""


class Row(NamedTuple):
    """One call. `support` is "full", "partly" or "refused"; `note` says what is missing, or why."""

    name: str
    number: int
    support: str
    made_by: str
    note: str


def rows() -> list[Row]:
    """Every call, in order of its number."""
    from syscalls.table import TABLE

    result = []
    for call in TABLE.values():
        made_by = "nobody" if call.run is None else "host" if call.run is HOST else "usermode"
        note = f"{error_name(call.refuse)}: {call.because}" if call.refuse else call.partly
        result.append(Row(call.name, call.number, call.support, made_by, note))
    return result


def as_text(calls: list[Row]) -> str:
    """One line for each call: number, name, support, note."""
    lines = (f"{row.number:4} {row.name:24} {row.support:8} {row.note}".rstrip() for row in calls)
    return "\n".join(lines) + "\n"


def as_json(calls: list[Row]) -> str:
    """A JSON list of objects with the fields of Row."""
    return json.dumps([row._asdict() for row in calls], indent=2) + "\n"


def as_markdown(calls: list[Row]) -> str:
    """The text of docs/compatibility.md."""
    count = dict.fromkeys(("full", "partly", "refused"), 0)
    for row in calls:
        count[row.support] += 1
    parts = [
        _INTRODUCTION.format(cpu=cpu.PLATFORM.decode(), kernel=_KERNEL, total=len(calls), **count),
        _section("Not made", "refused", calls),
        _section("Made, with a difference", "partly", calls),
        "## Made in full\n\n" + _names([row for row in calls if row.support == "full"]),
    ]
    return "\n".join(parts)


_INTRODUCTION = """\
<!-- Written by `python -m syscalls.compatibility > docs/compatibility.md`: do not edit. -->
# System calls

Every {cpu} system call of Linux {kernel} is listed here, {total} in all: {full} are made in full,
{partly} with a difference that is named, and {refused} are refused, each with the error that the
program gets and the reason. `usermode syscalls` says the same on the command line.

A call that is "made" is the host kernel's: an older host has fewer calls, and a program gets the
host's answer, ENOSYS. A number that is not in the table is ENOSYS too.
"""


def _section(title: str, support: str, calls: list[Row]) -> str:
    lines = [f"## {title}\n", "| call | number | what to know |", "|---|---|---|"]
    lines += [f"| `{r.name}` | {r.number} | {r.note} |" for r in calls if r.support == support]
    return "\n".join(lines) + "\n"


def _names(calls: list[Row]) -> str:
    """The calls' names as lines of running text, an asterisk after those that have a handler."""
    lines = [""]
    for row in calls:
        word = f"`{row.name}`{'*' if row.made_by == 'usermode' else ''}"
        if len(lines[-1]) + len(word) > 96:
            lines.append("")
        lines[-1] = f"{lines[-1]} {word}".lstrip()
    closing = "\\* has a handler here; all others are handed to the host kernel as they are."
    return "\n".join(lines) + f"\n\n{closing}\n"


if __name__ == "__main__":
    print(as_markdown(rows()), end="")
