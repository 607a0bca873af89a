# SPDX-License-Identifier: GPL-2.0-or-later
"""What the commands around binfmt_misc share: options, and the way from them to an entry."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from binfmt.doctor.process import in_user_namespace
from binfmt.entry import FLAGS, NAME, Entry
from binfmt.places import BINFMT_MISC, Places
from binfmt.refusal import RegistryError
from usermode.cli.interpreter import INSTALLED, describe_version, find_interpreter
from usermode.cli.interpreter import NAME as INTERPRETER_NAME
from usermode.errors import UsermodeError, printable
from usermode.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from binfmt.probe import Kernel
    from binfmt.registry import Registry

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


def best_flags(kernel: Kernel, interpreter: str) -> str:
    """Return the flags that suit kernel and interpreter: an older interpreter would misread flag T."""
    if not kernel.transparent:
        return FLAGS
    version = describe_version(interpreter).split(",")[0]
    return kernel.flags if version == f"{INTERPRETER_NAME} {VERSION}" else FLAGS


def see_to_table(registry: Registry) -> None:
    """Mount binfmt_misc where it is not; in a user namespace that sees an outer table, a table of its own.

    Raises RegistryError.
    """
    if not registry.mounted:
        registry.mount()
        say(f"mounted binfmt_misc at {registry.directory}")
        return
    if registry.writable or not in_user_namespace():
        return
    outer = registry.entries()
    try:
        registry.mount_own()
    except RegistryError:
        return  # the mount namespace is not ours either: registering tells what helps
    now = {entry.name for entry in registry.entries()}
    hidden = ", ".join(other.name for other in outer if other.name not in now)
    say(
        f"mounted this user namespace's own binfmt_misc at {registry.directory}"
        + (f"; it hides those outside: {hidden}" if hidden else "")
    )
