# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line. `run` is tested with a program in the interpreter's place that tells what it was given."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import click
import pytest

from usermode.cli import COMMANDS, main
from usermode.cli import usermode as group
from usermode.version import VERSION

ROOT = Path(__file__).resolve().parents[2]

FAKE = """#!/usr/bin/python3 -IS
import json, os, sys
with open("/proc/self/environ", "rb") as file:
    environment = sorted(file.read().decode("utf-8", "surrogateescape").split("\\0")[:-1])
with open("/proc/self/status") as file:
    ignored = [int(line.split()[1], 16) for line in file if line.startswith("SigIgn")][0]
files = sorted(int(name) for name in os.listdir("/proc/self/fd"))
print(json.dumps({"argv": sys.argv[1:], "env": environment, "ignored": ignored, "files": files}))
sys.exit(int(os.environ.get("STATUS", "0")))
"""


@pytest.fixture
def fake(tmp_path: Path) -> Path:
    """A program that stands in for the interpreter and prints its arguments and environment as JSON."""
    file = tmp_path / "fake-interpreter"
    file.write_text(FAKE)
    file.chmod(0o755)
    return file


def cli(
    *arguments: str | bytes, env: dict[str, str] | None = None, **options
) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "LC_CTYPE": "C.UTF-8"}
    return subprocess.run(
        [sys.executable, "-m", "usermode.cli", *arguments],
        env=environment | (env or {}), capture_output=True, text=True, timeout=60, **options,
    )  # fmt: skip


def given(answer: subprocess.CompletedProcess[str]) -> dict:
    """Return what the stand-in told of itself."""
    assert answer.stderr == ""
    return json.loads(answer.stdout)


