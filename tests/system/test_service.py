# SPDX-License-Identifier: GPL-2.0-or-later
"""The service under the real systemd: what it mends, what it leaves alone, and what its death costs."""

from __future__ import annotations

import time

import pytest

from binfmt.entry import Entry
from tests.system.conftest import SAMPLE, SERVICE, Guest, ask, run_sample, state
from tests.system.machine import Machine, wait_for
from usermode.service.events import DONE, RELOADED, STATES
from usermode.service.keeper import MASKED, RIGHT, SHADOWED, UPGRADED

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

TABLE = "/proc/sys/fs/binfmt_misc"
ENTRY = f"{TABLE}/usermode-aarch64"
INTERPRETER = "/usr/libexec/usermode/usermode-aarch64"
CONF = "usermode-aarch64.conf"
THRESHOLD = "10"
"""Exposure 1.0 of systemd-analyze(1), security."""


def done(machine: Machine, what: str) -> int:
    """Return how often the service has done something since its start."""
    counts = ask(machine).get("done", {})
    assert isinstance(counts, dict)
    return int(counts.get(what, 0))


def replace_interpreter(machine: Machine) -> int:
    """Upgrade as dpkg does, by rename(2), and return the new file's inode."""
    new = f"{INTERPRETER}.dpkg-new"
    machine.run("cp", "--preserve=mode", INTERPRETER, new)
    machine.shell(
        f"echo upgraded >> {new}"
    )  # behind the last segment: another file, the same program
    machine.run("mv", new, INTERPRETER)
    return machine.path(INTERPRETER).stat().st_ino


def main_pid(machine: Machine) -> str:
    return machine.show(SERVICE, "MainPID")


def test_unit_is_confined(installed: Machine) -> None:
    files = [f"/usr/lib/systemd/system/{unit}" for unit in (SERVICE, "usermode.socket")]
    installed.run("systemd-analyze", "verify", *files)
    limit = f"--threshold={THRESHOLD}"
    installed.run("systemd-analyze", "security", "--offline=true", limit, files[0])
    pid = main_pid(installed)
    status = installed.path(f"/proc/{pid}/status").read_text()
    assert "CapEff:\t0000000000000000" in status
    assert "NoNewPrivs:\t1" in status
    assert "Seccomp:\t2" in status


def test_started_by_a_question(service: Machine) -> None:
    service.run("systemctl", "stop", SERVICE)
    assert service.show(SERVICE, "ActiveState") == "inactive"
    assert ask(service)["state"] == RIGHT
    assert service.show(SERVICE, "ActiveState") == "active"


def test_programs_start_without_it(service: Machine) -> None:
    service.run("systemctl", "stop", "usermode.socket", SERVICE)
    run_sample(service)
    service.run("systemctl", "restart", "systemd-binfmt.service")
    run_sample(service)
    service.run("systemctl", "start", "usermode.socket", SERVICE)


def test_reload_applies_a_changed_binfmt_d(service: Machine) -> None:
    line = Entry(INTERPRETER, flags="POCF").line()
    override = f"/etc/binfmt.d/{CONF}"
    service.run("mkdir", "-p", "/etc/binfmt.d")
    service.run("tee", override, stdin=f"{line}\n")
    try:
        wait_for(lambda: state(service) == "differs", "the difference is seen")
        service.run("systemctl", "reload", SERVICE)
        wait_for(
            lambda: "flags: POCF" in service.run("cat", ENTRY), "the entry is as the file says"
        )
        assert service.journal(f"MESSAGE_ID={RELOADED.message_id}")
        assert service.show(SERVICE, "ActiveState") == "active"
    finally:
        service.run("rm", override)
        service.run("systemctl", "reload", SERVICE)
    wait_for(lambda: "flags: POF\n" in service.run("cat", ENTRY), "the package's flags are back")


def test_a_hung_service_is_restarted(service: Machine) -> None:
    drop_in = "[Service]\nWatchdogSec=2\n"
    folder = f"/run/systemd/system/{SERVICE}.d"
    service.run("mkdir", "-p", folder)
    service.run("tee", f"{folder}/quick.conf", stdin=drop_in)
    service.shell(f"systemctl daemon-reload; systemctl restart {SERVICE}")
    before = int(service.show(SERVICE, "NRestarts"))
    pid = main_pid(service)
    service.run("kill", "-STOP", pid)
    wait_for(lambda: int(service.show(SERVICE, "NRestarts")) == before + 1, "systemd restarts it")
    run_sample(service)
    wait_for(lambda: state(service) == RIGHT, "it answers again")
    assert main_pid(service) != pid
    words = [entry["MESSAGE"] for entry in service.journal(f"UNIT={SERVICE}")]
    assert any("Watchdog timeout" in word for word in words)
    service.shell(f"rm -r {folder}; systemctl daemon-reload")


