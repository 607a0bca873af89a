# SPDX-License-Identifier: GPL-2.0-or-later
"""`usermode register`, `unregister`, `enable`, `disable`: our entry in the kernel's binfmt_misc."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from binfmt import probe
from binfmt.configuration import files
from binfmt.entry import CREDENTIALS, NAME
from binfmt.places import BINFMT_MISC, Places
from binfmt.registry import UNCHANGED, Registry
from usermode.cli.registration import (
    best_flags,
    chosen_interpreter,
    directory_option,
    interpreter_option,
    make_entry,
    name_option,
    root_option,
    say,
    see_to_table,
    told,
)
from usermode.service import SOCKET

if TYPE_CHECKING:
    from binfmt.entry import Entry
    from binfmt.listing import Registered


@click.command()
@click.option(
    "--flags",
    metavar="LETTERS",
    help="The kernel's flags, out of POCFT.  [default: OFT where the kernel knows T, else POF]",
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
    flags: str | None,
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
    registry = Registry(directory)
    path = chosen_interpreter(interpreter, places)
    with told():
        letters = best_flags(probe.ask(registry), path) if flags is None else flags.upper()
        letters += CREDENTIALS if credentials else ""
        entry = make_entry(path, name, letters, appimage=appimage)
        done = UNCHANGED
        if again or not serves(registry, entry, exactly=flags is not None):
            see_to_table(registry)
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
    if places.systemd_runs:
        later = at_next_start(places, name)
        if later is None:
            say("the entry lasts until systemd-binfmt.service starts the next time")
        elif not later[1].same(entry):
            what = f"flags {later[1].flags}, {later[1].interpreter}"
            say(f"from the next start of systemd-binfmt.service on: {what} ({later[0]})")


def serves(registry: Registry, entry: Entry, *, exactly: bool) -> bool:
    """Tell whether an entry that we may not change is as good: that of the machine around a container, or of root."""
    present = registry.find(entry.name) if registry.mounted and not registry.writable else None
    if present is None or not present.enabled:
        return False
    return present.same(entry) or (present.equivalent(entry) and not exactly)


def at_next_start(places: Places, name: str) -> tuple[str, Registered] | None:
    """Return the file by which systemd-binfmt.service registers an entry of that name, and that entry."""
    found = files(places.binfmt_d_folders())
    named = [(file.path, entry) for file in found for entry in file.entries if entry.name == name]
    return named[-1] if named else None


@click.command()
@name_option
@directory_option
def unregister(name: str, directory: str) -> None:
    """Remove our entry from the kernel; status 0 also when there is none."""
    with told():
        removed = Registry(directory).unregister(name)
    say(f"unregistered {name}" if removed else f"{name} is not registered")
    if removed and (name, directory) == (NAME, BINFMT_MISC) and os.path.exists(SOCKET):
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
