# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import errno
import os
import struct
from collections.abc import Callable, Iterator

import pytest

from tests.usermode.loader.builder import (
    CPU,
    DATA,
    LIMIT,
    PAGE,
    PT_GNU_STACK,
    PT_INTERP,
    TEXT,
    FakeSpace,
    Header,
    R,
    elf_file,
    good,
    open_file,
    request,
)
from usermode.errors import LoadError
from usermode.loader import interpreter, vdso
from usermode.loader.interpreter import Loaded, load, prepare

ELF_ET_DYN_BASE = 0x2AAA_AAAA_A000
VDSO = elf_file([TEXT._replace(file_size=0x200, memory_size=0x200)], entry=0x134, size=0x200)
NAME = b"/lib/ld.so\0"
DYNAMIC = elf_file(
    [TEXT, DATA, Header(PT_INTERP, R, 0x400, 0, len(NAME), 0)],
    size=0x3000,
    content={0x400: NAME},
)


@pytest.fixture(autouse=True)
def small_vdso(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vdso, "vdso_image", lambda: VDSO)


@pytest.fixture
def opened() -> Iterator[Callable[[bytes], int]]:
    """Opens files that are closed at the end."""
    files: list[int] = []

    def open_it(content: bytes) -> int:
        files.append(open_file(content))
        return files[-1]

    yield open_it
    for file in files:
        os.close(file)


def find(path: bytes) -> int:
    assert path == NAME[:-1]
    return open_file(good(entry=0x500))


def auxv(loaded: Loaded) -> list[tuple[int, int]]:
    words = struct.unpack(f"<{len(loaded.auxv) // 8}Q", loaded.auxv)
    return list(zip(words[::2], words[1::2], strict=True))


def test_program_without_interpreter(opened: Callable[[bytes], int]) -> None:
    space = FakeSpace()
    file = opened(good())
    loaded = load(space, space, request(file))
    program = loaded.program
    assert loaded.interpreter is None
    assert loaded.entry == program.entry == program.bias + 0x100
    assert program.end < loaded.stack[0]
    assert 0 <= loaded.break_start - ELF_ET_DYN_BASE < 1 << 30
    assert os.fstat(file)


def test_program_with_interpreter(opened: Callable[[bytes], int]) -> None:
    space = FakeSpace()
    before = len(os.listdir("/proc/self/fd"))
    loaded = load(space, space, request(opened(DYNAMIC), find=find))
    assert len(os.listdir("/proc/self/fd")) == before + 1
    assert loaded.interpreter is not None
    assert loaded.entry == loaded.interpreter.bias + 0x500
    assert 0 <= loaded.program.bias - ELF_ET_DYN_BASE < 1 << 40
    assert loaded.interpreter.end < loaded.stack[0]
    end = loaded.program.break_start
    assert 0 <= loaded.break_start - end < (1 << 30) + PAGE
    assert loaded.break_start % PAGE == 0
    values = dict(auxv(loaded))
    assert values[interpreter.AT_BASE] == loaded.interpreter.bias
    assert values[interpreter.AT_ENTRY] == loaded.program.entry


def test_fixed_program_has_its_heap_behind_it(opened: Callable[[bytes], int]) -> None:
    space = FakeSpace()
    headers = [TEXT._replace(address=0x400000), DATA._replace(address=0x412800)]
    content = elf_file(headers, kind=2, entry=0x400100, size=0x3000)
    loaded = load(space, space, request(opened(content), randomize=False))
    assert (loaded.entry, loaded.break_start) == (0x400100, 0x416000)


def test_auxiliary_vector_in_the_kernels_order(opened: Callable[[bytes], int]) -> None:
    space = FakeSpace()
    loaded = load(space, space, request(opened(good()), secure=True, execfn=b"script"))
    start = space.read(loaded.stack_pointer, loaded.stack[1] - loaded.stack_pointer)
    assert loaded.auxv in start
    entries = auxv(loaded)
    values = dict(entries)
    image, _ = next(item for item in space.names.items() if item[1][1] == b"[vdso]")
    assert entries[:16] == [
        (33, image),
        (51, CPU.signal_stack_size),
        (16, CPU.hwcap),
        (6, 4096),
        (17, 100),
        (3, loaded.program.bias + 64),
        (4, 56),
        (5, 2),
        (7, 0),
        (8, 0),
        (9, loaded.program.entry),
        (11, 1),
        (12, 2),
        (13, 3),
        (14, 4),
        (23, 1),
    ]
    assert [kind for kind, _ in entries[16:]] == [25, 26, 31, 15, 0]
    assert values[26] == CPU.hwcap2
    assert space.read(values[31], 7) == b"script\0"
    assert space.read(values[15], 8) == b"aarch64\0"
    assert space.read(loaded.arguments[0], 9) == b"prog\0one\0"
    assert space.read(loaded.environment[0], 4) == b"A=1\0"


