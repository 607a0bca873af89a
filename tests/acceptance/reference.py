# SPDX-License-Identifier: GPL-2.0-or-later
"""The reference results: every case under qemu-aarch64, kept by the content that decides them.

qemu-aarch64 cannot start a second guest program by itself, so it is registered with a binfmt_misc instance of the run's
own (see inside.py); nothing of the machine changes and no root is needed.

As a program it checks the cases themselves: ``python -m tests.acceptance.reference [PATTERN…]`` runs each matching case
twice under the reference and reports those that differ, fail, or lack an expected string.  With ``--ours`` it also runs
build/usermode-aarch64 and prints the difference; ``--show`` prints the reference's result.
"""

from __future__ import annotations

import argparse
import difflib
import fcntl
import fnmatch
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from tests.acceptance import world
from tests.acceptance.cases import Case, all_cases, packages
from tests.acceptance.world import Emulator, Result

ROOT = Path(__file__).resolve().parents[2]
STORE = ROOT / "build" / "acceptance" / "reference"
SYSROOTS = ROOT / ".cache" / "sysroot"
OURS = ROOT / "build" / "usermode-aarch64"
FETCH = ROOT / "tools" / "fetch_arm64.py"


class Unavailable(Exception):
    """Something that the acceptance tests need is missing here; the text says what."""


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold an exclusive lock, so parallel test processes fetch the packages once."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@cache
def fetch(name: str) -> str:
    """Fetch the packages of a sysroot unless they are there; returns why that failed, or nothing.

    An answer is kept either way: without a network every case would wait for apt again.
    """
    folder = SYSROOTS / name
    wanted = "\n".join(packages(name)) + "\n"
    stamp = folder.with_suffix(".packages")
    with locked(folder.with_suffix(".lock")):
        if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
            return ""
        done = subprocess.run(
            [
                sys.executable,
                str(FETCH),
                "--into",
                str(folder),
                "--with-dependencies",
                *packages(name),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            return done.stderr.strip()[-400:] or f"{FETCH.name} exits with {done.returncode}"
        stamp.write_text(wanted, encoding="utf-8")
    return ""


def sysroot(case: Case) -> Path:
    """The folder with the Debian packages of a case, fetched at first use; raises Unavailable."""
    failure = fetch(case.sysroot)
    if failure:
        raise Unavailable(f"no arm64 packages here and none to be had: {failure}")
    return SYSROOTS / case.sysroot


@cache
def qemu() -> Emulator:
    """The reference emulator; raises Unavailable."""
    path = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")
    if path is None:
        raise Unavailable("no qemu-aarch64 here (package qemu-user)")
    return Emulator("reference", [path, "-L", world.SYSROOT], register=path)


@cache
def ours() -> Emulator:
    """The interpreter of this checkout, or the one that USERMODE_ACCEPTANCE_INTERPRETER names; raises Unavailable."""
    path = Path(os.environ.get("USERMODE_ACCEPTANCE_INTERPRETER", OURS)).absolute()
    if not path.is_file():
        raise Unavailable(f"{path} is not built (make)")
    return Emulator("ours", [str(path), "--sysroot", world.SYSROOT])


@cache
def surroundings(root: Path) -> str:
    """A digest of all that decides a result beside the case: sysroot, reference emulator, the runner's code."""
    digest = hashlib.sha256()
    for top, folders, files in os.walk(root):
        folders.sort()
        for name in sorted(files):
            facts = os.lstat(os.path.join(top, name))
            digest.update(
                f"{os.path.relpath(top, root)}/{name} {facts.st_mode} {facts.st_size}\n".encode()
            )
            digest.update(f"{int(facts.st_mtime)}\n".encode())
    version = subprocess.run([qemu().command[0], "--version"], capture_output=True, check=True)
    digest.update(version.stdout)
    digest.update(json.dumps(world.ENVIRONMENT).encode())
    digest.update(world.INSIDE.read_bytes())
    return digest.hexdigest()


def checked(case: Case, result: Result) -> Result:
    """`result`, if it is what the case promises of the reference; an AssertionError tells a broken case."""
    shown = world.comparable(case, result)
    if result.timed_out or result.status != case.status:
        raise AssertionError(f"{case.id}: the reference should exit with {case.status}:\n{shown}")
    for text in case.expect:
        if text.encode() not in result.stdout:
            raise AssertionError(f"{case.id}: the reference does not print {text!r}:\n{shown}")
    return result


def reference(case: Case) -> Result:
    """The reference's result of `case`: stored, or made now and stored; raises Unavailable and WorldError."""
    if case.output:
        return Result(case.status, False, case.output.encode(), b"", {}, 0, 0)
    root = sysroot(case)
    recipe = json.dumps([case.recipe, surroundings(root)], sort_keys=True)
    path = (
        STORE / f"{case.family}-{case.name}-{hashlib.sha256(recipe.encode()).hexdigest()[:24]}.json"
    )
    if path.is_file():
        return checked(case, Result.from_json(path.read_text(encoding="utf-8")))
    result = checked(case, world.run(case, qemu(), root))
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{os.getpid()}")
    unfinished.write_text(result.to_json(), encoding="utf-8")
    unfinished.rename(path)
    return result


def difference(case: Case, left: Result, right: Result, names: tuple[str, str]) -> str:
    """A unified diff of two results; empty when they agree in everything that the case compares."""
    before, after = (
        world.comparable(case, result).splitlines(keepends=True) for result in (left, right)
    )
    return "".join(difflib.unified_diff(before, after, *names, n=2))


def main() -> int:
    """Check the cases against the reference, and with --ours the interpreter against them."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("patterns", nargs="*", default=["*"], help="family/case, with * and ?")
    parser.add_argument(
        "--ours", action="store_true", help="compare the interpreter with the reference"
    )
    parser.add_argument("--show", action="store_true", help="print the reference's result")
    parser.add_argument("--quick", action="store_true", help="only the default subset")
    options = parser.parse_args()
    failures = 0
    for case in all_cases():
        if options.quick and not case.quick:
            continue
        if not any(fnmatch.fnmatch(case.id, pattern) for pattern in options.patterns):
            continue
        try:
            first = reference(case)
            emulator = ours() if options.ours else qemu()
            second = world.run(case, emulator, sysroot(case))
            problem = difference(case, first, second, ("reference", emulator.name))
        except AssertionError as error:
            problem, first, second = str(error), None, None
        if first and second:
            print(
                f"{'FAIL' if problem else 'ok  '} {case.id:40} {first.cpu:7.2f} s {second.cpu:7.2f} s",
                flush=True,
            )
        if options.show and first:
            print(world.comparable(case, first))
        if problem:
            failures += 1
            print(problem[:6000], flush=True)
    print(f"{failures} failed")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
