# SPDX-License-Identifier: GPL-2.0-or-later
"""The `#!` line of scripts, read as fs/binfmt_script.c does, with its odd ends."""

from __future__ import annotations

import posix
from errno import EIO, ELOOP, ENOENT, ENOEXEC

from usermode.errors import CANNOT_EXECUTE, NOT_FOUND, LoadError, printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

LINE_SIZE = 256
"""BINPRM_BUF_SIZE: what the kernel reads of a file to know it."""

DEPTH_LIMIT = 5
"""Interpreters of interpreters that exec_binprm() goes through before ELOOP."""

BLANKS = b" \t"
NUL = 0


def parse(head: bytes) -> tuple[bytes, bytes | None] | None:
    """Return the interpreter and the one argument named by a script that begins with `head`.

    None when the file is no script that the kernel would start: no `#!`, no name behind it, or a
    name that may be cut off at 255 bytes. The argument may have blanks inside, and is empty when
    blanks end a line that has no newline, as in the kernel.
    """
    if head[:2] != b"#!":
        return None
    line = head[:LINE_SIZE].ljust(LINE_SIZE, b"\0")
    end = line.find(b"\n")
    cut = line.find(NUL)
    if end < 0 or 0 <= cut < end:
        end = LINE_SIZE - 1
        start = next_not_blank(line, 2, end)
        if start < 0 or next_terminator(line, start, end) < 0:
            return None
    while line[end - 1] in BLANKS:
        end -= 1
    start = next_not_blank(line, 2, end)
    if start < 0 or start == end:
        return None
    separator = next_terminator(line, start, end)
    argument = None
    if separator >= 0 and line[separator] != NUL:
        begin = next_not_blank(line, separator, end)
        if begin >= 0:
            argument = until_nul(line[begin:end])
    name = until_nul(line[start : end if separator < 0 else separator])
    return name, argument


def next_not_blank(line: bytes, first: int, last: int) -> int:
    """Return the index of the first byte in [first, last] that is no blank, or -1."""
    while first <= last:
        if line[first] not in BLANKS:
            return first
        first += 1
    return -1


def next_terminator(line: bytes, first: int, last: int) -> int:
    """Return the index of the first blank or NUL in [first, last], or -1."""
    while first <= last:
        if line[first] in BLANKS or line[first] == NUL:
            return first
        first += 1
    return -1


def until_nul(text: bytes) -> bytes:
    """Return `text` as C reads it."""
    end = text.find(NUL)
    return text if end < 0 else text[:end]


def follow(
    fd: int, path: bytes, argv: list[bytes], find: Callable[[bytes], int]
) -> tuple[int, bytes, list[bytes]]:
    """Go from a script to the program that runs it: returns its open file, its path and its argv.

    A file that is no script comes back as it is. `path` is the path as execve(2) got it, and
    becomes an argument. `find(path)` opens an interpreter or raises OSError. `fd` is closed when
    another file takes its place and when there is an error. Raises LoadError: ENOEXEC, ELOOP, or
    what `find` says.
    """
    try:
        for _ in range(DEPTH_LIMIT + 1):
            words = read_line(fd, path)
            if not words:
                return fd, path, argv
            interpreter = find_interpreter(path, words[0], find)
            posix.close(fd)
            argv = [*words, path, *argv[1:]]
            fd, path = interpreter, words[0]
        raise LoadError(f"{printable(path)}: too many interpreters of scripts in a row", ELOOP)
    except LoadError:
        posix.close(fd)
        raise


def read_line(fd: int, path: bytes) -> list[bytes]:
    """Return the one or two words of the script's `#!` line, none when the file is no script."""
    try:
        head = posix.pread(fd, LINE_SIZE, 0)
    except OSError as error:
        message = f"{printable(path)}: cannot be read: {error.strerror}"
        raise LoadError(message, error.errno or EIO) from error
    if head[:2] != b"#!":
        return []
    parsed = parse(head)
    if parsed is None:
        raise LoadError(f"{printable(path)}: its #! line names no interpreter", ENOEXEC)
    name, argument = parsed
    return [name] if argument is None else [name, argument]


def find_interpreter(path: bytes, name: bytes, find: Callable[[bytes], int]) -> int:
    """Open the interpreter of a script, or word why not."""
    try:
        return find(name or b".")  # what open_exec() of the kernel takes no name for
    except OSError as error:
        number = error.errno or EIO
        message = f"{printable(path)}: its interpreter {printable(name)}: {posix.strerror(number)}"
        status = NOT_FOUND if number == ENOENT else CANNOT_EXECUTE
        raise LoadError(message, number, status=status) from error
