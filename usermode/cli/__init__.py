# SPDX-License-Identifier: GPL-2.0-or-later
"""The `usermode` command: one file per subcommand, loaded when it is asked for.

Adding a command: a file here that holds a click command, and a line in `COMMANDS`. This module
alone prints errors and decides the exit status, so a command just raises `UsermodeError`.
"""

from __future__ import annotations

import os
import signal
import traceback
from importlib import import_module
from typing import TYPE_CHECKING

import click

from usermode.errors import UsermodeError, printable

if TYPE_CHECKING:
    from collections.abc import Sequence

COMMANDS = {
    "run": "usermode.cli.run:run",
    "shell": "usermode.cli.shell:shell",
    "bootstrap": "usermode.cli.bootstrap:bootstrap",
    "inspect": "usermode.cli.inspect:inspect",
    "syscalls": "usermode.cli.syscalls:syscalls",
    "register": "usermode.cli.register:register",
    "unregister": "usermode.cli.register:unregister",
    "enable": "usermode.cli.register:enable",
    "disable": "usermode.cli.register:disable",
    "status": "usermode.cli.status:status",
    "doctor": "usermode.cli.doctor:doctor",
    "install": "usermode.cli.install:install",
    "uninstall": "usermode.cli.install:uninstall",
    "completion": "usermode.cli.completion:completion",
}
"""Name of a subcommand -> where it lives, `module:attribute`."""

USAGE_ERROR = 2
INTERNAL_ERROR = 70
"""EX_SOFTWARE of <sysexits.h>: a bug of ours, not the user's mistake."""


class LazyCommands(click.Group):
    """A group that imports a subcommand's module only when that subcommand is used."""

    def list_commands(self, _: click.Context) -> list[str]:
        """Name the subcommands in the order of `COMMANDS`."""
        return list(COMMANDS)

    def get_command(self, _: click.Context, name: str) -> click.Command | None:
        """Import and return one subcommand, None when there is none of that name."""
        place = COMMANDS.get(name)
        if place is None:
            return None
        module, attribute = place.split(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command


def show_version(ctx: click.Context, _: click.Parameter, wanted: bool) -> None:
    """Print the versions of the command and of the interpreter it would start, and exit."""
    if not wanted or ctx.resilient_parsing:
        return
    from usermode.cli.interpreter import describe_interpreter
    from usermode.version import VERSION

    click.echo(f"usermode {VERSION}")
    click.echo(f"interpreter: {describe_interpreter()}")
    ctx.exit()


@click.command(cls=LazyCommands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=show_version,
    help="Show the versions of usermode and its interpreter, and exit.",
)
def usermode() -> None:
    """Run AArch64 Linux programs on an x86_64 Linux machine."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status; every error is reported here."""
    try:
        result = usermode.main(arguments, prog_name="usermode", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except UsermodeError as error:
        return report(error.message, error.status, error.hint)
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx else "usermode"
        return report(error.format_message(), USAGE_ERROR, f"see '{where} --help'")
    except click.ClickException as error:
        return report(error.format_message(), error.exit_code)
    except (click.Abort, KeyboardInterrupt):
        return 128 + signal.SIGINT
    except OSError as error:
        drop_output()
        where = f"{error.filename}: " if error.filename else ""
        return report(f"{where}{error.strerror or error}", 1)
    except Exception as error:  # noqa: BLE001 - the outermost edge, for bugs of ours
        hint = "this is a bug in usermode; with USERMODE_DEBUG=1 in the environment it shows where"
        return report(f"internal error: {type(error).__name__}: {error}", INTERNAL_ERROR, hint)


def drop_output() -> None:
    """Send what standard output still buffers nowhere: it may be what failed, and would fail again at the exit."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)


def report(message: str, status: int, hint: str | None = None) -> int:
    """Print an error the one way they are printed, and return its exit status.

    With USERMODE_DEBUG set the traceback of the exception being handled comes first.
    """
    if os.environ.get("USERMODE_DEBUG"):
        traceback.print_exc()
    # A message may quote a file's name or content, which must not steer the terminal.
    click.echo(printable(f"usermode: {message}".encode("utf-8", "surrogateescape")), err=True)
    if hint:
        click.echo(f"  hint: {hint}", err=True)
    return status
