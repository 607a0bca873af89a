# SPDX-License-Identifier: GPL-2.0-or-later
"""The socket to the debugger. By host calls, since the interpreter has no `socket` module."""

from __future__ import annotations

import posix
from _struct import Struct
from _thread import allocate_lock
from errno import EINTR

import _usermode_core as core

from syscalls.host.x86_64 import NUMBERS
from usermode.debug import packets
from usermode.errors import UsermodeError, printable
from usermode.settings import USAGE_STATUS

AF_UNIX, AF_INET = 1, 2
SOCK_STREAM, SOCK_CLOEXEC = 1, 0x80000
SOL_SOCKET, SO_REUSEADDR, IPPROTO_TCP, TCP_NODELAY = 1, 2, 6, 1
MSG_NOSIGNAL = 0x4000
F_DUPFD_CLOEXEC, FIRST_DESCRIPTOR = 1030, 1000
POLLIN = 1
S_IFMT, S_IFSOCK = 0o170000, 0o140000
SUN_PATH = 108
LOOPBACK = b"127.0.0.1"
PORTS = 65536

_ONE = (1).to_bytes(4, "little")
_POLL = Struct("<ihh")


def _must(result: int, what: str) -> int:
    if result < 0:
        raise UsermodeError(f"--gdb: {what}: {posix.strerror(-result)}")
    return result


def out_of_the_way(fd: int) -> int:
    """Move a descriptor above those that programs get; where RLIMIT_NOFILE forbids it, leave it."""
    moved = core.host_call(NUMBERS["fcntl"], fd, F_DUPFD_CLOEXEC, FIRST_DESCRIPTOR)
    if moved < 0:
        return fd
    posix.close(fd)
    return moved


def socket_address(where: bytes) -> tuple[int, bytes]:
    """Return (family, struct sockaddr) of PORT, HOST:PORT or a path. Raises UsermodeError."""
    host, colon, port = where.rpartition(b":")
    if b"/" in where or not (colon or where.isdigit()):
        if not where or len(where) >= SUN_PATH:
            raise UsermodeError(
                f"--gdb: {printable(where)} is no socket's path", status=USAGE_STATUS
            )
        return AF_UNIX, AF_UNIX.to_bytes(2, "little") + where + b"\0"
    parts = (LOOPBACK if not host or host == b"localhost" else host).split(b".")
    if len(parts) != 4 or not all(part.isdigit() and int(part) < 256 for part in parts):
        raise UsermodeError(
            f"--gdb: {printable(host)} is no IPv4 address",
            status=USAGE_STATUS,
            hint="use PORT, ADDRESS:PORT, or the path of a socket",
        )
    if not port.isdigit() or int(port) >= PORTS:
        raise UsermodeError(f"--gdb: {printable(port)} is no port", status=USAGE_STATUS)
    return AF_INET, (
        AF_INET.to_bytes(2, "little") + int(port).to_bytes(2, "big") + bytes(map(int, parts))
    ).ljust(16, b"\0")


def accept(where: bytes) -> int:
    """Wait for a debugger at PORT, HOST:PORT or a path, and return the connected socket. Raises UsermodeError."""
    family, address = socket_address(where)
    kind = SOCK_STREAM | SOCK_CLOEXEC
    listener = _must(core.host_call(NUMBERS["socket"], family, kind, 0), "socket")
    if family == AF_UNIX:
        _remove_socket(where)
        mask = posix.umask(0o177)
    else:
        mask = posix.umask(0o777)
        core.host_call(NUMBERS["setsockopt"], listener, SOL_SOCKET, SO_REUSEADDR, _ONE, 4)
    try:
        bound = core.host_call(NUMBERS["bind"], listener, address, len(address))
    finally:
        posix.umask(mask)
    _must(bound, printable(where))
    _must(core.host_call(NUMBERS["listen"], listener, 1), printable(where))
    if family == AF_INET:
        where = _own_address(listener)
    posix.write(2, f"usermode: waiting for gdb at {printable(where)}\n".encode())
    connected = _must(core.host_wait(NUMBERS["accept4"], listener, 0, 0, SOCK_CLOEXEC), "accept")
    posix.close(listener)
    if family == AF_UNIX:
        _remove_socket(where)
    else:
        core.host_call(NUMBERS["setsockopt"], connected, IPPROTO_TCP, TCP_NODELAY, _ONE, 4)
    return connected


