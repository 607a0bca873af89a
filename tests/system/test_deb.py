# SPDX-License-Identifier: GPL-2.0-or-later
"""The Debian package's life on a machine with systemd: installed, upgraded, removed, purged, by dpkg alone."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support import BUILD, ROOT
from tests.system.conftest import SAMPLE, SERVICE, Guest, ask, run_sample, state, usermode
from tests.system.machine import Machine, wait_for
from tests.system.test_install import CONF, FILES
from usermode.cli import COMMANDS
from usermode.service.events import STARTED
from usermode.version import VERSION

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

DEPENDENCIES = ("python3-click", "python3-colorama", "python3-pyelftools", "python3-systemd")
"""And what it recommends: so the service is tested with systemd-python here, without it in test_service.py."""
DOWNLOADS = ROOT / ".cache/debs"
INTERPRETER = "/usr/libexec/usermode/usermode-aarch64"


@pytest.fixture(scope="session")
def package() -> Path:
    """The built package."""
    found = BUILD / "deb" / f"usermode_{VERSION}_amd64.deb"
    if not found.exists():
        pytest.skip("the package is not built: run `make deb`")
    return found


@pytest.fixture(scope="session")
def dependencies() -> list[Path]:
    """Debian's packages that it needs, downloaded once."""
    DOWNLOADS.mkdir(parents=True, exist_ok=True)
    if not all(list(DOWNLOADS.glob(f"{name}_*.deb")) for name in DEPENDENCIES):
        command = ["apt-get", "download", "-qq", *DEPENDENCIES]
        done = subprocess.run(command, cwd=DOWNLOADS, capture_output=True, text=True)
        if done.returncode != 0:
            pytest.skip(f"Debian's packages cannot be downloaded: {done.stderr.strip()}")
    return sorted(DOWNLOADS.glob("*.deb"))


@pytest.fixture
def newer(package: Path, tmp_path: Path) -> Path:
    """A package of a later version, with another interpreter."""
    tree = tmp_path / "tree"
    subprocess.run(["dpkg-deb", "-R", package, tree], check=True)
    control = tree / "DEBIAN/control"
    control.write_text(control.read_text().replace(f"Version: {VERSION}", f"Version: {VERSION}+1"))
    with (tree / INTERPRETER.lstrip("/")).open("ab") as file:
        file.write(b"newer\n")  # behind the last segment: another file, the same program
    made = tmp_path / "newer.deb"
    subprocess.run(["dpkg-deb", "-b", "-Zgzip", "-z1", tree, made], check=True, capture_output=True)
    return made


def put(machine: Machine, package: Path) -> str:
    """Return where the machine sees a copy of the package."""
    inside = f"/tmp/{package.name}"
    shutil.copy(package, machine.path(inside))
    return inside


def test_life(machine: Machine, package: Path, newer: Path, dependencies: list[Path]) -> None:
    machine.run("dpkg", "-i", *(put(machine, each) for each in dependencies))
    before = set(machine.shell(FILES).splitlines())

    machine.run("dpkg", "-i", put(machine, package))
    run_sample(machine)  # systemd's trigger registered
    wait_for(lambda: state(machine) == "right", "the service runs")
    for unit in (SERVICE, "usermode.socket"):
        assert machine.run("systemctl", "is-enabled", unit) == "enabled\n"
    (started,) = machine.journal(f"MESSAGE_ID={STARTED.message_id}")
    assert started["USERMODE_EVENT"] == "started"
    assert started["CODE_FILE"].startswith(
        "/usr/lib/usermode/"
    )  # systemd-python tells where it is called
    commands(machine)
    refused = machine.try_run(
        "env", f"--chdir={ROOT}", ".venv/bin/python", "-m", "usermode.cli", "install"
    )
    assert refused.returncode == 1
    assert "belongs to the Debian package usermode" in refused.stderr

    running = Guest(machine)
    old = running.interpreter
    machine.run("dpkg", "-i", put(machine, newer))
    new = machine.path(INTERPRETER).stat().st_ino
    fresh = Guest(machine)
    assert (running.interpreter, fresh.interpreter) == (old, new)
    assert old != new
    assert (running.finish(), fresh.finish()) == (23, 23)
    wait_for(lambda: state(machine) == "right", "the service runs again")
    assert machine.show(SERVICE, "ActiveState") == "active"

    machine.run("cp", f"/usr/lib/{CONF}", f"/etc/{CONF}")  # as `usermode doctor --fix` does
    machine.run("dpkg", "-r", "usermode")
    assert not machine.path(f"/etc/{CONF}").exists()
    assert not machine.path("/proc/sys/fs/binfmt_misc/usermode-aarch64").exists()
    assert machine.show(SERVICE, "LoadState") == "not-found"
    machine.run("dpkg", "-P", "usermode")
    assert set(machine.shell(FILES).splitlines()) - before == set()


def commands(machine: Machine) -> None:
    """Every command starts with Debian's versions of click and pyelftools, which are older than the pinned ones."""
    for name in COMMANDS:
        assert "Usage: usermode" in machine.run("usermode", name, "--help")
    facts = json.loads(machine.run("usermode", "inspect", "--json", SAMPLE))
    assert facts
    assert "_USERMODE_COMPLETE" in machine.run("usermode", "completion", "bash")
    assert machine.try_run("usermode", "run", SAMPLE, "x").returncode == 23
    assert "openat" in machine.run("usermode", "syscalls", "openat")
    assert json.loads(machine.run("usermode", "status", "--json"))["works"]
    assert machine.try_run("usermode", "run").returncode == 2
    assert "all is well" in machine.run("usermode", "doctor")
    as_user = ("setpriv", "--reuid=65534", "--clear-groups", "usermode", "status")
    assert "all is right" in machine.run(*as_user)
    assert ask(machine)["version"] == VERSION
    assert usermode(machine, "--version").startswith("usermode ")
