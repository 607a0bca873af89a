# SPDX-License-Identifier: GPL-2.0-or-later
"""Where the interpreter is: the program that really runs guests, and that `usermode run` starts."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from binfmt.places import INTERPRETER
from usermode.errors import UsermodeError

INSTALLED = Path(INTERPRETER)
NAME = INSTALLED.name
PACKAGE = Path(__file__).resolve().parents[1]
TREE = PACKAGE.parent
SHIPPED = PACKAGE / "shipped" / NAME
"""In a wheel that was built with it."""
CANNOT_START = 125
"""Exit status when usermode itself fails before the program is tried, as for env(1)."""


def find_interpreter(given: str | None = None) -> str:
    """Return the path of the interpreter.

    `given` (an option) wins over $USERMODE_INTERPRETER; then a source tree's own build, or the wheel's,
    then the installed one. Raises UsermodeError when there is none.
    """
    for chosen, source in (
        (given, "--interpreter"),
        (os.environ.get("USERMODE_INTERPRETER"), "$USERMODE_INTERPRETER"),
    ):
        if chosen:
            if not is_program(chosen):
                raise UsermodeError(
                    f"{source} names {chosen!r}, which is not an executable file",
                    status=CANNOT_START,
                )
            return os.path.abspath(chosen)
    own = TREE / "build" / NAME if (TREE / "Makefile").exists() else SHIPPED
    places = (own, INSTALLED)
    for place in places:
        if is_program(place):
            return str(place)
    raise UsermodeError(
        f"the interpreter {NAME} is not installed (looked for {' and '.join(map(str, places))})",
        status=CANNOT_START,
        hint="'make' in a source tree builds it, 'make wheel' a wheel with it; or $USERMODE_INTERPRETER names one",
    )


def is_program(path: str | Path) -> bool:
    """Tell whether `path` is a regular file that we may execute."""
    return os.path.isfile(path) and os.access(path, os.X_OK)


def describe_interpreter() -> str:
    """Say in one line which interpreter would be used and what it calls itself."""
    try:
        path = find_interpreter()
    except UsermodeError as error:
        return error.message
    return f"{path} ({describe_version(path)})"


def describe_version(path: str) -> str:
    """Say what the interpreter at `path` calls itself, or why it does not."""
    try:
        answer = subprocess.run(
            [path, "--version"], capture_output=True, text=True, errors="replace", timeout=10
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"does not start: {error}"
    if answer.returncode != 0:
        return f"--version ends with status {answer.returncode}"
    return ", ".join(answer.stdout.split(chr(10))).strip(", ")
