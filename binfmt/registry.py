# SPDX-License-Identifier: GPL-2.0-or-later
"""binfmt_misc, the kernel's table of interpreters, through its files: see who is in it, and put us there.

Source: Documentation/admin-guide/binfmt-misc.rst, fs/binfmt_misc.c. A user namespace may have a table of its own
(Linux 6.7); then its files are wherever that was mounted.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from binfmt.entry import Entry
from binfmt.listing import PROGRAMS, Registered, parse
from binfmt.places import BINFMT_MISC, is_ours
from binfmt.refusal import RegistryError, cannot_mount, cannot_write, refused

if TYPE_CHECKING:
    from collections.abc import Iterator

OWN_FILES = ("register", "status")
ENABLE, DISABLE, REMOVE = b"1", b"0", b"-1"

STAND_IN = ".new"
"""Behind the name of an entry that serves while another is replaced."""

REGISTERED, REPLACED, UNCHANGED = "registered", "replaced", "unchanged"


class Registry:
    """One table; `directory` is where it is mounted. Everything but reading raises RegistryError with the reason."""

    def __init__(self, directory: str = BINFMT_MISC) -> None:
        self.directory = directory

    def path(self, name: str) -> str:
        """Return the file of an entry, or `register` or `status`."""
        return os.path.join(self.directory, name)

    @property
    def mounted(self) -> bool:
        """Whether the table is there. Asking makes systemd's automount mount it."""
        return os.path.exists(self.path("status"))

    @property
    def read_only(self) -> bool:
        """Whether it is mounted read-only, as a container's /proc/sys usually is."""
        return bool(os.statvfs(self.directory).f_flag & os.ST_RDONLY)

    @property
    def enabled(self) -> bool:
        """Whether the table as a whole is switched on."""
        with open(self.path("status"), encoding="ascii") as file:
            return file.read().strip() == "enabled"

    def entries(self) -> list[Registered]:
        """Return all entries, in the order in which the kernel asks them: the newest first.

        That is the order of the directory: libfs lists the newest entry of a directory first.
        RegistryError when the table cannot be read.
        """
        if not self.mounted:
            raise RegistryError(
                f"binfmt_misc is not mounted at {self.directory}",
                f"mount -t binfmt_misc binfmt_misc {self.directory}",
            )
        return list(self._read_all())

    def _read_all(self) -> Iterator[Registered]:
        for name in os.listdir(self.directory):
            if name in OWN_FILES:
                continue
            try:
                with open(self.path(name), encoding="utf-8", errors="surrogateescape") as file:
                    yield parse(name, file.read())
            except FileNotFoundError:
                continue  # unregistered since the directory was read
            except ValueError as error:
                raise RegistryError(str(error)) from error

    def find(self, name: str) -> Registered | None:
        """Return the entry of that name."""
        return next((entry for entry in self.entries() if entry.name == name), None)

    def matching(self) -> list[Registered]:
        """Return the enabled entries that take guest programs, the one that wins first."""
        heads = PROGRAMS.values()
        return [
            entry
            for entry in self.entries()
            if entry.enabled and any(entry.matches(head) for head in heads)
        ]

    def mount(self) -> None:
        """Mount the table; does nothing when it is mounted."""
        if not self.mounted:
            self.mount_own()

    def mount_own(self) -> None:
        """Mount the table of this user namespace, also over that of an outer one, which it hides."""
        import ctypes

        libc = ctypes.CDLL(None, use_errno=True)
        target = os.fsencode(self.directory)
        ms_nosuid_nodev_noexec = 2 | 4 | 8
        if libc.mount(b"binfmt_misc", target, b"binfmt_misc", ms_nosuid_nodev_noexec, None) < 0:
            number = ctypes.get_errno()
            raise cannot_mount(self.directory, OSError(number, os.strerror(number)))

    @property
    def writable(self) -> bool:
        """Whether we may register here."""
        return os.access(self.path("register"), os.W_OK)

    def register(self, entry: Entry, *, again: bool = False) -> str:
        """See that the table has this entry; return what had to be done: REGISTERED, REPLACED or UNCHANGED.

        With `again` an equal entry is replaced too: so the interpreter's file is opened anew, and the entry comes
        before all others. An entry of that name with a foreign interpreter stays, and is an error.
        """
        with self.alone():
            return self._register(entry, again)

    def _register(self, entry: Entry, again: bool) -> str:
        present = self._own(entry.name, entry.interpreter)
        if present is None:
            self._add(entry)
            self._remove_stand_in(entry.name, entry.interpreter)
            return REGISTERED
        if present.same(entry) and not again:
            self._remove_stand_in(entry.name, entry.interpreter)
            if not present.enabled:
                self.write(entry.name, ENABLE)
                return REPLACED
            return UNCHANGED
        self._replace(entry)
        return REPLACED

    def _replace(self, entry: Entry) -> None:
        """Replace the entry of that name so that guest programs have an interpreter at every moment."""
        stand_in = Entry(
            entry.interpreter,
            name=f"{entry.name}{STAND_IN}",
            flags=entry.flags,
            appimage=entry.appimage,
        )
        self._remove_stand_in(entry.name, entry.interpreter)
        self._add(stand_in)
        try:
            self.write(entry.name, REMOVE)
            self._add(entry)
        finally:
            # Without the entry itself the stand-in is better than nothing.
            if self.find(entry.name):
                self.write(stand_in.name, REMOVE)

    def _remove_stand_in(self, name: str, interpreter: str | None = None) -> bool:
        """Remove what a replacement that was killed has left; it would go on to serve programs."""
        left = self._own(f"{name}{STAND_IN}", interpreter)
        if left:
            self.write(left.name, REMOVE)
        return left is not None

    def unregister(self, name: str) -> bool:
        """Remove our entry; False if there is none."""
        if self._own(name) is None and self._own(f"{name}{STAND_IN}") is None:
            return False
        with self.alone():
            if self._own(name):
                self.write(name, REMOVE)
            self._remove_stand_in(name)
        return True

    def switch(self, name: str, on: bool) -> bool:
        """Enable or disable our entry; False if it is so already. Raises RegistryError if there is none."""
        present = self._own(name)
        if present is None:
            raise RegistryError(f"no entry {name} is registered", "usermode register")
        if present.enabled == on:
            return False
        self.write(name, ENABLE if on else DISABLE)
        return True

    def switch_all(self, on: bool) -> None:
        """Switch the whole table, with everybody's entries."""
        self.write("status", ENABLE if on else DISABLE)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep others of our commands out meanwhile: a replacement takes several steps.

        The lock is on a file that only those can open who may register, so that nobody else can hold it.
        """
        try:
            file = os.open(self.path("register"), os.O_WRONLY | os.O_CLOEXEC)
        except OSError as error:
            raise cannot_write(self.path("register"), error) from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
        finally:
            os.close(file)

    def _own(self, name: str, interpreter: str | None = None) -> Registered | None:
        """Return the entry of that name if it is ours, or has that interpreter. RegistryError if it is another's."""
        present = self.find(name)
        if present and not is_ours(present.interpreter) and present.interpreter != interpreter:
            raise RegistryError(
                f"the entry {name} belongs to another interpreter, {present.interpreter}",
                "choose another name with --name, or remove that entry with the tool that made it",
            )
        return present

    def _add(self, entry: Entry) -> None:
        line = entry.line().encode("utf-8", "surrogateescape")
        try:
            self.write_bytes("register", line, entry)
        except OSError as error:
            raise cannot_write(self.path("register"), error) from error

    def write(self, name: str, data: bytes) -> None:
        """Write to the file of an entry, or to `status`. What is to be removed may be gone: systemd flushes all."""
        try:
            self.write_bytes(name, data)
        except OSError as error:
            if data == REMOVE and isinstance(error, FileNotFoundError) and self.mounted:
                return
            raise cannot_write(self.path(name), error) from error

    def write_bytes(self, name: str, data: bytes, entry: Entry | None = None) -> None:
        """Write to a file in one call; errors of the write itself are the kernel's judgement of `entry`."""
        file = os.open(self.path(name), os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(file, data)
        except OSError as error:
            if entry:
                raise refused(entry, error) from error
            raise
        finally:
            os.close(file)


def flags_text(flags: str) -> str:
    """Return flags with their meaning, for people."""
    meaning = {
        "P": "keeps argv[0]",
        "O": "hands the program over open",
        "C": "takes the program's credentials",
        "F": "interpreter held open",
        "T": "looks like the program itself",
    }
    return ", ".join(f"{flag} {meaning.get(flag, '?')}" for flag in flags) or "none"
