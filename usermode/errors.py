# SPDX-License-Identifier: GPL-2.0-or-later
"""Errors of ours that end in one line on standard error, not in a traceback."""

from __future__ import annotations

CANNOT_EXECUTE = 126
"""Exit status for a program that is there but cannot be run, as in sh(1)."""

NOT_FOUND = 127
"""Exit status for a program, or its ELF interpreter, that is not there."""


class UsermodeError(Exception):
    """Something the user can put right: one line, an exit status, perhaps a hint.

    `status` is the exit status of the command that gives up. `hint` is a second line saying what to
    do.
    """

    def __init__(self, message: str, *, status: int = 1, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.hint = hint


class LoadError(UsermodeError):
    """A program that cannot be loaded; `errno` is what execve(2) answers in this case."""

    def __init__(
        self, message: str, errno: int, *, status: int = CANNOT_EXECUTE, hint: str | None = None
    ) -> None:
        super().__init__(message, status=status, hint=hint)
        self.errno = errno


def printable(path: bytes) -> str:
    r"""Return a file name fit for one line of an error, with \x escapes for what has no shape."""
    text = path.decode("utf-8", "backslashreplace")
    # By hand: the interpreter has no codec "unicode_escape".
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)
