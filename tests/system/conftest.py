# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixtures: a machine with systemd, and usermode installed in it."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.binfmt.namespace import short_folder
from tests.support import BUILD, ROOT
from tests.system.machine import Machine, booted, wait_for
from usermode.service.keeper import RIGHT

COMMAND = (str(ROOT / ".venv/bin/python"), "-m", "usermode.cli")
SAMPLE = "/usr/libexec/usermode/usermode-sample"
SERVICE = "usermode.service"


@pytest.fixture(scope="session")
def built(interpreter: Path) -> None:
    """Everything that is installed was built."""
    if not (BUILD / "usermode-sample").exists() or not os.access(COMMAND[0], os.X_OK):
        pytest.skip("nothing to install: run `make`")


@pytest.fixture(scope="module")
def machine(built: None) -> Iterator[Machine]:
    """A machine with systemd, of which nothing remains; the tests of a module share it."""
    with short_folder() as scratch, booted(scratch) as running:
        yield running


def usermode(machine: Machine, *arguments: str) -> str:
    """Run the source tree's command inside."""
    return machine.run("env", f"--chdir={ROOT}", *COMMAND, *arguments)


@pytest.fixture(scope="module")
def installed(machine: Machine) -> Machine:
    """The machine with usermode installed and started."""
    usermode(machine, "install")
    return machine


@pytest.fixture
def service(installed: Machine) -> Machine:
    """The machine with the service running and all right, whatever the test before has done."""
    installed.run("systemctl", "reset-failed")
    installed.run("systemctl", "restart", "systemd-binfmt.service")
    installed.run("systemctl", "restart", SERVICE)
    wait_for(lambda: state(installed) == RIGHT, "all is right")
    return installed


def state(machine: Machine) -> str:
    """Return what the service says of the registration, "" when it does not answer."""
    answer = ask(machine)
    return str(answer.get("state", ""))


def ask(machine: Machine, *, as_user: str = "root") -> dict[str, object]:
    """Ask the service for its status, as some user."""
    script = (
        "import sys, json; sys.path.insert(0, '/usr/lib/usermode'); "
        "from usermode.service.asking import ask; print(json.dumps(ask({'ask': 'status'}) or {}))"
    )
    command = ("setpriv", f"--reuid={as_user}", "--clear-groups", "/usr/bin/python3", "-Ic", script)
    answer: dict[str, object] = json.loads(machine.run(*command))
    return answer


def run_sample(machine: Machine) -> None:
    """Expect that the kernel runs the sample program by its name."""
    done = machine.try_run(SAMPLE, "one")
    assert (done.returncode, done.stdout.splitlines()[:2]) == (23, [SAMPLE, "one"]), done


class Guest:
    """A sample program that runs until it is told to end."""

    def __init__(self, machine: Machine) -> None:
        self.process = machine.start(SAMPLE)
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == f"{SAMPLE}\n"
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        self.pid = int(children.read_text())  # what was started is nsenter(1)

    @property
    def interpreter(self) -> int:
        """The inode of the interpreter that runs it."""
        return os.stat(f"/proc/{self.pid}/exe").st_ino

    def finish(self) -> int:
        """End it as it wants to be ended, and return its status."""
        with self.process:
            self.process.communicate()
        return self.process.returncode
