# SPDX-License-Identifier: GPL-2.0-or-later
"""Pointers inside structures: what is the emulator's is EFAULT, and the host sees a copy."""

from __future__ import annotations

from collections.abc import Callable
from errno import E2BIG, EFAULT, EINVAL, EOPNOTSUPP
from struct import pack

import pytest

from syscalls.handlers import nested
from syscalls.handlers.pointers import LIMIT
from syscalls.host.x86_64 import NUMBERS as HOST
from tests.syscalls.fakes import MEMORY_START, FakeTask

A = MEMORY_START
B = MEMORY_START + 0x1000
C = MEMORY_START + 0x2000
GOOD = MEMORY_START + 0x3000
BAD = LIMIT

Call = Callable[[FakeTask, int], int]


def vectors(task: FakeTask, local: int, remote: int) -> None:
    task.memory.write(A, pack("<QQ", local, 8))
    task.memory.write(B, pack("<QQQQ", GOOD, 8, remote, 8))


def read_remote(task: FakeTask, pointer: int) -> int:
    vectors(task, GOOD, pointer)
    return nested.process_vm_readv(task, 5, A, 1, B, 2, 0)  # type: ignore[arg-type]


def read_local(task: FakeTask, pointer: int) -> int:
    vectors(task, pointer, GOOD)
    return nested.process_vm_readv(task, 5, A, 1, B, 2, 0)  # type: ignore[arg-type]


def write_remote(task: FakeTask, pointer: int) -> int:
    vectors(task, GOOD, pointer)
    return nested.process_vm_writev(task, 5, A, 1, B, 2, 0)  # type: ignore[arg-type]


def waitv(task: FakeTask, pointer: int) -> int:
    task.memory.write(A, pack("<QQIIQQII", 0, GOOD, 2, 0, 0, pointer, 2, 0))
    return nested.futex_waitv(task, A, 2, 0, 0, 0)  # type: ignore[arg-type]


def waitv_timeout(task: FakeTask, pointer: int) -> int:
    task.memory.write(A, pack("<QQII", 0, GOOD, 2, 0))
    return nested.futex_waitv(task, A, 1, 0, pointer, 0)  # type: ignore[arg-type]


def requeue(task: FakeTask, pointer: int) -> int:
    task.memory.write(A, pack("<QQIIQQII", 0, GOOD, 2, 0, 0, pointer, 2, 0))
    return nested.futex_requeue(task, A, 0, 1, 1)  # type: ignore[arg-type]


def set_attribute(task: FakeTask, pointer: int) -> int:
    task.memory.write(A, pack("<QII", pointer, 4, 0))
    return nested.setxattrat(task, -100, b"x", 0, b"user.a", A, 16)  # type: ignore[arg-type]


def get_attribute(task: FakeTask, pointer: int) -> int:
    task.memory.write(A, pack("<QII", pointer, 4, 0))
    return nested.getxattrat(task, -100, b"x", 0, b"user.a", A, 16)  # type: ignore[arg-type]


def notify(task: FakeTask, pointer: int) -> int:
    task.memory.write(A, pack("<Qii", pointer, 10, 2).ljust(64, b"\0"))
    return nested.mq_notify(task, 3, A)  # type: ignore[arg-type]


def read_key(task: FakeTask, pointer: int) -> int:
    return nested.keyctl(task, 11, 5, pointer, 8, 0)  # type: ignore[arg-type]


def instantiate(task: FakeTask, pointer: int) -> int:
    task.memory.write(A, pack("<QQ", pointer, 8))
    return nested.keyctl(task, 20, 5, A, 1, 0)  # type: ignore[arg-type]


def derive(task: FakeTask, pointer: int) -> int:
    task.memory.write(A, pack("<QQI", GOOD, pointer, 8).ljust(56, b"\0"))
    return nested.keyctl(task, 23, B, C, 8, A)  # type: ignore[arg-type]


CALLS = [
    read_remote,
    read_local,
    write_remote,
    waitv,
    waitv_timeout,
    requeue,
    set_attribute,
    get_attribute,
    notify,
    read_key,
    instantiate,
    derive,
]


