# SPDX-License-Identifier: GPL-2.0-or-later
"""Run a case under an emulator, in namespaces that look the same for every emulator and machine."""

from __future__ import annotations

import base64
import fnmatch
import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.acceptance.cases import Case

INSIDE = Path(__file__).with_name("inside.py")
UNSHARE = ["unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
SYSROOT = "/run/sysroot"

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
    """The namespaces or mounts cannot be made here: too old a kernel, or a container that refuses them."""


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


def run(case: Case, emulator: Emulator, sysroot: Path) -> Result:
    """Run `case` once under `emulator` with the files of `sysroot`; raises WorldError."""
    job = {
        "sysroot": str(sysroot.resolve()),
        "emulator": emulator.command,
        "register": emulator.register,
        "command": [SYSROOT + case.program, *case.arguments],
        "files": case.files,
        "environment": {**ENVIRONMENT, **case.environment},
        "input": case.input,
        "timeout": case.timeout,
    }
    try:
        done = subprocess.run(
            [*UNSHARE, sys.executable, "-I", str(INSIDE)],
            input=json.dumps(job),
            capture_output=True,
            text=True,
            check=False,
        )
    except FileNotFoundError as error:
        raise WorldError(f"no unshare(1) here: {error}") from error
    if done.returncode:
        raise WorldError(f"cannot run cases here: {done.stderr.strip()}")
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
    parts = [f"exit status {result.status}" + (" (stopped: time limit)" if result.timed_out else "")]
    parts.append("--- standard output")
    parts += stdout.decode("utf-8", "backslashreplace").splitlines()
    if case.stderr:
        parts.append("--- standard error")
        parts += result.stderr.decode("utf-8", "backslashreplace").splitlines()
    parts.append("--- files")
    for path, row in sorted(kept(result.tree, case.ignore).items()):
        parts.append(f"{path}: {' '.join(map(str, row))}")
    return "\n".join(parts) + "\n"
