# SPDX-License-Identifier: GPL-2.0-or-later
"""The file of the running program: renamed, replaced, deleted, and for those who may not follow its link."""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

CONTENT = b"\x7fELF" + bytes(5000)


@pytest.fixture
def process(core: ModuleType, tmp_path: Path) -> Iterator[Any]:
    from syscalls.host.x86_64 import NUMBERS
    from usermode.kernel.process import Process

    file = tmp_path / "program"
    file.write_bytes(CONTENT)
    with file.open("rb") as opened:
        status = os.fstat(opened.fileno())
        arguments = (len(CONTENT), mmap.PROT_READ, mmap.MAP_PRIVATE, opened.fileno(), 0)
        address = core.host_call(NUMBERS["mmap"], 0, *arguments)
    made: Any = Process(None, None, None)  # type: ignore[arg-type]
    made.program = (address, len(CONTENT), status.st_dev, status.st_ino, os.fsencode(file))
    yield made
    core.host_call(NUMBERS["munmap"], address, len(CONTENT))


def test_renamed(process: Any, tmp_path: Path) -> None:
    assert process.executable == process.executable_file == os.fsencode(tmp_path / "program")
    (tmp_path / "program").rename(tmp_path / "other")
    assert process.executable == process.executable_file == os.fsencode(tmp_path / "other")


def test_replaced(process: Any, tmp_path: Path) -> None:
    (tmp_path / "new").write_bytes(b"new")
    (tmp_path / "new").rename(tmp_path / "program")
    assert process.executable == os.fsencode(tmp_path / "program") + b" (deleted)"
    assert process.executable_file == process.program_link


def test_a_name_that_looks_deleted(process: Any, tmp_path: Path) -> None:
    (tmp_path / "program").rename(tmp_path / "odd (deleted)")
    assert process.executable_file == os.fsencode(tmp_path / "odd (deleted)")


def test_a_copy(process: Any, tmp_path: Path) -> None:
    from usermode.kernel import own_program

    (tmp_path / "program").unlink()
    for fd in own_program.open_again(process), own_program._copy(process):
        assert os.pread(fd, 10000, 0) == CONTENT
        os.close(fd)
