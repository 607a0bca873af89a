# SPDX-License-Identifier: GPL-2.0-or-later
"""The service manager's side: readiness, watchdog, passed sockets, the journal.

systemd-python does it where it is installed. The protocols are a few lines each (sd_notify(3), sd_listen_fds(3),
systemd.io/JOURNAL_NATIVE_PROTOCOL), so without that module we speak them ourselves, and without systemd nobody listens.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

FIRST_PASSED = 3
"""SD_LISTEN_FDS_START"""
JOURNAL = "/run/systemd/journal/socket"
IDENTIFIER = "usermode"

INFO, WARNING, ERROR = 6, 4, 3
"""Priorities of syslog(3)."""


def library() -> Any:
    """Return systemd-python's package, or None where it is not installed."""
    try:
        for module in ("systemd.daemon", "systemd.journal"):
            import_module(module)
    except ImportError:
        return None
    return import_module("systemd")


class Manager:
    """What one process knows of its manager; `library` is systemd-python or None, `environment` that of the start."""

    def __init__(
        self, library: Any, environment: Mapping[str, str], journal: str = JOURNAL
    ) -> None:
        self.library = library
        self.environment = environment
        self.journal = journal

    @property
    def watchdog(self) -> float | None:
        """Seconds within which the manager wants a sign of life, or None: sd_watchdog_enabled(3)."""
        meant = self.environment.get("WATCHDOG_PID", str(os.getpid()))
        microseconds = int(self.environment.get("WATCHDOG_USEC", "0"))
        return microseconds / 1e6 if microseconds and meant == str(os.getpid()) else None

    def notify(self, **state: str | int) -> None:
        """Tell the manager: notify(READY=1, STATUS="…")."""
        text = "\n".join(f"{name}={value}" for name, value in state.items())
        address = self.environment.get("NOTIFY_SOCKET")
        if not address:
            return
        try:
            self._notify(address, text)
        except (
            OSError
        ) as error:  # the manager starts anew; it asks for no more than the watchdog then
            sys.stderr.write(f"cannot tell the service manager {text!r}: {error}\n")

    def _notify(self, address: str, text: str) -> None:
        if self.library:
            self.library.daemon.notify(text)
            return
        if address.startswith("@"):
            address = "\0" + address[1:]
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as speaker:
            speaker.sendto(text.encode(), address)

    def listeners(self) -> list[socket.socket]:
        """Return the sockets that the manager opened for us."""
        if self.library:
            numbers = list(self.library.daemon.listen_fds())
        elif self.environment.get("LISTEN_PID") == str(os.getpid()):
            count = int(self.environment.get("LISTEN_FDS", "0"))
            numbers = list(range(FIRST_PASSED, FIRST_PASSED + count))
        else:
            numbers = []
        for number in numbers:
            os.set_inheritable(number, False)
        return [socket.socket(fileno=number) for number in numbers]

    def log(self, message: str, priority: int = INFO, **fields: str | int) -> None:
        """Write to the journal with fields of its own; to standard error where there is no journal."""
        if not os.path.exists(self.journal):
            sys.stderr.write(f"{message}\n")
            return
        facts: dict[str, str | int] = {
            "PRIORITY": priority,
            "SYSLOG_IDENTIFIER": IDENTIFIER,
            **fields,
        }
        try:
            self._send(message, facts)
        except OSError as error:  # journald starts anew, or is stopped
            sys.stderr.write(f"{message} (not in the journal: {error})\n")

    def _send(self, message: str, facts: dict[str, str | int]) -> None:
        if self.library:
            self.library.journal.send(message, **facts)
            return
        facts["MESSAGE"] = message
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as speaker:
            speaker.sendto(b"".join(field(*fact) for fact in facts.items()), self.journal)


def field(name: str, value: str | int) -> bytes:
    """Return one field of a journal entry; a value with a line break is sent with its length."""
    data = str(value).encode("utf-8", "surrogateescape")
    if b"\n" in data:
        return b"%b\n%b%b\n" % (name.encode(), struct.pack("<Q", len(data)), data)
    return b"%b=%b\n" % (name.encode(), data)
