# SPDX-License-Identifier: GPL-2.0-or-later
"""The service manager's protocols, with systemd-python and without."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import ROOT
from usermode.service.manager import WARNING, Manager, field, library


@pytest.fixture(params=["own", "library"])
def chosen(request: pytest.FixtureRequest) -> object:
    """Whose code speaks: ours (None) or systemd-python's."""
    found = library() if request.param == "library" else None
    if request.param == "library" and found is None:
        pytest.skip("systemd-python is not installed")
    return found


@pytest.fixture
def ear(tmp_path: Path) -> Iterator[socket.socket]:
    """A datagram socket that hears what a manager or journal would."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "ear"))
        listener.settimeout(10)
        yield listener


def test_notify(chosen, ear, monkeypatch) -> None:
    address = ear.getsockname()
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    Manager(chosen, {"NOTIFY_SOCKET": address}).notify(READY=1, STATUS="all is right")
    assert ear.recv(1000) == b"READY=1\nSTATUS=all is right"


def test_notify_in_the_abstract_name_space(chosen, monkeypatch) -> None:
    name = f"usermode-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(f"\0{name}")
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
        Manager(chosen, {"NOTIFY_SOCKET": f"@{name}"}).notify(WATCHDOG=1)
        assert listener.recv(1000) == b"WATCHDOG=1"


def test_nobody_to_notify(chosen) -> None:
    Manager(chosen, {}).notify(READY=1)


def test_a_manager_and_a_journal_that_do_not_listen(chosen, tmp_path, monkeypatch, capfd) -> None:
    """Both may be starting anew; the service goes on."""
    gone = str(tmp_path / "gone")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(gone)
    monkeypatch.setenv("NOTIFY_SOCKET", gone)
    Manager(chosen, {"NOTIFY_SOCKET": gone}, journal=gone).notify(READY=1)
    Manager(None, {}, journal=gone).log("a message")
    words = capfd.readouterr().err
    assert "cannot tell the service manager 'READY=1'" in words
    assert "a message (not in the journal: " in words


def test_watchdog_is_for_the_process_that_is_meant() -> None:
    facts = {"WATCHDOG_USEC": "2500000"}
    assert Manager(None, {}).watchdog is None
    assert Manager(None, facts).watchdog == 2.5
    assert Manager(None, {**facts, "WATCHDOG_PID": str(os.getpid())}).watchdog == 2.5
    assert Manager(None, {**facts, "WATCHDOG_PID": "1"}).watchdog is None


def test_journal_gets_fields(ear) -> None:
    manager = Manager(None, {}, journal=ear.getsockname())
    manager.log("two\nlines", WARNING, USERMODE_EVENT="test")
    assert ear.recv(1000).split(b"\n", 3) == [
        b"PRIORITY=4",
        b"SYSLOG_IDENTIFIER=usermode",
        b"USERMODE_EVENT=test",
        b"MESSAGE\n\x09\0\0\0\0\0\0\0two\nlines\n",
    ]
    assert field("A", "b") == b"A=b\n"


def test_without_a_journal_standard_error_is_used(chosen, capsys, tmp_path) -> None:
    Manager(chosen, {}, journal=str(tmp_path / "none")).log("words", USERMODE_EVENT="test")
    assert capsys.readouterr().err == "words\n"


SHOW = """
import json, os, sys
from usermode.service.manager import Manager, library
manager = Manager(library() if sys.argv[1] == "library" else None, dict(os.environ))
passed = manager.listeners()
print(json.dumps([[one.fileno(), one.getsockname(), os.get_inheritable(one.fileno())] for one in passed]))
"""


@pytest.mark.parametrize("whose", ["own", "library"])
def test_passed_sockets(whose, tmp_path) -> None:
    """As sd_listen_fds(3) has it: from descriptor 3 on, meant for one process."""
    if whose == "library" and library() is None:
        pytest.skip("systemd-python is not installed")
    path = str(tmp_path / "passed")
    start = (
        "import os, socket, sys; s = socket.socket(socket.AF_UNIX);"
        "s.bind(sys.argv[1]); s.listen(); os.dup2(s.fileno(), 3); os.set_inheritable(3, True);"
        "os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS='1');"
        "os.execv(sys.executable, [sys.executable, '-c', *sys.argv[2:]])"
    )
    done = subprocess.run(
        [sys.executable, "-c", start, path, SHOW, whose],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (json.loads(done.stdout), done.stderr) == ([[3, path, False]], "")
    assert Manager(None, {"LISTEN_PID": "1", "LISTEN_FDS": "1"}).listeners() == []