class TestRun:
    def run(self, fake: Path, *arguments: str, **options) -> dict:
        return given(cli("run", "--interpreter", str(fake), *arguments, **options))

    def test_options_before_the_program_are_ours(self, fake, tmp_path) -> None:
        told = self.run(
            fake,
            "--sysroot",
            str(tmp_path),
            "--argv0",
            "name",
            "--strace",
            "--cpu",
            "max",
            "--gdb",
            "127.0.0.1:1",
            "/bin/sh",
            "x",
        )
        assert told["argv"] == [
            *("--sysroot", str(tmp_path), "--argv0", "name", "--strace", "--cpu", "max"),
            *("--gdb", "127.0.0.1:1"),
            *("--", "/bin/sh", "x"),
        ]

    def test_options_after_the_program_are_the_program_s(self, fake) -> None:
        for words in (
            ["--help"],
            ["--strace=x", "-h", "--version"],
            ["--", "-x"],
            ["--unknown", ""],
        ):
            assert self.run(fake, "/bin/sh", *words)["argv"] == ["--", "/bin/sh", *words]

    def test_two_dashes_end_our_options(self, fake, tmp_path) -> None:
        odd = tmp_path / "--strace=x"
        odd.write_text("")
        odd.chmod(0o755)
        told = self.run(fake, "--", "./--strace=x", "--", cwd=tmp_path)
        assert told["argv"] == ["--", "./--strace=x", "--"]

    def test_strace_does_not_take_the_program_for_its_file(self, fake) -> None:
        assert self.run(fake, "--strace", "/bin/sh")["argv"] == ["--strace", "--", "/bin/sh"]
        assert self.run(fake, "--strace=log", "/bin/sh")["argv"] == [
            "--strace=log",
            "--",
            "/bin/sh",
        ]
        assert self.run(fake, "--core", "--core=x", "/bin/sh")["argv"] == [
            "--core=x",
            "--",
            "/bin/sh",
        ]
        assert self.run(fake, "--core", "/bin/sh")["argv"] == ["--core", "--", "/bin/sh"]
        told = self.run(fake, "--argv0", "--strace=x", "/bin/sh")
        assert told["argv"] == ["--argv0", "--strace=x", "--", "/bin/sh"]

    def test_environment(self, fake) -> None:
        told = self.run(
            fake, "--env", "A=1=2", "--unset", "GONE", "--env", "B=", "--unset", "NEVER", "/bin/sh",
            env={"GONE": "x", "KEPT": "é"},
        )  # fmt: skip
        assert {"A=1=2", "B=", "KEPT=é", "LC_CTYPE=C.UTF-8"} <= set(told["env"])
        assert not [entry for entry in told["env"] if entry.startswith(("GONE=", "NEVER="))]

    def test_python_leaves_no_trace(self, fake, tmp_path) -> None:
        """The locale, ignored signals and open files are those that we were started with."""
        command = [
            sys.executable,
            "-m",
            "usermode.cli",
            "run",
            "--interpreter",
            str(fake),
            "/bin/sh",
        ]
        environment = {"PYTHONPATH": str(ROOT), "LC_ALL": "", "PATH": "/usr/bin:/bin"}
        answer = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=60
        )
        told = given(answer)
        assert [entry for entry in told["env"] if entry.startswith("LC_CTYPE")] == []
        # The stand-in is Python too, and itself ignores these; a shell shows what it was given.
        fake.write_text("#!/bin/sh\ngrep SigIgn /proc/self/status; ls /proc/self/fd | wc -l\n")
        answer = subprocess.run(
            command, env=environment, capture_output=True, text=True, timeout=60
        )
        _, ignored, descriptors = answer.stdout.split()
        python_ignores = 1 << signal.SIGPIPE - 1 | 1 << signal.SIGXFSZ - 1
        assert int(ignored, 16) & python_ignores == 0
        assert descriptors == "4"  # 0 to 2 and the folder itself

    def test_bytes_that_are_no_text_go_through(self, fake) -> None:
        answer = cli("run", "--interpreter", str(fake), "/bin/sh", b"\xff\xfe")
        assert given(answer)["argv"] == ["--", "/bin/sh", "\udcff\udcfe"]

    def test_status_and_death_are_the_command_s(self, fake) -> None:
        command = ("run", "--interpreter", str(fake), "/bin/sh")
        assert cli(*command, env={"STATUS": "7"}).returncode == 7
        fake.write_text("#!/bin/sh\nkill -SEGV $$\n")
        assert cli(*command).returncode == -signal.SIGSEGV

    def test_a_bare_name_is_looked_for_in_path(self, fake, tmp_path) -> None:
        for folder, mode in (("one", 0o644), ("two", 0o755)):
            (tmp_path / folder).mkdir()
            (tmp_path / folder / "tool").write_text("")
            (tmp_path / folder / "tool").chmod(mode)
        path = {"PATH": f"{tmp_path}/one:{tmp_path}/two"}
        told = self.run(fake, "tool", env=path)
        assert told["argv"] == ["--argv0", "tool", "--", f"{tmp_path}/two/tool"]
        told = self.run(fake, "--env", f"PATH=:{tmp_path}/none", "tool", cwd=tmp_path / "two")
        assert told["argv"] == ["--argv0", "tool", "--", "./tool"]
        refused = cli("run", "--interpreter", str(fake), "--env", f"PATH={tmp_path}/one", "tool")
        assert (refused.returncode, refused.stdout) == (126, "")
        assert f"{tmp_path}/one/tool is not executable" in refused.stderr

    def test_the_sysroot_comes_before_the_host(self, fake, tmp_path) -> None:
        (tmp_path / "bin").mkdir()
        (tmp_path / "bin/tool").symlink_to("/bin/real")
        (tmp_path / "bin/real").write_text("")
        (tmp_path / "bin/real").chmod(0o755)
        path = {"PATH": "/nowhere:/bin"}
        told = self.run(fake, "--sysroot", str(tmp_path), "tool", env=path)
        assert told["argv"][2:] == ["--argv0", "tool", "--", "/bin/tool"]
        told = self.run(fake, "tool", env=path | {"USERMODE_SYSROOT": str(tmp_path)})
        assert told["argv"][:2] == ["--sysroot", str(tmp_path)]
        told = self.run(fake, "--sysroot", str(tmp_path), "sh", env=path)
        assert told["argv"][-1] == "/bin/sh"
        told = self.run(fake, "--sysroot", str(tmp_path), "/bin/real")
        assert told["argv"][-1] == "/bin/real"

    @pytest.mark.parametrize(
        ("program", "status", "reason"),
        [
            ("./none", 127, "cannot run './none': no such file or directory"),
            ("no-such-program", 127, "cannot find 'no-such-program' in PATH"),
            ("", 127, "empty"),
            ("./folder", 126, "is a directory"),
            ("./plain", 126, "permission denied"),
            ("./plain/x", 127, "not a directory"),
            ("plain", 127, "hint: a program in the current directory is run as './plain'"),
        ],
    )
    def test_what_cannot_be_run_is_said(self, fake, tmp_path, program, status, reason) -> None:
        (tmp_path / "folder").mkdir()
        (tmp_path / "plain").write_text("x")
        answer = cli("run", "--interpreter", str(fake), program, cwd=tmp_path)
        assert (answer.returncode, answer.stdout) == (status, "")
        assert reason in answer.stderr
        assert "Traceback" not in answer.stderr

    @pytest.mark.parametrize(
        ("arguments", "reason"),
        [
            (
                ["--cpu", "cortex-a53", "/bin/sh"],
                "there is no model 'cortex-a53', only 'max'",
            ),
            (["--env", "=x", "/bin/sh"], "'=x' is not NAME=VALUE"),
            (["--env", "x", "/bin/sh"], "'x' is not NAME=VALUE"),
            (["--unset", "a=b", "/bin/sh"], "'a=b' is not a variable's name"),
            (["--sysroot", "/no/such/folder", "/bin/sh"], "does not exist"),
            (["--unknown", "/bin/sh"], "--unknown"),
            ([], "PROGRAM"),
        ],
    )
    def test_wrong_options(self, capfd, arguments, reason) -> None:
        assert main(["run", *arguments]) == 2
        err = capfd.readouterr().err
        assert err.startswith("usermode: ")
        assert reason in err
        assert err.endswith("  hint: see 'usermode run --help'\n")

    def test_interpreter_that_is_missing_or_broken(self, tmp_path) -> None:
        answer = cli("run", "/bin/sh", env={"USERMODE_INTERPRETER": str(tmp_path / "none")})
        assert answer.returncode == 125
        assert "$USERMODE_INTERPRETER names" in answer.stderr
        broken = tmp_path / "broken"
        broken.write_text("no format that the kernel knows")
        broken.chmod(0o755)
        answer = cli("run", "/bin/sh", env={"USERMODE_INTERPRETER": str(broken)})
        assert answer.returncode == 125
        assert f"cannot start the interpreter {broken}: Exec format error" in answer.stderr

    def test_a_real_program(self, interpreter, guest_cc, tmp_path) -> None:
        source = tmp_path / "program.c"
        source.write_text(
            "#include <stdio.h>\n#include <stdlib.h>\n"
            'int main(int c, char **v) { printf("%s %d %s\\n", v[0], c, getenv("A")); return 3; }'
        )
        arguments = ("--interpreter", str(interpreter), "--env", "A=b", "--argv0", "zero")
        answer = cli("run", *arguments, str(guest_cc(source)), "one")
        assert (answer.stdout, answer.stderr, answer.returncode) == ("zero 2 b\n", "", 3)


