# SPDX-License-Identifier: GPL-2.0-or-later
"""What the commands around binfmt_misc share: options, and the way from them to an entry."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from binfmt.entry import FLAGS, NAME, Entry
from binfmt.places import BINFMT_MISC, Places
from binfmt.refusal import RegistryError
from usermode.cli.interpreter import INSTALLED, find_interpreter
from usermode.errors import UsermodeError, printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Decorator = Callable[[Any], Any]

name_option: Decorator = click.option(
    "--name", default=NAME, show_default=True, metavar="NAME", help="The entry's name."
)
directory_option: Decorator = click.option(
    "--binfmt-dir",
    "directory",
    default=BINFMT_MISC,
    metavar="DIR",
    type=click.Path(file_okay=False),
    help="Where binfmt_misc is mounted, or is to be.",
)
root_option: Decorator = click.option(
    "--root",
    default="/",
    metavar="DIR",
    type=click.Path(exists=True, file_okay=False),
    help="Look for the installed files, and those of binfmt.d, under DIR.",
)
interpreter_option: Decorator = click.option(
    "--interpreter",
    metavar="PATH",
    type=click.Path(dir_okay=False),
    help="The interpreter instead of the one that `usermode run` would start.",
)


@contextmanager
def told() -> Iterator[None]:
    """Turn what binfmt_misc refuses into the errors that the command line reports."""
    try:
        yield
    except RegistryError as error:
        raise UsermodeError(error.message, hint=error.hint) from error


def say(line: str) -> None:
    """Print a line; names in it, which may be anybody's, must not steer the terminal."""
    click.echo(printable(line.encode("utf-8", "surrogateescape")))


def chosen_interpreter(given: str | None, places: Places) -> str:
    """Return the interpreter to register. Raises UsermodeError when there is none."""
    if given is None and places.root != "/":
        given = places.interpreter
    try:
        return find_interpreter(given)
    except UsermodeError as error:
        raise UsermodeError(error.message, hint=error.hint) from error


def expected_interpreter(given: str | None, places: Places) -> str:
    """Return the interpreter that should be registered, whether or not it is there."""
    try:
        return chosen_interpreter(given, places)
    except UsermodeError:
        return given or (str(INSTALLED) if places.root == "/" else places.interpreter)


def make_entry(interpreter: str, name: str, flags: str = FLAGS, *, appimage: bool = False) -> Entry:
    """Return an entry; a part that the kernel would refuse is a usage error."""
    try:
        return Entry(interpreter, name=name, flags=flags, appimage=appimage)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
