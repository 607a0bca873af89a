# SPDX-License-Identifier: GPL-2.0-or-later
"""The wheel and the source distribution, installed by pip into fresh virtual environments."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import BUILD, ROOT, run

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

PROGRAMS = ("usermode-aarch64", "usermode-sample")


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the source distribution."""
    if not all((BUILD / name).exists() for name in PROGRAMS):
        pytest.skip("nothing to put into a wheel: run `make`")
    folder = tmp_path_factory.mktemp("dist")
    done = subprocess.run(
        [ROOT / "tools/build_wheel.sh", folder], capture_output=True, text=True, cwd=ROOT
    )
    if "No matching distribution" in done.stderr or "Could not find a version" in done.stderr:
        pytest.skip("hatchling cannot be downloaded")
    assert done.returncode == 0, done.stderr
    return folder


def environment(folder: Path, package: Path) -> Path:
    """Make a virtual environment with the package and what it needs; return its folder of programs."""
    subprocess.run(["/usr/bin/python3.11", "-m", "venv", "--without-pip", folder], check=True)
    pip = [sys.executable, "-m", "pip", "--python", folder / "bin/python"]
    command = [*pip, "install", "--quiet", "--disable-pip-version-check", package]
    done = subprocess.run(command, capture_output=True, text=True)
    if "No matching distribution" in done.stderr or "Could not find a version" in done.stderr:
        pytest.skip(f"pip cannot download what the package needs: {done.stderr.splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    return folder / "bin"


def test_wheel_has_the_interpreter(dist: Path, tmp_path: Path) -> None:
    (wheel,) = dist.glob("*.whl")
    assert "x86_64" in wheel.name
    programs = environment(tmp_path / "venv", wheel)
    usermode = programs / "usermode"
    version = run([usermode, "--version"], cwd=tmp_path).stdout.decode()
    assert f"interpreter: {tmp_path}/venv/lib/" in version
    outcome = run([usermode, "run", BUILD / "usermode-sample", "one"], cwd=tmp_path)
    assert (outcome.status, outcome.stderr) == (23, b"")
    assert b"\none\n" in outcome.stdout
    assert not (programs.parent / "lib/python3.11/site-packages/unicorn").exists()

    root = tmp_path / "root"
    (root / "usr/bin").mkdir(parents=True)
    (root / "usr/bin/python3").symlink_to("/usr/bin/python3")
    installed = run([usermode, "install", "--root", root], cwd=tmp_path, timeout=120)
    assert installed.stdout.startswith(b"installed "), installed.stderr
    new = root / "usr/libexec/usermode/usermode-aarch64"
    assert new.read_bytes() == (BUILD / "usermode-aarch64").read_bytes()
    assert not list(root.rglob("shipped"))


def test_source_distribution_has_none_and_says_so(dist: Path, tmp_path: Path) -> None:
    (source,) = dist.glob("*.tar.gz")
    usermode = environment(tmp_path / "venv", source) / "usermode"
    assert run([usermode, "syscalls", "openat"], cwd=tmp_path).status == 0
    for command in (("run", "/bin/true"), ("install", "--root", tmp_path)):
        outcome = run([usermode, *command], cwd=tmp_path)
        words = outcome.stderr.decode()
        assert outcome.status in (125, 1)
        assert "usermode-aarch64 is not" in words
        assert "make wheel" in words
