# SPDX-License-Identifier: GPL-2.0-or-later
"""What Python code calls while a vfork(2) child may run must be made by that child: usermode/core/proxy_libc.c."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PLACES = ("syscalls/handlers", "usermode/kernel", "usermode/machine", "usermode/loader")

BEHIND = {
    "get_inheritable": "fcntl64",
    "getcwdb": "getcwd",
    "open": "open64 openat64",
    "pread": "pread64",
    "pwrite": "pwrite64",
    "ftruncate": "ftruncate64",
    "fstat": "fstat64",
    "stat": "stat64 fstatat64",
    "lstat": "lstat64 fstatat64",
    "lseek": "lseek64",
    "readlink": "readlink readlinkat",
    "set_inheritable": "ioctl fcntl64",
    "dup": "fcntl64",
}
"""The functions of libc that functions of the posix module call, where the names differ."""

ANYWHERE = {"strerror", "urandom", "_exit"}
"""Those that are the same in every process, or mean this one."""


def test_every_call_is_redirected() -> None:
    wraps = set((ROOT / "usermode/core/wraps").read_text().split())
    missing = []
    for place in PLACES:
        for path in sorted((ROOT / place).rglob("*.py")):
            for name in set(re.findall(r"\bposix\.([a-z_0-9]+)\(", path.read_text())) - ANYWHERE:
                missing += [
                    f"{path.relative_to(ROOT)}: posix.{name}() calls {function}, which is not in core/wraps"
                    for function in BEHIND.get(name, name).split()
                    if function not in wraps
                ]
    assert not missing, "\n".join(missing)
