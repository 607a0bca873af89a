# SPDX-License-Identifier: GPL-2.0-or-later
"""Running the sample program, and seeing who really runs it.

The host's /proc/PID/exe of a guest is its interpreter; with flag T it is the program, and the interpreter only one of
the files that are mapped.
"""

from __future__ import annotations

import filecmp
import os
import select
import subprocess
from dataclasses import dataclass

SECONDS = 20
STATUS = 23
OUTPUT_LIMIT = 65536


@dataclass(frozen=True)
class Trial:
    """What came of it. `error` is execve(2)'s; else the output, the exit status, and the interpreter.

    `interpreter` is the path of the file that ran, as /proc shows it, "" when /proc did not tell, and `as_expected`
    whether that file has the content that was expected, None when that cannot be told.
    """

    error: OSError | None = None
    arguments: tuple[str, ...] = ()
    rights: str = ""
    status: int | None = None
    messages: str = ""
    interpreter: str = ""
    as_expected: bool | None = None

    def complaint(self, arguments: list[str]) -> str:
        """Say what is wrong with a run that should have had these arguments; "" if nothing is."""
        if self.error:
            return f"it cannot be started: {self.error.strerror}"
        if self.status is None:
            return f"it did not end within {SECONDS} seconds"
        if self.status < 0:
            return f"it was ended by signal {-self.status}{self._words()}"
        if self.status != STATUS:
            return f"its exit status is {self.status}, not {STATUS}{self._words()}"
        if list(self.arguments) != arguments:
            return f"it got the arguments {list(self.arguments)}, not {arguments}"
        return ""

    def _words(self) -> str:
        return f", and it says: {self.messages}" if self.messages else ""


def try_program(path: str, argv: list[str], expected: str = "") -> Trial:
    """Execute `path` with that argv and an empty environment; compare its interpreter with the file `expected`."""
    try:
        process = subprocess.Popen(
            argv,
            executable=path,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={},
            cwd="/",
        )
    except OSError as error:
        return Trial(error=error)
    with process:
        assert process.stdout is not None
        ready, _, _ = select.select([process.stdout], [], [], SECONDS)
        output = os.read(process.stdout.fileno(), OUTPUT_LIMIT) if ready else b""
        interpreter, equal = look_at(process.pid, path, expected) if output else ("", None)
        try:
            rest, messages = process.communicate(timeout=SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            return Trial()
    words = (output + rest).decode("utf-8", "backslashreplace").splitlines()
    return Trial(
        arguments=tuple(words[:-1]),
        rights=words[-1] if words else "",
        status=process.returncode,
        messages=" / ".join(messages.decode("utf-8", "backslashreplace").split("\n")).strip(" /"),
        interpreter=interpreter,
        as_expected=equal,
    )


def look_at(pid: int, program: str, expected: str) -> tuple[str, bool | None]:
    """Return which file executes `program` in a process, and whether that is `expected` or has its content.

    "" and None for what cannot be seen: without /proc, or with one that hides processes, or without `expected`.
    """
    link = f"/proc/{pid}/exe"
    try:
        path, found = os.readlink(link), os.stat(link)
        if os.path.samestat(found, os.stat(program)):
            return behind(pid, found, expected)
    except OSError:
        return "", None
    try:
        # A bind mount, or a file of an overlay that was copied up, has another inode and the same content.
        same = os.path.samestat(found, os.stat(expected))
        return path, same or filecmp.cmp(link, expected, shallow=False)
    except OSError:
        return path, None


def behind(pid: int, program: os.stat_result, expected: str) -> tuple[str, bool | None]:
    """As `look_at`, where the process looks like its program: the interpreter is the first other file with code."""
    with open(f"/proc/{pid}/maps", encoding="utf-8", errors="surrogateescape") as file:
        # Address, permissions, offset, device, inode, path: proc_pid_maps(5).
        rows = [line.rstrip("\n").split(None, 5) for line in file]
    for row in rows:
        inode = int(row[4])
        if "x" in row[1] and len(row) > 5 and inode not in (0, program.st_ino):
            path = row[5].replace("\\012", "\n")
            # A path that is not "(deleted)" is that file's still, whatever number its file system shows.
            return path, path == expected or inode == os.stat(expected).st_ino
    return "", None
