# SPDX-License-Identifier: GPL-2.0-or-later
"""Damaged ELF files: whatever the headers say, the answer is a LoadError or a sane set of mappings."""

from __future__ import annotations

import errno
import os
import random
import struct
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support import Outcome
from tests.usermode.loader.builder import AARCH64, DATA, LIMIT, TEXT, Header, R, elf_file, open_file
from usermode.errors import LoadError
from usermode.loader.elf import Elf, parse
from usermode.loader.image import Image, map_image

HERE = Path(__file__).parent
PAGE = 4096
FLOOR = 0x10000
SECONDS = int(os.environ.get("FUZZ_SECONDS", "60"))
"""How long the tests that make up programs without end go on."""
INTERPRETER = b"/lib/ld.so\0"
SEED = elf_file(
    [TEXT, DATA, Header(3, R, 0x400, 0, len(INTERPRETER), 0), Header(0x6474E551, 6, 0, 0, 0, 0)],
    size=0x3000,
    content={0x400: INTERPRETER},
)
HEADERS = 64 + 4 * 56
EDGES = [
    0,
    1,
    0xFFF,
    0x1000,
    0x1001,
    FLOOR,
    LIMIT - 1,
    LIMIT,
    1 << 62,
    (1 << 63) - 1,
    1 << 63,
    (1 << 64) - 1,
]
WORDS = st.sampled_from(EDGES) | st.integers(0, (1 << 64) - 1)
CHANGES = st.lists(
    st.tuples(st.integers(0, HEADERS - 8), st.sampled_from([1, 2, 4, 8]), WORDS), max_size=6
)


class Ranges:
    """An address space that keeps ranges only, and checks every argument it gets."""

    def __init__(self) -> None:
        self.limit = self.top = LIMIT
        self.ranges: list[tuple[int, int, int]] = []

    def place(self, size: int, align: int, /) -> int:
        at = (self.top - size) & -align
        if at < FLOOR:
            raise OSError(errno.ENOMEM, "")
        return at

    def map(
        self, address: int, size: int, protection: int, flags: int, fd: int, offset: int, /
    ) -> int:
        assert address % PAGE == size % PAGE == offset % PAGE == 0
        assert size > 0
        assert 0 <= protection <= 7
        assert offset + size < 1 << 64
        assert offset >= 0
        if address < FLOOR or address + size > LIMIT:
            raise OSError(errno.EPERM, "")
        self.ranges.append((address, address + size, protection))
        return address

    def unmap(self, address: int, size: int, /) -> None:
        self.ranges = [old for old in self.ranges if old[:2] != (address, address + size)]

    def protect(self, *_: int) -> None:
        raise AssertionError("an image needs no mprotect(2)")

    def name(self, *_: object) -> None:
        raise AssertionError("an image has no name of ours")

    def write(self, address: int, data: bytes, /) -> None:
        """Only the rest of a page may be written, and only a writable one."""
        assert 0 < len(data) < PAGE
        assert not any(data)
        end = address + len(data)
        assert end % PAGE == 0
        start, _, protection = next(
            old for old in reversed(self.ranges) if old[0] <= address < old[1]
        )
        assert protection & 2
        assert start <= address


def changed(seed: bytes, changes: list[tuple[int, int, int]]) -> bytes:
    content = bytearray(seed)
    for offset, size, value in changes:
        content[offset : offset + size] = (value % (1 << 8 * size)).to_bytes(size, "little")
    return bytes(content)


def try_to_load(content: bytes) -> None:
    space = Ranges()
    outcome = load(content, space)
    if isinstance(outcome, LoadError):
        assert "\n" not in outcome.message
        assert outcome.errno > 0
    else:
        elf, image = outcome
        assert image.start <= min(start for start, _, _ in space.ranges)
        assert max(end for _, end, _ in space.ranges) <= image.end
        assert elf.align == PAGE or elf.fixed or image.start % elf.align == 0


