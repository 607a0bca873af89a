# SPDX-License-Identifier: GPL-2.0-or-later
"""Python's access to guest memory, and the page table's checks."""

from __future__ import annotations

from errno import EFAULT, ENAMETOOLONG, ENOMEM
from types import ModuleType
from typing import Any

import pytest

from tests.usermode.core.machine import PAGE, READ, WRITE, Space

LIMIT = 1 << 46
OUTSIDE = (0, 8, 0xFFFF, LIMIT, LIMIT + 8, 1 << 47, (1 << 64) - 8, -1)


def refuses(number: int, function: Any, *arguments: Any) -> None:
    with pytest.raises(OSError) as caught:  # noqa: PT011
        function(*arguments)
    assert caught.value.errno == number


@pytest.mark.parametrize("address", OUTSIDE)
def test_outside_the_guest(address: int, core: ModuleType) -> None:
    refuses(EFAULT, core.read, address, 8)
    refuses(EFAULT, core.write, address, b"12345678")
    refuses(EFAULT, core.read_string, address)


def test_across_the_limit(core: ModuleType) -> None:
    refuses(EFAULT, core.read, LIMIT - 4, 8)
    refuses(EFAULT, core.read, LIMIT - 4, (1 << 64) - 1)
    refuses(EFAULT, core.write, LIMIT - 4, b"12345678")


def test_partly_mapped(space: Space, core: ModuleType) -> None:
    end = space.map(PAGE, READ | WRITE) + PAGE
    refuses(EFAULT, core.read, end - 4, 8)
    refuses(EFAULT, core.write, end - 4, b"12345678")
    assert core.read(end - 8, 8)[4:] in (bytes(4), b"1234")
    refuses((EFAULT), core.read, end - 8, 1 << 45)


def test_more_than_there_is(space: Space, core: ModuleType) -> None:
    """A size that no object can have is an error of the guest's, not MemoryError."""
    start = space.map(PAGE, READ | WRITE)
    with pytest.raises(OSError) as caught:  # noqa: PT011
        core.read(start, LIMIT - start)
    assert caught.value.errno in (ENOMEM, EFAULT)


def test_read_and_write(space: Space, core: ModuleType) -> None:
    page = space.map(2 * PAGE, READ | WRITE)
    data = bytes(range(256)) * 2
    core.write(page + PAGE - 256, data)
    assert core.read(page + PAGE - 256, 512) == data
    core.write(page, bytearray(b"abc"))
    core.write(page + 3, memoryview(b"def"))
    assert core.read(page, 6) == b"abcdef"
    assert core.read(page, 0) == b""
    core.write(page, b"")
    core.write(page | 0x55 << 56, b"tagged")
    assert core.read(page | 0x55 << 56, 6) == b"tagged"


def test_strings(space: Space, core: ModuleType) -> None:
    page = space.map(2 * PAGE, READ | WRITE)
    core.write(page + PAGE - 3, b"abcdef\0ghi")
    assert core.read_string(page + PAGE - 3) == b"abcdef"
    assert core.read_string(page + PAGE - 3, 7) == b"abcdef"
    refuses(ENAMETOOLONG, core.read_string, page + PAGE - 3, 6)
    refuses(ENAMETOOLONG, core.read_string, page + PAGE - 3, 0)
    end = page + 2 * PAGE
    core.write(end - 3, b"xyz")
    refuses(EFAULT, core.read_string, end - 3)
    refuses(ENAMETOOLONG, core.read_string, end - 3, 3)
    core.write(end - 1, b"\0")
    assert core.read_string(end - 3) == b"xy"
    assert core.read_string(end - 1) == b""


@pytest.mark.parametrize(
    "arguments", [(), (1,), ("a", 1), (1, "a"), (1, 2, 3), (None, 1), (1.5, 2)]
)
def test_arguments_of_read(arguments: tuple[Any, ...], core: ModuleType) -> None:
    with pytest.raises(TypeError):
        core.read(*arguments)


@pytest.mark.parametrize("arguments", [(), (1,), (1, 5), (1, None), ("a", b""), (1, "text")])
def test_arguments_of_write(arguments: tuple[Any, ...], core: ModuleType) -> None:
    with pytest.raises(TypeError):
        core.write(*arguments)


@pytest.mark.parametrize(
    ("start", "end", "permission"),
    [
        (PAGE, PAGE, 1),
        (2 * PAGE, PAGE, 1),
        (1 << 45, (1 << 45) + 1, 1),
        ((1 << 45) + 1, (1 << 45) + PAGE, 1),
        (LIMIT - PAGE, LIMIT + PAGE, 1),
        (LIMIT, LIMIT + PAGE, 1),
        (1 << 45, (1 << 45) + PAGE, 8),
        (1 << 45, -PAGE, 1),
        (1 << 45, (1 << 45) + PAGE, -1),
    ],
)
def test_protect_refuses(start: int, end: int, permission: int, core: ModuleType) -> None:
    with pytest.raises(ValueError, match="page range"):
        core.protect(start, end, permission)


def test_permissions_of_large_ranges(core: ModuleType) -> None:
    """Ranges that begin, end and lie within the table's regions of 512 MiB."""
    region = 1 << 29
    start = (1 << 45) + 8 * region
    cases = [
        (start, start + 3 * region, 3),
        (start + PAGE, start + 2 * PAGE, 5),
        (start + region - PAGE, start + 2 * region + PAGE, 1),
        (start + region, start + region + PAGE, 7),
        (start + 2 * region, start + 3 * region, 0),
    ]
    marks = sorted(
        {at + delta for low, high, _ in cases for at in (low, high) for delta in (-1, 0, PAGE)}
    )
    want = dict.fromkeys(marks, 0)
    for low, high, permission in cases:
        core.protect(low, high, permission)
        want.update({at: permission for at in marks if low <= at < high})
        assert {at: core.permission(at) for at in marks} == want
    core.protect(start, start + 3 * region, 0)
    assert not any(core.permission(at) for at in marks)
    assert [core.permission(at) for at in (LIMIT, LIMIT + 5, (1 << 64) - 1)] == [0, 0, 0]
