# SPDX-License-Identifier: GPL-2.0-or-later
"""The doctor finds planted faults, says which, and mends them: in a user namespace, below a root of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from binfmt.configuration import render
from binfmt.doctor import CHECKS, HEALTHY, NOT_CHECKED, UNHEALTHY, examine, repair, status
from binfmt.doctor.finding import FAILURE, OK, UNKNOWN, WARNING, Case
from binfmt.entry import Entry
from binfmt.places import Places
from binfmt.registry import Registry
from tests.binfmt.namespace import LIBC, check, isolated, mount_table
from tests.binfmt.test_registry import MS_REMOUNT_RDONLY, put, rival
from tests.support import ROOT


class Machine:
    """A healthy installation below `root`, with systemd's folders."""

    def __init__(self, folder: Path, interpreter: Path, sample: Path) -> None:
        self.table = mount_table(folder)
        self.root = folder / "r"
        self.places = Places(str(self.root))
        self.interpreter = Path(self.places.interpreter)
        self.interpreter.parent.mkdir(parents=True)
        shutil.copy(interpreter, self.interpreter)
        shutil.copy(sample, self.interpreter.parent)
        (self.root / "run/systemd/system").mkdir(parents=True)
        self.etc, self.run, _, self.lib = map(Path, self.places.binfmt_d_folders())
        for part in (self.etc, self.run, self.lib):
            part.mkdir(parents=True)
        self.entry = Entry(str(self.interpreter))
        self.package_file = self.lib / "usermode-aarch64.conf"
        self.package_file.write_text(render(self.entry))
        self.registry = Registry(str(self.table))
        self.registry.register(self.entry)

    def case(self) -> Case:
        return Case(self.registry, self.entry, self.places)

    def put(self, file: str, text: str) -> None:
        put(self.table, file, text)

    def found(self) -> dict[str, str]:
        """What is not well: check -> state."""
        return {f.check: f.state for f in examine(self.case()) if f.state != OK}


def unmounted(machine: Machine) -> None:
    check(LIBC.umount2(os.fsencode(machine.table), 0))


def own_empty_table(machine: Machine) -> None:
    """A second mount in the same user namespace is the same table; what was in it goes as in a new namespace."""
    machine.put("status", "-1")
    machine.package_file.unlink()


def flushed(machine: Machine) -> None:
    machine.put("status", "-1")


def switched_off(machine: Machine) -> None:
    machine.put("status", "0")


def disabled(machine: Machine) -> None:
    machine.put("usermode-aarch64", "0")


def other_entry(machine: Machine, line: str) -> None:
    machine.put("usermode-aarch64", "-1")
    machine.put("register", line)


def without_f(machine: Machine) -> None:
    other_entry(machine, machine.entry.line().replace(":POF", ":PO"))


def without_p(machine: Machine) -> None:
    other_entry(machine, machine.entry.line().replace(":POF", ":OF"))


def narrow_mask(machine: Machine) -> None:
    """Every bit counts, so that position-independent programs do not match."""
    other_entry(machine, machine.entry.line().replace(r"\xfe\xff", r"\xff\xff"))


def shadowed(machine: Machine) -> None:
    copy = machine.root / "qemu-aarch64-static"
    shutil.copy(machine.interpreter, copy)
    machine.put("register", rival(interpreter=str(copy)))


def upgraded(machine: Machine) -> None:
    """Another file took the place of the one that flag F holds."""
    new = machine.root / "new"
    shutil.copy(machine.interpreter, new)
    with new.open("ab") as file:
        file.write(b"\0")
    os.replace(new, machine.interpreter)


def moved(machine: Machine) -> None:
    old = machine.root / "usermode-aarch64"
    shutil.copy(machine.interpreter, old)
    other_entry(machine, Entry(str(old)).line())
    old.unlink()


def not_executable(machine: Machine) -> None:
    machine.interpreter.chmod(0o644)


def writable_by_all(machine: Machine) -> None:
    machine.interpreter.chmod(0o777)


def masked(machine: Machine) -> None:
    (machine.etc / "usermode-aarch64.conf").symlink_to("/dev/null")


def no_startup_file(machine: Machine) -> None:
    machine.package_file.unlink()


def overridden(machine: Machine) -> None:
    other = Entry("/opt/old/usermode-aarch64")
    (machine.run / "usermode-aarch64.conf").write_text(render(other))


def damaged_startup_file(machine: Machine) -> None:
    machine.package_file.write_text("nonsense\n")


