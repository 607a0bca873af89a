# SPDX-License-Identifier: GPL-2.0-or-later
"""Calls about namespaces and mounts that Python 3.11 lacks: unshare(2), mount(2), pivot_root(2), prctl(2)."""

from __future__ import annotations

import ctypes
import os

from syscalls.host.x86_64 import NUMBERS

CLONE_NEWNS, CLONE_NEWUSER, CLONE_NEWPID = 0x00020000, 0x10000000, 0x20000000

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 0x1, 0x2, 0x4, 0x8
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000
MNT_DETACH = 2
PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True)
_libc.mount.argtypes = (
    *(ctypes.c_char_p, ctypes.c_char_p, ctypes.c_char_p),
    *(ctypes.c_ulong, ctypes.c_char_p),
)


def _check(result: int, what: str) -> None:
    if result:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), what)


def unshare(flags: int) -> None:
    """Leave the namespaces that `flags` names for new ones. Raises OSError."""
    _check(_libc.unshare(flags), "unshare")


def mount(source: str, target: str, kind: str = "", flags: int = 0, options: str = "") -> None:
    """Mount a file system, or with MS_BIND a folder or file, at `target`. Raises OSError."""
    words = [os.fsencode(word) for word in (source, target, kind)]
    _check(_libc.mount(*words, flags, os.fsencode(options)), target)


def bind(source: str, target: str) -> None:
    """Show a file or folder at `target` too, with what is mounted below it. Raises OSError."""
    mount(source, target, flags=MS_BIND | MS_REC)


def pivot_root(new: str) -> None:
    """Make the mount point `new` the root, and leave the old one behind. Raises OSError.

    As pivot_root(2) describes for a new root that has no place for the old one.
    """
    os.chdir(new)
    _check(_libc.syscall(NUMBERS["pivot_root"], b".", b"."), new)
    _check(_libc.umount2(b".", MNT_DETACH), "/")
    os.chdir("/")


def die_with_parent(number: int) -> None:
    """Have the kernel send us a signal when our parent ends."""
    _check(_libc.prctl(PR_SET_PDEATHSIG, number, 0, 0, 0), "prctl")
