# SPDX-License-Identifier: GPL-2.0-or-later
"""The report on an ELF file: every fact that `usermode inspect` shows, as plain data."""

from __future__ import annotations

import os
from dataclasses import dataclass
from itertools import pairwise

from usermode.inspect.cpu import MACHINE, OFFERED
from usermode.inspect.elf import Elf, read_elf
from usermode.inspect.instructions import Found, code_areas, scan
from usermode.inspect.libraries import find_library, search_folders
from usermode.inspect.notes import build_id, oldest_kernel, properties
from usermode.inspect.relocations import count_ifuncs
from usermode.inspect.sysroot import find_file

DF_1_PIE = 0x08000000
PAGE = 4096
PF_X, PF_W, PF_R = 1, 2, 4

SHARED_LIBRARY = "shared library"
PROGRAMS = ("executable", "PIE executable", "static PIE executable")
KINDS = {
    "ET_REL": "object file",
    "ET_EXEC": "executable",
    "ET_CORE": "core file",
    "ET_NONE": "file of no type",
}


@dataclass(frozen=True)
class File:
    """A file that the program names, and the host's path of what it gets (None: there is none)."""

    name: str
    found: str | None


@dataclass(frozen=True)
class Load:
    """A PT_LOAD: addresses and sizes in bytes, `permissions` as in /proc/PID/maps."""

    address: int
    memory_size: int
    file_size: int
    align: int
    permissions: str


@dataclass(frozen=True)
class Tls:
    """PT_TLS: bytes of thread-local storage, the first `initialised` of them from the file."""

    size: int
    initialised: int
    align: int


@dataclass
class Report:
    """What the file is and what it asks for; sizes in bytes, None for what it does not say."""

    path: str
    kind: str
    machine: str
    bits: int
    byte_order: str
    is_guest: bool
    runnable: bool
    entry: int
    interpreter: File | None
    needed: list[File]
    rpath: list[str]
    runpath: list[str]
    build_id: str | None
    oldest_kernel: str | None
    properties: list[str]
    stack: str | None
    loads: list[Load]
    tls: Tls | None
    ifuncs: int
    code_size: int
    may_use: list[Found]
    warnings: list[str]


def inspect_file(path: str, sysroot: str | None = None) -> Report:
    """Read an ELF file and compare what it asks for with what the files and the engine offer.

    `sysroot` is searched before the host. Raises UsermodeError when the file cannot be read, or
    is damaged.
    """
    elf = read_elf(path)
    is_guest = elf.machine == MACHINE and elf.bits == 64 and elf.little_endian
    interpreter = interpreter_of(elf)
    kind = kind_of(elf, interpreter)
    rpath, runpath = elf.strings("DT_RPATH"), elf.strings("DT_RUNPATH")
    origin = os.path.dirname(os.path.abspath(path))
    folders = list(search_folders(sysroot, origin, rpath, runpath)) if is_guest else []
    return Report(
        path=path,
        kind=kind,
        machine=elf.machine.removeprefix("EM_"),
        bits=elf.bits,
        byte_order="little" if elf.little_endian else "big",
        is_guest=is_guest,
        # The dynamic linker and libc.so.6 are libraries that can be run: they have an entry.
        runnable=is_guest and (kind in PROGRAMS or (kind == SHARED_LIBRARY and elf.entry != 0)),
        entry=elf.entry,
        interpreter=File(interpreter, find_file(interpreter, sysroot)) if interpreter else None,
        needed=[
            File(name, find_library(name, sysroot, folders)) for name in elf.strings("DT_NEEDED")
        ],
        rpath=rpath,
        runpath=runpath,
        build_id=build_id(elf),
        oldest_kernel=oldest_kernel(elf),
        properties=properties(elf) if is_guest else [],
        stack=stack_of(elf),
        loads=loads_of(elf),
        tls=tls_of(elf),
        ifuncs=count_ifuncs(elf) if is_guest else 0,
        code_size=sum(size for _, size in code_areas(elf)),
        may_use=scan(elf, OFFERED) if is_guest else [],
        warnings=elf.warnings + load_warnings(elf),
    )


def interpreter_of(elf: Elf) -> str | None:
    """Return the path in PT_INTERP, None when there is none."""
    for part in elf.segments:
        if part.kind == "PT_INTERP":
            text = elf.image[part.offset : part.offset + part.file_size]
            return os.fsdecode(text.partition(b"\0")[0])
    return None


def kind_of(elf: Elf, interpreter: str | None) -> str:
    """Name what the file is.

    ET_DYN is a program when the linker flagged it so (DF_1_PIE), or when it names an interpreter
    but, unlike libc.so.6, no DT_SONAME: older linkers did not write the flag.
    """
    if elf.kind != "ET_DYN":
        return KINDS.get(elf.kind, elf.kind)
    flagged = (elf.tag("DT_FLAGS_1") or 0) & DF_1_PIE
    if interpreter is not None and (flagged or not elf.strings("DT_SONAME")):
        return "PIE executable"
    return "static PIE executable" if flagged else SHARED_LIBRARY


def stack_of(elf: Elf) -> str | None:
    """Say what PT_GNU_STACK asks for; without one a 64-bit program's stack is not executable."""
    for part in elf.segments:
        if part.kind == "PT_GNU_STACK":
            return "executable" if part.flags & PF_X else "not executable"
    return "not executable (no PT_GNU_STACK)" if elf.kind in ("ET_EXEC", "ET_DYN") else None


def loads_of(elf: Elf) -> list[Load]:
    """Return the segments that are loaded, in the order of the file."""
    return [
        Load(part.address, part.memory_size, part.file_size, part.align, permissions(part.flags))
        for part in elf.segments
        if part.kind == "PT_LOAD"
    ]


def permissions(flags: int) -> str:
    """Write p_flags as /proc/PID/maps does, "r-x"."""
    return "".join(
        letter if flags & bit else "-" for letter, bit in (("r", PF_R), ("w", PF_W), ("x", PF_X))
    )


def tls_of(elf: Elf) -> Tls | None:
    """Return what PT_TLS asks for."""
    for part in elf.segments:
        if part.kind == "PT_TLS":
            return Tls(part.memory_size, part.file_size, part.align)
    return None


def load_warnings(elf: Elf) -> list[str]:
    """Return what may keep the segments from being loaded; the page has 4096 bytes."""
    loads = [part for part in elf.segments if part.kind == "PT_LOAD"]
    found = []
    for index, part in enumerate(loads):
        name = f"PT_LOAD {index}"
        if part.align > 1 and part.align & (part.align - 1):
            found.append(f"{name}: the alignment {part.align:#x} is no power of two")
        elif part.file_size and (part.offset - part.address) % PAGE:
            found.append(
                f"{name}: file offset and address differ within a page, so it cannot be mapped"
            )
        if part.flags & PF_W and part.flags & PF_X:
            found.append(f"{name}: writable and executable at once")
    if any(after.address < before.address for before, after in pairwise(loads)):
        found.append(
            "the PT_LOAD segments are not in the order of their addresses, as elf(5) wants them"
        )
    return found
