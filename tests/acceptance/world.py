# SPDX-License-Identifier: GPL-2.0-or-later
"""Run a case under an emulator, in namespaces that look the same for every emulator and machine."""

from __future__ import annotations

import base64
import fnmatch
import json
import shutil
import subprocess
import sys
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.acceptance.cases import Case

INSIDE = Path(__file__).with_name("inside.py")
UNSHARE = [
    "unshare",
    "--user",
    "--map-root-user",
    "--mount",
    "--pid",
    "--fork",
    "--kill-child",
    "--mount-proc",
]
# For programs that refuse to run as root; the files of the outer namespace's root are then this user's.
PLAIN_USER = ["/usr/bin/unshare", "--user", "--map-user=1000", "--map-group=1000"]
SYSROOT = "/run/sysroot"

# qemu-user announces a fatal signal itself; Linux leaves that to the parent.
QEMU_REMARK = "qemu: uncaught target signal"

# LD_PREFIX is qemu's name for the sysroot, set for both; ours is told with --sysroot and has to hand it on by itself.
# Bytecode must not be written beside the modules: the sysroot is read-only and shared.
ENVIRONMENT = {
    "PATH": ":".join(f"{SYSROOT}{folder}" for folder in ("/usr/bin", "/bin", "/usr/sbin", "/sbin")),
    "HOME": "/run/case",
    "SHELL": f"{SYSROOT}/bin/bash",
    "LC_ALL": "C",
    "TZ": "UTC0",
    "QEMU_LD_PREFIX": SYSROOT,
    "PYTHONDONTWRITEBYTECODE": "1",
    "PYTHONHASHSEED": "0",
}


class WorldError(Exception):
    """The namespaces or mounts cannot be made here: too old a kernel, or a container's refusal."""


@dataclass(frozen=True)
class Emulator:
    """How an emulator starts a program: the words before the program, and the file to register for execve(2)."""

    name: str
    command: list[str]
    register: str | None = None


@dataclass(frozen=True)
class Result:
    """What a run did: exit status (negative: ended by that signal), output, files left behind, seconds."""

    status: int
    timed_out: bool
    stdout: bytes
    stderr: bytes
    tree: dict[str, list[Any]]
    wall: float
    cpu: float

    def to_json(self) -> str:
        """The stored form; :meth:`from_json` reads it."""
        row = asdict(self)
        for stream in ("stdout", "stderr"):
            row[stream] = base64.b64encode(row[stream]).decode()
        return json.dumps(row, indent=1)

    @classmethod
    def from_json(cls, text: str | bytes) -> Result:
        """Read the form that :meth:`to_json` and inside.py write."""
        row = json.loads(text)
        for stream in ("stdout", "stderr"):
            row[stream] = base64.b64decode(row[stream])
        return cls(**row)


def inside(job: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    """Run inside.py with `job` in fresh namespaces."""
    return subprocess.run(
        [*UNSHARE, sys.executable, "-I", str(INSIDE)],
        input=json.dumps(job),
        capture_output=True,
        text=True,
        check=False,
    )


@cache
def probe(sysroot: Path, register: str | None) -> None:
    """Make the surroundings once with nothing run in them; raises WorldError if they cannot be."""
    if shutil.which(UNSHARE[0]) is None:
        raise WorldError("no unshare(1) here (package util-linux)")
    done = inside({"sysroot": str(sysroot.resolve()), "register": register, "probe": True})
    if done.returncode:
        raise WorldError(f"no namespaces of one's own here: {done.stderr.strip()}")


def run(case: Case, emulator: Emulator, sysroot: Path) -> Result:
    """Run `case` once under `emulator` with the files of `sysroot`.

    Raises WorldError if no case can be run here, and RuntimeError if this run was broken off, by too
    much output or by the kernel for lack of memory.
    """
    probe(sysroot, emulator.register)
    done = inside(
        {
            "probe": False,
            "sysroot": str(sysroot.resolve()),
            "emulator": [*(PLAIN_USER if case.plain_user else ()), *emulator.command],
            "register": emulator.register,
            "command": [SYSROOT + case.program, *case.arguments],
            "files": case.files,
            "environment": {**ENVIRONMENT, **case.environment},
            "input": case.input,
            "timeout": case.timeout,
        }
    )
    if done.returncode:
        raise RuntimeError(f"{case.id} under {emulator.name} was broken off: {done.stderr.strip()}")
    return Result.from_json(done.stdout)


def kept(tree: dict[str, list[Any]], ignore: list[str]) -> dict[str, list[Any]]:
    """The files of `tree` whose paths match no pattern of `ignore`."""
    return {
        path: row
        for path, row in tree.items()
        if not any(fnmatch.fnmatch(path, pattern) for pattern in ignore)
    }


def comparable(case: Case, result: Result) -> str:
    """`result` as text that is equal for equal runs: what a unified diff is made of."""
    stdout = result.stdout
    if case.stdout == "lines":
        stdout = b"%d lines\n" % stdout.count(b"\n")
    parts = [
        f"exit status {result.status}" + (" (stopped: time limit)" if result.timed_out else "")
    ]
    parts.append("--- standard output")
    parts += stdout.decode("utf-8", "backslashreplace").splitlines()
    if case.stderr:
        parts.append("--- standard error")
        lines = result.stderr.decode("utf-8", "backslashreplace").splitlines()
        parts += [line for line in lines if not line.startswith(QEMU_REMARK)]
    parts.append("--- files")
    for path, row in sorted(kept(result.tree, case.ignore).items()):
        parts.append(f"{path}: {' '.join(map(str, row))}")
    return "\n".join(parts) + "\n"
