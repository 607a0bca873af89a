# SPDX-License-Identifier: GPL-2.0-or-later
"""`usermode shell` in a small tree: a guest's busybox and nothing else."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests import support
from usermode.container import enter, tree

BUSYBOX = support.ROOT / "build" / "sample" / "bin" / "busybox"
APPLETS = (
    "sh",
    "ls",
    "cat",
    "id",
    "sleep",
    "stat",
    "mount",
    "pwd",
    "kill",
    "true",
    "env",
    "readlink",
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not BUSYBOX.exists():
        pytest.skip("build/sample is not there: run `make`")
    probe = subprocess.run(["unshare", "-Urmpf", "true"], capture_output=True, text=True)
    if probe.returncode:
        pytest.skip(f"no namespaces of one's own here: {probe.stderr.strip()}")
    top = tmp_path_factory.mktemp("tree")
    for folder in ("bin", "etc", "root", "tmp"):
        (top / folder).mkdir()
    shutil.copy(BUSYBOX, top / "bin" / "busybox")
    for name in APPLETS:
        (top / "bin" / name).symlink_to("busybox")
    for name in ("resolv.conf", "plain"):
        (top / "etc" / name).write_text("")
    return top


def shell(interpreter: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "usermode.cli", "shell", "--interpreter", str(interpreter)]
    return subprocess.run(
        [*command, *map(str, words)],
        cwd=support.ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def mounts() -> list[str]:
    return sorted(Path("/proc/self/mountinfo").read_text().splitlines())


def test_guests_run_and_start_guests(interpreter: Path, root: Path) -> None:
    before = mounts()
    script = (
        "id -u; pwd; ls /proc/sys/fs/binfmt_misc/usermode-aarch64; sh -c 'readlink /proc/self/exe'"
    )
    done = shell(interpreter, root, "sh", "-c", script)
    assert (done.stderr, done.returncode) == ("", 0)
    assert done.stdout.split("\n")[:3] == [
        "0",
        "/root",
        "/proc/sys/fs/binfmt_misc/usermode-aarch64",
    ]
    assert mounts() == before


def test_devices_and_names(interpreter: Path, root: Path) -> None:
    script = "echo x > /dev/null; stat -c %F /dev/zero /dev/tty; ls /dev/fd/0 /dev/pts/ptmx; cat /etc/resolv.conf"
    done = shell(interpreter, root, "sh", "-c", script)
    resolver = Path("/etc/resolv.conf")
    names = resolver.read_text() if resolver.exists() else ""
    devices = "character special file\n" * 2 + "/dev/fd/0\n/dev/pts/ptmx\n"
    assert (done.stderr, done.stdout) == ("", devices + names)
    assert (root / "etc" / "resolv.conf").read_text() == ""


@pytest.mark.parametrize(
    ("words", "status", "message"),
    [
        (["sh", "-c", "exit 7"], 7, ""),
        (["sh", "-c", "kill -9 $$"], 137, ""),
        (["missing"], 127, "usermode: missing: command not found in the tree\n"),
        (["/bin/missing"], 127, "usermode: /bin/missing: No such file or directory\n"),
        (["/etc/plain"], 126, "usermode: /etc/plain: Permission denied\n"),
    ],
)
def test_status(interpreter: Path, root: Path, words: list[str], status: int, message: str) -> None:
    done = shell(interpreter, root, *words)
    assert (done.returncode, done.stderr) == (status, message)


def test_binds_folder_and_environment(interpreter: Path, root: Path, tmp_path: Path) -> None:
    (tmp_path / "note").write_text("hello\n")
    options = ["--bind", f"{tmp_path}:/mnt/here", "--bind", f"{tmp_path}/note:/tmp/one"]
    more = ["--cwd", "/mnt/here", "--env", "A=b c"]
    script = 'pwd; cat note /tmp/one; echo "$A $HOME"'
    done = shell(interpreter, *options, *more, root, "sh", "-c", script)
    assert (done.stderr, done.stdout) == ("", "/mnt/here\nhello\nhello\nb c /root\n")


def test_binds_stay_in_the_tree(interpreter: Path, root: Path, tmp_path: Path) -> None:
    """Links of the tree are its own: they neither lead to the host's files nor are replaced."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (root / "away").symlink_to(outside)
    (root / "last").symlink_to("tmp")
    for target in ("/away/new", "/away/new/deeper", "/tmp/../../new", "/last"):
        done = shell(interpreter, "--bind", f"{tmp_path}:{target}", root, "true")
        assert done.returncode == 125
        assert done.stderr.startswith(f"usermode: {target} ")
    assert list(outside.iterdir()) == []
    assert os.readlink(root / "last") == "tmp"


def test_an_interpreter_that_cannot_be_registered(
    interpreter: Path, root: Path, tmp_path: Path
) -> None:
    deep = tmp_path / ("a" * 120) / "usermode-aarch64"
    deep.parent.mkdir()
    deep.symlink_to(interpreter)
    done = shell(deep, root, "true")
    assert done.returncode in (0, 125)
    assert done.stderr == (
        "usermode: the interpreter's path is longer than 127 bytes\n" if done.returncode else ""
    )


def test_what_is_no_tree(interpreter: Path, tmp_path: Path) -> None:
    for place in (tmp_path / "missing", tmp_path, Path("/")):
        done = shell(interpreter, place, "true")
        assert done.returncode == 125
        assert done.stderr.startswith("usermode: ")
        assert "internal" not in done.stderr


def test_all_of_it_ends_with_the_command_line(interpreter: Path, root: Path) -> None:
    marker = "86399.5"
    command = [sys.executable, "-m", "usermode.cli", "shell", "--interpreter", str(interpreter)]
    started = subprocess.Popen([*command, str(root), "sleep", marker], cwd=support.ROOT)
    deadline = time.monotonic() + 60
    while not processes_with(marker, "exe") and time.monotonic() < deadline:
        time.sleep(0.05)
    assert processes_with(marker, "exe")
    started.send_signal(signal.SIGTERM)
    assert started.wait(timeout=60) == -signal.SIGTERM
    while processes_with(marker) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not processes_with(marker)


def processes_with(word: str, link: str = "") -> list[int]:
    """Processes with a word in their command line; with `link`, those that are the interpreter by now."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
            program = os.readlink(folder / "exe") if link else ""
        except OSError:
            continue  # it has ended meanwhile
        if word.encode() in words and (not link or program.endswith("usermode-aarch64")):
            found.append(int(folder.name))
    return found


def test_an_older_kernel_needs_no_registration(
    interpreter: Path,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """Before Linux 6.7 a user namespace has no binfmt_misc of its own; the interpreter then serves what it starts."""
    monkeypatch.setattr(tree, "register", lambda proc, interpreter: False)
    room = enter.Room(str(root), str(interpreter), environment=enter.environment({}))
    assert enter.run(room, ["sh", "-c", "ls /proc/sys/fs/binfmt_misc; sh -c 'exit 3'"]) == 3
    assert capfd.readouterr() == ("", "")
