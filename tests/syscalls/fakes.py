# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest thread for tests of what `syscalls/` does itself: some memory, and a host that notes the calls made."""

from __future__ import annotations

from collections.abc import Callable
from errno import EFAULT, ENAMETOOLONG

MEMORY_START = 0x10000
MEMORY_SIZE = 0x10000


class FakeMemory:
    """64 KiB of memory at 64 KiB."""

    def __init__(self) -> None:
        self.data = bytearray(MEMORY_SIZE)

    def _offset(self, address: int, size: int) -> int:
        offset = address - MEMORY_START
        if offset < 0 or offset + size > MEMORY_SIZE:
            raise OSError(EFAULT, "no such memory")
        return offset

    def read(self, address: int, size: int, /) -> bytes:
        offset = self._offset(address, size)
        return bytes(self.data[offset : offset + size])

    def write(self, address: int, data: bytes | bytearray, /) -> None:
        offset = self._offset(address, len(data))
        self.data[offset : offset + len(data)] = data

    def read_string(self, address: int, limit: int = 4096, /) -> bytes:
        start = self._offset(address, 1)
        end = self.data.find(0, start, start + limit)
        if end < 0:
            raise OSError(ENAMETOOLONG, "no end of the string")
        return bytes(self.data[start:end])


class FakePaths:
    """A sysroot /root for all absolute paths."""

    def resolve(self, dirfd: int, path: bytes, follow: bool) -> tuple[int, bytes]:
        if path.startswith(b"/"):
            return -100, (b"/root" if follow else b"/root-nofollow") + path
        return dirfd, path


class FakeProcess:
    """Counts what was not supported."""

    def __init__(self) -> None:
        self.missing: list[str] = []

    def unsupported(self, what: str) -> None:
        self.missing.append(what)


class FakeTask:
    """A thread whose host calls return `result` (or what it returns), and are kept in `made`."""

    def __init__(self, result: int | Callable[[], int] = 0) -> None:
        self.tid = 77
        self.memory = FakeMemory()
        self.paths = FakePaths()
        self.process = FakeProcess()
        self.result = result
        self.made: list[tuple[int | bytes | bytearray, ...]] = []
        self.passed: list[tuple[int, tuple[int, ...]]] = []

    def _answer(self) -> int:
        return self.result if isinstance(self.result, int) else self.result()

    def host(self, number: int, *arguments: int | bytes | bytearray) -> int:
        self.made.append((number, *arguments))
        return self._answer()

    host_now = host

    def pass_through(self, number: int, arguments: tuple[int, ...]) -> int:
        self.passed.append((number, arguments))
        return self._answer()
