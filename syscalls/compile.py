# SPDX-License-Identifier: GPL-2.0-or-later
"""Turns the table into the compact form that a running interpreter uses.

The interpreter has the result frozen in as the module `syscalls.compiled`, written by `generate()`
when it is built; without that module `dispatch.py` calls `build()` at start.
"""

from __future__ import annotations

from struct import calcsize, pack
from typing import NamedTuple

from syscalls import call as treat
from syscalls.arch import guest
from syscalls.arch.generic64.structs import STAT as GUEST_STAT
from syscalls.call import CORE, CORE_CALLS, HOST, Call
from syscalls.host.x86_64 import NUMBERS as HOST_NUMBERS
from syscalls.host.x86_64_structs import OPEN_FLAGS as HOST_OPEN_FLAGS
from syscalls.host.x86_64_structs import STAT as HOST_STAT

ROWS = 512
"""CALL_ROWS in usermode/core/core.h."""

UNKNOWN, PASSED, PYTHON, REFUSED, BY_CORE = range(5)
"""The `mode` of a row: enum row_mode there."""

WRITES_MEMORY = 1
"""The `flags` of a row: enum row_flag there."""

Place = tuple[int, int, int, int, bool]
PathCall = tuple[int, tuple[int, ...], tuple[Place, ...]]


TracedCall = tuple[str, tuple[str, ...]]


class Compiled(NamedTuple):
    """The table in compact form; also what the module `syscalls.compiled` defines.

    HOST_ROWS: 512 records of 16 bytes, by the guest's number: u8 mode, u8 flags, i16 host number
        (PASSED), errno (REFUSED) or index in CORE_CALLS (BY_CORE), u8 treatment of each of six
        arguments, 6 bytes of padding.
    HANDLERS: guest number -> (module, function, decoders): one letter for each argument, see
        `dispatch.py`.
    PATH_CALLS: HOST calls with a path and no `special`, for `handlers.paths.host_with_paths`: guest
        number -> (host number, indexes of the arguments that are pointers, places of the paths). A
        place is (index of the path, index of its directory descriptor or -1, index of the flags
        that say whether a symbolic link is followed or -1, the flag, followed if the flag is set?).
    OPEN_FLAG_PAIRS: u32 pairs (guest, host) of each O_ flag that differs.
    STAT_COPY: u16 triples (host offset, guest offset, size) of struct stat, then three zeros.
    """

    HOST_ROWS: bytes
    HANDLERS: dict[int, tuple[str, str, str]]
    PATH_CALLS: dict[int, PathCall]
    OPEN_FLAG_PAIRS: bytes
    STAT_COPY: bytes


def build() -> Compiled:
    """Compile the table."""
    from syscalls.table import TABLE

    rows = bytearray(16 * ROWS)
    handlers = {}
    path_calls = {}
    for number, row in TABLE.items():
        rows[16 * number : 16 * number + 16] = _record(row)
        if row.run is HOST or row.run is CORE:
            if row.special is not None:
                handlers[number] = _handler(row, row.special)
            elif any(kind.treatment == treat.PATH for kind in row.kinds):
                path_calls[number] = _path_call(row)
        elif row.run is not None:
            handlers[number] = _handler(row, row.run)
    return Compiled(bytes(rows), handlers, path_calls, _open_flag_pairs(), _stat_copy())


def generate() -> str:
    """The source text of the module `syscalls.compiled`."""
    lines = ["# SPDX-License-Identifier: GPL-2.0-or-later", "# Written by syscalls/compile.py."]
    lines += [f"{name} = {value!r}" for name, value in build()._asdict().items()]
    return "\n".join(lines) + "\n"


def build_trace() -> dict[int, TracedCall]:
    """What a trace needs: guest number -> (name, for each argument "word:when", `call.Kind`)."""
    from syscalls.table import TABLE

    return {
        number: (row.name, tuple(f"{kind.shown}:{kind.when}" for kind in row.kinds))
        for number, row in TABLE.items()
    }


def generate_trace() -> str:
    """The source text of the module `syscalls.compiled_trace`."""
    lines = "".join(f"    {number}: {call!r},\n" for number, call in build_trace().items())
    head = "# SPDX-License-Identifier: GPL-2.0-or-later\n# Written by syscalls/compile.py.\n"
    return f"{head}CALLS = {{\n{lines}}}\n"


def _record(row: Call) -> bytes:
    if row.refuse:
        mode, host = REFUSED, row.refuse
    elif row.run is HOST:
        mode, host = PASSED, HOST_NUMBERS[row.name]
    elif row.run is CORE:
        mode, host = BY_CORE, CORE_CALLS.index(row.name)
    else:
        mode, host = PYTHON, 0
    flags = WRITES_MEMORY if any(kind.bulk for kind in row.kinds) else 0
    treatments = bytes(kind.treatment for kind in row.kinds) if mode == PASSED else b""
    return pack("<BBh6s6x", mode, flags, host, treatments)


def _handler(row: Call, function: object) -> tuple[str, str, str]:
    module, name = getattr(function, "__module__", ""), getattr(function, "__name__", "")
    return module, name, "".join(kind.decoder for kind in row.kinds)


def _path_call(row: Call) -> PathCall:
    pointers = tuple(
        index
        for index, kind in enumerate(row.kinds)
        if kind.treatment in (treat.POINTER, treat.POINTER_IF_USED)
    )
    places: list[Place] = []
    by_flags = 0
    for index, kind in enumerate(row.kinds):
        if kind.treatment == treat.PATH:
            directory = index - 1 if index and row.kinds[index - 1].name == "DIR_FD" else -1
            flag = (-1, 0, kind.name.startswith("PATH"))
            if kind.name.startswith("PATH_BY_FLAGS"):
                flag = _following(row, by_flags)
                by_flags += 1
            places.append((index, directory, *flag))
    return HOST_NUMBERS[row.name], pointers, tuple(places)


def _following(row: Call, which: int) -> tuple[int, int, bool]:
    """What decides whether the row's PATH_BY_FLAGS argument `which` follows a symbolic link."""
    for index, kind in enumerate(row.kinds):
        if kind.follow:
            return index, kind.follow[which], True
        if kind.nofollow:
            return index, kind.nofollow[which], False
    raise ValueError(f"{row.name}: no argument says whether a link is followed")


def _open_flag_pairs() -> bytes:
    flags = guest.flags.OPEN_FLAGS.items()
    return b"".join(pack("<II", bit, HOST_OPEN_FLAGS[name]) for name, bit in flags)


def _stat_copy() -> bytes:
    host, guest = HOST_STAT[1], GUEST_STAT[1]
    triples = b""
    for name, (offset, code) in guest.items():
        source, host_code = host[name]
        # Little endian: the low bytes of a wider host field are the value (st_nlink, st_blksize).
        size = min(calcsize(code), calcsize(host_code))
        triples += pack("<HHH", source, offset, size)
    return triples + bytes(6)
