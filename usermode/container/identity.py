# SPDX-License-Identifier: GPL-2.0-or-later
"""Which users and groups exist in a new user namespace: user_namespaces(7), subuid(5), newuidmap(1)."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple

from usermode.errors import UsermodeError


class Range(NamedTuple):
    """`size` ids: those from `inside` on are, outside, those from `outside` on."""

    inside: int
    outside: int
    size: int


class Identity(NamedTuple):
    """The ids of a namespace, and whether newuidmap(1) and newgidmap(1) must set them."""

    users: list[Range]
    groups: list[Range]
    by_helper: bool

    @property
    def single(self) -> bool:
        """Whether there is nobody but root in the namespace."""
        return sum(part.size for part in self.users) == 1


def subordinate(table: Path, names: tuple[str, str]) -> list[tuple[int, int]]:
    """Return the ranges (first, count) that a table of subuid(5) gives to a user, by name or number.

    Raises UsermodeError for a line of the user's that newuidmap(1) would not understand.
    """
    try:
        lines = table.read_text(errors="surrogateescape").splitlines()
    except OSError:
        return []
    ranges = []
    for line in lines:
        name, *numbers = line.strip().split(":")
        if name not in names:
            continue
        if len(numbers) != 2 or not all(number.isdecimal() for number in numbers):
            raise UsermodeError(f"{table} has a damaged line: {line!r}")
        ranges.append((int(numbers[0]), int(numbers[1])))
    return ranges


def _current(file: str) -> list[Range]:
    """Return every id of our own namespace, mapped to itself."""
    rows = [line.split() for line in Path(file).read_text().splitlines()]
    return [Range(int(row[0]), int(row[0]), int(row[2])) for row in rows]


def _with_subordinates(own: int, ranges: list[tuple[int, int]]) -> list[Range]:
    result = [Range(0, own, 1)]
    for first, count in ranges:
        result.append(Range(result[-1].inside + result[-1].size, first, count))
    return result


def identity() -> Identity:
    """Choose the widest set of ids that the caller may have: as root all, else itself and its subordinates."""
    user, group = os.geteuid(), os.getegid()
    if user == 0:
        return Identity(_current("/proc/self/uid_map"), _current("/proc/self/gid_map"), False)
    try:
        name = pwd.getpwuid(user).pw_name
    except KeyError:
        name = str(user)
    users = subordinate(Path("/etc/subuid"), (name, str(user)))
    groups = subordinate(Path("/etc/subgid"), (name, str(user)))
    if users and groups and shutil.which("newuidmap") and shutil.which("newgidmap"):
        return Identity(_with_subordinates(user, users), _with_subordinates(group, groups), True)
    return Identity([Range(0, user, 1)], [Range(0, group, 1)], False)


def apply(chosen: Identity, pid: int) -> None:
    """Give the user namespace of process `pid` its ids. Raises OSError and UsermodeError."""
    if chosen.by_helper:
        for helper, ranges in (("newuidmap", chosen.users), ("newgidmap", chosen.groups)):
            words = [str(number) for part in ranges for number in part]
            done = subprocess.run([helper, str(pid), *words], capture_output=True, text=True)
            if done.returncode:
                raise UsermodeError(f"{helper} failed: {done.stderr.strip()}")
        return
    if os.geteuid() != 0:
        Path(f"/proc/{pid}/setgroups").write_text("deny")
    for name, ranges in (("uid_map", chosen.users), ("gid_map", chosen.groups)):
        lines = "".join(f"{part.inside} {part.outside} {part.size}\n" for part in ranges)
        Path(f"/proc/{pid}/{name}").write_text(lines)
