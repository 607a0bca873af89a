# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import errno
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.usermode.loader.builder import LIMIT, FakeSpace
from usermode.errors import LoadError
from usermode.loader.stack import (
    AT_EXECFN,
    AT_PLATFORM,
    AT_RANDOM,
    EXPANSION,
    GUARD,
    LEAST_GAP,
    UNLIMITED_STACK,
    Stack,
    Strings,
    build,
    map_stack,
)

TOP = 0x3FFF_FFFF_F000
MIB = 1 << 20
LIMIT_8M = 8 * MIB
AUXV = [(33, 0xABC), (6, 4096), (AT_RANDOM, 0), (AT_EXECFN, 0), (AT_PLATFORM, 0)]
RANDOM = bytes(range(16))
TEXTS = st.lists(st.binary(max_size=40).map(lambda text: text.replace(b"\0", b"x")), max_size=12)


class Reader:
    """Reads a stack as a program does at its start."""

    def __init__(self, stack: Stack) -> None:
        self.base = stack.pointer
        self.content = stack.content
        self.at = 0

    def word(self) -> int:
        (value,) = struct.unpack_from("<Q", self.content, self.at)
        self.at += 8
        return int(value)

    def string(self, address: int) -> bytes:
        start = address - self.base
        return self.content[start : self.content.index(0, start)]

    def strings(self) -> list[bytes]:
        found = []
        while pointer := self.word():
            found.append(self.string(pointer))
        return found

    def auxv(self) -> dict[int, int]:
        found: dict[int, int] = {}
        while True:
            kind, value = self.word(), self.word()
            if not kind:
                assert value == 0
                return found
            assert kind not in found
            found[kind] = value


@given(
    TEXTS,
    TEXTS,
    st.binary(max_size=30).map(lambda text: text.replace(b"\0", b"x")),
    st.integers(0, 4095),
)
def test_a_program_reads_back_what_it_was_given(
    argv: list[bytes], envp: list[bytes], execfn: bytes, shift: int
) -> None:
    stack = build(TOP, Strings(argv, envp, execfn, LIMIT_8M), AUXV, b"aarch64", RANDOM, shift)
    assert stack.pointer % 16 == 0
    assert stack.pointer + len(stack.content) == TOP
    reader = Reader(stack)
    assert reader.word() == max(len(argv), 1)
    assert reader.strings() == (argv or [b""])
    assert reader.strings() == envp
    start = reader.at
    auxv = reader.auxv()
    assert stack.auxv == stack.content[start : reader.at]
    assert list(auxv) == [kind for kind, _ in AUXV]
    assert (auxv[33], auxv[6]) == (0xABC, 4096)
    assert reader.string(auxv[AT_EXECFN]) == execfn
    assert reader.string(auxv[AT_PLATFORM]) == b"aarch64"
    at = auxv[AT_RANDOM] - stack.pointer
    assert stack.content[at : at + 16] == RANDOM
    check_ranges(stack, argv, envp)


def check_ranges(stack: Stack, argv: list[bytes], envp: list[bytes]) -> None:
    """The strings lie as the kernel puts them: arguments, environment, path, eight zero bytes."""
    texts = b"".join(text + b"\0" for text in argv or [b""])
    first, last = (address - stack.pointer for address in stack.arguments)
    assert stack.content[first:last] == texts
    first, last = (address - stack.pointer for address in stack.environment)
    assert stack.content[first:last] == b"".join(text + b"\0" for text in envp)
    assert stack.arguments[1] == stack.environment[0]
    assert stack.content[-8:] == bytes(8)


def test_chance_moves_the_stack_pointer_within_a_page() -> None:
    strings = Strings([b"a"], [], b"a", LIMIT_8M)
    pointers = [build(TOP, strings, AUXV, b"p", RANDOM, shift).pointer for shift in (0, 16, 4095)]
    assert pointers[0] - pointers[1] == 16
    assert 4080 <= pointers[0] - pointers[2] <= 4096


def refused(argv: list[bytes], envp: list[bytes], stack_limit: int) -> str:
    with pytest.raises(LoadError) as caught:
        Strings(argv, envp, b"prog", stack_limit)
    assert (caught.value.errno, caught.value.status) == (errno.E2BIG, 126)
    return caught.value.message


def test_longest_string() -> None:
    Strings([b"a" * 131071], [], b"prog", LIMIT_8M)
    for argv, envp in (([b"a" * 131072], []), ([], [b"a" * 131072])):
        line = refused(argv, envp, LIMIT_8M)
        assert line == "prog: an argument or variable is longer than 131072 bytes"


@pytest.mark.parametrize(
    ("stack_limit", "room"),
    [(LIMIT_8M, 2 * MIB), (0, 128 << 10), (100 * MIB, 6 * MIB), (2**64 - 1, 6 * MIB)],
)
def test_most_strings(stack_limit: int, room: int) -> None:
    """A quarter of RLIMIT_STACK, at most 6 MiB, at least 128 KiB, pointers and the path included."""
    each = 1000 - 8 - 1
    count, rest = divmod(room - len(b"prog\0"), 1000)
    texts = [b"x" * each] * count
    if rest > 9:
        texts.append(b"x" * (rest - 9))
    Strings(texts, [], b"prog", stack_limit)
    Strings(texts[:1], texts[1:], b"prog", stack_limit)
    texts[0] += b"x"
    assert refused(texts, [], stack_limit).startswith(f"prog: {room + 1} bytes of arguments")


SMALL = Strings([b"a"], [], b"a", LIMIT_8M)


def test_stack_mapping() -> None:
    space = FakeSpace()
    start, end = map_stack(space, SMALL, 1 * MIB, None, 0)
    assert (start, end) == (LIMIT - 4096 - MIB, LIMIT - 4096)
    assert space.names == {start: (MIB, b"[stack]")}
    assert set(space.rights.values()) == {3}
    assert space.top == end - LEAST_GAP - GUARD


@pytest.mark.parametrize(("flags", "rights"), [(None, 3), (6, 3), (7, 7), (0, 3), (1, 7)])
def test_stack_flags(flags: int | None, rights: int) -> None:
    space = FakeSpace()
    start, _ = map_stack(space, SMALL, MIB, flags, 0)
    assert space.rights[start] == rights


def test_a_small_limit_leaves_room_for_the_strings() -> None:
    strings = Strings([b"a" * 100_000], [], b"a", 0)
    start, end = map_stack(FakeSpace(), strings, 4096, None, 0)
    assert 100_000 + EXPANSION < end - start < 100_000 + EXPANSION + 5 * 4096


def test_no_limit() -> None:
    class Wide(FakeSpace):
        def map(self, address: int, size: int, *_: int) -> int:
            self.size = size
            return address

    space = Wide()
    _, end = map_stack(space, SMALL, 2**64 - 1, None, 0)
    assert space.size == UNLIMITED_STACK
    assert space.top == end - UNLIMITED_STACK - GUARD


@given(st.integers(0, 2**64 - 1))
def test_chance_moves_stack_and_mappings(random: int) -> None:
    space = FakeSpace()
    start, end = map_stack(space, SMALL, 4096, None, random)
    assert LIMIT - (1 << 34) - 4096 <= end <= LIMIT - 4096
    assert 0x2AAA_AAAA_A000 + 2 * (1 << 40) < space.top <= start - GUARD
    assert start % 4096 == end % 4096 == space.top % 4096 == 0
