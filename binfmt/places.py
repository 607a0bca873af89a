# SPDX-License-Identifier: GPL-2.0-or-later
"""Where our files and those that concern us are: one list, below a root that may be a private one.

Imports nothing of ours: `usermode run` pays for what is imported here.
"""

from __future__ import annotations

import os

INTERPRETER = "/usr/libexec/usermode/usermode-aarch64"
INTERPRETER_NAME = "usermode-aarch64"
SAMPLE_NAME = "usermode-sample"
"""A tiny guest program beside the interpreter, for `usermode doctor`."""

BINFMT_MISC = "/proc/sys/fs/binfmt_misc"
BINFMT_D = "/usr/lib/binfmt.d/usermode-aarch64.conf"
"""What systemd-binfmt.service registers at the start of the machine; the package's."""

BINFMT_D_FOLDERS = (
    "/etc/binfmt.d",
    "/run/binfmt.d",
    "/usr/local/lib/binfmt.d",
    "/usr/lib/binfmt.d",
)
"""A file hides those of the same name in folders behind it: binfmt.d(5)."""

SYSTEMD_UNIT_MASK = "/etc/systemd/system/systemd-binfmt.service"
"""A link to /dev/null when the administrator does not want that service: systemctl(1), mask."""

SYSTEMD_RUNS = "/run/systemd/system"
"""There when systemd is the init system: sd_booted(3)."""


class Places:
    """The files below `root`. The kernel's own files are not below it."""

    __slots__ = ("root",)

    def __init__(self, root: str = "/") -> None:
        self.root = os.path.abspath(root)

    def path(self, absolute: str) -> str:
        """Return where the file of that absolute name is."""
        return os.path.join(self.root, absolute.lstrip("/"))

    @property
    def interpreter(self) -> str:
        """The installed interpreter."""
        return self.path(INTERPRETER)

    @property
    def binfmt_d(self) -> str:
        """The package's file for systemd-binfmt.service."""
        return self.path(BINFMT_D)

    def binfmt_d_folders(self) -> list[str]:
        """Return the folders of binfmt.d(5), the strongest first."""
        return [self.path(folder) for folder in BINFMT_D_FOLDERS]

    @property
    def systemd_runs(self) -> bool:
        """Whether systemd manages this machine."""
        return os.path.isdir(self.path(SYSTEMD_RUNS))


def sample_beside(interpreter: str) -> str:
    """Return where an interpreter's sample program is."""
    return os.path.join(os.path.dirname(interpreter), SAMPLE_NAME)


def is_ours(interpreter: str) -> bool:
    """Tell whether a path names our interpreter, wherever it is installed: a build's `-dev` is ours too."""
    return os.path.basename(interpreter) in (INTERPRETER_NAME, f"{INTERPRETER_NAME}-dev")
