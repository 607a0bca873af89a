# SPDX-License-Identifier: GPL-2.0-or-later
"""`usermode syscalls`: which system calls work, from the one table that makes them work."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

import click

from usermode.errors import UsermodeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from syscalls.call import Call


@click.command()
@click.option("--refused", is_flag=True, help="Only the calls that are not made, with the reason.")
@click.option("--partly", is_flag=True, help="Only the calls that do not do everything.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
@click.option("--markdown", "as_markdown", is_flag=True, help="Write a table in Markdown.")
@click.argument("names", nargs=-1, metavar="[NAME]...")
def syscalls(
    refused: bool, partly: bool, as_json: bool, as_markdown: bool, names: tuple[str, ...]
) -> None:
    """List the system calls, or those called NAME, and how much of each works.

    A name that is no system call of the guest's CPU gives status 1.
    """
    if as_json and as_markdown:
        raise click.UsageError("--json and --markdown exclude each other")
    calls = select(names)
    if refused or partly:
        wanted = {word for word, given in (("refused", refused), ("partly", partly)) if given}
        calls = [call for call in calls if call.support in wanted]
    if as_json:
        click.echo(as_json_text(calls))
    elif as_markdown:
        click.echo(as_table(calls))
    else:
        for call in calls:
            click.echo(f"{call.number:4} {call.name:24} {call.support:8} {note(call)}".rstrip())


def select(names: Sequence[str]) -> list[Call]:
    """Return the rows of the named calls, or all, by number; UsermodeError when a name is unknown."""
    # With the handlers this is most of the project: not for `usermode run`.
    from syscalls.table import TABLE

    by_name = {call.name: call for call in TABLE.values()}
    for name in names:
        if name not in by_name:
            like = difflib.get_close_matches(name, by_name)
            raise UsermodeError(
                f"{name!r} is no system call of the guest's CPU",
                hint=f"did you mean {' or '.join(like)}?" if like else None,
            )
    return [by_name[name] for name in names] if names else list(TABLE.values())


def note(call: Call) -> str:
    """Say what does not work, or why; empty for a call that works."""
    from errno import errorcode

    return f"{errorcode[call.refuse]}: {call.because}" if call.refuse else call.partly


def as_json_text(calls: list[Call]) -> str:
    """Return the rows as a JSON list of {name, number, support, note}."""
    import json

    rows = [
        {"name": call.name, "number": call.number, "support": call.support, "note": note(call)}
        for call in calls
    ]
    return json.dumps(rows, indent=2)


def as_table(calls: list[Call]) -> str:
    """Return the rows as a Markdown table."""
    lines = ["| call | number | support | note |", "|---|---|---|---|"]
    for call in calls:
        text = note(call).replace("|", "\\|")
        lines.append(f"| {call.name} | {call.number} | {call.support} | {text} |")
    return "\n".join(lines)
