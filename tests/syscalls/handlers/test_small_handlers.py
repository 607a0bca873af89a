# SPDX-License-Identifier: GPL-2.0-or-later
"""uname, semctl."""

from __future__ import annotations

import os
import re
import struct
import time
from errno import EFAULT, EINVAL
from typing import Any

import pytest

from syscalls.arch.generic64.structs import SEMID_DS
from syscalls.handlers.identity import uname
from syscalls.handlers.ipc import IPC_SET, IPC_STAT, guest_semid, host_semid, semctl
from syscalls.handlers.pointers import LIMIT, checked
from tests.support import ROOT
from tests.syscalls.handlers.fake import BASE, SIZE, WILD, fails, host_call

SEMGET = 64


def test_uname(task: Any) -> None:
    task.memory.write(BASE, b"#" * 400)
    assert uname(task, BASE) == 0
    names = task.memory.read(BASE, 400)
    fields = [names[65 * i : 65 * (i + 1)].rstrip(b"\0") for i in range(6)]
    host = os.uname()
    assert fields[:4] == [os.fsencode(text) for text in host[:4]]
    assert fields[4] == b"aarch64"
    assert names[390:] == b"#" * 10
    for wild in (WILD, 0, BASE + SIZE - 300):
        with fails(EFAULT):
            uname(task, wild)


def test_semctl(task: Any) -> None:
    identifier = host_call(SEMGET, 0, 3, 0o1600)
    if identifier < 0:
        pytest.skip(f"no semaphores here: {os.strerror(-identifier)}")
    try:
        task.memory.write(BASE, b"#" * 104)
        assert semctl(task, identifier, 0, IPC_STAT, BASE) == 0
        status = task.memory.read(BASE, 104)
        values = {
            name: struct.unpack_from("<" + code, status, offset)[0]
            for name, (offset, code) in SEMID_DS[1].items()
        }
        assert values["sem_nsems"] == 3
        assert values["mode"] & 0o777 == 0o600
        assert abs(values["sem_ctime"] - time.time()) < 100
        assert status[88:] == b"#" * 16
        task.memory.write(BASE + 20, struct.pack("<I", 0o640))
        assert semctl(task, identifier, 0, IPC_SET, BASE) == 0
        assert semctl(task, identifier, 0, IPC_STAT, BASE) == 0
        assert struct.unpack_from("<I", task.memory.read(BASE, 88), 20)[0] & 0o777 == 0o640
        assert semctl(task, identifier, 1, 16, 77) == 0  # SETVAL
        assert semctl(task, identifier, 1, 12, WILD) == 77  # GETVAL looks at no argument
        for command in (IPC_SET, IPC_STAT, 13, 17, 18):
            with fails(EFAULT if command != 18 else EINVAL):
                semctl(task, identifier if command != 18 else 1 << 30, 0, command, WILD)
        with fails(EINVAL):
            semctl(task, identifier, 0, 4711, WILD)
    finally:
        assert semctl(task, identifier, 0, 0, 0) == 0  # IPC_RMID


def test_semid_there_and_back() -> None:
    guest = bytes(range(1, 73)) + bytes(16)
    assert guest_semid(host_semid(guest)) == guest
    assert len(host_semid(guest)) == 104


def test_checked() -> None:
    assert checked(0, 100) == 0
    assert checked(LIMIT - 8, 8) == LIMIT - 8
    for address, size in ((LIMIT - 8, 9), (LIMIT, 1), (WILD, 1), (0, LIMIT + 1), (8, 1 << 64)):
        with fails(EFAULT):
            checked(address, size)


def test_the_limit_is_the_cores() -> None:
    header = (ROOT / "usermode/core/core.h").read_text()
    found = re.search(r"GUEST_LIMIT \(UINT64_C\(1\) << (\d+)\)", header)
    assert found is not None
    assert 1 << int(found[1]) == LIMIT
