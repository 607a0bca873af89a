# SPDX-License-Identifier: GPL-2.0-or-later
"""The guest's /proc files about memory, made of the host's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.syscalls.handlers.fake import Process
from usermode.kernel import proc_memory

Mapping = tuple[int, int, bytes, int, tuple[int, int], int, bytes]

HEADER = b"%08x-%08x %s 00000000 00:00 0 \n"
BODY = b"""Size:               %4d kB
KernelPageSize:        4 kB
MMUPageSize:           4 kB
Rss:                %4d kB
Anonymous:          %4d kB
THPeligible:           0
VmFlags: %s mr mw me ac \n"""


class Facts(Process):
    """Facts with mappings of the test's choice."""

    def __init__(self, *mappings: tuple[int, int, bytes]) -> None:
        super().__init__()
        self.own = mappings

    def mappings(self) -> Iterator[Mapping]:
        for start, end, permissions in self.own:
            yield start, end, permissions, 0, (0, 0), 0, b""


def host(name: str) -> bytes:
    return Path("/proc/self", name).read_bytes()


def test_smaps_cuts_the_hosts() -> None:
    text = HEADER % (0x10000, 0x20000, b"rw-p") + BODY % (64, 20, 12, b"rd wr")
    text += HEADER % (0x7F0000000000, 0x7F0000001000, b"rw-p") + BODY % (4, 4, 4, b"rd wr")
    facts: Any = Facts((0x10000, 0x14000, b"r-xp"), (0x14000, 0x20000, b"rw-p"))
    expected = HEADER % (0x10000, 0x14000, b"r-xp") + BODY % (16, 16, 12, b"rd ex")
    expected += HEADER % (0x14000, 0x20000, b"rw-p") + BODY % (48, 4, 0, b"rd wr")
    assert proc_memory.smaps(facts, text) == expected


def test_smaps_of_what_came_meanwhile() -> None:
    facts: Any = Facts((0x10000, 0x14000, b"r-xp"))
    assert proc_memory.smaps(facts, b"") == b""


@pytest.mark.parametrize("name", ["statm", "status", "stat", "limits"])
def test_the_form_is_the_kernels(name: str) -> None:
    """Only numbers differ."""
    facts: Any = Facts()
    text = host(name)
    shown = proc_memory.CONTENT[name.encode()](facts, text)
    lines, own = text.splitlines(), shown.splitlines()
    assert len(lines) == len(own)
    assert shown != text
    for line, ours in zip(lines, own, strict=True):
        assert len(line.split()) == len(ours.split())
        assert name == "statm" or line.split()[0] == ours.split()[0]


def test_sizes() -> None:
    facts: Any = Facts()
    assert proc_memory.statm(facts, b"9000 800 700 600 0 500 0\n") == b"16 16 16 8 0 6 0\n"
    text = b"VmPeak:\t  900 kB\nVmSize:\t  800 kB\nVmRSS:\t  700 kB\nThreads:\t3\n"
    expected = b"VmPeak:\t     128 kB\nVmSize:\t      64 kB\nVmRSS:\t      64 kB\nThreads:\t3\n"
    assert proc_memory.status(facts, text) == expected


def test_numa_maps_is_filtered() -> None:
    facts: Any = Facts()
    text = b"00010000 default anon=1\n7f0000000000 default anon=2\n"
    assert proc_memory.numa_maps(facts, text) == b"00010000 default anon=1\n"
