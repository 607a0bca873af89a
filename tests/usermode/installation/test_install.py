# SPDX-License-Identifier: GPL-2.0-or-later
"""Installing into a private root: complete, repeatable, and gone afterwards. A real system: tests/system."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from binfmt.configuration import read, render
from binfmt.entry import Entry
from binfmt.places import Places
from tests.support import ROOT
from usermode.cli.install import start
from usermode.errors import UsermodeError
from usermode.installation import install as installing
from usermode.installation import owned, sources
from usermode.installation.install import OVERRIDE, install, packaged, uninstall
from usermode.installation.target import Change, Target
from usermode.service import SOCKET
from usermode.service.keeper import NAME

COMPILE = installing.compile_modules
SCRIPTS = {shell: f"# {shell}\n" for shell in owned.COMPLETIONS}


@pytest.fixture
def root(interpreter: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The top of a system with nothing but a Python, and everything built. Nothing is compiled there: that is slow."""
    monkeypatch.setattr(installing, "compile_modules", lambda target: None)
    try:
        for shipped in owned.SHIPPED:
            sources.find(shipped.source)
    except UsermodeError as error:
        pytest.skip(f"{error.message}: run `make`")
    folder = tmp_path / "root"
    (folder / "usr/bin").mkdir(parents=True)
    (folder / "usr/bin/python3").symlink_to("/usr/bin/python3")
    return folder


def tree(root: Path) -> set[str]:
    return {str(path.relative_to(root)) for path in root.rglob("*")}


def test_install_twice_and_uninstall(root: Path) -> None:
    before = tree(root)
    assert install(Target(str(root)), SCRIPTS)
    present = tree(root)
    for path in owned.file_targets():
        assert path.lstrip("/") in present
    assert not any(name.rsplit("/", 1)[-1].startswith(".") for name in present)
    assert install(Target(str(root)), SCRIPTS) == []
    assert tree(root) == present
    assert uninstall(Target(str(root)))
    assert tree(root) == before
    assert uninstall(Target(str(root))) == []


