# SPDX-License-Identifier: GPL-2.0-or-later
"""What a root tree needs around it to work as a machine: /proc, /dev, /sys, name resolution, and the registration."""

from __future__ import annotations

import errno
import os
import stat

from binfmt.entry import CREDENTIALS, FLAGS, Entry
from binfmt.refusal import RegistryError
from binfmt.registry import Registry
from usermode.container.host import (
    MS_BIND,
    MS_NODEV,
    MS_NOEXEC,
    MS_NOSUID,
    MS_PRIVATE,
    MS_REC,
    bind,
    mount,
)
from usermode.errors import UsermodeError

DEVICES = ("null", "zero", "full", "random", "urandom", "tty")
LINKS = {
    "ptmx": "pts/ptmx",
    "fd": "/proc/self/fd",
    "stdin": "/proc/self/fd/0",
    "stdout": "/proc/self/fd/1",
    "stderr": "/proc/self/fd/2",
}
RESOLVER = "/etc/resolv.conf"
SET_UP_FAILED = 125
"""Exit status when the tree could not be entered, as for env(1)."""
PLAIN = MS_NOSUID | MS_NODEV | MS_NOEXEC


def _folder(path: str) -> str:
    """Make sure of a folder, also where debootstrap(8) has left a link to the host's."""
    if os.path.islink(path):
        os.unlink(path)
    os.makedirs(path, exist_ok=True)
    return path


def _place(path: str) -> str:
    """Make sure of a file to mount another one on."""
    if not os.path.exists(path):
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644))
    return path


def devices(root: str) -> None:
    """Fill ROOT/dev with what every program may use; nodes cannot be made in a user namespace, so they are bound."""
    dev = _folder(os.path.join(root, "dev"))
    mount("dev", dev, "tmpfs", MS_NOSUID, "mode=755")
    for name in DEVICES:
        bind(f"/dev/{name}", _place(os.path.join(dev, name)))
    mount(
        "devpts",
        _folder(os.path.join(dev, "pts")),
        "devpts",
        MS_NOSUID | MS_NOEXEC,
        "newinstance,ptmxmode=0666,mode=620",
    )
    mount("shm", _folder(os.path.join(dev, "shm")), "tmpfs", MS_NOSUID | MS_NODEV, "mode=1777")
    for name, target in LINKS.items():
        os.symlink(target, os.path.join(dev, name))
    console = _place(os.path.join(dev, "console"))
    if os.isatty(0):
        bind(os.ttyname(0), console)


def resolver(root: str) -> str | None:
    """Let programs in ROOT resolve names as the host does. Returns what to tell the user if that cannot be."""
    target = place_inside(root, RESOLVER)
    if not os.path.exists(RESOLVER) or not os.path.isdir(os.path.dirname(target)):
        return None
    if os.path.islink(target):
        return f"{target} is a symbolic link; names may not resolve inside"
    bind(os.path.realpath(RESOLVER), _place(target))
    return None


def place_inside(root: str, target: str) -> str:
    """Return the place of `target` in the tree. UsermodeError when a link of the tree leads to the host's files."""
    place = os.path.join(root, target.lstrip("/"))
    parent = os.path.realpath(os.path.dirname(place))
    if os.path.commonpath([root, parent]) != root or ".." in target.split("/"):
        raise UsermodeError(
            f"{target} cannot be made: {os.path.dirname(place)} leads out of the tree",
            status=SET_UP_FAILED,
        )
    return place


def register(proc: str, interpreter: str) -> bool:
    """Register the interpreter with the namespace's own binfmt_misc. False where the kernel has none (before 6.7).

    Set-user-ID programs gain their owner's rights, as passwd(1) and su(1) of the tree need: rights over the tree only.
    """
    folder = os.path.join(proc, "sys/fs/binfmt_misc")
    try:
        mount("binfmt_misc", folder, "binfmt_misc", PLAIN)
    except OSError as error:
        if error.errno in (errno.EPERM, errno.ENODEV, errno.ENOENT):
            return False
        raise
    try:
        Registry(folder).register(Entry(interpreter, flags=FLAGS + CREDENTIALS))
    except (RegistryError, ValueError) as error:
        raise UsermodeError(str(error), status=SET_UP_FAILED) from error
    return True


def furnish(root: str, interpreter: str, binds: list[tuple[str, str]]) -> tuple[bool, list[str]]:
    """Mount around and below `root`, in a mount namespace of our own, as the first process of a process-id namespace.

    Returns whether the interpreter is registered, and warnings. `binds` are (source, target inside). Raises OSError.
    """
    mount("", "/", flags=MS_REC | MS_PRIVATE)
    mount(root, root, flags=MS_BIND | MS_REC)
    proc = _folder(os.path.join(root, "proc"))
    mount("proc", proc, "proc", PLAIN)
    registered = register(proc, interpreter)
    bind("/sys", _folder(os.path.join(root, "sys")))
    devices(root)
    warning = resolver(root)
    for source, target in binds:
        inside = place_inside(root, target)
        if os.path.islink(inside):
            raise UsermodeError(f"{target} is a symbolic link in the tree", status=SET_UP_FAILED)
        if stat.S_ISDIR(os.stat(source).st_mode):
            bind(source, _folder(inside))
        else:
            os.makedirs(os.path.dirname(inside), exist_ok=True)
            bind(source, _place(inside))
    return registered, [warning] if warning else []
