# SPDX-License-Identifier: GPL-2.0-or-later
"""What runs the programs: the machine itself, qemu-aarch64, usermode."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HOST_PATH = "/usr/bin:/bin"


@dataclass(frozen=True)
class Engine:
    """One way to run a program: `words`, `sysroot_option` and the sysroot if there is one, the program.

    `absent` says why the engine cannot be used here, if it cannot.
    """

    name: str
    title: str
    words: tuple[str, ...] = ()
    sysroot_option: str = ""
    absent: str | None = None

    @property
    def is_native(self) -> bool:
        """Whether it runs programs of the host's own CPU."""
        return not self.words

    def command(self, program: Path, sysroot: Path | None, arguments: list[str]) -> list[str]:
        """Return the whole command line; a static program runs without a sysroot."""
        option = [self.sysroot_option, str(sysroot)] if sysroot and self.sysroot_option else []
        return [*self.words, *option, str(program), *arguments]

    def version(self) -> str | None:
        """Return the first line that --version prints; None for the machine itself or an absent engine."""
        if self.is_native or self.absent:
            return None
        done = subprocess.run(
            [self.words[0], "--version"], capture_output=True, text=True, check=False
        )
        if done.returncode:
            return f"unknown: --version ends with {done.returncode}"
        return done.stdout.partition("\n")[0]


def find_engines(
    native: bool = True, interpreter: Path = ROOT / "build" / "usermode-aarch64"
) -> list[Engine]:
    """Return the three engines, in the order of the report; those that cannot be used say why."""
    qemu = shutil.which("qemu-aarch64")
    return [
        Engine("native", "native", absent=None if native else "left out"),
        Engine(
            "qemu",
            "qemu-aarch64",
            (qemu or "qemu-aarch64",),
            "-L",
            None if qemu else "qemu-aarch64 is not installed",
        ),
        Engine(
            "usermode",
            "usermode",
            (str(interpreter),),
            "--sysroot",
            None if interpreter.exists() else f"{interpreter.name} has not been built",
        ),
    ]
