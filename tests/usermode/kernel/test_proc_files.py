# SPDX-License-Identifier: GPL-2.0-or-later
"""What the files of the /proc view say."""

from __future__ import annotations

import struct
import sys
from errno import EFAULT
from types import SimpleNamespace
from typing import Any

import pytest

from syscalls.arch.aarch64 import cpu
from tests.syscalls.handlers.fake import Process
from usermode.kernel import proc_files
from usermode.kernel.proc_memory import CONTENT

TEXT = b"prog\0-a\0\0last\0"
VARIABLES = b"A=1\0B=\0"


class Guest:
    """A core with one buffer of memory, and the facts about it."""

    def __init__(self, text: bytes) -> None:
        self.text = text
        self.facts: Any = Process()
        self.facts.argument_range = (0x1000, 0x1000 + len(TEXT))
        self.facts.environment_range = (0x1000 + len(TEXT), 0x1000 + len(text))

    def read(self, address: int, size: int) -> bytes:
        if not self.text:
            raise OSError(EFAULT, "")
        return self.text[address - 0x1000 : address - 0x1000 + size]


@pytest.fixture
def guest(monkeypatch: pytest.MonkeyPatch) -> Guest:
    made = Guest(TEXT + VARIABLES)
    monkeypatch.setitem(sys.modules, "_usermode_core", SimpleNamespace(read=made.read))
    return made


def show(name: str, facts: Any, host_text: bytes = b"") -> bytes:
    return proc_files.content(name.encode(), facts, host_text)


def test_maps_has_the_kernels_form() -> None:
    """A host mapping shown by us is the line that the kernel shows."""
    with open("/proc/self/maps", "rb") as file:
        lines = file.read().splitlines(keepends=True)
    facts: Any = Process()
    for line in lines:
        place, permissions, offset, device, inode, *name = line.rstrip(b"\n").split(None, 5)
        start, end = (int(text, 16) for text in place.split(b"-"))
        major, minor = (int(text, 16) for text in device.split(b":"))
        entry = (
            start, end, permissions, int(offset, 16), (major, minor), int(inode),
            name[0] if name else b"",
        )  # fmt: skip
        facts.mappings = lambda entry=entry: [entry]
        assert show("maps", facts) == line


def test_maps_escapes_line_ends() -> None:
    facts: Any = Process()
    facts.mappings = lambda: [(0x1000, 0x2000, b"r--p", 0, (0, 0), 1, b"/a\nb")]
    assert show("maps", facts).endswith(b" /a\\012b\n")


def test_cmdline_and_environ_are_memory(guest: Guest) -> None:
    assert show("cmdline", guest.facts) == TEXT
    assert show("environ", guest.facts) == VARIABLES


def test_cmdline_overwritten(guest: Guest) -> None:
    """The kernel's rule for programs that set their title."""
    guest.text = b"short\0".ljust(len(TEXT), b"\0") + VARIABLES
    assert show("cmdline", guest.facts) == b"short\0".ljust(len(TEXT), b"\0")
    guest.text = b"a longer title".ljust(len(TEXT), b"!") + b"more\0\0\0"
    assert show("cmdline", guest.facts) == b"a longer title".ljust(len(TEXT), b"!") + b"more\0"


def test_unmapped_arguments(guest: Guest) -> None:
    guest.text = b""
    assert show("cmdline", guest.facts) == b""
    assert show("environ", guest.facts) == b""


def test_auxv() -> None:
    facts: Any = Process()
    facts.auxv = struct.pack("<4Q", 6, 4096, 0, 0)
    assert show("auxv", facts) == facts.auxv


def test_cpuinfo_lists_the_hosts_processors() -> None:
    facts: Any = Process()
    facts.auxv = struct.pack("<6Q", 16, cpu.HWCAP, 26, cpu.HWCAP2, 0, 0)
    host = b"processor\t: 0\nvendor_id\t: X\n\nprocessor\t: 5\nvendor_id\t: X\n"
    first, second, end = show("cpuinfo", facts, host).decode().split("\n\n")
    assert end == ""
    fields = dict(line.split("\t: ", 1) for line in first.splitlines() if "\t: " in line)
    assert fields["processor"] == "0"
    assert second.replace("processor\t: 5", "processor\t: 0") == first
    assert fields["Features"].split() == [*cpu.HWCAP_BITS, *cpu.HWCAP2_BITS]
    assert fields["BogoMIPS"] == "125.00"
    assert int(fields["CPU part"], 16) == cpu.MIDR >> 4 & 0xFFF
    assert "CPU architecture: 8" in first


def test_cpuinfo_shows_only_what_is_promised() -> None:
    facts: Any = Process()
    facts.auxv = struct.pack("<4Q", 16, 0b11, 0, 0)
    text = show("cpuinfo", facts, b"processor : 0\n")
    assert b"\nFeatures\t: fp asimd\n" in text


def test_every_view_but_exe_and_mem_has_content() -> None:
    assert {b"exe", b"mem", *proc_files._CONTENT, *CONTENT} == proc_files.VIEWS
    for name in (b"exe", b"mem"):
        with pytest.raises(KeyError):
            proc_files.content(name, Process(), b"")