FAULTS: list[tuple[Callable[[Machine], None], str, str]] = [
    (unmounted, "mounted", FAILURE),
    (own_empty_table, "present", FAILURE),
    (flushed, "present", FAILURE),
    (switched_off, "switched-on", FAILURE),
    (disabled, "enabled", FAILURE),
    (without_f, "flags", FAILURE),
    (without_p, "flags", FAILURE),
    (narrow_mask, "magic", FAILURE),
    (shadowed, "winner", FAILURE),
    (upgraded, "pinned", FAILURE),
    (moved, "interpreter-path", FAILURE),
    (not_executable, "interpreter", FAILURE),
    (writable_by_all, "interpreter", FAILURE),
    (masked, "startup-file", WARNING),
    (no_startup_file, "startup-file", WARNING),
    (overridden, "startup-file", WARNING),
    (damaged_startup_file, "startup-file", WARNING),
]


@isolated
def test_healthy(folder, interpreter, sample) -> None:
    machine = Machine(folder, interpreter, sample)
    findings = examine(machine.case())
    assert machine.found() == {}
    assert status(findings) == HEALTHY
    names = [check.__name__.replace("_", "-") for check in CHECKS]
    assert [finding.check for finding in findings] == [name for name in names if name != "rivals"]
    assert repair(machine.case()) == (findings, [])


@pytest.mark.parametrize(
    ("fault", "finds", "state"), FAULTS, ids=[fault.__name__ for fault, _, _ in FAULTS]
)
def test_fault_is_found_and_mended(fault, finds, state, folder, interpreter, sample) -> None:
    check_fault(fault=fault, finds=finds, state=state, folder=folder, files=(interpreter, sample))


@isolated
def check_fault(fault, finds, state, folder, files) -> None:
    machine = Machine(folder, *files)
    fault(machine)
    findings = {finding.check: finding for finding in examine(machine.case())}
    assert findings[finds].state == state, findings
    assert findings[finds].command
    assert status(list(findings.values())) == (UNHEALTHY if state == FAILURE else HEALTHY)
    after, repairs = repair(machine.case())
    assert finds in [done.finding.check for done in repairs]
    assert [done.problem for done in repairs] == [""] * len(repairs)
    assert status(after) == HEALTHY
    assert machine.found() == {}


@pytest.mark.parametrize(
    ("fault", "finds"), [row[:2] for row in FAULTS], ids=[fault.__name__ for fault, _, _ in FAULTS]
)
def test_what_is_told_to_be_typed_works(fault, finds, folder, interpreter, sample) -> None:
    check_command(fault=fault, finds=finds, folder=folder, files=(interpreter, sample))


@isolated
def check_command(fault, finds, folder, files) -> None:
    """Also with another table, another root, and a name of the user's choice."""
    machine = Machine(folder, *files)
    fault(machine)
    type_command(folder, machine, finds)
    assert finds not in machine.found()


def type_command(folder: Path, machine: Machine, finds: str) -> None:
    """Do by hand what the doctor says about one of its findings."""
    command = next(f.command for f in examine(machine.case()) if f.check == finds)
    own = folder / "bin" / "usermode"
    own.parent.mkdir(exist_ok=True)
    own.write_text(f'#!/bin/sh\ncd {ROOT} && exec {sys.executable} -m usermode.cli "$@"\n')
    own.chmod(0o755)
    environment = {"PATH": f"{own.parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["sh", "-ec", command], env=environment, capture_output=True, text=True, cwd="/"
    )
    assert done.returncode == 0, (command, done.stderr)


@isolated
def test_entries_that_cannot_be_seen_hold(folder, interpreter, sample) -> None:
    """In a container binfmt_misc is not mounted, and its host's entries serve all the same."""
    machine = Machine(folder, interpreter, sample)
    (folder / "none").mkdir()
    machine.registry = Registry(str(folder / "none"))
    assert machine.found() == {}
    shadowed(machine)
    assert machine.found() == {"through-kernel": FAILURE, "pinned": FAILURE}  # argv[0] is lost too


@isolated
def test_causes(folder, interpreter, sample) -> None:
    machine = Machine(folder, interpreter, sample)

    def cause(finds: str) -> str:
        return next(f for f in examine(machine.case()) if f.check == finds).cause

    flushed(machine)
    assert "table of its own, which is empty" in cause("present")
    machine.put("register", rival(interpreter="/nonexistent"))
    assert "flag F does not hold it" in cause("through-kernel")
    overridden(machine)
    assert cause("startup-file") == f"it hides {machine.package_file}"


