# SPDX-License-Identifier: GPL-2.0-or-later
"""What the service does about the registration, with the kernel's real binfmt_misc in user namespaces."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from binfmt.configuration import render
from binfmt.entry import NAME, Entry
from binfmt.places import Places
from binfmt.registry import REGISTERED, REPLACED, STAND_IN, Registry
from tests.binfmt.namespace import isolated, mount_table, short_folder
from tests.binfmt.newer_kernel import NewerKernel
from usermode.service import keeper as k
from usermode.service.keeper import Keeper, Sight, State


@pytest.fixture
def folder() -> Iterator[Path]:
    with short_folder() as path:
        yield path


class Case:
    """A table, an interpreter, and a file of binfmt.d that registers it."""

    def __init__(self, folder: Path) -> None:
        self.registry = Registry(str(mount_table(folder)))
        self.interpreter = folder / NAME
        shutil.copy("/bin/true", self.interpreter)
        self.file = folder / f"usr/lib/binfmt.d/{NAME}.conf"
        self.file.parent.mkdir(parents=True)
        self.entry = Entry(str(self.interpreter))
        self.file.write_text(render(self.entry))
        self.places = Places(str(folder))
        self.keeper = self.fresh()

    def fresh(self) -> Keeper:
        """A keeper that knows nothing, as after a restart."""
        return Keeper(self.registry, self.places)

    def upgrade(self) -> None:
        """Rename another file over the interpreter."""
        new = self.interpreter.with_suffix(".new")
        shutil.copy("/bin/true", new)
        new.rename(self.interpreter)

    def rival(self) -> Entry:
        return Entry("/bin/false", name="rival", flags="")


@isolated
def test_registers_what_is_missing(folder) -> None:
    case = Case(folder)
    assert case.keeper.check() == State(k.RIGHT, "", REGISTERED)
    assert case.keeper.check() == State(k.RIGHT)
    case.registry.unregister(NAME)
    assert case.keeper.check().done == REGISTERED


@isolated
def test_upgrade(folder) -> None:
    case = Case(folder)
    case.keeper.check()
    case.upgrade()
    assert case.keeper.check() == State(k.RIGHT, "", k.UPGRADED)
    assert case.keeper.check() == State(k.RIGHT)
    assert case.fresh().check().done in ("", k.UPGRADED)  # the same tick of the clock


@isolated
def test_upgrade_that_nobody_saw(folder) -> None:
    case = Case(folder)
    case.keeper.check()
    case.upgrade()
    assert case.fresh().check().done == k.UPGRADED


@isolated
def test_upgrade_that_somebody_else_registered(folder) -> None:
    import time

    case = Case(folder)
    case.keeper.check()
    case.upgrade()
    time.sleep(0.05)  # a tick of the kernel's clock for files
    case.registry.register(case.entry, again=True)
    assert case.keeper.check() == State(k.RIGHT)


def test_clock_that_is_set() -> None:
    """A file is newer by its ctime, or because it changed while the registration did not."""
    old, new, future = (1, 1, 9, 5, 5), (1, 2, 9, 3, 3), (1, 3, 9, 99, 99)

    def stale(before: Sight | None, now: Sight) -> bool:
        keeper = Keeper(Registry("/none"), Places("/none"))
        keeper.seen = before
        return keeper._stale(now)

    assert not stale(None, Sight(old, 10))
    assert stale(None, Sight(old, 5))
    assert stale(None, Sight(future, 10))
    assert stale(Sight(old, 10), Sight(new, 10))  # the clock was set back before the upgrade
    assert not stale(Sight(future, 10), Sight(future, 10))  # dealt with, though it looks newer
    assert not stale(Sight(future, 10), Sight(future, 12))
    assert not stale(Sight(old, 10), Sight(new, 12))


@isolated
def test_leaves_what_people_chose(folder) -> None:
    case = Case(folder)
    case.keeper.check()
    case.registry.switch(NAME, False)
    assert case.keeper.check().kind == k.DISABLED
    case.registry.switch(NAME, True)
    case.registry.register(Entry(str(case.interpreter), flags="POCF"))
    assert case.keeper.check().kind == k.DIFFERS
    assert case.keeper.check(apply=True) == State(k.RIGHT, "", REPLACED)


def test_flag_t_is_a_choice(tmp_path, monkeypatch) -> None:
    """binfmt.d has P, for any kernel; somebody registered with T, which stays also when the interpreter is replaced."""
    kernel = NewerKernel(tmp_path / "table", monkeypatch, "POCFT")
    monkeypatch.setattr(
        "tests.usermode.service.test_keeper.mount_table", lambda _: kernel.directory
    )
    case = Case(tmp_path)
    case.registry.register(Entry(str(case.interpreter), flags="OFT"))
    assert case.keeper.check().kind == k.RIGHT
    os.utime(kernel.directory / NAME)
    case.upgrade()
    assert case.fresh().check().done == k.UPGRADED
    assert [entry.flags for entry in case.registry.entries()] == ["OFT"]
    assert case.keeper.check(apply=True) == State(k.RIGHT, "", REPLACED)
    assert [entry.flags for entry in case.registry.entries()] == ["POF"]


@isolated
def test_replacement_that_was_interrupted(folder) -> None:
    """By SIGKILL: the stand-in is there, with the entry or without it."""
    case = Case(folder)
    stand_in = Entry(str(case.interpreter), name=NAME + STAND_IN)
    for entry_is_there in (True, False):
        case.keeper.check()
        case.registry.register(stand_in)
        if not entry_is_there:
            case.registry.unregister(NAME)
        case.keeper.check()
        case.keeper.check()
        assert [entry.name for entry in case.registry.entries()] == [NAME]


@isolated
def test_masked_missing_and_damaged_files(folder) -> None:
    case = Case(folder)
    mask = folder / f"etc/binfmt.d/{NAME}.conf"
    mask.parent.mkdir(parents=True)
    mask.symlink_to("/dev/null")
    assert case.keeper.check().kind == k.MASKED
    mask.unlink()
    mask.write_text("nonsense\n")
    assert case.keeper.check().kind == k.NO_FILE
    mask.write_text(Entry("/bin/false").line())
    assert case.keeper.check().kind == k.NO_FILE
    mask.unlink()
    case.file.unlink()
    assert case.keeper.check().kind == k.NO_FILE
    assert case.registry.entries() == []


@isolated
def test_entries_of_others_stay(folder) -> None:
    case = Case(folder)
    case.keeper.check()
    case.registry.register(case.rival())
    case.upgrade()
    told = case.keeper.check()
    assert (told.kind, told.done) == (k.SHADOWED, "")
    assert "rival" in told.reason
    assert [entry.name for entry in case.registry.matching()] == ["rival", NAME]
    (folder / "table/rival").write_bytes(b"-1")
    assert case.keeper.check().done == k.UPGRADED

    case.registry.unregister(NAME)
    case.registry.register(Entry("/bin/false", flags=""))
    assert case.keeper.check().kind == k.TAKEN


@isolated
def test_what_cannot_be_done_is_said(folder) -> None:
    case = Case(folder)
    case.interpreter.chmod(0o644)
    assert case.keeper.check().kind == k.REFUSED
    case.interpreter.unlink()
    assert case.keeper.check().kind == k.NO_INTERPRETER
    case.upgrade()
    elsewhere = Keeper(Registry(str(folder / "none")), case.places)
    assert elsewhere.check().kind == k.NO_TABLE