def test_upgrade_while_a_guest_runs(service: Machine) -> None:
    old = service.path(INTERPRETER).stat().st_ino
    running = Guest(service)
    assert running.interpreter == old
    new = replace_interpreter(service)
    assert new != old
    wait_for(lambda: done(service, UPGRADED) == 1, "the upgrade is registered")
    fresh = Guest(service)
    assert (running.interpreter, fresh.interpreter) == (old, new)
    assert (running.finish(), fresh.finish()) == (23, 23)
    assert (
        service.journal(f"MESSAGE_ID={DONE[UPGRADED].message_id}")[-1]["USERMODE_EVENT"] == UPGRADED
    )
    time.sleep(6)  # the next look finds nothing to do
    assert done(service, UPGRADED) == 1


def test_upgrade_while_it_is_stopped(service: Machine) -> None:
    service.run("systemctl", "stop", "usermode.socket", SERVICE)
    new = replace_interpreter(service)
    service.run("systemctl", "start", "usermode.socket", SERVICE)
    wait_for(lambda: done(service, UPGRADED) == 1, "the upgrade is registered")
    fresh = Guest(service)
    assert fresh.interpreter == new
    assert fresh.finish() == 23


def test_flushed_table(service: Machine) -> None:
    service.run("systemctl", "restart", "systemd-binfmt.service")
    run_sample(service)
    service.shell(f"echo -1 > {ENTRY}")
    wait_for(lambda: done(service, "registered") == 1, "the entry is back")
    run_sample(service)


def test_masked_file_is_respected(service: Machine) -> None:
    mask = f"/etc/binfmt.d/{CONF}"
    service.shell(f"mkdir -p /etc/binfmt.d; ln -s /dev/null {mask}")
    try:
        service.run("systemctl", "restart", "systemd-binfmt.service")
        wait_for(lambda: state(service) == MASKED, "the mask is seen")
        time.sleep(6)
        assert not service.path(ENTRY).exists()
        assert service.journal(f"MESSAGE_ID={STATES[MASKED].message_id}")
    finally:
        service.run("rm", mask)
    wait_for(lambda: state(service) == RIGHT, "the entry is back")
    run_sample(service)


def test_another_tools_entry_is_told_and_left(service: Machine) -> None:
    line = Entry("/bin/true", name="other-tool", flags="P").line()
    service.run("tee", f"{TABLE}/register", stdin=line)
    try:
        wait_for(lambda: state(service) == SHADOWED, "the other entry is seen")
        replace_interpreter(service)
        time.sleep(6)
        told = service.journal(f"MESSAGE_ID={STATES[SHADOWED].message_id}")[-1]
        assert (told["PRIORITY"], "other-tool" in told["MESSAGE"]) == ("4", True)
        assert service.try_run(SAMPLE).returncode == 0  # still /bin/true's
    finally:
        service.shell(f"echo -1 > {TABLE}/other-tool")
    wait_for(lambda: done(service, UPGRADED) == 1, "the upgrade is registered now")


def test_killed_at_any_time(service: Machine) -> None:
    """SIGKILL while it replaces the entry again and again: there is always one that works."""
    for round_number in range(8):
        wait_for(lambda: state(service) == RIGHT, "it is started again")
        service.run("systemctl", "reset-failed", SERVICE)
        pid = main_pid(service)
        pause = f"0.{round_number * 2:03}"
        # The touch changes the ctime, a reason to register.
        service.shell(f"touch {INTERPRETER}; kill -HUP {pid}; sleep {pause}; kill -KILL {pid}")
        run_sample(service)
    wait_for(lambda: state(service) == RIGHT, "all is right")
    names = sorted(path.name for path in service.path(TABLE).iterdir() if "usermode" in path.name)
    assert names == ["usermode-aarch64"]
    run_sample(service)


def test_hostile_clients_do_not_keep_others_out(service: Machine) -> None:
    """Idle connections, halves of requests and floods from one user; another is answered all the while."""
    flood = (
        "import socket, time\n"
        "held = []\n"
        "end = time.monotonic() + 6\n"
        "while time.monotonic() < end:\n"
        "    one = socket.socket(socket.AF_UNIX); one.settimeout(0.2)\n"
        "    try:\n"
        "        one.connect('/run/usermode/control.sock'); one.send(b'[' * 3000)\n"
        "    except OSError: pass\n"
        "    held = held[-300:] + [one]\n"
    )
    command = ("setpriv", "--reuid=65534", "--clear-groups", "/usr/bin/python3", "-c", flood)
    attackers = [service.start(*command) for _ in range(2)]
    for _ in range(10):
        assert ask(service)["you"] == 0
    for attacker in attackers:
        attacker.communicate()
        assert attacker.returncode == 0
    assert service.show(SERVICE, "NRestarts") == "0"
