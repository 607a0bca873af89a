# SPDX-License-Identifier: GPL-2.0-or-later
"""binfmt.d(5): the files from which systemd-binfmt.service fills the kernel's table at the start of the machine."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from binfmt.entry import Entry, in_order
from binfmt.listing import PROGRAMS, Registered

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

COMMENTS = "#;"
NULL = "/dev/null"
HEADER = """\
# SPDX-License-Identifier: GPL-2.0-or-later
# AArch64 programs are run by usermode; see binfmt.d(5) and usermode(1).
"""


def render(entry: Entry) -> str:
    """Return the text of a file that registers `entry`."""
    return f"{HEADER}{entry.line()}\n"


@dataclass(frozen=True)
class File:
    """One file of binfmt.d: `masked` when it is a link to /dev/null, which makes systemd pass over the name."""

    path: str
    masked: bool
    entries: tuple[Registered, ...]
    problem: str = ""
    """Why it cannot be read, or what is wrong in it."""
    hidden: tuple[str, ...] = ()
    """Files of the same name that this one hides."""


def read(path: str, hidden: Sequence[str] = ()) -> File:
    """Read one file."""
    try:
        masked, entries = _read(path)
    except (OSError, ValueError) as error:
        return File(path, masked=False, entries=(), problem=str(error), hidden=tuple(hidden))
    return File(path, masked, entries, hidden=tuple(hidden))


def _read(path: str) -> tuple[bool, tuple[Registered, ...]]:
    """Return whether a file masks its name, and its entries. Raises OSError and ValueError."""
    # A link to /dev/null below another root leads to that root's, which may not be there.
    if os.path.realpath(path) == NULL or (os.path.islink(path) and os.readlink(path) == NULL):
        return True, ()
    with open(path, encoding="utf-8", errors="surrogateescape") as file:
        lines = [line.strip() for line in file]
    entries = tuple(parse_line(line) for line in lines if line and line[0] not in COMMENTS)
    return not lines, entries


def parse_line(line: str) -> Registered:
    """Read a line of registration. Raises ValueError when it has not the eight fields."""
    fields = line[1:].split(line[0])
    if len(fields) != 7:
        raise ValueError(f"no entry of binfmt_misc: {line[:60]!r}")
    name, kind, offset, magic, mask, interpreter, flags = fields
    return Registered(
        name=name,
        enabled=True,
        interpreter=interpreter,
        flags=in_order(flags),
        offset=int(offset or "0"),
        magic=unescape(magic) if kind == "M" else None,
        mask=unescape(mask) or None,
        extension=magic if kind == "E" else None,
    )


def unescape(text: str) -> bytes:
    r"""Return the bytes that \xNN and plain characters stand for. Raises ValueError."""
    head, *rest = text.encode("utf-8", "surrogateescape").split(b"\\x")
    return head + b"".join(bytes.fromhex(part[:2].decode()) + part[2:] for part in rest)


def files(folders: Sequence[str]) -> Iterator[File]:
    """Yield the files that systemd-binfmt reads, in its order; `folders` has the strongest first."""
    found: dict[str, list[str]] = {}
    for folder in folders:
        for name in os.listdir(folder) if os.path.isdir(folder) else ():
            if name.endswith(".conf"):
                found.setdefault(name, []).append(os.path.join(folder, name))
    for name in sorted(found):
        path, *hidden = found[name]
        yield read(path, hidden)


def later_rivals(effective: Sequence[File], own_name: str) -> list[tuple[File, Registered]]:
    """Return the entries for guest programs that systemd-binfmt registers after the file `own_name`, and so win."""
    names = [os.path.basename(file.path) for file in effective]
    if own_name not in names:
        return []
    return [
        (file, entry)
        for file in effective[names.index(own_name) + 1 :]
        for entry in file.entries
        if not entry.ours and any(entry.matches(head) for head in PROGRAMS.values())
    ]
