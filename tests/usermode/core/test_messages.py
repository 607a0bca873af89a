# SPDX-License-Identifier: GPL-2.0-or-later
"""iovec, msghdr and mmsghdr of passed-through calls: hostile ones give the errors that the kernel would give."""

from __future__ import annotations

import ctypes
import os
import socket
import struct
from collections.abc import Callable, Iterator
from errno import EAGAIN, EFAULT, EINVAL, EMSGSIZE
from typing import Any

import pytest

from tests.usermode.core.machine import PAGE, Space

LIMIT = 1 << 46
MSG_DONTWAIT = 0x40


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with left, right:
        yield left, right


def vector(space: Space, at: int, *parts: tuple[int, int]) -> int:
    space.core.write(
        at, b"".join(struct.pack("<QQ", *(n & (1 << 64) - 1 for n in p)) for p in parts)
    )
    return len(parts)


def test_vectors(call: Callable[..., int], space: Space, page: int) -> None:
    out, into = os.pipe()
    space.core.write(page + 256, b"hello, world")
    count = vector(space, page, (page + 256, 5), (0, 0), (page + 261, 7))
    assert call("writev", into, page, count) == 12
    count = vector(space, page, (page + 512, 7), (page + 600, 100))
    assert call("readv", out, page, count) == 12
    assert space.core.read(page + 512, 7) + space.core.read(page + 600, 5) == b"hello, world"
    assert call("readv", out, page, 0) == 0
    assert call("readv", out, 0, 0) == 0
    os.close(out)
    os.close(into)


@pytest.mark.parametrize(
    ("part", "error"),
    [
        ((LIMIT, 1), EFAULT),
        ((LIMIT + 8, 0), EFAULT),
        ((1 << 63, 8), EFAULT),
        ((-8, 16), EFAULT),
        ((LIMIT - 8, 16), EFAULT),
        (("page", -1), EINVAL),
        (("page", 1 << 63), EINVAL),
        ((LIMIT, -1), EINVAL),
        (("page", (1 << 63) - 1), EFAULT),
        ((0x10000 - 8, 8), EFAULT),
        ((0, 8), EFAULT),
    ],
)
@pytest.mark.parametrize("name", ["readv", "writev"])
def test_hostile_vectors(
    name: str, part: Any, error: int, call: Callable[..., int], space: Space, page: int
) -> None:
    """Each in the midst of good parts, and where the kernel's own check of a host pointer gives the same error."""
    out, into = os.pipe()
    os.write(into, bytes(100))
    part = tuple(page + 512 if word == "page" else word for word in part)
    fd = out if name == "readv" else into
    count = vector(space, page, part, (page + 700, 4))
    assert call(name, fd, page, count) == -error
    assert call(name, fd, page, 1025) == -EINVAL
    assert call(name, fd, page, -1) == -EINVAL
    assert call(name, fd, LIMIT - 16, 2) == -EFAULT
    assert call(name, fd, page + 4 * PAGE - 16, 2) == -EFAULT  # the second iovec is not mapped
    os.close(out)
    os.close(into)


def test_one_huge_part_is_shortened(call: Callable[..., int], space: Space, page: int) -> None:
    """As import_ubuf() of the kernel does before it checks."""
    out, into = os.pipe()
    os.write(into, b"abc")
    vector(space, page, (page + 512, (1 << 63) - 1))
    assert call("readv", out, page, 1) == 3
    assert space.core.read(page + 512, 3) == b"abc"
    os.close(out)
    os.close(into)


def test_vector_is_as_the_kernel_says(call: Callable[..., int], space: Space, page: int) -> None:
    """The same vectors, in memory of the host's, directly to the kernel."""
    libc = ctypes.CDLL(None, use_errno=True)
    out, into = os.pipe()
    good = page + 512
    for parts in (
        [(0, 8)],
        [(0, 0)],
        [(good, 4), (0, 8)],
        [(good, -1)],
        [(good, 4), (good, -1)],
        [(good, (1 << 63) - 1), (good, 1)],
        [(1 << 63, 0), (good, 1)],
    ):
        count = vector(space, page, *parts)
        ours = call("writev", into, page, count)
        theirs = libc.syscall(20, into, ctypes.c_void_p(page), count)
        assert ours == (theirs if theirs >= 0 else -ctypes.get_errno()), parts
    os.close(out)
    os.close(into)


def message(
    space: Space, at: int, name: int = 0, namelen: int = 0, iov: int = 0, iovlen: int = 0,
    control: int = 0, controllen: int = 0,
) -> None:  # fmt: skip
    words = (name, namelen, iov, iovlen, control, controllen, 0)
    space.core.write(at, struct.pack("<7Q", *(word & (1 << 64) - 1 for word in words)))


def test_messages(call: Callable[..., int], space: Space, page: int, pair: Any) -> None:
    left, right = pair
    space.core.write(page + 1024, b"some text")
    vector(space, page + 256, (page + 1024, 4), (page + 1028, 5))
    message(space, page, iov=page + 256, iovlen=2)
    assert call("sendmsg", left.fileno(), page, 0) == 9
    vector(space, page + 256, (page + 2048, 100))
    message(space, page, iov=page + 256, iovlen=1, control=page + 3000, controllen=64)
    assert call("recvmsg", right.fileno(), page, 0) == 9
    assert space.core.read(page + 2048, 9) == b"some text"
    assert space.word(page + 40) == 0  # msg_controllen: nothing came
    assert call("recvmsg", right.fileno(), page, MSG_DONTWAIT) == -EAGAIN


