# SPDX-License-Identifier: GPL-2.0-or-later
"""Run modules of CPython's test-suite natively and as guests, and compare the outcome of each test.

Both sides are Debian's Python of the same version with the same files of tests (package libpython3.11-testsuite, which
is the same for all CPUs), in namespaces of their own: see inside.py.

As a program it shows what differs: ``python -m tests.acceptance.cpython.suite MODULE [PATTERN…]``.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from tests.acceptance import reference, world

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
SYSROOT = ROOT / ".cache" / "sysroot" / "cpython"
PACKAGES = ("python3.11", "libpython3.11-testsuite", "dash", "bash", "coreutils")
PYTHON = "/usr/bin/python3.11"
TEST_LIMIT = 240

Outcomes = dict[str, tuple[str, str]]


@dataclass(frozen=True)
class Module:
    """A row of modules.toml.

    Tests are named by parts of their names. `quick`: those for every day; `leave`: why one is not run; `differs`: why
    one may end otherwise, by its name without the module's.
    """

    name: str
    quick: list[str] = field(default_factory=list)
    leave: dict[str, str] = field(default_factory=dict)
    timeout: int = 900
    differs: dict[str, str] = field(default_factory=dict)


@cache
def modules() -> tuple[Module, ...]:
    """The rows of modules.toml; a wrong key is a TypeError."""
    table = tomllib.loads((HERE / "modules.toml").read_text(encoding="utf-8"))
    return tuple(Module(name=name, **row) for name, row in table.items())


@cache
def sysroot() -> Path:
    """The folder with Debian's Python for arm64, fetched at first use; raises Unavailable."""
    if not Path(PYTHON).exists():
        raise reference.Unavailable(f"no {PYTHON} here to compare with")
    stamp = SYSROOT.with_suffix(".packages")
    wanted = "\n".join(PACKAGES) + "\n"
    with reference.locked(SYSROOT.with_suffix(".lock")):
        if not stamp.is_file() or stamp.read_text(encoding="utf-8") != wanted:
            command = [sys.executable, reference.FETCH, "--into", SYSROOT, "--with-dependencies"]
            done = subprocess.run(
                [*command, *PACKAGES], capture_output=True, text=True, check=False
            )
            if done.returncode:
                raise reference.Unavailable(f"no Python for arm64: {done.stderr.strip()[-300:]}")
            for folder in ("dev", "proc", "run", "tmp"):
                (SYSROOT / folder).mkdir(exist_ok=True)
            stamp.write_text(wanted, encoding="utf-8")
    return SYSROOT


def run(module: str, patterns: Sequence[str], interpreter: str, timeout: int) -> Outcomes:
    """Run a module's tests as a guest, or natively if `interpreter` is empty; the outcome and reason of each test.

    A test during which the whole module ended is "started", and none after it is known.
    """
    root = sysroot()
    world.probe(root, None)
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(HERE / "outcomes.py", folder)
        command = [*world.UNSHARE, sys.executable, "-I", str(HERE / "inside.py"), str(root)]
        command += [interpreter, folder, PYTHON, "/run/outcomes.py", "/run/outcomes"]
        try:
            done = subprocess.run(
                [*command, str(TEST_LIMIT), module, *patterns],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=timeout,
                check=False,
            )
            last = done.stderr
        except subprocess.TimeoutExpired as late:
            last = (late.stderr or b"") + f"\nstill running after {timeout} s".encode()
        file = Path(folder, "outcomes")
        if not file.exists():
            raise AssertionError(f"{module} did not start:\n{last.decode(errors='replace')}")
        return parse(file.read_text(encoding="utf-8"))


def parse(text: str) -> Outcomes:
    """Read the lines of outcomes.py; a failed part makes its test failed."""
    found: Outcomes = {}
    for line in text.splitlines():
        name, outcome, detail = json.loads(line)
        if outcome == "started" or found.get(name, ("",))[0] != "fail":
            found[name] = (outcome, detail)
    return found


def differences(module: Module, native: Outcomes, guest: Outcomes) -> dict[str, str]:
    """What differs without a reason in `module`, by the test's name, in words."""
    found = {}
    for name, (outcome, detail) in native.items():
        other, why = guest.get(name, ("absent", ""))
        if outcome != other and not module.differs.get(short(module.name, name)):
            found[name] = f"{outcome} {detail} natively, {other} {why} as a guest"
    return found


def short(module: str, name: str) -> str:
    """The test's name without the module's, as modules.toml has it."""
    return name.removeprefix(f"test.{module}.")


def compare(module: Module, patterns: Sequence[str]) -> tuple[int, dict[str, str]]:
    """Run a module both ways; how many tests there were, and what differs.

    Many of these tests have time limits of their own, so those that differ are run again, each alone on both sides:
    what differs then too counts.
    """
    interpreter = reference.ours().command[0]
    patterns = [*patterns, *(f"-{name}" for name in module.leave)]
    with ThreadPoolExecutor(2) as pool:
        native, guest = pool.map(
            lambda who: run(module.name, patterns, who, module.timeout), ("", interpreter)
        )
    found = differences(module, native, guest)
    for name in list(found):
        again = [run(module.name, [name], who, module.timeout) for who in ("", interpreter)]
        del found[name]
        found.update(differences(module, *again))
    return len(native), found


def main() -> int:
    """Show what differs in one module."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("module")
    parser.add_argument("patterns", nargs="*")
    options = parser.parse_args()
    known = {module.name: module for module in modules()}
    module = known.get(options.module, Module(options.module))
    count, found = compare(module, options.patterns)
    for name, text in found.items():
        print(f"{name}: {text}")
    print(f"{count} tests, {len(found)} differ")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
