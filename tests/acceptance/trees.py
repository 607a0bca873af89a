# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian root trees for the acceptance tests: made once, kept as archives, run in namespaces of their own.

A tree grows in three steps, each kept in ``.cache/trees`` under a hash of what went into it:

* *first stage*: what ``debootstrap --foreign`` unpacks, natively; this alone needs a network,
* *base*: after its second stage, run by an emulator,
* *full*: with :data:`PACKAGES` installed by the tree's own apt, from a folder of .deb files.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from tests.acceptance.reference import OURS, ROOT, Unavailable, locked
from usermode.container.identity import identity

STORE = ROOT / ".cache" / "trees"
SUITE = "bookworm"
QEMU_PACKAGE = "qemu-user-static"
QEMU = "usr/libexec/qemu-binfmt/aarch64-binfmt-P"
PACKAGES = (
    *("build-essential", "debhelper", "fakeroot", "locales", "man-db", "python3-venv"),
    *("systemd", "xz-utils"),
)
"""What the full tree has beside the base."""
TO_INSTALL = ("hello", "jq", "tree")
"""What a test installs."""


@dataclass
class Command:
    """A command in the tree or, with `host`, beside it, where {tree} stands for its folder."""

    words: Sequence[str]
    host: bool = False

    @classmethod
    def script(cls, text: str) -> Command:
        """A shell script that ends at its first error."""
        return cls(["/bin/sh", "-ec", text])


@dataclass
class Done:
    """What a command did: its exit status, its output and messages in one, seconds of CPU and by the clock."""

    status: int
    output: str
    cpu: float
    wall: float


@dataclass
class Job:
    """Commands for one tree, run in turn until one fails; `keep` names an archive to make of the tree then."""

    archive: Path | None
    commands: list[Command]
    interpreter: Path = OURS
    binds: list[tuple[str, str]] = field(default_factory=list)
    list_files: bool = False
    keep: Path | None = None
    size: str = "4g"
    timeout: int = 900


def run(job: Job) -> tuple[list[Done], list[str]]:
    """Run a job; what each command did, and the list of the tree's files if asked for. Raises Unavailable."""
    check_namespaces()
    with tempfile.TemporaryDirectory(prefix="usermode-tree-") as name:
        top = Path(name)
        kept = job.keep.with_suffix(f".{os.getpid()}") if job.keep else None
        table = {
            "archive": str(job.archive) if job.archive else None,
            "commands": [vars(command) for command in job.commands],
            "interpreter": str(job.interpreter),
            "binds": job.binds,
            "list": job.list_files,
            "keep": str(kept) if kept else None,
            "size": job.size,
        }
        (top / "job.json").write_text(json.dumps(table))
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.acceptance.tree_inside", str(top)],
            cwd=ROOT,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            _, errors = process.communicate(timeout=job.timeout)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGKILL)  # everything below dies with it
            process.communicate()
            raise
        if process.returncode:
            raise RuntimeError(f"the tree could not be made: {errors.strip()[-2000:]}")
        answer: dict[str, Any] = json.loads((top / "result.json").read_text())
        if kept and job.keep and kept.exists():
            kept.rename(job.keep)
    answer["results"][-1]["output"] += errors  # why the tree could not be entered
    return [Done(**row) for row in answer["results"]], answer["listing"]


@cache
def check_namespaces() -> None:
    """Raise Unavailable where no namespace with several users can be made."""
    if identity().single:
        raise Unavailable("a tree has more users than one: be root, or have a range in /etc/subuid")
    probe = subprocess.run(["unshare", "-Urmpf", "true"], capture_output=True, text=True)
    if probe.returncode:
        raise Unavailable(f"no namespaces of one's own here: {probe.stderr.strip()}")


