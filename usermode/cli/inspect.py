# SPDX-License-Identifier: GPL-2.0-or-later
"""`usermode inspect`: what an ELF file asks for, and whether it gets it here."""

from __future__ import annotations

import click


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
@click.option(
    "--sysroot",
    type=click.Path(exists=True, file_okay=False),
    envvar="USERMODE_SYSROOT",
    metavar="DIR",
    help="Look for the program's files under DIR first.",
)
@click.argument("elf", type=click.Path())
def inspect(as_json: bool, sysroot: str | None, elf: str) -> None:
    """Show what the file ELF is, what it needs, and whether that is here.

    A file that is damaged, or is not ELF, gives one line on standard error and status 1.
    """
    # pyelftools takes longer to import than everything else together.
    from usermode.inspect.render import render
    from usermode.inspect.report import inspect_file

    report = inspect_file(elf, sysroot)
    if as_json:
        import json
        from dataclasses import asdict

        click.echo(json.dumps(asdict(report), indent=2))
    else:
        click.echo(render(report))