@isolated
def test_what_is_mended_of_the_startup_files(folder, interpreter, sample) -> None:
    """Masks go, other overrides are put aside, the package's own file is never touched."""
    machine = Machine(folder, interpreter, sample)
    masked(machine)
    overridden(machine)
    repair(machine.case())
    assert sorted(file.name for file in machine.etc.iterdir()) == []
    assert [file.name for file in machine.run.iterdir()] == [
        "usermode-aarch64.conf.before-usermode-doctor"
    ]
    damaged_startup_file(machine)
    repair(machine.case())
    assert machine.package_file.read_text() == "nonsense\n"
    written = machine.etc / "usermode-aarch64.conf"
    assert written.read_text() == render(machine.entry)


@isolated
def test_later_rivals_are_told_of(folder, interpreter, sample) -> None:
    machine = Machine(folder, interpreter, sample)
    for folder_of_it in (machine.lib, machine.etc):
        (folder_of_it / "zz-qemu.conf").write_text(rival() + "\n")
        assert machine.found() == {"rivals": WARNING}
        if folder_of_it is machine.lib:
            machine.etc.rmdir()
        type_command(folder, machine, "rivals")
        assert machine.found() == {}
        (machine.etc / "zz-qemu.conf").unlink(missing_ok=True)
        (machine.lib / "zz-qemu.conf").unlink(missing_ok=True)


@isolated
def test_masked_service(folder, interpreter, sample) -> None:
    machine = Machine(folder, interpreter, sample)
    units = machine.root / "etc/systemd/system"
    units.mkdir(parents=True)
    (units / "systemd-binfmt.service").symlink_to("/dev/null")
    assert machine.found() == {"service": WARNING}
    assert repair(machine.case())[1] == []


@isolated
def test_what_only_a_person_can_mend(folder, interpreter, sample) -> None:
    machine = Machine(folder, interpreter, sample)
    machine.put("status", "-1")
    machine.put("register", rival("usermode-aarch64"))
    assert machine.found()["present"] == FAILURE
    after, _ = repair(machine.case())
    assert status(after) == UNHEALTHY
    assert machine.registry.entries()[0].interpreter.endswith("qemu-aarch64-static")
    check(LIBC.mount(b"none", os.fsencode(machine.table), None, MS_REMOUNT_RDONLY, None))
    assert machine.found()["writable"] == WARNING


@isolated
def test_missing_programs(folder, interpreter, sample) -> None:
    machine = Machine(folder, interpreter, sample)
    (machine.interpreter.parent / "usermode-sample").unlink()
    assert machine.found() == {"emulation": UNKNOWN, "through-kernel": UNKNOWN}
    assert status(examine(machine.case())) == NOT_CHECKED
    machine.interpreter.unlink()
    assert machine.found()["interpreter"] == FAILURE
    assert status(repair(machine.case())[0]) == UNHEALTHY


@isolated
def test_broken_interpreter(folder, interpreter, sample) -> None:
    machine = Machine(folder, interpreter, sample)
    machine.interpreter.unlink()
    machine.interpreter.write_text("#!/bin/sh\necho odd words >&2; exit 3\n")
    machine.interpreter.chmod(0o755)
    findings = {finding.check: finding for finding in examine(machine.case())}
    assert findings["interpreter"].what.endswith("is no x86-64 program")
    assert "exit status is 3, not 23, and it says: odd words" in findings["emulation"].what
    assert findings["pinned"].state == FAILURE


@isolated
def test_credentials_and_appimages_are_a_choice(folder, interpreter, sample) -> None:
    machine = Machine(folder, interpreter, sample)
    machine.registry.register(Entry(str(machine.interpreter), flags="POCF", appimage=True))
    assert machine.found() == {}


@isolated
def test_noexec(folder, interpreter, sample) -> None:
    machine = Machine(folder, interpreter, sample)
    place = os.fsencode(machine.interpreter.parent)
    ms_bind, ms_noexec_remount_bind = 4096, 8 | 32 | 4096
    check(LIBC.mount(place, place, None, ms_bind, None))
    check(LIBC.mount(b"none", place, None, ms_noexec_remount_bind, None))
    findings = {finding.check: finding for finding in examine(machine.case())}
    assert findings["interpreter"].command == f"mount -o remount,exec {machine.interpreter.parent}"
    assert "Permission denied" in findings["through-kernel"].what
