# SPDX-License-Identifier: GPL-2.0-or-later
"""Keeping the registration true: what binfmt.d(5) says about our entry is to be what the kernel does.

Nothing is remembered on disk. Whether flag F holds an older file than the one installed is seen in the times: an
entry's file carries the time of its registration, and rename(2) sets the ctime of the file that it moves into place.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from binfmt.configuration import files
from binfmt.entry import NAME, Entry
from binfmt.refusal import RegistryError
from binfmt.registry import REGISTERED, REPLACED, STAND_IN

if TYPE_CHECKING:
    from binfmt.listing import Registered
    from binfmt.places import Places
    from binfmt.registry import Registry

RIGHT = "right"
SHADOWED = "shadowed"
MASKED = "masked"
NO_FILE = "no-file"
NO_TABLE = "no-table"
TAKEN = "name-taken"
DISABLED = "disabled"
DIFFERS = "differs"
NO_INTERPRETER = "no-interpreter"
REFUSED = "refused"
"""How it stands."""

UPGRADED = "upgraded"
"""Done, beside REGISTERED and REPLACED: an upgrade's new interpreter was registered."""


class State(NamedTuple):
    """How it stands after a check, why, and what was done: "", REGISTERED, REPLACED or UPGRADED."""

    kind: str
    reason: str = ""
    done: str = ""


class Sight(NamedTuple):
    """The interpreter's file and the time of the registration, as they were at one moment; times in nanoseconds."""

    file: tuple[int, int, int, int, int]
    """Device, inode, size, mtime, ctime."""
    registered: int

    @property
    def older_file_held(self) -> bool:
        """Whether the file came after the registration. Equal times decide nothing: the clock ticks slowly."""
        return self.file[-1] >= self.registered


class Keeper:
    """Compares, and registers what is missing. Entries of other programs are never touched, nor what people chose."""

    def __init__(self, registry: Registry, places: Places) -> None:
        self.registry = registry
        self.places = places
        self.seen: Sight | None = None
        """What was seen when all was right; with it, a clock that is set back hides no upgrade."""

    def check(self, *, apply: bool = False) -> State:
        """Look at everything once and mend it. With `apply` an entry that differs from binfmt.d's is replaced."""
        try:
            try:
                return self._check(apply)
            except RegistryError:
                return self._check(apply)  # systemd-binfmt.service may have been at work meanwhile
        except RegistryError as error:
            return State(REFUSED, error.message)
        except OSError as error:
            return State(REFUSED, f"{error.filename or 'binfmt_misc'}: {error.strerror}")

    def _check(self, apply: bool) -> State:
        wanted = self.wanted()
        if isinstance(wanted, State):
            return wanted
        if not self.registry.mounted:
            return State(NO_TABLE, f"binfmt_misc is not mounted at {self.registry.directory}")
        if not os.path.exists(wanted.interpreter):
            return State(NO_INTERPRETER, f"{wanted.interpreter} is missing")
        present = self.registry.find(wanted.name)
        if present is None:
            return self._register(wanted, REGISTERED)
        if not present.ours:
            return State(TAKEN, f"the entry {present.name} belongs to {present.interpreter}")
        if apply and not present.same(wanted):
            return self._register(wanted, REPLACED)
        if present.equivalent(wanted):
            # Flag T for P was somebody's choice.
            wanted = Entry(wanted.interpreter, flags=present.flags, appimage=wanted.appimage)
        if self.registry.find(wanted.name + STAND_IN):
            return self._register(wanted, REPLACED)  # somebody was killed while replacing
        if not present.enabled:
            return State(DISABLED, "somebody switched the entry off")
        if other := self._winner():
            return State(SHADOWED, f"{other.name} ({other.interpreter}) comes first")
        if not present.same(wanted):
            return State(DIFFERS, f"the entry's flags are {present.flags}; a reload sets it right")
        if "F" in present.flags and self._stale(look(self.registry, wanted.interpreter)):
            return self._register(wanted, UPGRADED)
        return State(RIGHT)

    def wanted(self) -> Entry | State:
        """Return the entry that systemd-binfmt.service would register, or why it would not."""
        found = files(self.places.binfmt_d_folders())
        file = next((file for file in found if file.path.endswith(f"/{NAME}.conf")), None)
        if file is None:
            return State(NO_FILE, f"no folder of binfmt.d has {NAME}.conf")
        if file.masked:
            return State(MASKED, f"{file.path} masks it")
        if file.problem:
            return State(NO_FILE, f"{file.path}: {file.problem}")
        line = next((entry for entry in file.entries if entry.name == NAME), None)
        if line is None or not line.ours:
            return State(NO_FILE, f"{file.path} has no entry of ours")
        try:
            return Entry(line.interpreter, flags=line.flags, appimage=line.appimage)
        except ValueError as error:
            return State(NO_FILE, f"{file.path}: {error}")

    def _register(self, wanted: Entry, done: str) -> State:
        file = identify(wanted.interpreter)  # before: a change meanwhile is found by the next check
        self.registry.register(wanted, again=done != REGISTERED)
        self.seen = Sight(file, registered_at(self.registry))
        other = self._winner()
        if other:
            return State(SHADOWED, f"{other.name} ({other.interpreter}) comes first", done)
        return State(RIGHT, "", done)

    def _winner(self) -> Registered | None:
        """Return the foreign entry that guest programs go to."""
        matching = self.registry.matching()
        return matching[0] if matching and not matching[0].ours else None

    def _stale(self, now: Sight) -> bool:
        """Tell whether flag F holds an older file than the installed one."""
        before = self.seen
        if before is None:
            stale = now.older_file_held
        elif before.file == now.file:
            stale = False  # registered since, or not, it was with this file
        elif before.registered == now.registered:
            stale = True
        else:
            stale = now.older_file_held
        self.seen = before if stale else now
        return stale


def look(registry: Registry, interpreter: str) -> Sight:
    """Return how file and registration are now."""
    return Sight(identify(interpreter), registered_at(registry))


def identify(path: str) -> tuple[int, int, int, int, int]:
    """Return what tells one file from another."""
    found = os.stat(path)
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns


def registered_at(registry: Registry) -> int:
    """Return when our entry was registered, in nanoseconds: the kernel sets an entry's times once."""
    return os.stat(registry.path(NAME)).st_ctime_ns
