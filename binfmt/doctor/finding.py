# SPDX-License-Identifier: GPL-2.0-or-later
"""What a check of the doctor says, and what it may look at."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from shlex import join
from typing import TYPE_CHECKING, Any

from binfmt.doctor.sample import Trial, try_program
from binfmt.entry import NAME
from binfmt.places import BINFMT_MISC, INTERPRETER, Places, sample_beside
from binfmt.probe import UNKNOWN as UNKNOWN_KERNEL

if TYPE_CHECKING:
    from collections.abc import Callable

    from binfmt.entry import Entry
    from binfmt.listing import Registered
    from binfmt.probe import Kernel
    from binfmt.registry import Registry

ARGUMENTS = ["argument zero", "one"]
OK, WARNING, FAILURE, UNKNOWN = "ok", "warning", "failure", "unknown"


@dataclass(frozen=True)
class Finding:
    """The answer of one check: `what` is the fact, `cause` why it is so, `command` what a person types to mend it.

    `mend` does that; None where only a person can decide.
    """

    check: str
    state: str
    what: str
    cause: str = ""
    command: str = ""
    mend: Callable[[], object] | None = field(default=None, compare=False, repr=False)

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return {
            "check": self.check,
            "state": self.state,
            "what": self.what,
            "cause": self.cause,
            "command": self.command,
            "mendable": self.mend is not None,
        }


class Case:
    """What is examined: a table, the entry that should be in it, and the files below a root. Looked at once."""

    def __init__(
        self,
        registry: Registry,
        entry: Entry,
        places: Places | None = None,
        kernel: Kernel = UNKNOWN_KERNEL,
    ) -> None:
        self.registry = registry
        self.entry = entry
        self.places = places or Places()
        self.kernel = kernel

    def fresh(self) -> Case:
        """Return the same case, not looked at yet."""
        return Case(self.registry, self.entry, self.places, self.kernel)

    @property
    def sample(self) -> str:
        """The sample program."""
        return sample_beside(self.entry.interpreter)

    @cached_property
    def entries(self) -> list[Registered]:
        """What the kernel holds; nothing when the table is not mounted, which is a finding of its own."""
        return self.registry.entries() if self.registry.mounted else []

    @property
    def registered(self) -> Registered | None:
        """The entry that should be ours, whoever's it is."""
        return next((entry for entry in self.entries if entry.name == self.entry.name), None)

    @cached_property
    def by_kernel(self) -> Trial:
        """The sample program, started as any program is."""
        return try_program(self.sample, ARGUMENTS, self.entry.interpreter)

    @cached_property
    def by_hand(self) -> Trial:
        """The sample program, started by our interpreter."""
        options = ["--argv0", ARGUMENTS[0], "--", self.sample, *ARGUMENTS[1:]]
        return try_program(self.entry.interpreter, [self.entry.interpreter, *options])

    def typed(self, command: str) -> str:
        """Return `usermode COMMAND` with the options by which it works on this table, entry and root."""
        words = ["usermode", *command.split()]
        if self.entry.name != NAME:
            words += ["--name", self.entry.name]
        if self.registry.directory != BINFMT_MISC:
            words += ["--binfmt-dir", self.registry.directory]
        if command.startswith("register") and self.entry.interpreter != INTERPRETER:
            words += ["--interpreter", self.entry.interpreter]
        if command.startswith("doctor") and self.places.root != "/":
            words += ["--root", self.places.root]
        return join(words)

    def register(self) -> str:
        """Register the entry anew, in front of all others."""
        self.registry.mount()
        return self.registry.register(self.entry, again=True)
