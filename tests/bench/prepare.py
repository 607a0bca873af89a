# SPDX-License-Identifier: GPL-2.0-or-later
"""Make ready what the cases need: compiled programs, Debian's programs for arm64, input files."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tests.bench.cases import Case, Compiled, Debian
from tests.bench.engines import HOST_PATH, ROOT, Engine

PROGRAMS = Path(__file__).with_name("programs")
CROSS_SYSROOT = Path("/usr/aarch64-linux-gnu")
DEBIAN_SYSROOT = ROOT / ".cache" / "bench-sysroot"
HOST_COMPILER = "gcc"
GUEST_COMPILER = "aarch64-linux-gnu-gcc"
FLAGS = ("-std=gnu17", "-O2", "-Wall", "-Wextra", "-Werror")


class PrepareError(Exception):
    """Something a case needs cannot be had; the message says what, in a line."""


class NotHere(Exception):
    """The host has no program to compare with; the message names it."""


def command(*words: str) -> None:
    """Run a tool; raises PrepareError with the last line it wrote."""
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise PrepareError(f"{words[0]} is not installed") from None
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise PrepareError(f"{Path(words[0]).name}: {lines[-1]}")


@dataclass
class Workplace:
    """The folder where programs are compiled and run, and the Debian packages that the cases need."""

    folder: Path
    packages: frozenset[str] = frozenset()
    fetched: PrepareError | bool = False  # whether the packages are unpacked, or why they cannot be

    @property
    def data(self) -> Path:
        """The current folder of every run; programs are given names relative to it."""
        return self.folder / "data"

    def open(self) -> None:
        """Make the folders and copy the scripts in."""
        self.data.mkdir(parents=True, exist_ok=True)
        for script in PROGRAMS.glob("work.*"):
            shutil.copyfile(script, self.data / script.name)

    def compile(self, program: Compiled, native: bool) -> Path:
        """Return the program compiled for the host's CPU or the guest's."""
        source = PROGRAMS / f"{program.source}.c"
        made = self.folder / f"{program.name}.{'x86_64' if native else 'aarch64'}"
        if not made.exists() or made.stat().st_mtime < source.stat().st_mtime:
            compiler = HOST_COMPILER if native else GUEST_COMPILER
            flags = [*FLAGS, *program.flags, *(program.host_flags if native else ())]
            link = ["-static"] if program.static else []
            command(compiler, *flags, *link, "-o", str(made), str(source), "-lm", "-pthread")
        return made

    def fetch(self) -> None:
        """Unpack Debian's packages for arm64 with all they depend on; raises PrepareError. It is tried once."""
        if isinstance(self.fetched, PrepareError):
            raise self.fetched
        if self.fetched:
            return
        stamp = DEBIAN_SYSROOT / ".bench-packages"
        present = set(stamp.read_text().split()) if stamp.exists() else set()
        if not self.packages <= present:
            wanted = sorted(self.packages | present)
            tool = str(ROOT / "tools" / "fetch_arm64.py")
            try:
                command(
                    sys.executable,
                    tool,
                    "--into",
                    str(DEBIAN_SYSROOT),
                    "--with-dependencies",
                    *wanted,
                )
            except PrepareError as error:
                self.fetched = error
                raise
            stamp.write_text("\n".join(wanted) + "\n")
        self.fetched = True

    def program(self, case: Case, engine: Engine) -> Path:
        """Return the file to run; raises PrepareError, or NotHere for a program that the host lacks."""
        if isinstance(case.program, Compiled):
            return self.compile(case.program, engine.is_native)
        if not engine.is_native:
            self.fetch()
            return DEBIAN_SYSROOT / "usr" / "bin" / case.program.command
        found = shutil.which(case.program.command, path=HOST_PATH)
        if not found:
            raise NotHere(f"no {case.program.command} on this machine")
        return Path(found)

    def sysroot(self, case: Case) -> Path | None:
        """Return the folder with the guest's libraries; None for a static program."""
        if isinstance(case.program, Debian):
            return DEBIAN_SYSROOT
        return None if case.program.static else CROSS_SYSROOT

    def arguments(self, case: Case, n: int) -> list[str]:
        """Return the arguments for the amount of work n."""
        name = f"input-{n}"
        if any("{input}" in word for word in case.arguments):
            self.write_input(self.data / name, n)
        return [word.format(n=n, input=name) for word in case.arguments]

    @staticmethod
    def write_input(file: Path, size: int) -> None:
        """Write `size` bytes of words that compress to about a third, always the same ones."""
        if file.exists() and file.stat().st_size == size:
            return
        chance = random.Random(1)
        words = [f"{chance.getrandbits(chance.randrange(8, 40)):x}" for _ in range(4000)]
        block = " ".join(chance.choices(words, k=1 << 18)).encode()
        file.write_bytes((block * (size // len(block) + 1))[:size])
