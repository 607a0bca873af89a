# SPDX-License-Identifier: GPL-2.0-or-later
"""The socket's side: answers, and limits that hold against clients who mean harm."""

from __future__ import annotations

import errno
import json
import selectors
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from usermode.errors import UsermodeError
from usermode.service.asking import ask
from usermode.service.clients import PAUSE, PER_USER, REQUEST_LIMIT, SECONDS, Clients, Peer


class Served:
    """Clients on a selector, with a clock that the test moves."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.now = 0.0
        self.selector = selectors.DefaultSelector()
        self.clients = Clients(self.selector, self.answer, lambda: self.now)
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(128)
        self.clients.listen(self.listener)
        self.peers: list[Peer] = []

    def answer(self, request: dict, peer: Peer) -> dict:
        self.peers.append(peer)
        return {"request": request, "long": "x" * request.get("length", 0)}

    def turn(self) -> None:
        """Do everything that is to be done now."""
        while ready := self.selector.select(0):
            for key, events in ready:
                key.data(key.fileobj, events)
        self.clients.expire()

    def connect(self, data: bytes = b"") -> socket.socket:
        one = socket.socket(socket.AF_UNIX)
        one.settimeout(10)
        one.connect(self.path)
        one.sendall(data)
        return one


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    made = Served(tmp_path / "socket")
    yield made
    for client in list(made.clients.connected.values()):
        client.connection.close()
    made.listener.close()
    made.selector.close()


class Full:
    """A listening socket for which there are no file descriptors left."""

    def __init__(self, listener: socket.socket) -> None:
        self.listener = listener

    def fileno(self) -> int:
        return self.listener.fileno()

    def accept(self) -> None:
        raise OSError(errno.EMFILE, "Too many open files")


def test_no_file_descriptors_left(served: Served) -> None:
    """He who waits at the door does not keep us busy; later he is let in."""
    served.selector.unregister(served.listener)
    full: Any = Full(served.listener)
    served.selector.register(full, selectors.EVENT_READ, served.clients.accept)
    with served.connect(b"{}\n") as one:
        served.turn()  # it ends
        assert served.clients.next_deadline() == PAUSE
        full.accept = served.listener.accept
        served.turn()
        assert served.peers == []
        served.now = PAUSE
        served.turn()
        served.turn()
        assert one.recv(100).endswith(b"\n")
    assert served.clients.next_deadline() is None


def answer(served: Served, data: bytes) -> dict:
    with served.connect(data) as one:
        served.turn()
        found: dict = json.loads(one.makefile("rb").readline())
    served.turn()
    return found


def test_answer_and_peer(served) -> None:
    import os

    assert answer(served, b'{"a": 1}\n')["request"] == {"a": 1}
    assert served.peers == [Peer(os.getpid(), os.getuid(), os.getgid())]
    assert served.clients.connected == {}
    assert not served.clients.users


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\xff\n", "that is no JSON"),
        (b"[" * 4000 + b"\n", "that is no JSON"),
        (b"3\n", "a request is an object"),
        (b"x" * REQUEST_LIMIT, f"a request has at most {REQUEST_LIMIT} bytes"),
    ],
)
def test_nonsense(served, data, words) -> None:
    assert answer(served, data) == {"error": words}


def test_a_request_in_parts(served) -> None:
    with served.connect(b'{"a"') as one:
        served.turn()
        one.sendall(b": 2}\n")
        served.turn()
        assert json.loads(one.makefile("rb").readline())["request"] == {"a": 2}


def test_slow_clients_are_sent_away(served) -> None:
    with served.connect(b'{"a"') as slow, served.connect() as silent:
        served.turn()
        assert served.clients.next_deadline() == SECONDS
        served.now = SECONDS
        served.turn()
        assert slow.recv(10) == silent.recv(10) == b""
    assert served.clients.next_deadline() is None


def test_one_that_does_not_read_its_answer(served) -> None:
    with served.connect(b'{"length": 5000000}\n'):
        served.turn()
        assert len(served.clients.connected) == 1
        served.now = SECONDS
        served.turn()
        assert served.clients.connected == {}


def test_one_user_gets_few_connections(served) -> None:
    held = [served.connect() for _ in range(PER_USER)]
    served.turn()
    assert answer(served, b"") == {"error": "busy"}
    for one in held:
        one.close()
    served.turn()
    assert answer(served, b"{}\n")["request"] == {}


def test_clients_that_go_at_once(served) -> None:
    for data in (b"", b'{"length": 5000000}\n', b"{"):
        for _ in range(20):
            served.connect(data).close()
        served.turn()
    assert served.clients.connected == {}


def test_asking(served) -> None:
    stop = threading.Event()

    def serve() -> None:
        while not stop.is_set():
            served.turn()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        assert ask({"a": 1}, served.path) == {"request": {"a": 1}, "long": ""}
    finally:
        stop.set()
        thread.join()


def test_asking_nobody(tmp_path) -> None:
    assert ask({}, str(tmp_path / "none")) is None
    with socket.socket(socket.AF_UNIX) as closed:
        closed.bind(str(tmp_path / "closed"))
        assert ask({}, str(tmp_path / "closed")) is None


def test_asking_one_that_talks_nonsense(tmp_path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "odd"))
        listener.listen()

        def talk() -> None:
            connection, _ = listener.accept()
            connection.sendall(b"nonsense\n")
            connection.close()

        thread = threading.Thread(target=talk)
        thread.start()
        with pytest.raises(UsermodeError, match="does not answer"):
            ask({}, str(tmp_path / "odd"))
        thread.join()
