# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest thread for handlers' tests: real memory at a low address, real host calls."""

from __future__ import annotations

import ctypes
import mmap
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from errno import EFAULT, ENAMETOOLONG
from typing import Any

import pytest

from usermode.kernel.paths import Paths

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long
_libc.mmap.restype = ctypes.c_void_p
_libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]

BASE = 0x20000000
SIZE = 0x10000
WILD = 0xFFFF800000000000
MAP_FIXED_NOREPLACE = 0x100000


def host_call(number: int, *arguments: int | bytes | bytearray) -> int:
    """The kernel's value, negative errno included, as `_usermode_core.host_call`."""
    passed: list[Any] = [ctypes.c_long(number)]
    for argument in arguments:
        if isinstance(argument, bytearray):
            passed.append((ctypes.c_char * len(argument)).from_buffer(argument))
        elif isinstance(argument, bytes):
            passed.append(argument)
        else:
            passed.append(ctypes.c_long(argument))
    value: int = _libc.syscall(*passed)
    return value if value != -1 else -ctypes.get_errno()


class Memory:
    """SIZE bytes at BASE."""

    def __init__(self) -> None:
        flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | MAP_FIXED_NOREPLACE
        address = _libc.mmap(BASE, SIZE, mmap.PROT_READ | mmap.PROT_WRITE, flags, -1, 0)
        assert address == BASE

    def check(self, address: int, size: int) -> None:
        if not BASE <= address <= BASE + SIZE - size:
            raise OSError(EFAULT, "not the guest's")

    def read(self, address: int, size: int, /) -> bytes:
        self.check(address, size)
        return ctypes.string_at(address, size)

    def write(self, address: int, data: bytes | bytearray, /) -> None:
        self.check(address, len(data))
        ctypes.memmove(address, bytes(data), len(data))

    def read_string(self, address: int, limit: int = 4096, /) -> bytes:
        end = min(limit, BASE + SIZE - address)
        text, found, _ = self.read(address, end).partition(b"\0")
        if not found:
            raise OSError(ENAMETOOLONG, "")
        return text


class Process:
    """Facts of a guest, and what was unsupported."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.executable = b"/bin/true"
        self.auxv = bytes(16)
        self.argument_range = self.environment_range = (BASE, BASE)
        self.pid = os.getpid()
        self.layout = 0x10000, 0x18000, 0x19000, 0x1A000, 0x30000, BASE

    def memory_usage(self) -> tuple[int, int, int]:
        return 0x10000, 0x4000, 0x2000

    @property
    def first_thread_ended(self) -> bool:
        return False

    def peak_usage(self) -> int:
        return 0x20000

    def limit(self, resource: int) -> tuple[int, int]:
        return resource, (1 << 64) - 1

    @property
    def executable_file(self) -> bytes:
        return self.executable

    def mappings(self) -> Iterator[tuple[int, int, bytes, int, tuple[int, int], int, bytes]]:
        yield 0x10000, 0x20000, b"r-xp", 0x1000, (8, 1), 77, b"/a program"

    def unsupported(self, what: str) -> None:
        self.asked.append(what)


class FakeTask:
    """Everything of `syscalls.protocols.Task` that these handlers use."""

    def __init__(self, sysroot: bytes | None = None) -> None:
        self.memory = Memory()
        self.process = Process()
        self.paths = Paths(self.process, host_call, sysroot)
        self.tid = os.getpid()

    def host(self, number: int, *arguments: int | bytes | bytearray) -> int:
        value = host_call(number, *arguments)
        if value < 0:
            raise OSError(-value, os.strerror(-value))
        return value

    host_now = host


@contextmanager
def fake_task(sysroot: bytes | None = None) -> Iterator[Any]:
    task = FakeTask(sysroot)
    try:
        yield task
    finally:
        _libc.munmap(ctypes.c_void_p(BASE), ctypes.c_size_t(SIZE))


def fails(errno: int) -> AbstractContextManager[Any]:
    """The block raises an OSError with this errno."""
    return pytest.raises(OSError, check=lambda error: error.errno == errno)