def test_descriptors_travel(call: Callable[..., int], space: Space, page: int, pair: Any) -> None:
    left, right = pair
    out, into = os.pipe()
    socket.send_fds(left, [b"x"], [into])
    vector(space, page + 256, (page + 2048, 1))
    message(space, page, iov=page + 256, iovlen=1, control=page + 3000, controllen=64)
    assert call("recvmsg", right.fileno(), page, 0) == 1
    length, level, kind, fd = struct.unpack("<QiiI", space.core.read(page + 3000, 20))
    assert (length, level, kind) == (20, socket.SOL_SOCKET, socket.SCM_RIGHTS)
    os.write(fd, b"through")
    assert os.read(out, 7) == b"through"
    for number in (out, into, fd):
        os.close(number)


@pytest.mark.parametrize(
    ("fields", "send", "receive"),
    [
        ({"iov": LIMIT, "iovlen": 1}, -EFAULT, -EFAULT),
        ({"iov": -16, "iovlen": 1}, -EFAULT, -EFAULT),
        ({"iovlen": 1025}, -EMSGSIZE, -EMSGSIZE),
        ({"iovlen": -1}, -EMSGSIZE, -EMSGSIZE),
        ({"name": LIMIT, "namelen": 16}, -EFAULT, None),
        ({"name": -1, "namelen": 16}, -EFAULT, None),
        ({"namelen": -1}, None, None),
        ({"name": "page", "namelen": 0xFFFF_FFFF}, -EINVAL, -EINVAL),
        ({"control": LIMIT, "controllen": 32}, -EFAULT, 4),
        ({"control": LIMIT, "controllen": 0}, None, 4),
        ({"control": "page", "controllen": -1}, -105, None),  # ENOBUFS
    ],
)
def test_hostile_messages(
    fields: Any, send: int | None, receive: int | None,
    call: Callable[..., int], space: Space, page: int, pair: Any,
) -> None:  # fmt: skip
    """`None`: not judged here, for it depends on the protocol; it must not touch memory of ours."""
    left, right = pair
    right.send(b"data")
    left.send(b"data")
    vector(space, page + 256, (page + 2048, 64))
    fields = {"iov": page + 256, "iovlen": 1} | fields
    words = {k: page + 3000 if v == "page" else v for k, v in fields.items()}
    for name, fd, want in (("recvmsg", right, receive), ("sendmsg", left, send)):
        message(space, page, **words)
        got = call(name, fd.fileno(), page, MSG_DONTWAIT)
        if want is not None:
            assert got == want, name


MMSGHDR_SIZE = 64


def messages(space: Space, page: int, *parts: tuple[int, int]) -> None:
    """An array of mmsghdr, each with one iovec."""
    for index, part in enumerate(parts):
        vector(space, page + 2048 + 16 * index, part)
        message(space, page + MMSGHDR_SIZE * index, iov=page + 2048 + 16 * index, iovlen=1)


def lengths(space: Space, page: int, count: int) -> list[int]:
    return [space.word(page + MMSGHDR_SIZE * i + 56) & 0xFFFF_FFFF for i in range(count)]


def test_many_messages(call: Callable[..., int], space: Space, page: int, pair: Any) -> None:
    left, right = pair
    space.core.write(page + PAGE, b"abcdef")
    messages(space, page, *((page + PAGE, size) for size in (1, 2, 3)))
    assert call("sendmmsg", left.fileno(), page, 3, 0) == 3
    assert lengths(space, page, 3) == [1, 2, 3]
    messages(space, page, *((page + 2 * PAGE + 16 * i, 16) for i in range(4)))
    assert call("recvmmsg", right.fileno(), page, 4, MSG_DONTWAIT, 0) == 3
    assert lengths(space, page, 3) == [1, 2, 3]
    assert space.core.read(page + 2 * PAGE + 32, 3) == b"abc"
    assert call("recvmmsg", right.fileno(), page, 4, MSG_DONTWAIT, 0) == -EAGAIN
    assert call("sendmmsg", left.fileno(), page, 0, 0) == 0


def test_hostile_message_in_the_midst(
    call: Callable[..., int], space: Space, page: int, pair: Any
) -> None:
    """Those before it are sent or received, as the kernel has it."""
    left, right = pair
    messages(space, page, (page + PAGE, 1), (LIMIT, 1), (page + PAGE, 1))
    assert call("sendmmsg", left.fileno(), page, 3, 0) == 1
    assert call("recvmmsg", right.fileno(), page, 3, MSG_DONTWAIT, 0) == 1
    messages(space, page, (LIMIT, 1))
    assert call("sendmmsg", left.fileno(), page, 1, 0) == -EFAULT


def test_huge_count_of_messages(
    call: Callable[..., int], space: Space, page: int, pair: Any
) -> None:
    """Only as many as are mapped and good are taken."""
    left, right = pair
    messages(space, page, (page + PAGE, 1), (page + PAGE, 2))
    message(space, page + 2 * MMSGHDR_SIZE, iov=LIMIT, iovlen=1)
    for count in (1 << 20, 0xFFFF_FFFF, (1 << 64) - 1):
        assert call("sendmmsg", left.fileno(), page, count, 0) == 2
        assert len(right.recv(10)) == 1
        assert len(right.recv(10)) == 2
