# SPDX-License-Identifier: GPL-2.0-or-later
"""Asking the kernel what its binfmt_misc can do, without leaving anything behind."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from binfmt import probe
from binfmt.entry import Entry
from binfmt.probe import NAME, UNKNOWN, Kernel, accepts, ask, elsewhere, here, undisturbed
from binfmt.registry import Registry
from tests.binfmt.namespace import isolated, mount_table
from tests.binfmt.newer_kernel import NewerKernel

THIS_KERNEL = elsewhere("/proc/sys/fs")


@isolated
def test_both_ways_agree(folder) -> None:
    registry = Registry(str(mount_table(folder)))
    assert here(registry) == THIS_KERNEL
    assert registry.entries() == []
    assert ask(registry) == THIS_KERNEL


def test_nothing_changes_for_others(tmp_path) -> None:
    """The table that is asked about is not touched, nor need it be one: the kernel is what counts."""
    assert ask(Registry(str(tmp_path))) == THIS_KERNEL
    assert list(tmp_path.iterdir()) == []
    assert ask(Registry(str(tmp_path / "none"))) is UNKNOWN


@pytest.mark.parametrize(
    ("knows", "expected"),
    [
        ("POCFTLD", Kernel(True, True)),
        ("POCFT", Kernel(True, False)),
        ("POCFD", Kernel(False, True)),
        ("POCF", Kernel(False, False)),
    ],
)
def test_newer_kernels(tmp_path, monkeypatch, knows: str, expected: Kernel) -> None:
    monkeypatch.setattr(probe, "elsewhere", lambda _: UNKNOWN)
    kernel = NewerKernel(tmp_path / "table", monkeypatch, knows)
    assert ask(Registry(str(kernel.directory))) == expected
    assert kernel.names == set()
    if "D" in knows:
        assert all(line.endswith("D") for line in kernel.registered)
    assert expected.flags == ("OFT" if "T" in knows else "POF")
    assert ("with flag T" in expected.words) == ("T" in knows)


@isolated
def test_one_that_was_killed_is_cleaned_up(folder, interpreter) -> None:
    """And an entry that only has such a name is not ours to remove."""
    registry = Registry(str(mount_table(folder)))
    registry.register(Entry(probe.NOWHERE, name=f"{NAME}-1-a", flags=""))
    registry.register(Entry(str(interpreter), name=f"{NAME}-2-b", flags=""))
    here(registry)
    assert [entry.name for entry in registry.entries()] == [f"{NAME}-2-b"]


@isolated
def test_interrupted(folder) -> None:
    """SIGINT ends the program when the entry is gone again."""
    table = mount_table(folder)
    ready, go = os.pipe()
    child = os.fork()
    if not child:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.write(go, b"r")
        while True:
            with undisturbed():
                accepts(Registry(str(table)), "O")
    os.read(ready, 1)
    time.sleep(0.05)
    os.kill(child, signal.SIGINT)
    assert os.waitpid(child, 0)[1] == signal.SIGINT
    assert {path.name for path in Path(table).iterdir()} == {"register", "status"}


def test_without_namespaces(monkeypatch, tmp_path) -> None:
    """Neither there nor here: nobody knows."""

    def refuse(_: str) -> int:
        raise OSError(1, "Operation not permitted")

    monkeypatch.setattr(probe, "_in_namespace", refuse)
    assert ask(Registry(str(tmp_path))) is UNKNOWN
    assert "cannot be tried" in UNKNOWN.words
    assert UNKNOWN.flags == "POF"
