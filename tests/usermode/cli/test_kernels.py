# SPDX-License-Identifier: GPL-2.0-or-later
"""Registration by what the kernel knows, and by whose table it shows: flag T, and user namespaces."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest

from binfmt import probe
from binfmt.entry import Entry
from binfmt.registry import Registry
from tests.binfmt.namespace import (
    CLONE_NEWNS,
    CLONE_NEWUSER,
    isolated,
    isolated_with_all_ids,
    mount_table,
)
from tests.binfmt.newer_kernel import NewerKernel
from tests.usermode.cli.command import FLAGS, NAME, QEMU, Command, as_nobody
from usermode.cli import main


@pytest.fixture
def newer(tmp_path, monkeypatch, capfd, interpreter) -> Any:
    """The command line where the kernel has flags T and D: `newer(command, …)` returns status and lines."""
    kernel = NewerKernel(tmp_path / "table", monkeypatch, "POCFTLD")
    monkeypatch.setattr(probe, "elsewhere", lambda _: probe.Kernel(True, True))
    monkeypatch.setenv("USERMODE_INTERPRETER", str(interpreter))

    def run(command: str, *arguments: str) -> tuple[int, list[str]]:
        status = main([command, "--binfmt-dir", str(kernel.directory), *arguments])
        told = capfd.readouterr()
        return status, (told.out + told.err).splitlines()

    return run


def test_flag_t_where_the_kernel_has_it(newer, interpreter) -> None:
    assert newer("register") == (0, [f"registered {NAME} with flags OFT: {interpreter}"])
    assert newer("register")[1] == [
        f"{NAME} is registered already (--again opens the interpreter anew)"
    ]
    assert newer("register", "--credentials")[1][0] == (
        f"replaced {NAME} with flags OCFT: {interpreter}"
    )
    assert newer("register", "--flags", "pof") == (
        0,
        [f"replaced {NAME} with flags POF: {interpreter}"],
    )
    assert any("this kernel also knows T" in line for line in newer("doctor")[1])
    assert newer("register")[1] == [f"replaced {NAME} with flags OFT: {interpreter}"]
    _, lines = newer("status")
    assert f"entry: {NAME}, enabled, flags OFT" in lines
    assert [line for line in lines if line.startswith("kernel: ") and "with flag T" in line]
    facts = json.loads("\n".join(newer("status", "--json")[1]))
    assert facts["binfmt_misc"]["kernel"] == {"transparent": True, "disabled": True}


def test_an_older_interpreter_gets_no_flag_t(newer, tmp_path) -> None:
    old = tmp_path / NAME
    old.write_text("#!/bin/sh\necho usermode-aarch64 0.0.1\n")
    old.chmod(0o755)
    assert newer("register", "--interpreter", str(old))[1] == [
        f"registered {NAME} with flags POF: {old}"
    ]


def test_the_doctor_accepts_and_keeps_flag_t(newer, installation) -> None:
    """And writes a file of binfmt.d that any kernel understands."""
    root = ("--root", str(installation))
    newer("register", *root)
    _, lines = newer("doctor", *root)
    assert any(line.startswith("ok       flags OFT: /proc/PID/exe is") for line in lines)
    newer("doctor", "--fix", *root)
    written = installation / "etc/binfmt.d/usermode-aarch64.conf"
    assert written.read_text().endswith(":POF\n")
    _, lines = newer("doctor", *root)
    assert any("registers the entry at the machine's start" in line for line in lines)
    path = installation / "usr/libexec/usermode" / NAME
    status, lines = newer("register", *root, "--again")
    assert (status, lines[1]) == (
        0,
        f"from the next start of systemd-binfmt.service on: flags POF, {path} ({written})",
    )


@isolated
def test_flag_t_asked_for_where_there_is_none(folder, interpreter) -> None:
    if probe.elsewhere("/proc/sys/fs").transparent:
        pytest.skip("this kernel has flag T")
    command = Command(mount_table(folder), interpreter)
    status, lines = command("register", "--flags", "OFT")
    assert (status, lines[1]) == (1, "  hint: --flags POF")
    assert "does not know flag T" in lines[0]
    _, facts = command.json("status")
    assert facts["binfmt_misc"]["kernel"] == {"transparent": False, "disabled": False}


@isolated_with_all_ids
def test_a_namespace_gets_a_table_of_its_own(folder, interpreter) -> None:
    """In a user namespace that sees an outer table; only where its mount namespace is its own too."""
    table = mount_table(folder)
    command = Command(table, interpreter)
    command("register", "--credentials")
    (table / "register").write_text(Entry(QEMU, name="qemu-aarch64", flags="").line())
    copy = folder / NAME
    shutil.copy(interpreter, copy)

    def run(namespaces: int, *more: str) -> tuple[int, list[str]]:
        words = ("register", "--binfmt-dir", str(table), *more)
        done = as_nobody(copy, *words, namespaces=namespaces)
        return done.returncode, (done.stdout + done.stderr).splitlines()

    status, (mounted, registered) = run(CLONE_NEWUSER | CLONE_NEWNS)
    assert (status, registered) == (0, f"registered {NAME} with flags {FLAGS}: {copy}")
    assert mounted.startswith(f"mounted this user namespace's own binfmt_misc at {table}")
    assert mounted.endswith(f"; it hides those outside: qemu-aarch64, {NAME}")
    status, lines = run(CLONE_NEWUSER)
    assert status == 1
    assert lines[0].startswith(f"usermode: no right to write {table}/register")
    assert lines[1].endswith("unshare -Urm")
    Registry(str(table)).register(Entry(str(copy), flags="POCF"))
    assert run(CLONE_NEWUSER, "--credentials")[1][0].startswith(f"{NAME} is registered already")
    assert [entry.name for entry in Registry(str(table)).entries()] == [NAME, "qemu-aarch64"]
