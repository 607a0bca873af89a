# SPDX-License-Identifier: GPL-2.0-or-later
"""One registration, in the form that the kernel and binfmt.d(5) take: `:name:M::magic:mask:interpreter:flags`.

Source: Documentation/admin-guide/binfmt-misc.rst.
"""

from __future__ import annotations

from binfmt.magic import MAGIC, mask

NAME = "usermode-aarch64"
INTERPRETER = "/usr/libexec/usermode/usermode-aarch64"
FLAGS = "POF"
"""Keep argv[0], hand over the open program, and open the interpreter once, at registration: chroots need no file."""

CREDENTIALS = "C"
KNOWN_FLAGS = frozenset("POCF")
LINE_LIMIT = 1920
INTERPRETER_LIMIT = 127


class Entry:
    """An entry: `name` is that of its file below /proc/sys/fs/binfmt_misc, `flags` letters out of POCF."""

    __slots__ = ("appimage", "flags", "interpreter", "name")

    def __init__(
        self,
        interpreter: str = INTERPRETER,
        *,
        name: str = NAME,
        flags: str = FLAGS,
        appimage: bool = False,
    ) -> None:
        """Check the parts. Raises ValueError for what the kernel would refuse."""
        if not name or "/" in name or ":" in name or name in (".", "..", "register", "status"):
            raise ValueError(f"no name for an entry: {name!r}")
        if not interpreter.startswith("/") or ":" in interpreter or "\n" in interpreter:
            raise ValueError(f"the interpreter needs an absolute path without ':': {interpreter!r}")
        if len(interpreter.encode()) > INTERPRETER_LIMIT:
            raise ValueError(f"the interpreter's path is longer than {INTERPRETER_LIMIT} bytes")
        if unknown := set(flags) - KNOWN_FLAGS:
            raise ValueError(f"unknown flags: {''.join(sorted(unknown))}")
        self.name = name
        self.interpreter = interpreter
        self.flags = flags
        self.appimage = appimage

    def line(self) -> str:
        """Return the line to register."""
        magic, bits = escaped(MAGIC), escaped(mask(self.appimage))
        return f":{self.name}:M::{magic}:{bits}:{self.interpreter}:{self.flags}"


def escaped(data: bytes) -> str:
    r"""Return bytes as \xNN, which the kernel reads back."""
    return "".join(f"\\x{byte:02x}" for byte in data)
