# SPDX-License-Identifier: GPL-2.0-or-later
"""`usermode syscalls`: which system calls work, from the one table that makes them work."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

import click

from usermode.errors import UsermodeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from syscalls.compatibility import Row


@click.command()
@click.option("--refused", is_flag=True, help="Only the calls that are not made, with the reason.")
@click.option("--partly", is_flag=True, help="Only the calls that do not do everything.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
@click.option(
    "--markdown", "as_markdown", is_flag=True, help="Write the page docs/compatibility.md."
)
@click.argument("names", nargs=-1, metavar="[NAME]...")
def syscalls(
    refused: bool, partly: bool, as_json: bool, as_markdown: bool, names: tuple[str, ...]
) -> None:
    """List the system calls, or those called NAME, and how much of each works.

    A name that is no system call of the guest's CPU gives status 1.
    """
    if as_json and as_markdown:
        raise click.UsageError("--json and --markdown exclude each other")
    rows = select(names)
    if refused or partly:
        wanted = {word for word, given in (("refused", refused), ("partly", partly)) if given}
        rows = [row for row in rows if row.support in wanted]
    from syscalls import compatibility

    write = compatibility.as_text
    if as_json:
        write = compatibility.as_json
    elif as_markdown:
        write = compatibility.as_markdown
    click.echo(write(rows), nl=False)


def select(names: Sequence[str]) -> list[Row]:
    """Return the rows of the named calls, or all, by number; UsermodeError when a name is unknown."""
    # With the handlers this is most of the project: not for `usermode run`.
    from syscalls import compatibility

    by_name = {row.name: row for row in compatibility.rows()}
    for name in names:
        if name not in by_name:
            like = difflib.get_close_matches(name, by_name)
            raise UsermodeError(
                f"{name!r} is no system call of the guest's CPU",
                hint=f"did you mean {' or '.join(like)}?" if like else None,
            )
    return [by_name[name] for name in names] if names else list(by_name.values())
