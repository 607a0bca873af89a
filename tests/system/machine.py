# SPDX-License-Identifier: GPL-2.0-or-later
"""A machine to try things on: the real systemd as process 1 over a copy-on-write view of this machine's own files.

It lives in namespaces of its own (user, mount, process, network, host name, IPC, cgroup), where it has a binfmt_misc
of its own too, and writes go to a tmpfs: nothing outside changes, and nothing remains. Needs root, an overlay file
system, and Linux 6.7 for that binfmt_misc.

Run as a program it is what starts the machine: `machine.py SCRATCH SHOWN`, which prints the process id of systemd.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.binfmt.namespace import ALL_IDS, LIBC, MS_REC_PRIVATE, check, write_maps
from tests.support import ROOT

SYSTEMD = "/lib/systemd/systemd"
CLONE_NEWNS = 0x00020000
CLONE_ALL = (
    0x10000000 | CLONE_NEWNS | 0x20000000 | 0x40000000 | 0x04000000 | 0x08000000 | 0x02000000
)
"""User, mount, process, network, host name, IPC and cgroup namespaces."""
MS_BIND, MS_REC, MS_RDONLY, MS_REMOUNT = 4096, 16384, 1, 32
PR_SET_PDEATHSIG = 1
MNT_DETACH = 2
NR_PIVOT_ROOT = 155

DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
TABLE = "proc-sys-fs-binfmt_misc.mount"
TARGET = "usermode-test.target"
UNIT = """[Unit]
Requires=basic.target dbus.socket
After=basic.target
AllowIsolate=yes
"""
SECONDS = 60.0


class Machine:
    """A running machine; `pid` is its process 1 as seen from outside."""

    def __init__(self, pid: int) -> None:
        self.pid = pid

    def try_run(self, *command: str | Path, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command inside as its root."""
        enter = ["nsenter", f"--target={self.pid}", "--all", "--root", "--wd=/", "--"]
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"}
        return subprocess.run(
            [*enter, *command],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=SECONDS * 3,
            env=environment,
        )

    def run(self, *command: str | Path, stdin: str = "") -> str:
        """Run a command inside that has to succeed, and return what it wrote."""
        done = self.try_run(*command, stdin=stdin)
        assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}{done.stderr}"
        return done.stdout

    def shell(self, script: str) -> str:
        """Run a shell script inside."""
        return self.run("sh", "-euc", script)

    def start(self, *command: str | Path) -> subprocess.Popen[str]:
        """Start a command inside that goes on; its standard input and output are pipes."""
        enter = ["nsenter", f"--target={self.pid}", "--all", "--root", "--wd=/", "--"]
        return subprocess.Popen(
            [*enter, *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={}
        )

    def show(self, unit: str, name: str) -> str:
        """Return a property of a unit."""
        return self.run("systemctl", "show", "--value", f"--property={name}", unit).strip()

    def journal(self, *fields: str) -> list[dict[str, str]]:
        """Return the entries of the journal with these fields."""
        self.run("journalctl", "--sync")
        lines = self.run("journalctl", "--output=json", "--quiet", *fields).splitlines()
        return [json.loads(line) for line in lines]

    def path(self, name: str) -> Path:
        """Return where a file of the machine is, seen from outside."""
        return Path(f"/proc/{self.pid}/root") / name.lstrip("/")


def wait_for(true: object, what: str) -> None:
    """Wait until `true()` is. AssertionError when that takes too long."""
    end = time.monotonic() + SECONDS
    while not true():  # type: ignore[operator]
        assert time.monotonic() < end, f"still not: {what}"
        time.sleep(0.05)


@contextmanager
def booted(scratch: Path) -> Iterator[Machine]:
    """A machine that has started; skips the test where that is not possible."""
    if os.geteuid() != 0:
        pytest.skip("only root can start a machine for tests")
    for program in (SYSTEMD, "/usr/bin/nsenter", "/usr/bin/systemctl"):
        if not os.path.exists(program):
            pytest.skip(f"{program} is not installed")
    command = [sys.executable, "-m", "tests.system.machine", str(scratch), str(ROOT)]
    log = scratch / "start.log"
    with (
        log.open("w") as errors,
        subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, text=True, cwd=ROOT
        ) as process,
    ):
        assert process.stdout is not None
        try:
            line = process.stdout.readline()
            machine = Machine(int(line or 0))
            wait_until_started(machine, process, scratch)
            yield machine
        finally:
            process.kill()


def wait_until_started(machine: Machine, process: subprocess.Popen[str], scratch: Path) -> None:
    """Wait for the target. Skips where the kernel refuses what it takes; AssertionError when systemd fails."""
    try:
        wait_for(
            lambda: process.poll() is not None or target_reached(machine), "the machine has started"
        )
    except AssertionError as error:
        console = (scratch / "console").read_text(errors="replace")
        raise AssertionError(f"{error}\n{console[-3000:]}") from error
    if process.poll() is not None:
        words = (scratch / "start.log").read_text().splitlines() or ["no reason was given"]
        pytest.skip(f"a machine for tests cannot be started here: {words[-1]}")


