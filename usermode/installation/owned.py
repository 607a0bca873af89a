# SPDX-License-Identifier: GPL-2.0-or-later
"""Everything that an installation consists of: the one list for install, uninstall and the Debian package.

Adding a file: a row here, and the file where `sources.find` looks.
"""

from __future__ import annotations

from typing import NamedTuple

from binfmt.entry import Entry
from binfmt.places import BINFMT_D, INTERPRETER, sample_beside
from usermode.installation.texts import COMMAND, SERVICE_COMMAND, binfmt_d, start_script

MODULES = "/usr/lib/usermode"
"""Our Python packages: private, so that no other program sees modules called `binfmt` and `syscalls`."""

UNITS = "/usr/lib/systemd/system"
SERVICE, SOCKET = "usermode.service", "usermode.socket"

PACKAGES = ("binfmt", "syscalls", "usermode")
DEPENDENCIES = ("click", "elftools")
"""Packages of others that are copied too where no package manager brings them; both are pure Python."""


class Shipped(NamedTuple):
    """A file that is copied: its name for `sources.find`, and where it goes."""

    source: str
    target: str
    mode: int = 0o644


class Made(NamedTuple):
    """A file whose text is made here."""

    text: str
    target: str
    mode: int = 0o644


class Link(NamedTuple):
    """A symbolic link; what `systemctl enable` would make."""

    to: str
    target: str


SHIPPED = (
    Shipped("usermode-aarch64", INTERPRETER, 0o755),
    Shipped("usermode-sample", sample_beside(INTERPRETER), 0o755),
    Shipped(f"systemd/{SERVICE}", f"{UNITS}/{SERVICE}"),
    Shipped(f"systemd/{SOCKET}", f"{UNITS}/{SOCKET}"),
    Shipped("man/usermode.1", "/usr/share/man/man1/usermode.1"),
    Shipped("man/usermode-aarch64.1", "/usr/share/man/man1/usermode-aarch64.1"),
)

MADE = (
    Made(start_script("usermode.cli", MODULES), COMMAND, 0o755),
    Made(start_script("usermode.service.daemon", MODULES), SERVICE_COMMAND, 0o755),
    Made(binfmt_d(Entry()), BINFMT_D),
)

COMPLETIONS = {
    "bash": "/usr/share/bash-completion/completions/usermode",
    "zsh": "/usr/share/zsh/vendor-completions/_usermode",
    "fish": "/usr/share/fish/vendor_completions.d/usermode.fish",
}
"""Shell -> where its script goes; the command line makes the scripts."""

LINKS = (
    Link(f"{UNITS}/{SERVICE}", f"/etc/systemd/system/multi-user.target.wants/{SERVICE}"),
    Link(f"{UNITS}/{SOCKET}", f"/etc/systemd/system/sockets.target.wants/{SOCKET}"),
)

FOLDERS = (MODULES, "/usr/libexec/usermode", "/var/cache/usermode", "/run/usermode")
"""Ours with all that is in them; the last two are made by systemd when it starts the service."""


def file_targets() -> list[str]:
    """Return all single files, without the modules."""
    return [
        *(row.target for row in SHIPPED),
        *(row.target for row in MADE),
        *COMPLETIONS.values(),
        *(row.target for row in LINKS),
    ]
