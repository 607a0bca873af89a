# SPDX-License-Identifier: GPL-2.0-or-later
"""The service's loop: one thread, one selector, and a look at the registration every few seconds.

The kernel tells nobody of changes in binfmt_misc (no inotify events), hence the looking.
"""

from __future__ import annotations

import argparse
import os
import selectors
import signal
import socket
import sys
import time
from typing import TYPE_CHECKING, Any

from binfmt.places import BINFMT_MISC, Places
from binfmt.registry import Registry
from usermode.service import SOCKET
from usermode.service.clients import Clients, Peer
from usermode.service.events import DONE, RELOADED, STARTED, STATES, STOPPED, Event
from usermode.service.keeper import RIGHT, Keeper, State
from usermode.service.manager import Manager, library
from usermode.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Sequence

INTERVAL = 5.0
BACKLOG = 128


class Daemon:
    """The service. `run` returns when SIGTERM or SIGINT asks for it."""

    def __init__(self, keeper: Keeper, manager: Manager, interval: float = INTERVAL) -> None:
        self.keeper = keeper
        self.manager = manager
        self.interval = interval
        self.selector = selectors.DefaultSelector()
        self.clients = Clients(self.selector, self.answer)
        self.state = State("", "")
        self.done: dict[str, int] = {}
        self.started = self.checked = time.time()
        self.signals: list[int] = []
        self.stopping = False

    def run(self, listener: socket.socket) -> None:
        """Serve until told to stop."""
        self._catch_signals()
        self.clients.listen(listener)
        self.log(STARTED, VERSION)
        self.check()
        self.manager.notify(READY=1, STATUS=self.line())
        watchdog = self.manager.watchdog
        pause = min(self.interval, watchdog / 3) if watchdog else self.interval
        next_look = next_sign = time.monotonic()
        while not self.stopping:
            now = time.monotonic()
            if now >= next_sign:
                self.manager.notify(WATCHDOG=1)
                next_sign = now + pause
            if now >= next_look:
                self.check()
                next_look = now + self.interval
            wake = min(next_look, next_sign, self.clients.next_deadline() or next_look)
            for key, events in self.selector.select(max(0.0, wake - time.monotonic())):
                key.data(key.fileobj, events)
            self.clients.expire()
            self._obey()
        self.manager.notify(STOPPING=1)
        self.log(STOPPED)

    def _catch_signals(self) -> None:
        reader, writer = socket.socketpair()
        for end in (reader, writer):
            end.setblocking(False)
        signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
        self.wakeup = (reader, writer)
        self.selector.register(reader, selectors.EVENT_READ, lambda end, _: end.recv(64))
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda number, _: self.signals.append(number))

    def _obey(self) -> None:
        """Do what the signals that came ask for."""
        while self.signals:
            if self.signals.pop(0) == signal.SIGHUP:
                self.reload()
            else:
                self.stopping = True

    def reload(self) -> None:
        """Make the registration as binfmt.d says now."""
        self.manager.notify(RELOADING=1, MONOTONIC_USEC=time.monotonic_ns() // 1000)
        self.check(apply=True)
        self.log(RELOADED)
        self.manager.notify(READY=1, STATUS=self.line())

    def check(self, *, apply: bool = False) -> None:
        """Look at the registration, mend it, and tell of changes."""
        state = self.keeper.check(apply=apply)
        self.checked = time.time()
        if state.done:
            self.done[state.done] = self.done.get(state.done, 0) + 1
            self.log(DONE[state.done], state.reason)
        changed = state[:2] != self.state[:2]
        self.state = state
        if changed:
            self.log(STATES[state.kind], state.reason)
            self.manager.notify(STATUS=self.line())

    def log(self, event: Event, reason: str = "") -> None:
        """Write one event to the journal."""
        self.manager.log(
            event.text.format(reason=reason),
            event.priority,
            MESSAGE_ID=event.message_id,
            USERMODE_EVENT=event.name,
            USERMODE_REASON=reason,
        )

    def line(self) -> str:
        """Return the state in a line, for systemctl status."""
        done = ", ".join(f"{name} {count}" for name, count in self.done.items())
        return f"{self.state.reason or self.state.kind}; since the start: {done or 'nothing to do'}"

    def answer(self, request: dict[str, Any], peer: Peer) -> dict[str, Any]:
        """Answer one request: what was found at the last check, without looking anew."""
        if request.get("ask") != "status":
            return {"error": 'the only request is {"ask": "status"}'}
        return {
            "version": VERSION,
            "pid": os.getpid(),
            "started": int(self.started),
            "checked": int(self.checked),
            "state": self.state.kind,
            "right": self.state.kind == RIGHT,
            "reason": self.state.reason,
            "done": self.done,
            "requests": self.clients.served,
            "you": peer.uid,
        }


def listener(manager: Manager, path: str) -> socket.socket:
    """Return the socket that the manager passed, else one of our own at `path`."""
    passed = manager.listeners()
    if passed:
        return passed[0]
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    if os.path.exists(path):
        os.unlink(path)
    own = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
    own.bind(path)
    os.chmod(path, 0o666)  # noqa: S103  anybody may ask
    own.listen(BACKLOG)
    return own


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the service."""
    parser = argparse.ArgumentParser(prog="usermode-service", description=__doc__)
    parser.add_argument("--socket", default=SOCKET, help="where to answer without systemd")
    parser.add_argument("--interval", type=float, default=INTERVAL, help="seconds between looks")
    parser.add_argument("--binfmt-dir", default=BINFMT_MISC, help="where binfmt_misc is mounted")
    parser.add_argument("--root", default="/", help="where the folders of binfmt.d are")
    options = parser.parse_args(arguments)
    if not 0 < options.interval < float("inf"):
        parser.error("--interval needs a number of seconds above 0")
    manager = Manager(library(), dict(os.environ))
    keeper = Keeper(Registry(options.binfmt_dir), Places(options.root))
    Daemon(keeper, manager, options.interval).run(listener(manager, options.socket))
    return 0


if __name__ == "__main__":
    sys.exit(main())
