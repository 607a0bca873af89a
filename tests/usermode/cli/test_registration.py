# SPDX-License-Identifier: GPL-2.0-or-later
"""`usermode register`, `unregister`, `enable`, `disable`, `status`, `doctor`, in user namespaces."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from binfmt.configuration import render
from binfmt.entry import Entry, in_order
from tests.binfmt.namespace import (
    isolated,
    isolated_with_all_ids,
    mount_table,
)
from tests.usermode.cli.command import FLAGS, NAME, QEMU, Command, as_nobody
from usermode.cli import main


@isolated
def test_life_of_an_entry(folder, interpreter) -> None:
    command = Command(mount_table(folder), interpreter)
    assert command("status")[0] == 1
    assert command("enable") == (
        1,
        [f"usermode: no entry {NAME} is registered", "  hint: usermode register"],
    )
    assert command("register") == (0, [f"registered {NAME} with flags {FLAGS}: {interpreter}"])
    assert command("register") == (
        0,
        [f"{NAME} is registered already (--again opens the interpreter anew)"],
    )
    status, lines = command("status")
    assert status == 0
    assert f"entry: {NAME}, enabled, flags {FLAGS}" in lines
    assert f"AArch64 programs go to: {NAME} ({interpreter})" in lines
    assert [line for line in lines if line.startswith(f"interpreter: {interpreter} ({NAME} ")]
    assert command("disable") == (0, [f"disabled {NAME}"])
    assert command("disable") == (0, [f"{NAME} is disabled already"])
    assert command("status")[0] == 1
    assert command("enable") == (0, [f"enabled {NAME}"])
    assert command("unregister") == (0, [f"unregistered {NAME}"])
    assert command("unregister") == (0, [f"{NAME} is not registered"])


@isolated
def test_options_of_register(folder, interpreter) -> None:
    command = Command(mount_table(folder), interpreter)
    status, lines = command("register", "--credentials", "--appimage", "--name", "mine")
    assert (status, lines) == (
        0,
        [
            f"registered mine with flags {in_order(FLAGS + 'C')}: {interpreter}",
            "set-user-ID programs now run, and are emulated, with their owner's rights",
        ],
    )
    assert command("register", "--flags", "po", "--name", "mine")[1] == [
        f"replaced mine with flags PO: {interpreter}"
    ]
    _, facts = command.json("status")
    (entry,) = facts["entries"]
    version = entry.pop("version")
    assert version.startswith("usermode-aarch64 ")
    assert entry == {
        "name": "mine",
        "enabled": True,
        "interpreter": str(interpreter),
        "flags": "PO",
        "appimage": False,
    }


@isolated
def test_a_newer_entry_of_another_tool(folder, interpreter) -> None:
    table = mount_table(folder)
    command = Command(table, interpreter)
    command("register")
    (table / "register").write_text(Entry(QEMU, name="qemu-aarch64").line().replace(":POF", ":"))
    newer = f"qemu-aarch64 ({QEMU}) is newer and comes first, see --again"
    assert newer in command("register")[1]
    status, facts = command.json("status")
    assert (status, facts["works"]) == (1, False)
    assert facts["winner"] == {"name": "qemu-aarch64", "interpreter": QEMU}
    assert facts["behind"] == [{"name": NAME, "interpreter": str(interpreter)}]
    assert command("register", "--again")[0] == 0
    status, lines = command("status")
    assert status == 0
    assert f"behind it: qemu-aarch64 ({QEMU})" in lines
    taken = command("unregister", "--name", "qemu-aarch64")
    assert taken[0] == 1
    assert taken[1][0] == (
        f"usermode: the entry qemu-aarch64 belongs to another interpreter, {QEMU}"
    )


@isolated
def test_mounting_on_the_way(folder, interpreter) -> None:
    mount_table(folder)  # skips where that cannot be
    (folder / "other").mkdir()
    command = Command(folder / "other", interpreter)
    assert command("status")[1][0] == f"binfmt_misc: not mounted at {folder}/other"
    assert command("unregister")[0] == 1
    assert command("register")[1][0] == f"mounted binfmt_misc at {folder}/other"
    missing = Command(folder / "none", interpreter)("register")
    assert missing[0] == 1
    assert "cannot be: No such file or directory" in missing[1][0]


@isolated_with_all_ids
def test_without_rights(folder, interpreter, tmp_path) -> None:
    """Looking needs none; registering says so."""
    table = mount_table(folder)
    Command(table, interpreter)("register")
    copy = folder / NAME
    shutil.copy(interpreter, copy)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return as_nobody(copy, *arguments, "--binfmt-dir", str(table))

    refused = run("register", "--again")
    assert refused.returncode == 1
    assert refused.stderr.startswith(f"usermode: no right to write {table}/register")
    assert run("status").returncode == 0
    doctor = run("doctor")
    assert "changing entries takes root's rights" in doctor.stdout
    assert "ok       AArch64 programs go to usermode-aarch64" in doctor.stdout


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["--flags", "PT"], "refuses it together with P"),
        (["--flags", "POX"], "unknown flags: X (known: POCFT)"),
        (["--name", "a/b"], "no name for an entry: 'a/b'"),
    ],
)
def test_wrong_options(interpreter, capfd, arguments, reason) -> None:
    assert main(["register", "--interpreter", str(interpreter), *arguments]) == 2
    assert reason in capfd.readouterr().err


def test_path_that_is_too_long(tmp_path, capfd) -> None:
    deep = tmp_path / ("a" * 120) / NAME
    deep.parent.mkdir()
    deep.write_text("")
    deep.chmod(0o755)
    assert main(["register", "--interpreter", str(deep)]) == 2
    assert "path is longer than 127 bytes" in capfd.readouterr().err


def test_missing_interpreter(capfd, tmp_path) -> None:
    assert main(["register", "--root", str(tmp_path)]) == 1
    assert "is not an executable file" in capfd.readouterr().err


@isolated
def test_doctor(folder, installation) -> None:
    command = Command(mount_table(folder), installation / "none")
    root = ("--root", str(installation))
    status, lines = command("doctor", *root)
    assert status == 1
    assert lines[-1] == "usermode doctor --fix mends what can be mended"
    assert [line for line in lines if line.startswith("failure  the kernel has no entry")]
    status, lines = command("doctor", "--fix", *root)
    assert status == 0
    assert lines[0] == f"mended: the kernel has no entry {NAME}"
    assert lines[-1] == "all is well"
    written = installation / "etc/binfmt.d/usermode-aarch64.conf"
    entry = Entry(f"{installation}/usr/libexec/usermode/{NAME}")
    assert written.read_text() == render(entry)
    status, report = command.json("doctor", *root)
    assert (status, report["status"], report["repairs"]) == (0, 0, [])
    assert {finding["state"] for finding in report["findings"]} == {"ok"}
    status, facts = command.json("status", *root)
    assert facts["binfmt_d"] == {"file": str(written), "masked": False, "problem": None}
    assert command("register", *root)[1] == [
        f"{NAME} is registered already (--again opens the interpreter anew)"
    ]


@isolated
def test_doctor_says_what_it_could_not_mend(folder, installation) -> None:
    table = mount_table(folder)
    command = Command(table, installation / "none")
    root = ("--root", str(installation))
    command("doctor", "--fix", *root)
    (installation / "usr/libexec/usermode/usermode-sample").unlink()
    assert command("doctor", *root)[0] == 2
    (installation / f"usr/libexec/usermode/{NAME}").unlink()
    (table / NAME).write_text("-1")
    status, report = command.json("doctor", "--fix", *root)
    assert status == 1
    (attempt,) = report["repairs"]
    assert attempt["check"] == "present"
    assert "cannot open the interpreter" in attempt["problem"]


@isolated
def test_doctor_keeps_the_choices_of_an_entry(folder, installation) -> None:
    """Of our entry: flag C, AppImages, and where the interpreter is, unless another is asked for."""
    command = Command(mount_table(folder), Path("/nonexistent"))
    elsewhere = installation / f"usr/libexec/usermode/{NAME}"
    command("register", "--credentials", "--appimage", "--interpreter", str(elsewhere))
    command("disable")
    status, lines = command("doctor", "--fix")
    assert status == 0, lines
    (entry,) = command.json("status")[1]["entries"]
    assert (entry["interpreter"], entry["flags"]) == (str(elsewhere), in_order(FLAGS + "C"))
    assert entry["appimage"]