class TestEdge:
    def test_version(self, fake) -> None:
        fake.write_text("#!/bin/sh\necho usermode-aarch64 0.1.0\necho unicorn 2.1.4\n")
        answer = cli("--version", env={"USERMODE_INTERPRETER": str(fake)})
        assert answer.returncode == 0
        assert answer.stdout == (
            f"usermode {VERSION}\ninterpreter: {fake} (usermode-aarch64 0.1.0, unicorn 2.1.4)\n"
        )

    def test_version_without_an_interpreter(self, tmp_path) -> None:
        answer = cli("--version", env={"USERMODE_INTERPRETER": str(tmp_path)})
        assert answer.returncode == 0
        assert f"usermode {VERSION}\n" in answer.stdout
        assert "is not an executable file" in answer.stdout

    def test_the_package_has_one_version(self) -> None:
        import importlib.metadata

        try:
            installed = importlib.metadata.version("usermode")
        except importlib.metadata.PackageNotFoundError:
            pytest.skip("the package is not installed here")
        assert installed == VERSION

    def test_an_error_of_ours_keeps_its_traceback_for_debugging(self, capfd, monkeypatch) -> None:
        def broken(*_: object) -> None:
            raise ZeroDivisionError("odd")

        monkeypatch.setattr("usermode.cli.run.find_program", broken)
        assert main(["run", "/bin/sh"]) == 70
        err = capfd.readouterr().err
        assert err.startswith("usermode: internal error: ZeroDivisionError: odd\n  hint: ")
        monkeypatch.setenv("USERMODE_DEBUG", "1")
        assert main(["run", "/bin/sh"]) == 70
        assert "Traceback" in capfd.readouterr().err

    def test_a_reader_that_goes_away_gets_no_message(self) -> None:
        reader, writer = os.pipe()
        os.close(reader)
        command = [sys.executable, "-m", "usermode.cli", "completion", "bash"]
        answer = subprocess.run(
            command, stdout=writer, stderr=subprocess.PIPE, cwd=ROOT, timeout=60
        )
        os.close(writer)
        assert (answer.returncode, answer.stderr) == (1, b"")

    @pytest.mark.parametrize("unbuffered", ["", "1"])
    def test_a_full_disk_is_said(self, unbuffered: str) -> None:
        environment = {**os.environ, "PYTHONUNBUFFERED": unbuffered}
        with open("/dev/full", "w") as full:
            command = [sys.executable, "-m", "usermode.cli", "completion", "bash"]
            answer = subprocess.run(
                command,
                stdout=full,
                stderr=subprocess.PIPE,
                cwd=ROOT,
                timeout=60,
                env=environment,
            )
        assert (answer.returncode, answer.stderr) == (1, b"usermode: No space left on device\n")

    def test_run_does_not_import_what_it_does_not_need(self, fake) -> None:
        program = (
            "import sys, os; os.execve = lambda *a: print(sorted(sys.modules)); from usermode.cli import main;"
            f"main(['run', '--interpreter', {str(fake)!r}, '/bin/sh'])"
        )
        loaded = subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True
        ).stdout
        assert "'usermode.cli.run'" in loaded
        assert "elftools" not in loaded
        assert "syscalls" not in loaded