def target_reached(machine: Machine) -> bool:
    """Tell whether everything that was to be started is."""
    return machine.try_run("systemctl", "is-active", TARGET).stdout.strip() == "active"


def mount(source: str, target: Path, kind: str | None, flags: int = 0, data: str = "") -> None:
    """mount(2), with the folder it needs. Raises OSError."""
    if kind:
        target.mkdir(parents=True, exist_ok=True)
    check(
        LIBC.mount(
            source.encode(),
            os.fsencode(target),
            kind.encode() if kind else None,
            ctypes.c_ulong(flags),
            data.encode() or None,
        )
    )


def make_files(scratch: Path, shown: Path) -> Path:
    """Mount the view of this machine's files, and prepare it. `shown` is there too, read-only."""
    check(LIBC.unshare(CLONE_NEWNS))
    mount("none", Path("/"), None, MS_REC_PRIVATE)
    top = scratch / "files"
    mount("tmpfs", top, "tmpfs")
    for name in ("upper", "work", "root"):
        (top / name).mkdir()
    root = top / "root"
    layers = f"lowerdir=/,upperdir={top / 'upper'},workdir={top / 'work'}"
    mount("overlay", root, "overlay", data=layers)
    # This machine's own services are not started, and dpkg may start those of packages.
    shutil.rmtree(root / "etc/systemd/system", ignore_errors=True)
    (root / "etc/systemd/system").mkdir(parents=True)
    (root / "etc/systemd/system" / TARGET).write_text(UNIT)
    # systemd's own way, an automount, is not to be had in a user namespace.
    wants = root / "etc/systemd/system/sysinit.target.wants"
    wants.mkdir()
    (wants / TABLE).symlink_to(f"/lib/systemd/system/{TABLE}")
    (root / "usr/sbin/policy-rc.d").unlink(missing_ok=True)
    # Nothing of a journal or of other tests' installations.
    shutil.rmtree(root / "var/log/journal", ignore_errors=True)
    inside = root / str(shown).lstrip("/")
    inside.mkdir(parents=True, exist_ok=True)
    mount(str(shown), inside, None, MS_BIND)
    mount("none", inside, None, MS_BIND | MS_REMOUNT | MS_RDONLY)
    return root


def become_first_process(root: Path, console: Path) -> None:
    """In all the new namespaces: mount what the kernel gives, enter the root, and be systemd."""
    mount("none", Path("/"), None, MS_REC_PRIVATE)
    mount(str(root), root, None, MS_BIND | MS_REC)
    os.chdir(root)
    mount("proc", root / "proc", "proc")
    mount("sysfs", root / "sys", "sysfs")
    mount("cgroup2", root / "sys/fs/cgroup", "cgroup2")
    for name, options in (("run", "mode=755"), ("tmp", "mode=1777"), ("dev", "mode=755")):
        mount("tmpfs", root / name, "tmpfs", data=options)
    for name in DEVICES:
        (root / "dev" / name).touch()
        mount(f"/dev/{name}", root / "dev" / name, None, MS_BIND)
    mount("devpts", root / "dev/pts", "devpts", data="newinstance,ptmxmode=0666")
    (root / "dev/shm").mkdir()
    (root / "dev/ptmx").symlink_to("pts/ptmx")
    (root / "dev/console").touch()
    mount(str(console), root / "dev/console", None, MS_BIND)
    (root / "old").mkdir()
    check(LIBC.syscall(NR_PIVOT_ROOT, b".", b"old"))
    check(LIBC.umount2(b"/old", MNT_DETACH))
    os.rmdir("/old")
    environment = {"container": "usermode-test", "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    os.execve(SYSTEMD, [SYSTEMD, f"--unit={TARGET}"], environment)


def main(scratch: Path, shown: Path) -> None:
    """Start the machine, print its first process, and stay as long as it."""
    root = make_files(scratch, shown)
    console = scratch / "console"
    console.touch()
    ready, go = os.pipe(), os.pipe()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        check(LIBC.unshare(CLONE_ALL))
        os.write(ready[1], b"r")
        os.read(go[0], 1)
        first = os.fork()
        if first == 0:
            LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
            os.setresgid(0, 0, 0)
            os.setresuid(0, 0, 0)
            become_first_process(root, console)
        os.write(writer, f"{first}\n".encode())
        os.waitpid(first, 0)
        os._exit(0)
    os.close(ready[1])
    assert os.read(ready[0], 1), "the namespaces cannot be made"
    write_maps(child, (0, 0), ALL_IDS)
    os.write(go[1], b"g")
    os.write(1, os.read(reader, 32))
    os.waitpid(child, 0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