def _own_address(listener: int) -> bytes:
    """Return ADDRESS:PORT as bound: the kernel chose the port if 0 was asked for."""
    address, size = bytearray(16), bytearray((16).to_bytes(4, "little"))
    _must(core.host_call(NUMBERS["getsockname"], listener, address, size), "getsockname")
    host = b".".join(b"%d" % byte for byte in address[4:8])
    return host + b":%d" % int.from_bytes(address[2:4], "big")


def _remove_socket(path: bytes) -> None:
    """Remove a socket that an earlier program left; anything else there stays, and bind(2) complains."""
    try:
        if posix.lstat(path).st_mode & S_IFMT == S_IFSOCK:
            posix.unlink(path)
    except FileNotFoundError:
        return


class Connection:
    """A connected debugger. `wake` may be called by any thread, the rest by the one that serves it.

    Sending is for any thread too: the last word of a process is its dying thread's.
    """

    __slots__ = ("_decoder", "_event", "_fd", "_last", "_lock", "acknowledge")

    def __init__(self, fd: int, acknowledge: bool) -> None:
        self._fd = out_of_the_way(fd)
        event = core.host_call(NUMBERS["eventfd2"], 0, SOCK_CLOEXEC)
        self._event = out_of_the_way(_must(event, "eventfd"))
        self._decoder = packets.Decoder()
        self._lock = allocate_lock()
        self._last = b""
        self.acknowledge = acknowledge

    def inherit(self) -> None:
        """In the child of a fork: have what wakes it, and the lock, for itself."""
        posix.close(self._event)
        event = core.host_call(NUMBERS["eventfd2"], 0, SOCK_CLOEXEC)
        self._event = out_of_the_way(_must(event, "eventfd"))
        self._lock = allocate_lock()

    @property
    def descriptors(self) -> tuple[int, int]:
        """The descriptors that the guest must not touch."""
        return self._fd, self._event

    @property
    def fd(self) -> int:
        """The socket."""
        return self._fd

    def close(self) -> None:
        """Close both descriptors."""
        posix.close(self._fd)
        posix.close(self._event)

    def wake(self) -> None:
        """Have wait() return."""
        posix.write(self._event, (1).to_bytes(8, "little"))

    def send(self, data: bytes) -> None:
        """Send a packet. A debugger that is gone is noticed by the next wait()."""
        self._last = packets.encode(data)
        self._write(self._last)

    def _write(self, data: bytes) -> None:
        with self._lock:
            while data:
                sent = core.host_call(
                    NUMBERS["sendto"], self._fd, data, len(data), MSG_NOSIGNAL, 0, 0
                )
                if sent == -EINTR:
                    continue
                if sent < 0:
                    return
                data = data[sent:]

    def wait(self) -> list[bytes | str] | None:
        """Wait for packets, or for wake(): then the list may be empty. None: the debugger is gone."""
        waiting = bytearray(_POLL.pack(self._fd, POLLIN, 0) + _POLL.pack(self._event, POLLIN, 0))
        core.host_call(NUMBERS["poll"], waiting, 2, -1)
        if _POLL.unpack_from(waiting, _POLL.size)[2]:
            posix.read(self._event, 8)
        if not _POLL.unpack_from(waiting)[2]:
            return []
        data = bytearray(packets.LIMIT)
        size = core.host_call(NUMBERS["recvfrom"], self._fd, data, len(data), 0, 0, 0)
        if size <= 0:
            return None
        return self._answered(self._decoder.feed(bytes(data[:size])))

    def _answered(self, found: list[bytes | str]) -> list[bytes | str]:
        """Acknowledge packets as long as that is wanted; return them and the interrupts."""
        wanted: list[bytes | str] = []
        for item in found:
            if isinstance(item, bytes) or item == packets.INTERRUPT:
                wanted.append(item)
            if self.acknowledge and isinstance(item, bytes):
                self._write(b"+")
            elif self.acknowledge and item == packets.DAMAGED:
                self._write(b"-")
            elif self.acknowledge and item == packets.REFUSED:
                self._write(self._last)
        return wanted
