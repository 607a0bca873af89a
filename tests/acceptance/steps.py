# SPDX-License-Identifier: GPL-2.0-or-later
"""The steps of ``steps.toml``, done in a whole Debian tree.

As a program it measures them: ``python -m tests.acceptance.steps [PATTERN…]`` runs each matching step under the
reference and under build/usermode-aarch64, checks both, and prints a Markdown table of their seconds of CPU.
"""

from __future__ import annotations

import fnmatch
import sys
import tomllib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from tests.acceptance import trees

TABLE = Path(__file__).with_name("steps.toml")


@dataclass(frozen=True)
class Step:
    """A shell script, and strings that must be in its output. One for the network finds an archive in `$MIRROR`."""

    name: str
    script: str
    expect: list[str] = field(default_factory=list)
    network: bool = False

    def run(self, interpreter: Path) -> trees.Done:
        """Do the step in a copy of the full tree; raises Unavailable."""
        archive, packages = trees.full(trees.ours())
        start = f"MIRROR={trees.mirror()}\n" if self.network else trees.LOCAL
        command = trees.Command.script(start + self.script)
        job = trees.Job(archive, [command], interpreter, [(str(packages), "/repository")])
        (done,), _ = trees.run(job)
        return done

    def problem(self, done: trees.Done) -> str:
        """What is wrong with what a run did, or nothing."""
        missing = [text for text in self.expect if text not in done.output]
        if not done.status and not missing:
            return ""
        return f"{self.name}: status {done.status}, not in the output: {missing}\n{done.output[-6000:]}"


@cache
def steps() -> tuple[Step, ...]:
    """All steps, in the order of the file."""
    rows = tomllib.loads(TABLE.read_text(encoding="utf-8"))["step"]
    return tuple(Step(**row) for row in rows)


def main(patterns: list[str]) -> int:
    """Measure the steps that match."""
    status = 0
    print("| step | usermode | qemu-aarch64 | ratio |\n|---|---:|---:|---:|", flush=True)
    for step in steps():
        if not any(fnmatch.fnmatch(step.name, pattern) for pattern in patterns or ["*"]):
            continue
        runs = [step.run(interpreter) for interpreter in (trees.ours(), trees.static_qemu())]
        ours, qemu = runs
        ratio = ours.cpu / qemu.cpu
        print(f"| {step.name} | {ours.cpu:.1f} s | {qemu.cpu:.1f} s | {ratio:.2f} |", flush=True)
        for name, done in zip(("usermode", "qemu"), runs, strict=True):
            if problem := step.problem(done):
                status = 1
                print(f"{name}: {problem}", file=sys.stderr, flush=True)
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
