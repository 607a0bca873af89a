# SPDX-License-Identifier: GPL-2.0-or-later
"""Which file the dynamic linker would take for a needed library.

The order is that of ld.so(8), without LD_LIBRARY_PATH and without ld.so.cache: instead of the
cache, the folders that /etc/ld.so.conf names, from which the cache is made.
"""

from __future__ import annotations

import glob
import os
from typing import TYPE_CHECKING

from usermode.inspect.cpu import MACHINE_NUMBER, TRIPLE
from usermode.inspect.sysroot import find_file, resolve_in_root, roots

if TYPE_CHECKING:
    from collections.abc import Iterator

DEFAULT_FOLDERS = (
    f"/lib/{TRIPLE}",
    f"/usr/lib/{TRIPLE}",
    "/lib64",
    "/usr/lib64",
    "/lib",
    "/usr/lib",
)
ELF64_LITTLE = b"\x7fELF\x02\x01"
INCLUDE_DEPTH = 8


def search_folders(
    sysroot: str | None, origin: str, rpath: list[str], runpath: list[str]
) -> Iterator[str]:
    """Yield the folders to look in, as the program sees them.

    `origin` is the folder of the program (for $ORIGIN). DT_RPATH counts only where there is no
    DT_RUNPATH.
    """
    for text in runpath or rpath:
        for folder in text.split(":"):
            if folder:
                yield folder.replace("${ORIGIN}", origin).replace("$ORIGIN", origin)
    yield from configured_folders(sysroot, "/etc/ld.so.conf")
    yield from DEFAULT_FOLDERS


def configured_folders(sysroot: str | None, path: str, depth: int = 0) -> Iterator[str]:
    """Yield the folders that a ld.so.conf names, its `include` lines followed; see ldconfig(8)."""
    file = find_file(path, sysroot)
    if file is None or depth > INCLUDE_DEPTH or not os.path.isfile(file):
        return
    with open(file, encoding="utf-8", errors="surrogateescape") as lines:
        for line in lines:
            words = line.partition("#")[0].split()
            if words[:1] == ["include"]:
                for pattern in words[1:]:
                    for name in matching(sysroot, os.path.join(os.path.dirname(path), pattern)):
                        yield from configured_folders(sysroot, name, depth + 1)
            elif words and words[0].startswith("/"):
                yield words[0]


def matching(sysroot: str | None, pattern: str) -> list[str]:
    """Return the paths that match an absolute pattern: the sysroot's, or else the host's."""
    for root in roots(sysroot):
        names = sorted(glob.glob(pattern.lstrip("/"), root_dir=root))
        if names:
            return [f"/{name}" for name in names]
    return []


def find_library(name: str, sysroot: str | None, folders: list[str]) -> str | None:
    """Return the host's path of a needed library, None when there is none for the guest's CPU."""
    places = [name] if "/" in name else [os.path.join(folder, name) for folder in folders]
    for place in places:
        for root in roots(sysroot):
            file = resolve_in_root(root, place)
            if file is not None and is_guest_library(file):
                return file
    return None


def is_guest_library(path: str) -> bool:
    """Tell whether a file is ELF for the guest's CPU; the dynamic linker passes over any other."""
    try:
        if not os.path.isfile(path):
            return False
        with open(path, "rb") as file:
            head = file.read(20)
    except (OSError, ValueError):  # unreadable; or a NUL byte in a hostile name
        return False
    return head[:6] == ELF64_LITTLE and int.from_bytes(head[18:20], "little") == MACHINE_NUMBER
