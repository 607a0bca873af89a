# SPDX-License-Identifier: GPL-2.0-or-later
"""Flag values, of the guest, of the host and those that traces name, against the headers."""

from __future__ import annotations

import pytest

from syscalls.arch.aarch64 import flags as aarch64
from syscalls.arch.generic64 import flags as generic64
from syscalls.host import x86_64_structs
from syscalls.trace_names import CHOICES, FLAGS
from tests.syscalls.probe import evaluate, known_names

KERNEL_NAMES = {"O_ASYNC": "FASYNC", "O_TMPFILE": "__O_TMPFILE"}
FCNTL = ("asm/fcntl.h",)
HEADERS = (
    "fcntl.h",
    "linux/close_range.h",
    "linux/futex.h",
    "linux/keyctl.h",
    "linux/membarrier.h",
    "linux/openat2.h",
    "linux/seccomp.h",
    "netinet/in.h",
    "netinet/tcp.h",
    "poll.h",
    "sched.h",
    "signal.h",
    "sys/epoll.h",
    "sys/eventfd.h",
    "sys/fanotify.h",
    "sys/file.h",
    "sys/inotify.h",
    "sys/ipc.h",
    "sys/mman.h",
    "sys/mount.h",
    "sys/prctl.h",
    "sys/ptrace.h",
    "sys/random.h",
    "sys/resource.h",
    "sys/shm.h",
    "sys/signalfd.h",
    "sys/socket.h",
    "sys/stat.h",
    "sys/time.h",
    "sys/timerfd.h",
    "sys/uio.h",
    "sys/wait.h",
    "sys/xattr.h",
    "time.h",
    "unistd.h",
)

OF_THE_KERNEL_ALONE = {"O_LARGEFILE", "O_TMPFILE"}
"""The C library defines O_LARGEFILE as 0 on 64-bit CPUs, and O_TMPFILE with O_DIRECTORY in it."""


@pytest.mark.parametrize(
    ("cpu", "values"),
    [
        ("aarch64", aarch64.OPEN_FLAGS),
        ("aarch64", generic64.COMMON_OPEN_FLAGS),
        ("x86_64", generic64.COMMON_OPEN_FLAGS),
        ("x86_64", generic64.OPEN_FLAGS),
        ("x86_64", x86_64_structs.OPEN_FLAGS),
    ],
)
def test_open_flags(cpu: str, values: dict[str, int]) -> None:
    names = [KERNEL_NAMES.get(name, name) for name in values]
    assert evaluate(cpu, FCNTL, names) == list(values.values())


def test_open_flags_do_not_overlap() -> None:
    ours = {*aarch64.OPEN_FLAGS.values(), *generic64.COMMON_OPEN_FLAGS.values(), 1, 2}
    union = 0
    for bit in ours:
        union |= bit
    # One bit each: O_SYNC's second one is O_DSYNC.
    assert union.bit_count() == 2 + 4 + len(generic64.COMMON_OPEN_FLAGS)


def test_prot_flags() -> None:
    assert evaluate("aarch64", ("asm/mman.h",), list(aarch64.PROT)) == list(aarch64.PROT.values())


def test_names_in_traces() -> None:
    named: dict[str, int] = {}
    for table in (*FLAGS.values(), *CHOICES.values()):
        for value, name in table.items():
            assert named.setdefault(name, value) == value, name
    wanted = sorted(named.keys() - OF_THE_KERNEL_ALONE)
    found = known_names("aarch64", HEADERS, wanted)
    wrong = {name: value for name, value in found.items() if named[name] != value}
    assert not wrong
    assert len(found) > len(named) - 20  # the headers may be older than a few names