@pytest.mark.parametrize(
    ("call", "pointer"),
    [
        *((call, pointer) for call in CALLS for pointer in (BAD, (1 << 64) - 1)),
        # A part may not reach beyond the limit either; read_key's buffer is no structure's.
        *((call, BAD - 1) for call in CALLS if call is not read_key),
    ],
)
def test_the_emulators_memory_is_out_of_reach(call: Call, pointer: int) -> None:
    task = FakeTask()
    with pytest.raises(OSError) as caught:  # noqa: PT011
        call(task, pointer)
    assert caught.value.errno == EFAULT
    assert task.made == []


@pytest.mark.parametrize("call", CALLS)
def test_the_guests_memory_is_passed(call: Call) -> None:
    task = FakeTask(result=7)
    assert call(task, GOOD) == 7
    assert len(task.made) == 1


@pytest.mark.parametrize("call", [c for c in CALLS if c not in (read_key, waitv_timeout)])
def test_the_host_gets_a_copy(call: Call) -> None:
    task = FakeTask()
    call(task, GOOD)
    assert A not in task.made[0]
    assert any(isinstance(argument, bytes) and len(argument) >= 16 for argument in task.made[0])


def test_what_the_host_is_asked() -> None:
    task = FakeTask(result=16)
    read_remote(task, GOOD)
    assert task.made == [
        (
            HOST["process_vm_readv"],
            5,
            pack("<QQ", GOOD, 8),
            1,
            pack("<QQQQ", GOOD, 8, GOOD, 8),
            2,
            0,
        )
    ]


def test_paths_are_resolved() -> None:
    task = FakeTask()
    task.memory.write(A, pack("<QII", GOOD, 4, 0))
    nested.setxattrat(task, 3, b"/x", 0, b"user.a", A, 16)  # type: ignore[arg-type]
    nested.setxattrat(task, 3, b"/x", 0x100, b"user.a", A, 16)  # type: ignore[arg-type]
    nested.setxattrat(task, 3, None, 0x1000, b"user.a", A, 16)  # type: ignore[arg-type]
    assert [made[1:3] for made in task.made] == [
        (-100, b"/root/x"),
        (-100, b"/root-nofollow/x"),
        (3, 0),
    ]


@pytest.mark.parametrize(
    ("call", "number"),
    [
        (lambda task: nested.process_vm_readv(task, 5, A, 1025, B, 1, 0), EINVAL),
        (lambda task: nested.process_vm_readv(task, 5, A, 1, B, 1 << 60, 0), EINVAL),
        (lambda task: nested.futex_waitv(task, A, 0, 0, 0, 0), EINVAL),
        (lambda task: nested.futex_waitv(task, A, 129, 0, 0, 0), EINVAL),
        (lambda task: nested.setxattrat(task, 3, b"x", 0, b"a", A, 15), EINVAL),
        (lambda task: nested.setxattrat(task, 3, b"x", 0, b"a", A, 4097), E2BIG),
        (lambda task: nested.keyctl(task, 33, 0, 0, 0, 0), EOPNOTSUPP),
        (lambda task: nested.keyctl(task, -1, 0, 0, 0, 0), EOPNOTSUPP),
        (lambda task: nested.mq_notify(task, 3, 0x10), EFAULT),
    ],
)
def test_errors(call: Callable[[FakeTask], int], number: int) -> None:
    task = FakeTask()
    with pytest.raises(OSError) as caught:  # noqa: PT011
        call(task)
    assert caught.value.errno == number
    assert task.made == []


def test_empty_and_absent() -> None:
    task = FakeTask()
    nested.process_vm_readv(task, 5, 0, 0, 0, 0, 0)  # type: ignore[arg-type]
    nested.mq_notify(task, 3, 0)  # type: ignore[arg-type]
    nested.keyctl(task, 20, 5, 0, 0, 0)  # type: ignore[arg-type]
    assert [made[0] for made in task.made] == [
        HOST["process_vm_readv"],
        HOST["mq_notify"],
        HOST["keyctl"],
    ]
