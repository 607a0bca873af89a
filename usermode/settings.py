# SPDX-License-Identifier: GPL-2.0-or-later
"""The interpreter's options: from its command line, and from USERMODE_* unless the program is privileged."""

from __future__ import annotations

import posix

from usermode.errors import UsermodeError, printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

NAME = "usermode-aarch64"
CPU_MODELS = (b"max",)
USAGE_STATUS = 2
HINT = f"{NAME} --help"

VALUE, OPTIONAL_VALUE, NO_VALUE = "value", "optional value", "no value"

OPTIONS = (
    (b"--sysroot", VALUE, "DIR", "absolute paths that exist under DIR are taken from there"),
    (b"--argv0", VALUE, "NAME", "give the program NAME as its first argument"),
    (
        b"--strace",
        OPTIONAL_VALUE,
        "FILE",
        "show system calls on standard error, or write them to FILE",
    ),
    (b"--core", OPTIONAL_VALUE, "FILE", "dump core also if RLIMIT_CORE is 0, to FILE if given"),
    (b"--cpu", VALUE, "MODEL", "the CPU model; max is the only one"),
    (b"--gdb", VALUE, "WHERE", "wait for gdb at PORT, ADDRESS:PORT or the path of a socket"),
    (b"--help", NO_VALUE, "", "show this and exit (also -h)"),
    (b"--version", NO_VALUE, "", "show the version and exit"),
    # Given by the interpreter to itself when it starts again, so without a description.
    (b"--program-fd", VALUE, "", ""),
    (b"--execfn", VALUE, "", ""),
    (b"--comm", VALUE, "", ""),
    (b"--strings-fd", VALUE, "", ""),
    (b"--limits", VALUE, "", ""),
    (b"--restore-personality", VALUE, "", ""),
    (b"--gdb-connection", VALUE, "", ""),
)
"""(name, VALUE, OPTIONAL_VALUE or NO_VALUE, name of the value, description), in the order of --help."""

FORMS = {option: form for option, form, _, _ in OPTIONS}


