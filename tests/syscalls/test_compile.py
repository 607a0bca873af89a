# SPDX-License-Identifier: GPL-2.0-or-later
"""The compact form says what the table says."""

from __future__ import annotations

from struct import unpack_from

import pytest

from syscalls.arch.generic64.numbers import NUMBERS
from syscalls.call import CORE, CORE_CALLS, HOST, PATH, STAT_OUT, Call
from syscalls.compile import Compiled, build, build_trace, generate, generate_trace
from syscalls.host.x86_64 import NUMBERS as HOST_NUMBERS
from syscalls.table import TABLE

AT_SYMLINK_NOFOLLOW = 0x100
AT_SYMLINK_FOLLOW = 0x400


@pytest.fixture(scope="module")
def compiled() -> Compiled:
    return build()


def record(compiled: Compiled, number: int) -> tuple[int, int, int, bytes]:
    mode, flags, host, treatments = unpack_from("<BBh6s", compiled.HOST_ROWS, 16 * number)
    return mode, flags, host, treatments


@pytest.mark.parametrize("row", TABLE.values(), ids=lambda row: row.name)
def test_record(compiled: Compiled, row: Call) -> None:
    mode, flags, host, treatments = record(compiled, row.number)
    if row.refuse:
        assert (mode, host, treatments) == (3, row.refuse, bytes(6))
    elif row.run is HOST:
        assert (mode, host) == (1, HOST_NUMBERS[row.name])
        assert treatments == bytes(kind.treatment for kind in row.kinds).ljust(6, b"\0")
    elif row.run is CORE:
        assert (mode, host, treatments) == (4, CORE_CALLS.index(row.name), bytes(6))
    else:
        assert (mode, host, treatments) == (2, 0, bytes(6))
        assert row.number in compiled.HANDLERS
    assert flags == any(kind.bulk for kind in row.kinds)


def test_unused_numbers_are_unknown(compiled: Compiled) -> None:
    assert len(compiled.HOST_ROWS) == 512 * 16
    unused = set(range(512)) - TABLE.keys()
    assert all(record(compiled, number)[0] == 0 for number in unused)
    assert len(unused) == 512 - 325


def test_every_path_has_somewhere_to_go(compiled: Compiled) -> None:
    for number, row in TABLE.items():
        if row.run is HOST and any(kind.treatment == PATH for kind in row.kinds):
            assert (number in compiled.HANDLERS) != (number in compiled.PATH_CALLS), row.name


@pytest.mark.parametrize(
    ("name", "places"),
    [
        ("mkdirat", ((1, 0, -1, 0, False),)),
        ("chdir", ((0, -1, -1, 0, True),)),
        ("fchownat", ((1, 0, 4, AT_SYMLINK_NOFOLLOW, False),)),
        ("linkat", ((1, 0, 4, AT_SYMLINK_FOLLOW, True), (3, 2, -1, 0, False))),
        ("symlinkat", ((2, 1, -1, 0, False),)),
        ("move_mount", ((1, 0, 4, 0x1, True), (3, 2, 4, 0x10, True))),
        ("inotify_add_watch", ((1, -1, 2, 0x02000000, False),)),
    ],
)
def test_places(compiled: Compiled, name: str, places: object) -> None:
    host, _pointers, found = compiled.PATH_CALLS[NUMBERS[name]]
    assert host == HOST_NUMBERS[name]
    assert found == places


def test_pointers_of_path_calls_are_checked(compiled: Compiled) -> None:
    for number, (_host, pointers, places) in compiled.PATH_CALLS.items():
        kinds = TABLE[number].kinds
        named = {*pointers, *(place[0] for place in places)}
        for index, kind in enumerate(kinds):
            addresses = kind.treatment not in (0, 6, STAT_OUT)
            assert (index in named) == addresses, (TABLE[number].name, kind)


def test_open_flag_pairs(compiled: Compiled) -> None:
    flags = compiled.OPEN_FLAG_PAIRS
    pairs = {unpack_from("<II", flags, at) for at in range(0, len(flags), 8)}
    assert pairs == {
        (0o40000, 0o200000),
        (0o100000, 0o400000),
        (0o200000, 0o40000),
        (0o400000, 0o100000),
    }


def test_stat_copy(compiled: Compiled) -> None:
    host = bytearray(range(144))
    guest = bytearray(128)
    at = 0
    while (triple := unpack_from("<HHH", compiled.STAT_COPY, at))[2]:
        source, target, size = triple
        guest[target : target + size] = host[source : source + size]
        at += 6
    assert at + 6 == len(compiled.STAT_COPY)
    assert guest[16:20] == host[24:28]  # st_mode
    assert guest[20:24] == host[16:20]  # st_nlink: the low half
    assert guest[48:56] == host[48:56]  # st_size
    assert guest[56:60] == host[56:60]  # st_blksize: the low half
    assert guest[60:64] == bytes(4)  # __pad2
    assert guest[104:120] == host[104:120]  # st_ctime and its nanoseconds


def test_generated_modules_say_the_same(compiled: Compiled) -> None:
    module: dict[str, object] = {}
    exec(generate(), module)
    assert {name: module[name] for name in compiled._fields} == compiled._asdict()
    exec(generate_trace(), module)
    assert module["CALLS"] == build_trace()