def key(*parts: object) -> str:
    """A short hash that names what was made of `parts`."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:16]


def archives(packages: Sequence[str]) -> list[Path]:
    """The .deb files for arm64 of packages and all they depend on; raises Unavailable."""
    from tools import fetch_arm64

    fetch_arm64.ARCHIVES.mkdir(parents=True, exist_ok=True)
    with locked(fetch_arm64.CACHE / "lock"):
        try:
            return fetch_arm64.archives(list(packages), with_dependencies=True)
        except fetch_arm64.FetchError as error:
            raise Unavailable(f"no packages to be had: {error}") from error


@cache
def repository(*packages: str) -> Path:
    """A folder that apt takes as a repository, with packages and all they depend on; raises Unavailable."""
    if not shutil.which("dpkg-scanpackages"):
        raise Unavailable("no dpkg-scanpackages here (package dpkg-dev)")
    files = archives(packages)
    folder = STORE / f"repository-{key(sorted(file.name for file in files))}"
    with locked(STORE / "repository.lock"):
        if (folder / "Packages").exists():
            return folder
        folder.mkdir(parents=True, exist_ok=True)
        for file in files:
            (folder / file.name).unlink(missing_ok=True)
            os.link(file, folder / file.name)
        index = subprocess.run(
            ["dpkg-scanpackages", "--multiversion", "."],
            cwd=folder,
            capture_output=True,
            check=True,
        )
        new = folder / "Packages.new"
        new.write_bytes(index.stdout)
        new.rename(folder / "Packages")
    return folder


@cache
def static_qemu() -> Path:
    """The reference emulator in the form that binfmt_misc takes, unpacked and not installed; raises Unavailable."""
    policy = subprocess.run(
        ["apt-cache", "policy", QEMU_PACKAGE], capture_output=True, text=True, check=False
    )
    candidate = [line.split()[1] for line in policy.stdout.splitlines() if "Candidate:" in line]
    if not candidate or candidate[0] == "(none)":
        raise Unavailable(f"apt knows no package {QEMU_PACKAGE}")
    folder = STORE / f"qemu-{candidate[0].replace(':', '_').replace('+', '_')}"
    with locked(STORE / "qemu.lock"):
        if (folder / QEMU).exists():
            return folder / QEMU
        with tempfile.TemporaryDirectory(dir=STORE) as place:
            done = subprocess.run(
                ["apt-get", "-q", "-oAPT::Sandbox::User=", "download", QEMU_PACKAGE],
                cwd=place,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                raise Unavailable(f"{QEMU_PACKAGE} cannot be had: {done.stderr.strip()[-300:]}")
            (package,) = Path(place).glob("*.deb")
            subprocess.run(["dpkg-deb", "-x", package, folder], check=True)
    return folder / QEMU


def first_stage() -> Path:
    """The archive of a tree after ``debootstrap --foreign``; raises Unavailable."""
    path = STORE / f"first-stage-{SUITE}.tar"
    with locked(STORE / "first-stage.lock"):
        if path.exists():
            return path
        if not shutil.which("debootstrap", path=os.environ.get("PATH", "") + ":/usr/sbin"):
            raise Unavailable("debootstrap is not installed")
        words = ["debootstrap", "--foreign", "--arch=arm64", "--variant=minbase"]
        command = Command([*words, SUITE, "{tree}"], host=True)
        (done,), _ = run(Job(None, [command], keep=path))
        if done.status:
            raise Unavailable(f"debootstrap cannot fetch a tree: {done.output.strip()[-300:]}")
    return path


def ours() -> Path:
    """The interpreter of this checkout; raises Unavailable."""
    if not OURS.is_file():
        raise Unavailable(f"{OURS} is not built (make)")
    return OURS


SECOND_STAGE = """
/debootstrap/debootstrap --second-stage
echo "audit: $(dpkg --audit)"
echo "installed: $(dpkg -l | grep -c ^ii)"
set -- /proc/[0-9]*  # the namespace's first process, and this shell
echo "processes: $#"
"""
LOCAL = """
rm -rf /etc/apt/sources.list.d /etc/apt/sources.list
echo 'deb [trusted=yes] file:/repository ./' > /etc/apt/sources.list
apt-get -q update
"""


def mirror() -> str:
    """The address of the archive that this machine's own apt uses first; raises Unavailable."""
    targets = ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages"]
    done = subprocess.run(targets, capture_output=True, text=True, check=False)
    if not done.stdout:
        raise Unavailable("this machine's apt has no archive")
    return done.stdout.split()[0]


def base(interpreter: Path) -> Path:
    """The archive of a tree after the second stage; raises Unavailable."""
    first = first_stage()
    path = STORE / f"base-{stamp(first)}.tar"
    with locked(STORE / "base.lock"):
        if not path.exists():
            make(Job(first, [Command.script(SECOND_STAGE)], interpreter, keep=path, timeout=1800))
    return path


def full(interpreter: Path) -> tuple[Path, Path]:
    """The archive of a tree with PACKAGES, and the repository they came from; raises Unavailable."""
    start = base(interpreter)
    packages = repository(*PACKAGES, *TO_INSTALL)
    path = STORE / f"full-{stamp(start)}-{packages.name.rpartition('-')[2]}.tar"
    script = LOCAL + f"apt-get -q -y --no-install-recommends install {' '.join(PACKAGES)}\n"
    script += "apt-get clean\n"
    with locked(STORE / "full.lock"):
        if not path.exists():
            binds = [(str(packages), "/repository")]
            command = Command.script(script)
            make(Job(start, [command], interpreter, binds, keep=path, timeout=3600))
    return path, packages


def stamp(archive: Path) -> str:
    """What tells an archive from a newer one."""
    facts = archive.stat()
    return key(archive.name, facts.st_size, int(facts.st_mtime))


def make(job: Job) -> None:
    """Run a job that has to succeed."""
    done = run(job)[0][-1]
    if done.status:
        raise RuntimeError(
            f"a tree could not be made, status {done.status}:\n{done.output[-3000:]}"
        )
