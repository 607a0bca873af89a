# SPDX-License-Identifier: GPL-2.0-or-later
"""The report as text for a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from usermode.errors import printable
from usermode.inspect.cpu import NAME
from usermode.inspect.report import SHARED_LIBRARY

if TYPE_CHECKING:
    from collections.abc import Iterator

    from usermode.inspect.report import File, Report

WIDTH = 13
"""Columns of the names on the left."""


def render(report: Report) -> str:
    """Return the report as lines of text, without anything that could steer the terminal."""
    found = []
    for name, text in lines(report):
        line = f"{name + ':' if name else '':{WIDTH}} {text}"
        found.append(printable(line.encode("utf-8", "surrogateescape")))
    return "\n".join(found)


def lines(report: Report) -> Iterator[tuple[str, str]]:
    """Yield (name, text) pairs; an empty name goes on with the one before."""
    yield "file", report.path
    yield "type", f"{report.kind}, {report.machine} {report.bits}-bit {report.byte_order}-endian"
    yield "runs here", verdict(report)
    yield "entry", f"{report.entry:#x}"
    if report.interpreter:
        yield "interpreter", where(report.interpreter, report)
    yield from listed("needs", [where(library, report) for library in report.needed])
    yield from listed("RPATH", report.rpath)
    yield from listed("RUNPATH", report.runpath)
    if report.build_id:
        yield "build-id", report.build_id
    if report.oldest_kernel:
        yield "kernel", f"{report.oldest_kernel} or newer"
    if report.properties:
        yield "built for", f"{', '.join(report.properties)} (accepted, not enforced)"
    if report.stack:
        yield "stack", report.stack
    yield from listed(
        "loads",
        [
            f"{load.address:#010x} {load.permissions} {load.memory_size:#x} bytes"
            f" ({load.file_size:#x} from the file), aligned to {load.align:#x}"
            for load in report.loads
        ],
    )
    if report.tls:
        tls = report.tls
        yield "TLS", f"{tls.size} bytes ({tls.initialised} from the file), aligned to {tls.align}"
    if report.ifuncs:
        chosen = counted(report.ifuncs, "function", "functions")
        yield "IFUNC", f"{chosen} chosen at start, usually by what AT_HWCAP offers"
    yield from listed(
        "may use",
        [
            f"{found.extension}, which is not offered:"
            f" {counted(found.words, 'word', 'words')} like it, first at {found.address:#x}"
            for found in report.may_use
        ],
    )
    if report.may_use:
        yield "", "(a hint: data among the code can look so, and programs ask AT_HWCAP first)"
    yield from listed("warning", report.warnings)


def verdict(report: Report) -> str:
    """Say whether the file can be run, and if not, why."""
    if report.runnable:
        although = " (a shared library with an entry)" if report.kind == SHARED_LIBRARY else ""
        files = [*([report.interpreter] if report.interpreter else []), *report.needed]
        missing = [file.name for file in files if file.found is None]
        return (
            f"no: {', '.join(missing)} not found (see --sysroot)" if missing else f"yes{although}"
        )
    if not report.is_guest:
        return f"no: not for a 64-bit little-endian {NAME} CPU"
    return f"no: it is not a program ({report.kind})"


def where(file: File, report: Report) -> str:
    """Write a file's name, and where it was found if it was looked for."""
    if not report.is_guest:
        return file.name
    return f"{file.name} -> {file.found or 'not found'}"


def listed(name: str, texts: list[str]) -> Iterator[tuple[str, str]]:
    """Yield the name once, and one line for each text."""
    for index, text in enumerate(texts):
        yield name if index == 0 else "", text


def counted(number: int, one: str, many: str) -> str:
    """Write a number and what it counts."""
    return f"{number} {one if number == 1 else many}"
