# SPDX-License-Identifier: GPL-2.0-or-later
"""One registration, in the form that the kernel and binfmt.d(5) take: `:name:M::magic:mask:interpreter:flags`.

Source: Documentation/admin-guide/binfmt-misc.rst.
"""

from __future__ import annotations

from binfmt.magic import MAGIC, mask
from binfmt.places import INTERPRETER

NAME = "usermode-aarch64"
FLAGS = "POF"
"""Keep argv[0], hand over the open program, and open the interpreter once, at registration: chroots need no file."""

TRANSPARENT_FLAGS = "OFT"
"""From Linux 7.3 on: argv stays as it is, and /proc/PID/exe is the program. Older kernels refuse such an entry."""

PRESERVE, OPEN, CREDENTIALS, TRANSPARENT = "P", "O", "C", "T"
KNOWN_FLAGS = "POCFT"
"""In the order in which the kernel shows them, and T. Linux 7.3 adds D and L too, which serve other purposes."""

LINE_LIMIT = 1920
INTERPRETER_LIMIT = 127
DELIMITERS = ":|,%@!"
"""Any character may separate the fields; not `#` and `;`, which begin a comment in binfmt.d(5)."""


class Entry:
    """An entry: `name` is that of its file below /proc/sys/fs/binfmt_misc, `flags` letters out of POCFT."""

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
        if not name or "/" in name or name in (".", "..", "register", "status"):
            raise ValueError(f"no name for an entry: {name!r}")
        if not interpreter.startswith("/"):
            raise ValueError(f"the interpreter needs an absolute path: {interpreter!r}")
        if len(interpreter.encode("utf-8", "surrogateescape")) > INTERPRETER_LIMIT:
            raise ValueError(f"the interpreter's path is longer than {INTERPRETER_LIMIT} bytes")
        if any(separator in name + interpreter for separator in "\n\0"):
            raise ValueError(f"a line break or NUL in {name + interpreter!r}")
        if unknown := set(flags) - set(KNOWN_FLAGS):
            raise ValueError(f"unknown flags: {''.join(sorted(unknown))} (known: {KNOWN_FLAGS})")
        if PRESERVE in flags and TRANSPARENT in flags:
            raise ValueError(
                "flag T keeps the whole argv, so the kernel refuses it together with P"
            )
        self.name = name
        self.interpreter = interpreter
        self.flags = in_order(flags)
        self.appimage = appimage
        if len(self.line().encode("utf-8", "surrogateescape")) > LINE_LIMIT:
            raise ValueError(f"the whole entry is longer than {LINE_LIMIT} bytes")

    @property
    def mask(self) -> bytes:
        """Which bits of the magic count."""
        return mask(self.appimage)

    @property
    def portable(self) -> Entry:
        """The entry for kernels of any age: with P for T."""
        flags = self.flags.replace(TRANSPARENT, PRESERVE)
        return Entry(self.interpreter, name=self.name, flags=flags, appimage=self.appimage)

    def line(self) -> str:
        """Return the line to register. Raises ValueError when no delimiter is left for it."""
        text = self.name + self.interpreter
        delimiter = next((character for character in DELIMITERS if character not in text), None)
        if delimiter is None:
            raise ValueError(f"each of {DELIMITERS} stands in {text!r}, none can separate fields")
        magic, bits = escaped(MAGIC), escaped(self.mask)
        fields = ["", self.name, "M", "", magic, bits, self.interpreter, self.flags]
        return delimiter.join(fields)


def in_order(flags: str) -> str:
    """Return flags each once and in the kernel's order, with the O that C and T imply; unknown ones come last."""
    if CREDENTIALS in flags or TRANSPARENT in flags:
        flags += OPEN
    unknown = sorted(set(flags) - set(KNOWN_FLAGS))
    return "".join([*(flag for flag in KNOWN_FLAGS if flag in flags), *unknown])


def lacking(flags: str) -> list[str]:
    """Return which of the flags that programs need are not among these; T does what P does, and more."""
    present = in_order(flags.replace(TRANSPARENT, TRANSPARENT + PRESERVE))
    return [flag for flag in FLAGS if flag not in present]


def escaped(data: bytes) -> str:
    r"""Return bytes as \xNN, which the kernel reads back."""
    return "".join(f"\\x{byte:02x}" for byte in data)
