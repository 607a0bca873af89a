# SPDX-License-Identifier: GPL-2.0-or-later
"""Forks with a struct clone_args. Children that share the memory exist in the static interpreter alone: tests/guest."""

from __future__ import annotations

import ctypes
import errno
import os
import select
import signal
import struct
from types import ModuleType

import pytest

CLONE_VM, CLONE_PIDFD = 0x100, 0x1000
WALL = 0x40000000


def request(flags: int = 0, exit_signal: int = 0, pidfd: int = 0) -> bytes:
    return struct.pack("<11Q", flags, pidfd, 0, 0, exit_signal, *(0,) * 6)


@pytest.mark.parametrize("extended", [False, True])
def test_a_child_with_any_exit_signal(core: ModuleType, extended: bool) -> None:
    pid = core.fork(request(), extended)
    if not pid:
        os._exit(9)
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, WALL)[1]) == 9


def test_a_child_with_a_pidfd(core: ModuleType) -> None:
    word = bytearray(4)
    where = ctypes.addressof(ctypes.c_char.from_buffer(word))
    pid = core.fork(request(CLONE_PIDFD, signal.SIGCHLD, where), True)
    if not pid:
        os._exit(0)
    fd = int.from_bytes(word, "little")
    assert select.select([fd], [], [], 30)[0] == [fd]
    os.close(fd)
    os.waitpid(pid, 0)


def test_what_the_kernel_refuses(core: ModuleType) -> None:
    with pytest.raises(OSError, match="Invalid argument") as caught:
        core.fork(request(exit_signal=65), True)
    assert caught.value.errno == errno.EINVAL


def test_requests_of_a_wrong_size(core: ModuleType) -> None:
    for wrong in (b"", bytes(87), bytes(89)):
        with pytest.raises(ValueError, match="88 bytes"):
            core.fork(wrong, False)


def test_a_shared_libc_has_no_vfork(core: ModuleType) -> None:
    with pytest.raises(NotImplementedError):
        core.vfork(request(CLONE_VM, signal.SIGCHLD), False)
    with pytest.raises(RuntimeError):
        core.vfork_end()
