# SPDX-License-Identifier: GPL-2.0-or-later
"""`usermode completion`: the shell script that completes our command line."""

from __future__ import annotations

import click
from click.shell_completion import ShellComplete, get_completion_class


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script for SHELL.

    For bash, in ~/.bashrc: eval "$(usermode completion bash)".
    """
    click.echo(script(ctx, shell))


def script(ctx: click.Context, shell: str) -> str:
    """Return the completion script for a shell."""
    kind = get_completion_class(shell)
    assert kind is not None
    made = kind(ctx.find_root().command, {}, "usermode", "_USERMODE_COMPLETE")
    # The base class's source() only fills in the template; bash's own first asks the local bash
    # for its version, which says nothing about the shell that will read the script.
    return ShellComplete.source(made)
