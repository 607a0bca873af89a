# SPDX-License-Identifier: GPL-2.0-or-later
"""fcntl: flags are translated, pointers checked, unknown commands refused."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from errno import EBADF, EFAULT, EINVAL
from pathlib import Path
from typing import Any

import pytest

from syscalls.arch.aarch64.flags import OPEN_FLAGS as GUEST
from syscalls.handlers.descriptors import fcntl
from tests.syscalls.handlers.fake import BASE, WILD, fails

F_GETFL, F_SETFL, F_GETLK, F_SETLK = 3, 4, 5, 6


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    fd = os.open(tmp_path / "file", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW)
    yield fd
    os.close(fd)


def test_flags_are_the_guests(task: Any, fd: int) -> None:
    flags = fcntl(task, fd, F_GETFL, 0)
    assert flags & ~GUEST["O_LARGEFILE"] == os.O_RDWR | GUEST["O_NOFOLLOW"]
    directory = os.open("/", os.O_RDONLY | os.O_DIRECTORY)
    flags = fcntl(task, directory, F_GETFL, 0)
    assert flags & ~GUEST["O_LARGEFILE"] == GUEST["O_DIRECTORY"]
    os.close(directory)


def test_direct_can_be_set(task: Any) -> None:
    ends = os.pipe()
    assert fcntl(task, ends[1], F_SETFL, GUEST["O_DIRECT"] | os.O_NONBLOCK) == 0
    assert fcntl(task, ends[1], F_GETFL, 0) == os.O_WRONLY | os.O_NONBLOCK | GUEST["O_DIRECT"]
    os.write(ends[1], b"ab")
    os.write(ends[1], b"cd")
    assert os.read(ends[0], 10) == b"ab"  # a pipe of packets, pipe(2)
    for end in ends:
        os.close(end)


def test_locks(task: Any, fd: int) -> None:
    lock = struct.pack("<hhxxxxqqixxxx", 1, 0, 5, 7, 0)
    task.memory.write(BASE, lock)
    assert fcntl(task, fd, F_SETLK, BASE) == 0
    assert fcntl(task, fd, F_GETLK, BASE) == 0
    assert struct.unpack_from("<h", task.memory.read(BASE, 2)) == (2,)  # F_UNLCK: it is our own
    for command in (F_GETLK, F_SETLK, 7, 15, 16, 36, 1036):
        for wild in (WILD, (1 << 46) - 4, 1 << 46):
            with fails(EFAULT):
                fcntl(task, fd, command, wild)


def test_unknown_commands(task: Any, fd: int) -> None:
    for argument in (0, BASE, WILD):
        with fails(EINVAL):
            fcntl(task, fd, 4711, argument)
    with fails(EBADF):
        fcntl(task, 9999, 4711, 0)


def test_descriptors_are_passed(task: Any, fd: int) -> None:
    copy = fcntl(task, fd, 1030, 300)
    assert copy >= 300
    assert fcntl(task, copy, 1, 0) == 1
    os.close(copy)
    with fails(EINVAL):
        fcntl(task, fd, 0, 0xFFFFFFFFFFFFFFFF)
