# SPDX-License-Identifier: GPL-2.0-or-later
"""`usermode register`, `unregister`, `enable`, `disable`: our entry in the kernel's binfmt_misc."""

from __future__ import annotations

import os

import click

from binfmt.configuration import files
from binfmt.entry import CREDENTIALS, FLAGS
from binfmt.places import BINFMT_MISC, Places
from binfmt.registry import UNCHANGED, Registry
from usermode.cli.registration import (
    chosen_interpreter,
    directory_option,
    interpreter_option,
    make_entry,
    name_option,
    root_option,
    say,
    told,
)
from usermode.service import SOCKET


@click.command()
@click.option(
    "--flags",
    default=FLAGS,
    show_default=True,
    metavar="LETTERS",
    help="The kernel's flags, out of POCF.",
)
@click.option(
    "--credentials",
    is_flag=True,
    help="Let set-user-ID programs gain their owner's rights (flag C).",
)
@click.option("--appimage", is_flag=True, help="Take AppImages too.")
@click.option(
    "--again",
    is_flag=True,
    help="Register anew what is registered: after an upgrade, or to come before a newer entry.",
)
@name_option
@interpreter_option
@directory_option
@root_option
def register(
    flags: str,
    credentials: bool,
    appimage: bool,
    again: bool,
    name: str,
    interpreter: str | None,
    directory: str,
    root: str,
) -> None:
    """Tell the kernel to start AArch64 programs with the interpreter, until the machine stops.

    Mounts binfmt_misc if need be. Entries of others are never changed. Status 0 when the entry is there
    afterwards, 1 when it is not, with the reason.
    """
    places = Places(root)
    flags += CREDENTIALS if credentials else ""
    entry = make_entry(
        chosen_interpreter(interpreter, places), name, flags.upper(), appimage=appimage
    )
    registry = Registry(directory)
    with told():
        if not registry.mounted:
            registry.mount()
            say(f"mounted binfmt_misc at {directory}")
        done = registry.register(entry, again=again)
        winners = registry.matching()
    if done == UNCHANGED:
        say(f"{name} is registered already (--again opens the interpreter anew)")
    else:
        say(f"{done} {name} with flags {entry.flags}: {entry.interpreter}")
    if not registry.enabled:
        say("binfmt_misc as a whole is switched off: usermode doctor --fix")
    if winners and winners[0].name != name:
        other = winners[0]
        say(f"{other.name} ({other.interpreter}) is newer and comes first, see --again")
    if CREDENTIALS in entry.flags:
        say("set-user-ID programs now run, and are emulated, with their owner's rights")
    if places.systemd_runs and not lasting(places, name):
        say("the entry lasts until systemd-binfmt.service starts the next time")


def lasting(places: Places, name: str) -> bool:
    """Tell whether systemd-binfmt.service registers an entry of that name."""
    found = files(places.binfmt_d_folders())
    return any(entry.name == name for file in found for entry in file.entries)


@click.command()
@name_option
@directory_option
def unregister(name: str, directory: str) -> None:
    """Remove our entry from the kernel; status 0 also when there is none."""
    with told():
        removed = Registry(directory).unregister(name)
    say(f"unregistered {name}" if removed else f"{name} is not registered")
    if removed and directory == BINFMT_MISC and os.path.exists(SOCKET):
        say("usermode.service registers it again: systemctl stop usermode.socket usermode.service")


@click.command()
@name_option
@directory_option
def enable(name: str, directory: str) -> None:
    """Switch our entry on; status 1 when it is not registered."""
    switch(name, directory, True)


@click.command()
@name_option
@directory_option
def disable(name: str, directory: str) -> None:
    """Switch our entry off, but leave it registered; status 1 when it is not registered."""
    switch(name, directory, False)


def switch(name: str, directory: str, on: bool) -> None:
    """Enable or disable an entry and say so."""
    with told():
        changed = Registry(directory).switch(name, on)
    state = "enabled" if on else "disabled"
    say(f"{state} {name}" if changed else f"{name} is {state} already")