class Information(Exception):
    """--help or --version: `text` is all that is to be done."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text


class Settings:
    """How programs run. Bytes are paths as given; `strace` is None, b"" for standard error, or a file name.

    `core` is None for what the kernel would do, b"" for a core dump in any case, or the pattern of its name (core(5)).

    The rest is what the interpreter tells itself when it starts again: `program_fd` is the open program, or
    -1, `execfn` its AT_EXECFN if that is not the path, `comm` its name if that is not the last part of AT_EXECFN,
    `strings_fd` a file with its arguments and environment when ours have no room for them, `limits` the guest's own
    (soft, hard) by RLIMIT_* and `personality` the personality(2) that the guest is to have, -1 for what there is.
    `gdb` says where to wait for gdb; `gdb_connection` is what the program before hands on of it, for usermode.debug.
    `transparent`: the kernel started us with flag T, see usermode.transparent.
    """

    __slots__ = (
        "argv0",
        "comm",
        "core",
        "debug",
        "execfn",
        "gdb",
        "gdb_connection",
        "limits",
        "personality",
        "program_fd",
        "strace",
        "strings_fd",
        "sysroot",
        "transparent",
    )

    def __init__(self) -> None:
        self.sysroot = b""
        self.argv0: bytes | None = None
        self.strace: bytes | None = None
        self.core: bytes | None = None
        self.debug = b""
        self.program_fd = -1
        self.execfn: bytes | None = None
        self.comm: bytes | None = None
        self.strings_fd = -1
        self.limits: dict[int, tuple[int, int]] = {}
        self.personality = -1
        self.gdb: bytes | None = None
        self.gdb_connection = b""
        self.transparent = False

    def read_environment(self) -> None:
        """Take USERMODE_SYSROOT, USERMODE_STRACE, USERMODE_CORE and USERMODE_DEBUG."""
        get = posix.environ.get
        self.sysroot = get(b"USERMODE_SYSROOT", b"")
        self.strace = get(b"USERMODE_STRACE")
        if self.strace == b"1":
            self.strace = b""
        self.core = get(b"USERMODE_CORE")
        if self.core == b"1":
            self.core = b""
        self.debug = get(b"USERMODE_DEBUG", b"")

    def read_options(self, arguments: list[bytes]) -> list[bytes]:
        """Take the options in front of the program's name and return the rest. Raises UsermodeError and Information."""
        i = 0
        while i < len(arguments) and arguments[i].startswith(b"-"):
            name, equals, value = arguments[i].partition(b"=")
            i += 1
            if name == b"--" and not equals:
                break
            form = FORMS.get(b"--help" if name == b"-h" else name)
            if form is None:
                raise UsermodeError(
                    f"unknown option {printable(name)}", status=USAGE_STATUS, hint=HINT
                )
            if form == NO_VALUE:
                self._inform(name, bool(equals))
            if form == VALUE and not equals:
                if i == len(arguments):
                    raise UsermodeError(
                        f"{name.decode()} needs a value", status=USAGE_STATUS, hint=HINT
                    )
                value = arguments[i]
                i += 1
            self._set(name, value)
        return arguments[i:]

    def _inform(self, name: bytes, has_value: bool) -> NoReturn:
        if has_value:
            raise UsermodeError(f"{name.decode()} takes no value", status=USAGE_STATUS, hint=HINT)
        raise Information(version_text() if name == b"--version" else help_text())

    def _set(self, name: bytes, value: bytes) -> None:
        if name == b"--sysroot":
            self.sysroot = value
        elif name == b"--argv0":
            self.argv0 = value
        elif name == b"--strace":
            self.strace = value
        elif name == b"--core":
            self.core = value
        elif name == b"--cpu":
            if value not in CPU_MODELS:
                message = f"no CPU model {printable(value)}: there is only max"
                raise UsermodeError(message, status=USAGE_STATUS)
        elif name == b"--execfn":
            self.execfn = value
        elif name == b"--comm":
            self.comm = value
        elif name == b"--limits":
            self._set_limits(value)
        elif name == b"--gdb":
            self.gdb = value
        elif name == b"--gdb-connection":
            self.gdb_connection = value
        elif not value.isdigit():
            raise UsermodeError(f"{name.decode()} needs a number", status=USAGE_STATUS)
        elif name == b"--program-fd":
            self.program_fd = int(value)
        elif name == b"--strings-fd":
            self.strings_fd = int(value)
        else:
            self.personality = int(value)

    def for_child(self) -> Settings:
        """Return the settings of a process that shares our memory, whose limits are its own."""
        child = Settings()
        for name in Settings.__slots__:
            setattr(child, name, getattr(self, name))
        child.limits = dict(self.limits)
        return child

    def _set_limits(self, value: bytes) -> None:
        """Take `RESOURCE:SOFT:HARD,…`."""
        for limit in value.split(b","):
            numbers = limit.split(b":")
            if len(numbers) != 3 or not b"".join(numbers).isdigit() or b"" in numbers:
                raise UsermodeError("--limits needs RESOURCE:SOFT:HARD", status=USAGE_STATUS)
            self.limits[int(numbers[0])] = int(numbers[1]), int(numbers[2])

    def as_options(self) -> list[bytes]:
        """Return the options that hand these settings on to the next program."""
        options = []
        if self.sysroot:
            options += [b"--sysroot", self.sysroot]
        if self.strace is not None:
            options.append(b"--strace=" + self.strace if self.strace else b"--strace")
        if self.core is not None:
            options.append(b"--core=" + self.core if self.core else b"--core")
        if self.limits:
            limits = [b"%d:%d:%d" % (key, *both) for key, both in self.limits.items()]
            options += [b"--limits", b",".join(limits)]
        return options

    def check(self) -> None:
        """Make paths absolute, since programs change directory. Raises UsermodeError if the sysroot is none."""
        if self.core and not self.core.startswith(b"/"):
            self.core = posix.getcwdb() + b"/" + self.core
        if not self.sysroot:
            return
        try:
            posix.stat(self.sysroot + b"/.")
        except OSError as error:
            raise UsermodeError(
                f"sysroot {printable(self.sysroot)}: {error.strerror}", status=USAGE_STATUS
            ) from None
        if not self.sysroot.startswith(b"/"):
            self.sysroot = posix.getcwdb() + b"/" + self.sysroot


def help_text() -> str:
    """Return what --help shows."""
    lines = [
        f"Usage: {NAME} [OPTION]... PROGRAM [ARGUMENT]...",
        "Run an AArch64 Linux program.",
        "",
    ]
    for name, form, metavar, description in OPTIONS:
        if description:
            value = {VALUE: f" {metavar}", OPTIONAL_VALUE: f"[={metavar}]", NO_VALUE: ""}[form]
            lines.append(f"  {name.decode() + value:<20} {description}")
    lines.append(f"  {'--':<20} end the options")
    return "\n".join(lines) + "\n"


def version_text() -> str:
    """Return what --version shows."""
    from usermode.version import UNICORN, VERSION

    return f"{NAME} {VERSION}\nUnicorn {UNICORN}\n"
