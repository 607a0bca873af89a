# SPDX-License-Identifier: GPL-2.0-or-later
"""A life of an installation on a machine with systemd: the short test for every run."""

from __future__ import annotations

import json

from tests.system.conftest import ask, run_sample, state, usermode
from tests.system.machine import Machine, wait_for

CONF = "binfmt.d/usermode-aarch64.conf"
FILES = "find /etc /usr -xdev | sort; find /var /run -xdev -name '*usermode*'"


def test_install_start_and_uninstall(machine: Machine) -> None:
    before = set(machine.shell(FILES).splitlines())
    register = "/proc/sys/fs/binfmt_misc/register"
    machine.run("tee", register, stdin=":by-hand:E::usermode-test::/bin/true:")
    first = usermode(machine, "install")
    assert first.startswith("installed ")
    assert "started usermode.service\nAArch64 programs start by their name\n" in first
    assert machine.path(register).with_name("by-hand").exists()
    run_sample(machine)
    answer = ask(machine, as_user="65534")
    assert (answer["state"], answer["you"]) == ("right", 65534)
    status = json.loads(machine.run("usermode", "status", "--json"))
    assert status["works"]
    assert status["service"]["right"]
    assert "all is well" in machine.run("usermode", "doctor")
    assert usermode(machine, "install").startswith("installed already")

    machine.run("cp", f"/usr/lib/{CONF}", f"/etc/{CONF}")  # as `usermode doctor --fix` does
    usermode(machine, "uninstall")
    assert not machine.path("/proc/sys/fs/binfmt_misc/usermode-aarch64").exists()
    for unit in ("usermode.service", "usermode.socket"):
        assert machine.show(unit, "LoadState") == "not-found"
    assert set(machine.shell(FILES).splitlines()) - before == set()
    assert usermode(machine, "uninstall") == "nothing is installed\n"


def test_started_at_the_next_boot(installed: Machine) -> None:
    """`systemctl isolate` stops all and starts what is enabled, as a boot does."""
    for unit in ("usermode.service", "usermode.socket"):
        assert installed.run("systemctl", "is-enabled", unit) == "enabled\n"
    installed.run("systemctl", "stop", "usermode.socket", "usermode.service")
    installed.run("systemctl", "start", "multi-user.target")
    wait_for(lambda: state(installed) == "right", "the service runs")
