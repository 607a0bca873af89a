# SPDX-License-Identifier: GPL-2.0-or-later
"""Those who ask: a line of JSON each, and a line in answer. Anybody may, so nobody is trusted.

A client has a few seconds, a small request and, with others of the same user, a few connections. So the worst that
somebody can do is to be refused himself.
"""

from __future__ import annotations

import errno
import json
import selectors
import socket
import struct
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    Answer = Callable[[dict[str, Any], "Peer"], dict[str, Any]]

SECONDS = 3.0
REQUEST_LIMIT = 4096
PER_USER = 8
ALL = 128
ACCEPTED_AT_ONCE = 64
"""Then the loop does its other work."""

PAUSE = 1.0
NO_MORE = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

CREDENTIALS = struct.Struct("3i")  # struct ucred of unix(7)


class Peer(NamedTuple):
    """Who asks: the kernel's word, SO_PEERCRED of unix(7)."""

    pid: int
    uid: int
    gid: int


class Client:
    """One connection: what it sent, what it is still to get, and when its time is up."""

    __slots__ = ("connection", "deadline", "peer", "received", "reply")

    def __init__(self, connection: socket.socket, peer: Peer, deadline: float) -> None:
        self.connection = connection
        self.peer = peer
        self.deadline = deadline
        self.received = b""
        self.reply = b""


class Clients:
    """All connections, on the selector of the daemon's loop. `answer` makes an object of one that was read."""

    def __init__(
        self,
        selector: selectors.BaseSelector,
        answer: Answer,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.selector = selector
        self.answer = answer
        self.clock = clock
        self.connected: dict[int, Client] = {}
        self.users: Counter[int] = Counter()
        self.served = 0
        self.paused: list[tuple[float, socket.socket]] = []
        """Listeners that nobody is taken from before that time."""

    def listen(self, listener: socket.socket) -> None:
        """Take connections from a listening socket."""
        listener.setblocking(False)
        self.selector.register(listener, selectors.EVENT_READ, self.accept)

    def accept(self, listener: socket.socket, _: int) -> None:
        """Take in those who wait."""
        for _attempt in range(ACCEPTED_AT_ONCE):
            try:
                connection, _address = listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                if (
                    error.errno in NO_MORE
                ):  # time mends it; until then he who waits would keep us busy
                    self.selector.unregister(listener)
                    self.paused.append((self.clock() + PAUSE, listener))
                return  # else it is gone while it waited
            connection.setblocking(False)
            data = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
            peer = Peer(*CREDENTIALS.unpack(data))
            if self.users[peer.uid] >= PER_USER or len(self.connected) >= ALL:
                refuse(connection)
                continue
            client = Client(connection, peer, self.clock() + SECONDS)
            self.connected[connection.fileno()] = client
            self.users[peer.uid] += 1
            self.selector.register(connection, selectors.EVENT_READ, self.ready)

    def ready(self, connection: socket.socket, events: int) -> None:
        """Go on with one client."""
        client = self.connected[connection.fileno()]
        try:
            if events & selectors.EVENT_READ:
                self._read(client)
            else:
                self._write(client)
        except BlockingIOError:
            return
        except OSError:
            self._drop(client)

    def _read(self, client: Client) -> None:
        data = client.connection.recv(REQUEST_LIMIT)
        client.received += data
        line, end, _ = client.received.partition(b"\n")
        if end:
            self._reply(client, self._answer(line, client.peer))
        elif len(client.received) >= REQUEST_LIMIT:
            self._reply(client, {"error": f"a request has at most {REQUEST_LIMIT} bytes"})
        elif not data:
            self._drop(client)

    def _answer(self, line: bytes, peer: Peer) -> dict[str, Any]:
        try:
            request = json.loads(line)
        except (ValueError, RecursionError):
            return {"error": "that is no JSON"}
        if not isinstance(request, dict):
            return {"error": "a request is an object"}
        self.served += 1
        return self.answer(request, peer)

    def _reply(self, client: Client, reply: dict[str, Any]) -> None:
        client.reply = json.dumps(reply).encode() + b"\n"
        self.selector.modify(client.connection, selectors.EVENT_WRITE, self.ready)
        self._write(client)

    def _write(self, client: Client) -> None:
        sent = client.connection.send(client.reply, socket.MSG_NOSIGNAL)
        client.reply = client.reply[sent:]
        if not client.reply:
            self._drop(client)

    def expire(self) -> None:
        """Send away those whose time is up, and listen again if there was no room for more."""
        now = self.clock()
        while self.paused and self.paused[0][0] <= now:
            self.selector.register(self.paused.pop(0)[1], selectors.EVENT_READ, self.accept)
        for client in [client for client in self.connected.values() if client.deadline <= now]:
            self._drop(client)

    def next_deadline(self) -> float | None:
        """Return when there is something to do: the next one's time is up, or there may be room again."""
        times = [client.deadline for client in self.connected.values()]
        return min(times + [at for at, _ in self.paused], default=None)

    def _drop(self, client: Client) -> None:
        self.selector.unregister(client.connection)
        del self.connected[client.connection.fileno()]
        self.users[client.peer.uid] -= 1
        if not self.users[client.peer.uid]:
            del self.users[client.peer.uid]
        client.connection.close()


def refuse(connection: socket.socket) -> None:
    """Tell somebody to come again, if that goes at once."""
    try:
        connection.send(b'{"error": "busy"}\n', socket.MSG_NOSIGNAL)
    except OSError:
        pass  # gone already
    connection.close()
