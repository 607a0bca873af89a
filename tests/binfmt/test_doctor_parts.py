# SPDX-License-Identifier: GPL-2.0-or-later
"""Parts of the doctor by themselves: what surrounds us, and what is told of one file or process."""

from __future__ import annotations

import os
import subprocess

import pytest

from binfmt.doctor import examine
from binfmt.doctor import process as surroundings
from binfmt.doctor.finding import FAILURE, OK, WARNING, Case, Finding
from binfmt.doctor.programs import judge_elf, remount
from binfmt.doctor.sample import look_at
from binfmt.entry import Entry
from binfmt.registry import Registry
from tests.binfmt.namespace import LIBC, isolated


class TestSurroundings:
    case = Case(Registry(), Entry())

    @isolated
    def test_memory_that_denies_code(self) -> None:
        pr_set_mdwe, refuse_exec_gain = 65, 1
        if LIBC.prctl(pr_set_mdwe, refuse_exec_gain, 0, 0, 0) < 0:
            pytest.skip("this kernel has no PR_SET_MDWE")
        finding = surroundings.executable_memory(self.case)
        assert finding.state == FAILURE
        assert "MemoryDenyWriteExecute" in finding.command

    @isolated
    def test_user_namespace(self) -> None:
        assert surroundings.in_user_namespace()
        assert "a user namespace" in surroundings.place(self.case).what

    def test_container(self, tmp_path, monkeypatch) -> None:
        marker = tmp_path / "container"
        monkeypatch.setattr(surroundings, "CONTAINERS", ((str(marker), ""),))
        marker.write_text("lxc\n")
        assert surroundings.container() == "lxc"
        marker.write_text("")
        assert surroundings.container() == "unknown"
        monkeypatch.setattr(surroundings, "CONTAINERS", ((str(marker), "podman"),))
        assert surroundings.container() == "podman"

    @isolated
    def test_unlimited_stack(self) -> None:
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_STACK)
        if hard != resource.RLIM_INFINITY:
            pytest.skip("the stack's hard limit is finite here")
        resource.setrlimit(resource.RLIMIT_STACK, (hard, hard))
        finding = surroundings.layout(self.case)
        assert (finding.state, finding.command) == (WARNING, "ulimit -S -s 8192")

    @isolated
    def test_without_proc(self, tmp_path) -> None:
        """Nothing is told of a chroot without /proc, and no check breaks."""
        os.chroot(tmp_path)
        findings = {finding.check: finding.state for finding in examine(self.case)}
        assert findings["confinement"] == OK
        assert findings["layout"] == OK
        assert findings["interpreter"] == FAILURE


def test_dynamic_interpreter_is_told_of() -> None:
    with open("/bin/sh", "rb") as file:
        finding = judge_elf("/x/usermode-aarch64-dev", file.read(4096))
    assert finding.state == WARNING
    assert finding.cause == "this is the developer's build"
    assert remount("/proc/self/fd").startswith("mount -o remount,exec /proc")


def test_a_finding_for_json() -> None:
    finding = Finding("a", WARNING, "b", "c", "d", print)
    assert finding.as_dict() == {
        "check": "a", "state": "warning", "what": "b", "cause": "c", "command": "d", "mendable": True
    }  # fmt: skip


def test_who_runs_a_program_that_looks_like_itself() -> None:
    """With flag T the link `exe` leads to the program: the first other file with code is its interpreter."""
    with subprocess.Popen(["/bin/cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"x")
        process.stdin.flush()
        process.stdout.read(1)  # it is past its start
        with open(f"/proc/{process.pid}/maps", encoding="ascii") as file:
            library = next(line.split()[5] for line in file if "r-xp" in line and ".so" in line)
        found = look_at(process.pid, "/bin/cat", library)
        assert look_at(process.pid, "/bin/cat", "/bin/sh") == (library, False)
        assert look_at(process.pid, "/bin/sh", "/bin/cat")[1] is True
        process.stdin.close()
    assert found == (library, True)
