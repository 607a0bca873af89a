# SPDX-License-Identifier: GPL-2.0-or-later
"""Why binfmt_misc refused something: the error, and the reason behind its errno."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from binfmt.entry import Entry

AS_ROOT = "run the command as root"
F_SINCE = (4, 8)
"""The kernel that brought flag F."""


class RegistryError(Exception):
    """binfmt_misc did not do what was asked: one line why, perhaps a second with what helps."""

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


def cannot_write(path: str, error: OSError) -> RegistryError:
    """Explain that a file of binfmt_misc cannot be opened for writing."""
    if error.errno in (errno.EACCES, errno.EPERM):
        return RegistryError(
            f"no right to write {path}: {error.strerror}",
            "run the command as root, or in user and mount namespaces of your own (Linux 6.7): unshare -Urm",
        )
    if error.errno == errno.EROFS:
        return RegistryError(
            f"{path} is read-only here, as in most containers",
            "register on the machine that runs the container: its entries hold in here too",
        )
    if error.errno == errno.ENOENT:
        return RegistryError(f"{path} is not there: {error.strerror}")
    return RegistryError(f"{path}: {error.strerror}")


def cannot_mount(directory: str, error: OSError) -> RegistryError:
    """Explain that binfmt_misc cannot be mounted."""
    message = f"binfmt_misc is not mounted at {directory} and cannot be: {error.strerror}"
    if error.errno == errno.ENODEV:
        return RegistryError(message, "the kernel has no binfmt_misc, or its module is missing")
    if error.errno == errno.ENOENT:
        return RegistryError(message, "the kernel has no binfmt_misc: modprobe binfmt_misc")
    if error.errno in (errno.EPERM, errno.EACCES):
        return RegistryError(message, AS_ROOT)
    return RegistryError(message)


def refused(entry: Entry, error: OSError) -> RegistryError:
    """Explain that the kernel refused a registration."""
    name, path = entry.name, entry.interpreter
    if error.errno == errno.EEXIST:
        return RegistryError(f"the name {name} was taken while we were registering it")
    if error.errno == errno.EINVAL:
        if "F" in entry.flags and kernel_version() < F_SINCE:
            return RegistryError(
                f"this kernel, {os.uname().release}, is too old for flag F (Linux 4.8)",
                "without it the interpreter is looked for in each chroot: --flags PO",
            )
        if "T" in entry.flags:
            return RegistryError(
                f"this kernel, {os.uname().release}, does not know flag T (Linux 7.3)",
                "--flags POF",
            )
        return RegistryError(f"the kernel takes no such entry: {entry.line()}")
    if error.errno in (errno.ENOENT, errno.EACCES, errno.ENOEXEC):
        return RegistryError(f"the kernel cannot open the interpreter {path}: {error.strerror}")
    return RegistryError(f"the kernel refuses {name}: {error.strerror}")


def kernel_version(release: str | None = None) -> tuple[int, int]:
    """Return the kernel's version and patch level, 6.18.44 as (6, 18)."""
    parts = (release or os.uname().release).split("-", 1)[0].split(".")
    return int(parts[0]), int("".join(filter(str.isdigit, parts[1])) or 0)
