# SPDX-License-Identifier: GPL-2.0-or-later
"""Debugged guests for tests, driven by gdb-multiarch or by bare packets."""

from __future__ import annotations

import contextlib
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import pytest

from tests import support

GDB = "gdb-multiarch"
PATIENCE = 120
QUIET = (
    "set pagination off",
    "set confirm off",
    "set width 0",
    "set debuginfod enabled off",
    "set print thread-events off",
    "set remotetimeout 60",
)


class Debugged:
    """A guest that waits for a debugger at a UNIX socket."""

    def __init__(
        self, interpreter: Path, folder: Path, argv: Sequence[Any], options: Sequence[str]
    ) -> None:
        self.socket = folder / "gdb.socket"
        self.output = folder / "output"
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [interpreter, "--gdb", self.socket, *options, *argv],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.PIPE,
            )
        assert self.process.stderr
        assert b"waiting for gdb" in self.process.stderr.readline()

    def status(self) -> int:
        """Wait for the end of the guest: its exit status, or the negative signal."""
        return self.process.wait(PATIENCE)

    def stdout(self) -> bytes:
        return self.output.read_bytes()

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        assert self.process.stderr
        self.process.stderr.close()

    def gdb(self, *commands: str, interrupt: Callable[[], bool] | None = None) -> str:
        """Run gdb on the guest; its output. `interrupt` says when gdb is to get Ctrl-C, once."""
        words = [GDB, "-nx", "-batch"]
        for command in (*QUIET, f"target remote {self.socket}", *commands):
            words += ["-ex", command]
        with subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as gdb:
            if interrupt:
                _wait_for(interrupt)
                gdb.send_signal(signal.SIGINT)
            try:
                output, _ = gdb.communicate(timeout=PATIENCE)
            except subprocess.TimeoutExpired:
                gdb.kill()
                raise
        return output.decode(errors="replace")

    def connect(self) -> Packets:
        """Connect as a debugger that speaks for itself."""
        return Packets(self.socket)


class Packets:
    """A debugger that sends what it is told to."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(PATIENCE)
        self._socket.connect(str(path))
        self._buffer = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *unused: object) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        self._socket.sendall(data)

    def receive(self, size: int) -> bytes:
        """Return the next bytes, b"" when there are none any more."""
        while len(self._buffer) < size:
            data = self._socket.recv(65536)
            if not data:
                return b""
            self._buffer += data
        taken, self._buffer = self._buffer[:size], self._buffer[size:]
        return taken

    def packet(self) -> bytes:
        """Return the data of the next packet, acknowledgements left out."""
        while (byte := self.receive(1)) == b"+":
            pass
        assert byte == b"$", byte
        data = b""
        while (byte := self.receive(1)) != b"#":
            assert byte, "the connection is closed"
            data += bytes((self.receive(1)[0] ^ 0x20,)) if byte == b"}" else byte
        self.receive(2)
        return data

    def ask(self, request: bytes) -> bytes:
        """Send a packet and return the answer."""
        self.send(b"$%b#%02x" % (request, sum(request) & 0xFF))
        return self.packet()


def _wait_for(condition: Callable[[], bool]) -> None:
    for _ in range(PATIENCE * 20):
        if condition():
            return
        time.sleep(0.05)
    raise AssertionError("it does not happen")


@contextlib.contextmanager
def debugged(
    interpreter: Path, folder: Path, argv: Sequence[Any], options: Sequence[str] = ()
) -> Iterator[Debugged]:
    """Start a guest that waits for its debugger; it is killed in the end."""
    guest = Debugged(interpreter, folder, argv, options)
    watchdog = threading.Timer(2 * PATIENCE, guest.process.kill)
    watchdog.start()
    try:
        yield guest
    finally:
        watchdog.cancel()
        guest.end()


def need_gdb() -> None:
    if not shutil.which(GDB):
        pytest.skip(f"{GDB} is missing: run `make`")


def sysroot() -> tuple[str, ...]:
    """The options of a guest that is linked dynamically."""
    return "--sysroot", str(support.GUEST_LIBRARIES)
