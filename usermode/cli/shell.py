# SPDX-License-Identifier: GPL-2.0-or-later
"""`usermode shell`: enter a guest's root tree, as root of it, with nothing global changed."""

from __future__ import annotations

import os

import click

from usermode.cli.interpreter import CANNOT_START, find_interpreter
from usermode.cli.run import check_assignment
from usermode.container.enter import Room, check_root, environment, run
from usermode.errors import UsermodeError

SHELLS = ("bin/bash", "bin/sh")


def parse_binds(
    ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> list[tuple[str, str]]:
    """Split SOURCE[:TARGET]; the target defaults to the same path inside."""
    pairs = []
    for value in values:
        source, colon, target = value.partition(":")
        if not os.path.exists(source):
            raise click.BadParameter(f"there is no {source!r}", ctx, parameter)
        source = os.path.abspath(source)
        target = target if colon else source
        if not target.startswith("/"):
            raise click.BadParameter(f"{target!r} is no absolute path", ctx, parameter)
        pairs.append((source, target))
    return pairs


@click.command(context_settings={"allow_interspersed_args": False})
@click.option(
    "--bind",
    "binds",
    multiple=True,
    callback=parse_binds,
    metavar="SOURCE[:TARGET]",
    help="Show a file or folder of the host in the tree.",
)
@click.option("--cwd", default="", metavar="DIR", help="Start in DIR of the tree (/root or /).")
@click.option(
    "--env",
    "assignments",
    multiple=True,
    callback=check_assignment,
    metavar="NAME=VALUE",
    help="Set a variable in the command's environment.",
)
@click.option(
    "--interpreter", metavar="FILE", help="Use this interpreter instead of the installed one."
)
@click.argument("root", metavar="ROOT")
@click.argument("command", nargs=-1, metavar="[COMMAND [ARGUMENT…]]")
@click.pass_context
def shell(
    ctx: click.Context,
    binds: list[tuple[str, str]],
    cwd: str,
    assignments: tuple[str, ...],
    interpreter: str | None,
    root: str,
    command: tuple[str, ...],
) -> None:
    """Run COMMAND, or a login shell, in the AArch64 root tree ROOT.

    Needs no root and changes nothing outside: the tree gets user, mount and process-id namespaces, /proc, /dev, /sys,
    name resolution and a binfmt_misc of its own. Files are the tree's own; the network is the host's. Users beside root
    exist inside if newuidmap(1) and a range in /etc/subuid let them. The exit status is the command's, or 125 when the
    tree could not be entered.
    """
    path = check_root(root)
    if not command:
        shells = [name for name in SHELLS if os.path.lexists(os.path.join(path, name))]
        if not shells:
            raise UsermodeError(f"{root} has no shell", status=CANNOT_START)
        command = (f"/{shells[0]}", "-l")
    folders = [cwd] if cwd else ["/root", "/"]
    variables = environment(dict(word.split("=", 1) for word in assignments))
    room = Room(path, find_interpreter(interpreter), binds, folders, variables)
    ctx.exit(run(room, list(command)))
