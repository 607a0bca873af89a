# SPDX-License-Identifier: GPL-2.0-or-later
"""Calls handed to the host: what of their arguments is converted, and that no pointer leads out of the guest."""

from __future__ import annotations

import ctypes
import mmap
import os
import select
import socket
import struct
from collections.abc import Callable
from errno import EBADF, EFAULT, EINVAL, ENOENT, ENOSYS, EPERM
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.usermode.core.machine import PAGE, Space
from tests.usermode.core.rows import CALLS, O_DIRECTORY, configure

LIMIT = 1 << 46
TO_PYTHON = -4096
AT_FDCWD = -100
HOSTILE = (LIMIT, LIMIT + 64, 1 << 47, 0xFFFF_8000_0000_0000, (1 << 64) - 8, 1 << 63)


def test_modes_of_rows(call: Callable[..., int], engine: Any) -> None:
    assert call("kexec_load") == -EPERM
    assert call("mmap") == TO_PYTHON
    assert engine.pass_through(300) == TO_PYTHON
    assert engine.pass_through(512) == -ENOSYS
    assert engine.pass_through(1 << 63) == -ENOSYS


POINTERS = [
    ("read", "{fd} {p} 8"),
    ("write", "{fd} {p} 8"),
    ("readv", "{fd} {p} 1"),
    ("writev", "{fd} {p} 1"),
    ("sendmsg", "{fd} {p} 0"),
    ("recvmsg", "{fd} {p} 64"),
    ("sendmmsg", "{fd} {p} 1 0"),
    ("recvmmsg", "{fd} {p} 1 64 0"),
    ("recvmmsg", "{fd} {page} 1 64 {p}"),
    ("openat", "-100 {p} 0 0"),
    ("fstat", "{fd} {p}"),
    ("epoll_ctl", "{fd} 1 0 {p}"),
    ("epoll_pwait", "{fd} {p} 1 0 0 8"),
    ("epoll_pwait", "{fd} {page} 1 0 {p} 8"),
]


@pytest.fixture
def ours() -> ctypes.Array[ctypes.c_char]:
    """A page of the emulator's own memory, which lies above the guest's."""
    array = (ctypes.c_char * PAGE).from_buffer(mmap.mmap(-1, PAGE))
    assert ctypes.addressof(array) > LIMIT
    return array


@pytest.mark.parametrize(("name", "arguments"), POINTERS)
def test_hostile_pointers(
    name: str, arguments: str, call: Callable[..., int], page: int, ours: Any
) -> None:
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    right.send(b"secret?")
    with left, right:
        for pointer in (*HOSTILE, ctypes.addressof(ours)):
            words = arguments.format(fd=left.fileno(), p=pointer, page=page).split()
            assert call(name, *map(int, words)) == -EFAULT, hex(pointer)
        assert left.recv(100, socket.MSG_DONTWAIT) == b"secret?"  # not taken by a call that failed
    assert bytes(ours) == bytes(PAGE)


def test_pointer_if_used(call: Callable[..., int], page: int, tmp_path: Path) -> None:
    """F_GETFD ignores its argument, whatever it is; F_GETLK looks and finds nothing mapped."""
    with (tmp_path / "file").open("w") as file:
        for pointer in HOSTILE:
            assert call("fcntl", file.fileno(), 1, pointer) == 1  # FD_CLOEXEC
            assert call("fcntl", file.fileno(), 5, pointer) == -EFAULT


