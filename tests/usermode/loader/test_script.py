# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.usermode.loader.builder import open_file
from usermode.errors import LoadError
from usermode.loader.script import follow, parse

LONG = b"/" + b"n" * 400

LINES = [
    (b"#!/bin/sh\n", (b"/bin/sh", None)),
    (b"#!/bin/sh", (b"/bin/sh", None)),
    (b"#! \t /bin/sh \t \n", (b"/bin/sh", None)),
    (b"#!/bin/sh -e\n", (b"/bin/sh", b"-e")),
    (b"#!/bin/sh -e  two words\t \n", (b"/bin/sh", b"-e  two words")),
    (b"#!/bin/sh\t-x", (b"/bin/sh", b"-x")),
    (b"#!/bin/sh ", (b"/bin/sh", b"")),
    (b"#!relative\n", (b"relative", None)),
    (b"#!/bin/sh\0rest\n", (b"/bin/sh", None)),
    (b"#!/bin/sh a\0b\n", (b"/bin/sh", b"a")),
    (b"#!\0\n", (b"", None)),
    (b"#!", (b"", None)),
    (b"#!\n", None),
    (b"#! \t \n", None),
    (b"#!" + b" " * 300, None),
    (b"#!" + LONG + b"\n", None),
    (b"#!" + b"/" + b"n" * 251 + b"\n", (b"/" + b"n" * 251, None)),
    (b"#!" + b"/" + b"n" * 252 + b"\n", (b"/" + b"n" * 252, None)),
    (b"#!" + b"/" + b"n" * 253 + b"\n", None),
    (b"#!/bin/sh " + b"a" * 300 + b"\n", (b"/bin/sh", b"a" * 245)),
    (b"# !/bin/sh\n", None),
    (b"", None),
    (b"\x7fELF", None),
]


@pytest.mark.parametrize(("line", "wanted"), LINES)
def test_lines(line: bytes, wanted: tuple[bytes, bytes | None] | None) -> None:
    assert parse(line) == wanted


PRINTER = """#!/bin/sh
for word; do printf '%s\\0' "$word"; done
"""
PIECES = [b" ", b"\t", b"a", b"-b", b"c" * 100, b"\n", b"\0", b"/"]


@pytest.fixture(scope="module")
def show(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program that shows its arguments, each with a NUL behind it."""
    program = tmp_path_factory.mktemp("scripts") / "show"
    program.write_text(PRINTER)
    program.chmod(0o755)
    return program


@given(rest=st.lists(st.sampled_from(PIECES), max_size=12))
@settings(deadline=None)
@example(rest=[])
@example(rest=[b" "])
@example(rest=[b"a", b" "])
@example(rest=[b" ", b"a", b"\0", b" ", b"\n"])
def test_words_are_those_of_the_host_kernel(show: Path, rest: list[bytes]) -> None:
    script = show.with_name("script")
    head = b"#!" + os.fsencode(show) + b"".join(rest)
    script.write_bytes(head)
    script.chmod(0o755)
    shown = start(script)
    parsed = parse(head)
    if parsed is None:
        assert shown == errno.ENOEXEC
    elif parsed[0] != os.fsencode(show):
        assert shown in (errno.ENOENT, errno.ENOTDIR)
    else:
        words = [] if parsed[1] is None else [parsed[1]]
        assert shown == b"".join(word + b"\0" for word in [*words, os.fsencode(script)])


def start(program: Path) -> bytes | int | None:
    """Return what a program writes, or the errno of execve(2)."""
    try:
        return subprocess.run([program], capture_output=True, timeout=20).stdout
    except OSError as error:
        return error.errno


class Files:
    """Files by name; opening one counts it."""

    def __init__(self, files: dict[bytes, bytes]) -> None:
        self.files = files
        self.opened: list[int] = []

    def open(self, path: bytes) -> int:
        if path not in self.files:
            raise FileNotFoundError(errno.ENOENT, "", path)
        self.opened.append(open_file(self.files[path]))
        return self.opened[-1]

    def still_open(self) -> set[int]:
        found = set()
        for file in self.opened:
            try:
                os.fstat(file)
            except OSError:
                continue
            found.add(file)
        return found


def test_no_script_comes_back_as_it_is() -> None:
    files = Files({b"p": b"\x7fELF"})
    file = files.open(b"p")
    argv = [b"name", b"x"]
    assert follow(file, b"p", argv, files.open) == (file, b"p", argv)
    os.close(file)


def test_arguments_of_a_chain() -> None:
    files = Files({b"a": b"#!/b -1 2\n", b"/b": b"#! /c\n", b"/c": b"\x7fELF"})
    file, path, argv = follow(files.open(b"a"), b"a", [b"zero", b"x", b"y"], files.open)
    assert (path, argv) == (b"/c", [b"/c", b"/b", b"-1 2", b"a", b"x", b"y"])
    assert files.still_open() == {file}
    os.close(file)


def test_script_without_arguments_at_all() -> None:
    files = Files({b"a": b"#!/c\n", b"/c": b"ELF"})
    file, _, argv = follow(files.open(b"a"), b"a", [], files.open)
    assert argv == [b"/c", b"a"]
    os.close(file)


def chain(length: int) -> Files:
    files = {b"%d" % n: b"#!%d\n" % (n + 1) for n in range(length)}
    return Files({**files, b"%d" % length: b"\x7fELF"})


def test_longest_chain_is_the_kernels(tmp_path: Path) -> None:
    os.symlink("/bin/true", tmp_path / "5")
    for n in range(5):
        script = tmp_path / str(n)
        script.write_text(f"#!{tmp_path}/{n + 1}\n")
        script.chmod(0o755)
    assert subprocess.run([tmp_path / "0"]).returncode == 0
    over = tmp_path / "over"
    over.write_text(f"#!{tmp_path}/0\n")
    over.chmod(0o755)
    with pytest.raises(OSError) as caught:  # noqa: PT011 (errno says which)
        subprocess.run([over])
    assert caught.value.errno == errno.ELOOP

    files = chain(5)
    file, path, _ = follow(files.open(b"0"), b"0", [b"0"], files.open)
    assert path == b"5"
    os.close(file)
    files = chain(6)
    with pytest.raises(LoadError) as refused:
        follow(files.open(b"0"), b"0", [b"0"], files.open)
    assert refused.value.errno == errno.ELOOP
    assert files.still_open() == set()


@pytest.mark.parametrize(
    ("content", "number", "status", "line"),
    [
        (b"#!\n", errno.ENOEXEC, 126, "a: its #! line names no interpreter"),
        (b"#!/x y\n", errno.ENOENT, 127, "a: its interpreter /x: No such file or directory"),
    ],
)
def test_failures(content: bytes, number: int, status: int, line: str) -> None:
    files = Files({b"a": content})
    with pytest.raises(LoadError) as caught:
        follow(files.open(b"a"), b"a", [b"a"], files.open)
    error = caught.value
    assert (error.errno, error.status, error.message) == (number, status, line)
    assert files.still_open() == set()


def test_interpreter_that_may_not_be_opened() -> None:
    def refuse(path: bytes) -> int:
        raise PermissionError(errno.EACCES, "", path)

    with pytest.raises(LoadError) as caught:
        follow(open_file(b"#!/x\n"), b"a", [b"a"], refuse)
    assert (caught.value.errno, caught.value.status) == (errno.EACCES, 126)
