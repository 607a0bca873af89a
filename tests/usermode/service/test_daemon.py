# SPDX-License-Identifier: GPL-2.0-or-later
"""The service as a process: a table of its own, a manager that listens, signals."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from binfmt.configuration import render
from binfmt.entry import NAME, Entry
from tests.binfmt.namespace import isolated, mount_table, short_folder
from tests.support import ROOT
from usermode.service.asking import ask
from usermode.service.daemon import main
from usermode.service.events import DONE, RELOADED, STARTED, STATES, STOPPED
from usermode.service.keeper import UPGRADED


@pytest.fixture
def folder() -> Iterator[Path]:
    with short_folder() as path:
        yield path


class Service:
    """The process, and what it tells its manager."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.ear = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.ear.bind(str(folder / "notify"))
        self.ear.settimeout(30)
        self.path = str(folder / "run/control.sock")
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "usermode.service.daemon", "--interval", "0.05"),
                *("--socket", self.path, "--binfmt-dir", folder / "table", "--root", folder),
            ],
            cwd=ROOT,
            env={"NOTIFY_SOCKET": str(folder / "notify"), **environment},
            stderr=subprocess.PIPE,
            text=True,
        )

    def wait_for(self, words: str) -> None:
        """Wait until the manager is told something that contains the words."""
        while words not in self.ear.recv(4096).decode():
            pass

    def end(self, number: int = signal.SIGTERM) -> str:
        """End it by a signal; return what it wrote."""
        self.process.send_signal(number)
        with self.process:
            _, words = self.process.communicate(timeout=30)
        self.ear.close()
        assert self.process.returncode == 0, words
        return words


@contextmanager
def running(folder: Path, **environment: str) -> Iterator[Service]:
    """A service with an interpreter to register."""
    mount_table(folder)
    shutil.copy("/bin/true", folder / NAME)
    conf = folder / f"usr/lib/binfmt.d/{NAME}.conf"
    conf.parent.mkdir(parents=True)
    conf.write_text(render(Entry(str(folder / NAME))))
    service = Service(folder, **environment)
    try:
        service.wait_for("READY=1")
        yield service
    finally:
        service.process.kill()
        service.process.wait()


@isolated
def test_a_life(folder) -> None:
    with running(folder) as service:
        assert (folder / "table" / NAME).exists()
        answer = ask({"ask": "status"}, service.path)
        assert answer is not None
        assert (answer["state"], answer["right"], answer["you"]) == ("right", True, os.getuid())
        assert answer["done"] == {"registered": 1}
        (folder / "new").write_bytes(Path("/bin/true").read_bytes() + b"\n")
        (folder / "new").chmod(0o755)
        (folder / "new").rename(folder / NAME)
        end = time.monotonic() + 30
        while UPGRADED not in (ask({"ask": "status"}, service.path) or {})["done"]:
            assert time.monotonic() < end
        service.process.send_signal(signal.SIGHUP)
        service.wait_for("RELOADING=1")
        service.wait_for("READY=1")
        words = service.end()
        assert (folder / "table" / NAME).exists()
    for event in (STARTED, STATES["right"], DONE[UPGRADED], RELOADED, STOPPED):
        assert event.text.split("{")[0] in words


@isolated
def test_watchdog_gets_its_signs(folder) -> None:
    with running(folder, WATCHDOG_USEC="60000000") as service:
        service.wait_for("WATCHDOG=1")
        service.wait_for("WATCHDOG=1")
        assert "Traceback" not in service.end(signal.SIGINT)


@isolated
def test_other_requests_are_refused(folder) -> None:
    with running(folder) as service:
        with socket.socket(socket.AF_UNIX) as one:
            one.connect(service.path)
            one.sendall(b'{"ask": "stop"}\n')
            assert b"only request" in one.recv(1000)
        service.end()


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "soon"])
def test_wrong_interval(seconds: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--interval", seconds])
    assert ended.value.code == 2
    assert "--interval" in capsys.readouterr().err


def test_message_ids_are_unlike() -> None:
    events = [STARTED, STOPPED, RELOADED, *DONE.values(), *STATES.values()]
    assert len({event.message_id for event in events}) == len(events)
    assert all(len(bytes.fromhex(event.message_id)) == 16 for event in events)