class TestCompletion:
    @pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
    def test_script_asks_the_command(self, shell) -> None:
        answer = cli("completion", shell)
        assert answer.returncode == 0
        assert f"_USERMODE_COMPLETE={shell}_complete" in answer.stdout

    def test_bash_completes_commands_and_options(self) -> None:
        script = "_USERMODE_COMPLETE=bash_complete COMP_WORDS='usermode {}' COMP_CWORD={} {} -m usermode.cli"
        for words, index, wanted in (
            ("insp", 1, "plain,inspect"),
            ("run --sysr", 2, "plain,--sysroot"),
        ):
            command = script.format(words, index, sys.executable)
            answer = subprocess.run(
                ["bash", "-c", command], cwd=ROOT, capture_output=True, text=True
            )
            assert answer.stdout.split() == [wanted]


def options(command: click.Command) -> set[str]:
    """Return the long options that a command shows."""
    return {
        name
        for option in command.params
        if isinstance(option, click.Option) and not option.hidden
        for name in option.opts
        if name.startswith("--")
    }


@pytest.mark.parametrize("page", ["packaging/man/usermode.1", "docs/cli.md"])
def test_every_command_and_option_is_documented_and_no_other(page) -> None:
    text = (ROOT / page).read_text().replace("\\-", "-")
    context = click.Context(group)
    real = {"--help", "--version"}
    for name in COMMANDS:
        command = group.get_command(context, name)
        assert command is not None
        assert re.search(rf"\b{name}\b", text), name
        real |= options(command)
    shown = set(re.findall(r"(?<![-\w])--[a-z][a-z0-9-]*", text))
    assert shown == real