def test_stat(call: Callable[..., int], space: Space, page: int, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    path.chmod(0o640)
    space.core.write(page, b"\xff" * 256)
    with path.open() as file:
        assert call("fstat", file.fileno(), page) == 0
        data = space.core.read(page, 256)
        assert struct.unpack_from("<I", data, 16)[0] == 0o100640
        assert struct.unpack_from("<q", data, 48)[0] == 5
        assert data[128:] == b"\xff" * 128  # the guest's struct ends there
        assert call("fstat", file.fileno(), 0) == -EFAULT
        assert call("fstat", file.fileno(), page + 4 * PAGE - 64) == -EFAULT
    assert call("fstat", -1, page) == -EBADF


def test_open_flags(call: Callable[..., int], space: Space, page: int, tmp_path: Path) -> None:
    folder, file = tmp_path / "folder", tmp_path / "file"
    folder.mkdir()
    file.touch()
    space.core.write(page, os.fsencode(file) + b"\0")
    assert call("openat", AT_FDCWD, page, O_DIRECTORY[0], 0) == -20  # ENOTDIR
    fd = call("openat", AT_FDCWD, page, os.O_RDONLY, 0)
    assert fd >= 0
    os.close(fd)


@pytest.mark.parametrize(
    ("path", "to_python"),
    [
        (b"/proc/self/exe", True),
        (b"/proc", True),
        (b"//proc/cpuinfo", True),
        (b"/does/not/exist", False),
        (b"self/exe", True),
        (b"maps", True),
        (b"no such file", False),
        (b"", False),
    ],
)
def test_paths(
    path: bytes, to_python: bool, call: Callable[..., int], space: Space, page: int
) -> None:
    space.core.write(page, path + b"\0")
    assert call("openat", AT_FDCWD, page, 0, 0) == (TO_PYTHON if to_python else -ENOENT)


def test_path_without_an_end(call: Callable[..., int], space: Space, page: int) -> None:
    space.core.write(page, b"x" * (4 * PAGE))
    assert call("openat", AT_FDCWD, page, 0, 0) == -36  # ENAMETOOLONG
    assert call("openat", AT_FDCWD, page + 4 * PAGE - 8, 0, 0) == -EFAULT
    assert call("openat", AT_FDCWD, 0, 0, 0) == -EFAULT


def test_sysroot_takes_absolute_paths(
    core: ModuleType, call: Callable[..., int], space: Space, page: int
) -> None:
    configure(core, dict(CALLS.values()), sysroot=True)
    space.core.write(page, b"/etc/passwd\0")
    assert call("openat", AT_FDCWD, page, 0, 0) == TO_PYTHON
    space.core.write(page, b"no such file\0")
    assert call("openat", AT_FDCWD, page, 0, 0) == -ENOENT


def test_epoll(call: Callable[..., int], space: Space, page: int) -> None:
    """struct epoll_event is packed on the host: 12 bytes; on the guest it has 16."""
    out, into = os.pipe()
    with select.epoll() as epoll:
        space.core.write(page, struct.pack("<IIQ", 1, 0xFFFF_FFFF, 0x1234_5678_9ABC_DEF0))
        assert call("epoll_ctl", epoll.fileno(), 1, out, page) == 0
        os.write(into, b"x")
        space.core.write(page + 64, b"\xff" * 64)
        assert call("epoll_pwait", epoll.fileno(), page + 64, 2, 0, 0, 8) == 1
        assert space.core.read(page + 64, 16) == struct.pack("<IIQ", 1, 0, 0x1234_5678_9ABC_DEF0)
        assert space.core.read(page + 80, 48) == b"\xff" * 48
        for count in (0, -1, 1 << 31):
            assert call("epoll_pwait", epoll.fileno(), page + 64, count, 0, 0, 8) == -EINVAL
        assert call("epoll_pwait", epoll.fileno(), page + 64, (1 << 31) - 1, 0, 0, 8) in (
            1,
            -EINVAL,
        )
        assert call("epoll_pwait", epoll.fileno(), page + 4 * PAGE - 8, 1, 0, 0, 8) == -EFAULT
        assert call("epoll_ctl", epoll.fileno(), 3, out, 0) == -EFAULT
        assert call("epoll_ctl", epoll.fileno(), 3, out, page + 4 * PAGE - 8) == -EFAULT
    os.close(out)
    os.close(into)


@pytest.mark.parametrize(
    ("rows", "stat", "flags"),
    [
        (512 * 16 - 1, 0, 0),
        (512 * 16 + 1, 0, 0),
        (0, 0, 0),
        (512 * 16, 32 * 6, 0),
        (512 * 16, 1 << 20, 0),
        (512 * 16, 0, 64),
        (512 * 16, 0, 1000),
    ],
)
def test_configure_refuses_sizes(rows: int, stat: int, flags: int, core: ModuleType) -> None:
    with pytest.raises(ValueError, match="wrong size"):
        core.configure(bytes(rows), bytes(stat), bytes(flags), False)


def test_configure_refuses_types(core: ModuleType) -> None:
    with pytest.raises(TypeError):
        core.configure(None, b"", b"", False)
    with pytest.raises(TypeError):
        core.configure(bytes(512 * 16))


def test_host_call(core: ModuleType) -> None:
    buffer = bytearray(mmap.PAGESIZE)
    length = core.host_call(79, buffer, len(buffer))  # getcwd
    assert bytes(buffer[: length - 1]) == os.fsencode(Path.cwd())
    assert core.host_call(3, -1) == -EBADF  # close
    assert core.host_call(100_000) == -ENOSYS
    assert core.host_wait(0, -1, bytearray(1), 1) == -EBADF
    for wrong in ((), (1,) * 8, (1, 1.5), (1, "text"), ("x",)):
        with pytest.raises((TypeError, BufferError)):
            core.host_call(*wrong)
