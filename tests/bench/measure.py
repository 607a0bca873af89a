# SPDX-License-Identifier: GPL-2.0-or-later
"""Run a command a few times and say what it took."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path

# Nothing of the caller's: no LD_*, QEMU_* or USERMODE_* variable, and no random seeds.
ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "HOME": "/",
    "LC_ALL": "C.UTF-8",
    "PYTHONHASHSEED": "0",
    "PERL_HASH_SEED": "0",
}


class RunFailed(Exception):
    """A program did not do its work; the message says why, in a line."""


@dataclass(frozen=True)
class Sample:
    """What one execution took: user and system time together and wall time in seconds, peak memory in KiB."""

    cpu: float
    wall: float
    memory: int


@dataclass(frozen=True)
class Runs:
    """Executions of one command in a row, and the SHA-256 of all they wrote to standard output."""

    samples: list[Sample]
    output: str


def describe(status: int) -> str:
    """Return a wait status in words."""
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        return f"ended by {signal.Signals(-code).name}"
    return f"exit status {code}"


def last_line(text: bytes) -> str:
    """Return the last line of what a program wrote, short enough for a table."""
    lines = text.decode(errors="replace").strip().splitlines()
    return lines[-1][:120] if lines else ""


def parse(figures: str, errors: bytes) -> list[Sample]:
    """Read the lines of programs/measure.c; raises RunFailed if an execution failed."""
    samples = []
    for line in figures.splitlines():
        status, cpu, wall, memory = (int(word) for word in line.split())
        if status:
            raise RunFailed(": ".join(filter(None, [describe(status), last_line(errors)])))
        samples.append(Sample(cpu / 1e6, wall / 1e6, memory))
    return samples


def run(measure: Path, command: list[str], executions: int, folder: Path, timeout: float) -> Runs:
    """Run `command` in `folder`, `executions` times, under the program `measure`; raises RunFailed.

    `timeout` is in seconds, for all executions together; they are killed when it is over.
    """
    with (folder / "figures").open("w+") as figures, (folder / "output").open("w+b") as output:
        child = subprocess.Popen(
            [str(measure), str(figures.fileno()), str(executions), *command],
            cwd=folder,
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.PIPE,
            pass_fds=[figures.fileno()],
            start_new_session=True,
        )
        try:
            _, errors = child.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            raise RunFailed(f"not done after {timeout:g} s") from None
        finally:
            if child.poll() is None:
                os.killpg(child.pid, signal.SIGKILL)
                child.communicate()
        figures.seek(0)
        samples = parse(figures.read(), errors)
        if child.returncode or len(samples) != executions:
            raise RunFailed(last_line(errors) or f"measure ended with {child.returncode}")
        output.seek(0)
        return Runs(samples, hashlib.file_digest(output, "sha256").hexdigest())
