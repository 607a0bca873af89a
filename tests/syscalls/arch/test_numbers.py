# SPDX-License-Identifier: GPL-2.0-or-later
"""System call numbers, against the headers of both CPUs, and by rule for those that are newer."""

from __future__ import annotations

import shutil

import pytest

from syscalls.arch.generic64.numbers import NUMBERS as GUEST
from syscalls.host.x86_64 import NUMBERS as HOST
from tests.support import COMPILERS
from tools import syscall_numbers

FIRST_COMMON = 424
"""From here on a call has one number on every CPU: arch/x86/entry/syscalls/syscall_64.tbl."""


@pytest.mark.parametrize(("cpu", "numbers"), [("aarch64", GUEST), ("x86_64", HOST)])
def test_numbers_are_the_headers(cpu: str, numbers: dict[str, int]) -> None:
    if shutil.which(COMPILERS[cpu]) is None:
        pytest.skip(f"{COMPILERS[cpu]} is not installed")
    found = syscall_numbers.header_numbers(COMPILERS[cpu])
    found.pop("arch_specific_syscall", None)
    assert len(found) > 300
    assert {name: numbers.get(name) for name in found} == found


def test_newer_numbers_are_common() -> None:
    guest = {name: number for name, number in GUEST.items() if number >= FIRST_COMMON}
    host = {name: number for name, number in HOST.items() if number >= FIRST_COMMON}
    assert guest == host
    assert sorted(guest.values()) == list(range(FIRST_COMMON, syscall_numbers.LAST + 1))


def test_every_guest_call_has_a_host_number() -> None:
    assert not GUEST.keys() - HOST.keys()
    assert len(GUEST) == 325
    assert len(set(GUEST.values())) == 325


def test_files_are_what_the_tool_writes() -> None:
    for path, (compiler, title) in syscall_numbers.TARGETS.items():
        if shutil.which(compiler) is None:
            pytest.skip(f"{compiler} is not installed")
        text = (syscall_numbers.ROOT / path).read_text()
        assert text == syscall_numbers.source(compiler, title), "run tools/syscall_numbers.py"
