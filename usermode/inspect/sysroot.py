# SPDX-License-Identifier: GPL-2.0-or-later
"""Paths as a program with a sysroot sees them: absolute ones are its own, else the host's."""

from __future__ import annotations

import os

SYMLINK_LIMIT = 40
"""MAXSYMLINKS of the kernel, see path_resolution(7)."""


def find_file(path: str, sysroot: str | None) -> str | None:
    """Return the host's path of the file that `path` names, None when there is none."""
    for root in roots(sysroot):
        file = resolve_in_root(root, path) if path.startswith("/") else path
        if file is not None and os.path.exists(file):
            return file
    return None


def roots(sysroot: str | None) -> tuple[str, ...]:
    """Return the directories to look in, in their order."""
    return ("/",) if sysroot is None else (sysroot, "/")


def resolve_in_root(root: str, path: str) -> str | None:
    """Return the host's path of `path` under `root`, every symbolic link followed inside `root`.

    An absolute link starts again at `root`, and `..` does not leave it (RESOLVE_IN_ROOT of
    openat2(2)). The file need not exist. None means a loop of links, or a component that cannot
    be read.
    """
    waiting = [part for part in path.split("/") if part]
    done: list[str] = []
    links = 0
    while waiting:
        part = waiting.pop(0)
        if part == ".":
            continue
        if part == "..":
            del done[-1:]
            continue
        here = os.path.join(root, *done, part)
        try:
            target = os.readlink(here) if os.path.islink(here) else None
        except (OSError, ValueError):  # unreadable; or a NUL byte from a hostile file
            return None
        if target is None:
            done.append(part)
            continue
        links += 1
        if links > SYMLINK_LIMIT:
            return None
        if target.startswith("/"):
            done = []
        waiting[:0] = [word for word in target.split("/") if word]
    return os.path.join(root, *done)