@pytest.mark.parametrize("failing", [owned.COMMAND, owned.LINKS[0].target])
def test_nothing_changes_when_a_file_cannot_be_written(
    root: Path, monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    """A full disk, or an /etc that is read-only: the old installation stays whole."""
    target = Target(str(root))
    write, link = Change.write, Change.link

    def refuse(change: Change, name: str, *rest: Any) -> bool:
        if name == failing:
            raise OSError(errno.ENOSPC, "No space left on device", name)
        return (link if len(rest) == 1 else write)(change, name, *rest)

    monkeypatch.setattr(Change, "write", refuse)
    monkeypatch.setattr(Change, "link", refuse)
    before = tree(root)
    with pytest.raises(OSError, match="No space left"):
        install(target, SCRIPTS)
    assert tree(root) == before
    monkeypatch.undo()
    monkeypatch.setattr(installing, "compile_modules", lambda target: None)
    install(target, SCRIPTS)
    target.path(owned.INTERPRETER).write_bytes(b"old")
    target.path(failing).unlink()
    monkeypatch.setattr(Change, "write", refuse)
    monkeypatch.setattr(Change, "link", refuse)
    before = tree(root)
    with pytest.raises(OSError, match="No space left"):
        install(target, SCRIPTS)
    assert tree(root) == before
    assert target.path(owned.INTERPRETER).read_bytes() == b"old"


def test_the_caller_s_umask_has_no_say(root: Path) -> None:
    """Other users have to enter the folders and read the bytecode."""
    before = os.umask(0o077)
    try:
        target = Target(str(root))
        install(target, SCRIPTS)
        COMPILE(target)
    finally:
        os.umask(before)
    for path in target.path(owned.MODULES).rglob("*"):
        assert path.stat().st_mode & 0o044 == 0o044, path
    assert target.path(owned.MODULES).stat().st_mode & 0o777 == 0o755


def test_links_that_lead_out_of_the_root(root: Path, tmp_path: Path) -> None:
    """An image's absolute links are its own; followed from outside they lead to this system's files."""
    outside = tmp_path / "outside"
    (outside / "usermode").mkdir(parents=True)
    for link in ("etc", "run"):
        (root / link).symlink_to(outside)
    before = tree(root)
    target = Target(str(root))
    for action in (lambda: install(target, SCRIPTS), lambda: uninstall(target)):
        with pytest.raises(UsermodeError, match="leads out of"):
            action()
        assert tree(root) == before
    assert (outside / "usermode").is_dir()


def test_what_the_doctor_wrote_goes_too(root: Path) -> None:
    """But not what somebody has written himself."""
    target = Target(str(root))
    override = target.path(OVERRIDE)
    override.parent.mkdir(parents=True)
    for text, stays in ((render(Entry(flags="POCF")), False), (Entry().line(), True)):
        install(target, SCRIPTS)
        override.parent.mkdir(parents=True, exist_ok=True)
        override.write_text(text)
        assert (OVERRIDE in uninstall(target)) is not stays
        assert override.exists() is stays


def test_python_that_does_not_work(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(installing, "PYTHON", "/bin/false")
    monkeypatch.setattr(Target, "is_this_system", property(lambda target: True))
    (root / "bin").mkdir()
    (root / "bin/false").touch()
    with pytest.raises(UsermodeError, match="/bin/false does not work"):
        install(Target(str(root)), SCRIPTS)
    with pytest.raises(UsermodeError, match="could not be compiled"):
        COMPILE(Target(str(root)))


def test_upgrade_puts_new_files_in_place_of_old_ones(root: Path) -> None:
    target = Target(str(root))
    install(target, SCRIPTS)
    interpreter = target.path(owned.INTERPRETER)
    old = interpreter.stat().st_ino
    interpreter.write_bytes(b"an older one")
    gone = target.path(f"{owned.MODULES}/usermode/removed_since.py")
    gone.write_text("")
    with interpreter.open("rb") as held:  # as the kernel holds it
        changed = install(target, SCRIPTS)
        assert held.read() == b"an older one"
    assert set(changed) == {owned.INTERPRETER, f"{owned.MODULES}/usermode/removed_since.py"}
    assert interpreter.stat().st_ino != old
    assert not gone.exists()


def test_modes_and_links(root: Path) -> None:
    target = Target(str(root))
    install(target, SCRIPTS)
    for row in (*owned.SHIPPED, *owned.MADE):
        assert target.path(row.target).stat().st_mode & 0o7777 == row.mode
    for link in owned.LINKS:
        assert os.readlink(target.path(link.target)) == link.to
        assert target.path(link.to).exists()


def test_package_has_no_links_and_nothing_of_others(tmp_path: Path, root: Path) -> None:
    install(Target(str(tmp_path / "package")), SCRIPTS, for_package=True)
    names = tree(tmp_path / "package")
    assert not any("click" in name or "elftools" in name or "wants" in name for name in names)
    assert not any(name.endswith(".pyc") for name in names)


def test_installed_command_and_service_start(root: Path) -> None:
    """With the modules of the private root: the scripts name the real one."""
    target = Target(str(root))
    install(target, SCRIPTS)
    for script, wanted in ((owned.COMMAND, b"Usage"), (owned.SERVICE_COMMAND, b"usage")):
        text = target.path(script).read_text()
        here = text.replace(f'"{owned.MODULES}"', f'"{target.path(owned.MODULES)}"')
        assert here != text
        done = subprocess.run(
            ["/usr/bin/python3", "-I", "-c", here, "--help"], capture_output=True, cwd="/"
        )
        assert wanted in done.stdout, done.stderr


def test_file_of_a_debian_package_is_refused(root: Path) -> None:
    info = root / "var/lib/dpkg/info"
    info.mkdir(parents=True)
    (root / "var/lib/dpkg/status").write_text(
        "Package: usermode\nStatus: install ok installed\nArchitecture: amd64\nVersion: 1\n"
        "Maintainer: x\nDescription: x\n"
    )
    (info.parent / "updates").mkdir()
    (info / "usermode.list").write_text("/.\n/lib\n/lib/systemd/system/usermode.service\n")
    target = Target(str(root))
    unit = f"{owned.UNITS}/{owned.SERVICE}"
    assert packaged(target, [unit, "/usr/bin/other"]) == {unit: "usermode"}
    before = tree(root)
    for action in (lambda: install(target, SCRIPTS), lambda: uninstall(target)):
        with pytest.raises(UsermodeError, match="belongs to the Debian package usermode"):
            action()
    assert tree(root) == before


def test_system_without_python(root: Path) -> None:
    (root / "usr/bin/python3").unlink()
    with pytest.raises(UsermodeError, match="python3 is missing"):
        install(Target(str(root)), SCRIPTS)
    assert tree(root) == {"usr", "usr/bin"}


def test_copy_without_programs(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "TREE", root)
    with pytest.raises(UsermodeError, match="is not part of this copy"):
        install(Target(str(root)), SCRIPTS)


def test_units_say_what_the_list_says(root: Path) -> None:
    service = sources.find("systemd/usermode.service").read_text()
    assert f"ExecStart={owned.SERVICE_COMMAND}\n" in service
    assert "CacheDirectory=usermode\n" in service
    assert f"ListenStream={SOCKET}\n" in sources.find("systemd/usermode.socket").read_text()


def test_file_of_binfmt_d(root: Path) -> None:
    target = Target(str(root))
    install(target, SCRIPTS)
    (line,) = read(str(target.path(owned.BINFMT_D))).entries
    assert line.same(Entry())
    assert line.name == NAME


def test_command_line(root: Path) -> None:
    for arguments, wanted in (
        (("install", "--root", root), "installed "),
        (("install", "--root", root), "installed already"),
        (("uninstall", "--root", root), "removed "),
        (("uninstall", "--root", root), "nothing is installed"),
    ):
        done = subprocess.run(
            [sys.executable, "-m", "usermode.cli", *arguments],
            cwd=ROOT,
            capture_output=True,
            text=True,
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.startswith(wanted)


def test_bytecode_is_there_for_all_users_and_names_the_real_files(root: Path) -> None:
    target = Target(str(root))
    install(target, SCRIPTS)
    COMPILE(target)
    (compiled,) = target.path(owned.MODULES).rglob("usermode/__pycache__/errors.*.pyc")
    assert f"{owned.MODULES}/usermode/errors.py".encode() in compiled.read_bytes()
    uninstall(target)
    assert not target.path(owned.MODULES).exists()


def test_only_root_may_change_this_system() -> None:
    if os.geteuid() == 0:
        prefix = ["setpriv", "--reuid=65534", "--clear-groups"]
    else:
        prefix = []
    command = [*prefix, "/usr/bin/python3", "-B", "-m", "usermode.cli", "uninstall"]
    for name in ("click", "elftools"):
        sources.package(name)
    done = subprocess.run(
        command,
        cwd="/",
        capture_output=True,
        text=True,
        env={"PYTHONPATH": f"{ROOT}:{sources.package('click').parent}"},
    )
    assert done.returncode == 1
    assert "only root may change this system" in done.stderr


def test_without_systemd_the_way_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Places, "systemd_runs", property(lambda places: False))
    start()
    assert "'usermode register' at each start of the machine" in capsys.readouterr().out