def test_random_bytes_differ_each_time(opened: Callable[[bytes], int]) -> None:
    seen = set()
    for _ in range(4):
        space = FakeSpace()
        loaded = load(space, space, request(opened(good()), randomize=False))
        seen.add(space.read(dict(auxv(loaded))[25], 16))
    assert len(seen) == 4


def test_vdso_is_mapped_to_be_run(opened: Callable[[bytes], int]) -> None:
    space = FakeSpace()
    loaded = load(space, space, request(opened(good())))
    start = dict(auxv(loaded))[33]
    assert space.names[start] == (PAGE, b"[vdso]")
    assert space.rights[start] == 5
    assert space.read(start, len(VDSO)) == VDSO
    assert loaded.signal_return == start + 0x134


def places(loaded: Loaded) -> tuple[int, ...]:
    assert loaded.interpreter is not None
    return (
        loaded.program.bias,
        loaded.interpreter.bias,
        loaded.stack[1],
        loaded.stack_pointer,
        loaded.break_start,
        loaded.signal_return,
    )


@pytest.mark.parametrize("randomize", [False, True])
def test_chance_moves_everything(randomize: bool, opened: Callable[[bytes], int]) -> None:
    rounds = []
    for _ in range(3):
        space = FakeSpace()
        wanted = request(opened(DYNAMIC), find=find, randomize=randomize)
        rounds.append(places(load(space, space, wanted)))
    for column in zip(*rounds, strict=True):
        assert (len(set(column)) > 1) == randomize


@pytest.mark.parametrize(("flags", "rights"), [(6, 3), (7, 7)])
def test_stack_of_the_program(flags: int, rights: int, opened: Callable[[bytes], int]) -> None:
    space = FakeSpace()
    content = elf_file([TEXT, Header(PT_GNU_STACK, flags, 0, 0, 0, 0)], size=0x1800)
    assert space.rights[load(space, space, request(opened(content))).stack[0]] == rights


def refused(file: int, **changes: object) -> LoadError:
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(LoadError) as caught:
        prepare(request(file, **changes), LIMIT)
    assert len(os.listdir("/proc/self/fd")) == before
    return caught.value


def test_missing_interpreter(opened: Callable[[bytes], int]) -> None:
    error = refused(opened(DYNAMIC))
    assert error.message == "prog: its ELF interpreter /lib/ld.so is not here"
    assert error.hint == "give --sysroot DIR, or install libc6:arm64"
    assert (error.status, error.errno) == (127, errno.ENOENT)


def test_interpreter_that_may_not_be_opened(opened: Callable[[bytes], int]) -> None:
    def refuse(path: bytes) -> int:
        raise PermissionError(errno.EACCES, "", path)

    error = refused(opened(DYNAMIC), find=refuse)
    assert error.message == "prog: its ELF interpreter /lib/ld.so: Permission denied"
    assert (error.status, error.errno) == (126, errno.EACCES)


def test_interpreter_of_another_cpu(opened: Callable[[bytes], int]) -> None:
    error = refused(opened(DYNAMIC), find=lambda _: open_file(good(machine=62)))
    assert error.message == "/lib/ld.so: not an AArch64 program: this is x86-64"
    assert (error.status, error.errno) == (126, errno.ELIBBAD)


def test_too_many_arguments(opened: Callable[[bytes], int]) -> None:
    assert refused(opened(good()), argv=[b"x" * 1000] * 3000).errno == errno.E2BIG


def test_interpreter_is_closed_when_mapping_fails(opened: Callable[[bytes], int]) -> None:
    class Full(FakeSpace):
        def map(self, *_: int) -> int:
            raise OSError(errno.ENOMEM, "")

    file = opened(DYNAMIC)
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(LoadError) as caught:
        load(Full(), Full(), request(file, find=find))
    assert caught.value.message == "prog: cannot be loaded: Cannot allocate memory"
    assert caught.value.errno == errno.ENOMEM
    assert len(os.listdir("/proc/self/fd")) == before
