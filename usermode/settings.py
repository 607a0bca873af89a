# SPDX-License-Identifier: GPL-2.0-or-later
"""The interpreter's options: from its command line, and from USERMODE_* unless the program is privileged."""

from __future__ import annotations

import posix

from usermode.errors import UsermodeError, printable

OPTIONS_WITH_VALUE = (b"--sysroot", b"--argv0", b"--cpu")
CPU_MODELS = (b"max",)
USAGE_STATUS = 2


class Settings:
    """How programs run. Bytes are paths as given; `strace` is None, b"" for standard error, or a file name."""

    __slots__ = ("argv0", "debug", "strace", "sysroot")

    def __init__(self) -> None:
        self.sysroot = b""
        self.argv0: bytes | None = None
        self.strace: bytes | None = None
        self.debug = b""

    def read_environment(self) -> None:
        """Take USERMODE_SYSROOT, USERMODE_STRACE and USERMODE_DEBUG."""
        get = posix.environ.get
        self.sysroot = get(b"USERMODE_SYSROOT", b"")
        self.strace = get(b"USERMODE_STRACE")
        if self.strace == b"1":
            self.strace = b""
        self.debug = get(b"USERMODE_DEBUG", b"")

    def read_options(self, arguments: list[bytes]) -> list[bytes]:
        """Take the options in front of the program's name and return the rest. Raises UsermodeError."""
        i = 0
        while i < len(arguments) and arguments[i].startswith(b"-"):
            name, equals, value = arguments[i].partition(b"=")
            i += 1
            if name == b"--":
                break
            if name in OPTIONS_WITH_VALUE and not equals:
                if i == len(arguments):
                    raise UsermodeError(f"{name.decode()} needs a value", status=USAGE_STATUS)
                value = arguments[i]
                i += 1
            self._set(name, value)
        return arguments[i:]

    def _set(self, name: bytes, value: bytes) -> None:
        if name == b"--sysroot":
            self.sysroot = value
        elif name == b"--argv0":
            self.argv0 = value
        elif name == b"--strace":
            self.strace = value
        elif name == b"--cpu":
            if value not in CPU_MODELS:
                raise UsermodeError(
                    f"no CPU model {printable(value)}: there is only max", status=USAGE_STATUS
                )
        else:
            raise UsermodeError(
                f"unknown option {printable(name)}",
                status=USAGE_STATUS,
                hint="usermode-aarch64 [--sysroot DIR] [--argv0 NAME] [--strace[=FILE]] [--cpu MODEL] "
                "[--] PROGRAM [ARGUMENTS]",
            )

    def as_options(self) -> list[bytes]:
        """Return the options that hand these settings on to the next program."""
        options = []
        if self.sysroot:
            options += [b"--sysroot", self.sysroot]
        if self.strace is not None:
            options.append(b"--strace=" + self.strace)
        return options

    def check(self) -> None:
        """Make the sysroot absolute, since programs change directory. Raises UsermodeError if it is none."""
        if not self.sysroot:
            return
        try:
            posix.stat(self.sysroot + b"/.")
        except OSError as error:
            raise UsermodeError(f"sysroot {printable(self.sysroot)}: {error.strerror}", status=USAGE_STATUS) from None
        if not self.sysroot.startswith(b"/"):
            self.sysroot = posix.getcwdb() + b"/" + self.sysroot
