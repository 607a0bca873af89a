# SPDX-License-Identifier: GPL-2.0-or-later
"""The acceptance cases, read from ``cases/*.toml``: one file per family of programs.

A family's file::

    packages = ["bash", "coreutils"]        # Debian packages; their dependencies come along
    sysroot = "java"                        # where they are unpacked once a case needs them; "acceptance" by default
    program = "/bin/bash"                   # inside the sysroot
    suffix = ".sh"                          # the script is written to script.sh

    [[case]]
    name = "arrays"
    quick = true                            # part of the default subset
    script = '''…'''                        # the program's only argument is then script.sh
    arguments = ["-x"]                      # instead of, or after, the script; {script} is its name
    program = "/bin/dash"                   # instead of the family's
    input = "…"                             # standard input; empty by default
    status = 3                              # the expected exit status; 0 by default
    expect = ["…"]                          # strings that the reference's standard output must hold
    output = "…"                            # expected on standard output, where qemu fails: the reference is not run
    stderr = false                          # not compared; compared by default
    stdout = "lines"                        # only the number of lines is compared
    ignore = ["*.pem"]                      # files left behind that are not compared
    timeout = 300                           # seconds; 120 by default
    plain_user = true                       # run as user 1000 instead of root (of a user namespace)
    [case.files]
    "a.txt" = "…"                           # text, or generated: {kind = "words", size = 1000, seed = 1}
    [case.environment]
    NAME = "value"                          # beside the common environment
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

CASES = Path(__file__).parent / "cases"
DEFAULT_SYSROOT = "acceptance"


@dataclass(frozen=True)
class Case:
    """One program run: what is started, with which files and input, and what is compared."""

    family: str
    name: str
    program: str
    arguments: list[str]
    files: dict[str, Any] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    input: str = ""
    status: int = 0
    expect: list[str] = field(default_factory=list)
    stdout: str = "bytes"
    stderr: bool = True
    ignore: list[str] = field(default_factory=list)
    timeout: int = 120
    quick: bool = False
    output: str = ""
    plain_user: bool = False
    sysroot: str = DEFAULT_SYSROOT

    @property
    def id(self) -> str:
        """The name that pytest shows: ``family/case``."""
        return f"{self.family}/{self.name}"

    @property
    def recipe(self) -> dict[str, Any]:
        """What decides the program's result, and so names a stored reference."""
        return {
            "command": [self.program, *self.arguments],
            "files": self.files,
            "environment": self.environment,
            "input": self.input,
            "plain_user": self.plain_user,
        }


def load(path: Path) -> list[Case]:
    """The cases of one family's file; a wrong key is a TypeError."""
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    sysroot = table.get("sysroot", DEFAULT_SYSROOT)
    found = []
    for row in table["case"]:
        row = dict(row)
        files = dict(row.pop("files", {}))
        arguments = list(row.pop("arguments", []))
        program = row.pop("program", table["program"])
        suffix = row.pop("suffix", table.get("suffix", ""))
        if "script" in row:
            script = "script" + suffix
            files[script] = row.pop("script")
            if "{script}" in arguments:
                arguments[arguments.index("{script}")] = script
            else:
                arguments.insert(0, script)
        found.append(
            Case(
                family=path.stem,
                program=program,
                arguments=arguments,
                files=files,
                sysroot=sysroot,
                **row,
            )
        )
    return found


@cache
def all_cases() -> tuple[Case, ...]:
    """Every case of every family, in the order of the files."""
    return tuple(case for path in sorted(CASES.glob("*.toml")) for case in load(path))


@cache
def packages(sysroot: str) -> tuple[str, ...]:
    """The Debian packages that the cases of one sysroot need."""
    named: set[str] = set()
    for path in CASES.glob("*.toml"):
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        if table.get("sysroot", DEFAULT_SYSROOT) == sysroot:
            named.update(table["packages"])
    return tuple(sorted(named))