def load(content: bytes, space: Ranges) -> tuple[Elf, Image] | LoadError:
    file = open_file(content)
    try:
        elf = parse(file, b"prog", AARCH64, LIMIT)
        return elf, map_image(space, space, file, elf, 0x2AAA_AAAA_A000)
    except LoadError as error:
        return error
    finally:
        os.close(file)


@given(CHANGES, st.integers(0, len(SEED)))
@example([(57, 8, 0), (162, 8, 1 << 62)], 0)  # aligned to more than the first segment's address
@settings(deadline=None)
def test_damaged_headers(changes: list[tuple[int, int, int]], size: int) -> None:
    try_to_load(changed(SEED, changes)[:size])
    try_to_load(changed(SEED, changes))


@pytest.mark.fuzz
@given(CHANGES, st.integers(0, len(SEED)))
@settings(deadline=None, max_examples=20_000)
def test_damaged_headers_at_length(changes: list[tuple[int, int, int]], size: int) -> None:
    try_to_load(changed(SEED, changes)[:size])
    try_to_load(changed(SEED, changes))


@given(st.binary(max_size=600))
@settings(deadline=None)
def test_noise_behind_the_magic(noise: bytes) -> None:
    try_to_load(SEED[:20] + noise)


def damage(program: bytes, chance: random.Random) -> bytes:
    """Change one to three fields of the header or of a program header to a telling or a random value."""
    content = bytearray(program)
    (count,) = struct.unpack_from("<H", content, 56)
    for _ in range(chance.randint(1, 3)):
        size = chance.choice([1, 2, 4, 8])
        offset = chance.randrange(16, 64 + 56 * count - size)
        value = chance.choice([*EDGES, chance.getrandbits(64), 1 << chance.randrange(64)])
        content[offset : offset + size] = (value % (1 << 8 * size)).to_bytes(size, "little")
    if not chance.randrange(8):
        del content[chance.randrange(len(content)) :]
    return bytes(content)


def check(outcome: Outcome, name: str) -> None:
    """One clear line and 126 or 127, or a signal, or whatever the program itself made of it."""
    text = outcome.stderr.decode(errors="replace")
    assert "internal error" not in text, f"{name}: {text}"
    assert "Traceback" not in text, f"{name}: {text}"
    if text:
        lines = text.splitlines()
        assert outcome.status in (126, 127), f"{name}: {outcome.status}: {text}"
        assert all(line.startswith("usermode: ") for line in lines)
        assert len(lines) <= 2
        assert name in lines[0]


def run_damaged(
    guest_cc: Callable[..., Path],
    run_guest: Callable[..., Outcome],
    folder: Path,
    seeds: range,
    until: float,
) -> None:
    flags = ("-O1", "-nostdlib", "-ffreestanding")
    kinds = [
        guest_cc(HERE / "tiny.c", *flags).read_bytes(),
        guest_cc(HERE / "tiny.c", *flags, "-static-pie", "-fPIE", dynamic=True).read_bytes(),
        guest_cc(HERE / "tiny.c", *flags, "-pie", "-fPIE", dynamic=True).read_bytes(),
    ]
    for seed in seeds:
        if time.monotonic() > until:
            break
        path = folder / f"damaged-{seed}"
        path.write_bytes(damage(kinds[seed % len(kinds)], random.Random(seed)))
        path.chmod(0o755)
        check(run_guest([path], timeout=20), path.name)
        path.unlink()


def test_damaged_programs_run(
    guest_cc: Callable[..., Path], run_guest: Callable[..., Outcome], tmp_path: Path
) -> None:
    run_damaged(guest_cc, run_guest, tmp_path, range(60), time.monotonic() + 60)


@pytest.mark.fuzz
@pytest.mark.timeout(SECONDS + 120)
def test_damaged_programs_run_at_length(
    guest_cc: Callable[..., Path], run_guest: Callable[..., Outcome], tmp_path: Path
) -> None:
    start = random.SystemRandom().randrange(1 << 32)
    run_damaged(
        guest_cc, run_guest, tmp_path, range(start, start + 100_000), time.monotonic() + SECONDS
    )
