# SPDX-License-Identifier: GPL-2.0-or-later
"""Flag T of binfmt_misc (Linux 7.3, "Transparent interpreters" in admin-guide/binfmt-misc.rst).

The process is the guest's program for everybody from its first moment: argv is the program's own, and /proc/PID/exe is
its file. So the interpreter cannot start itself again through that link; it executes the program instead, which the
kernel hands to the interpreter. What it would tell itself in options goes through the environment, and is taken out.
"""

from __future__ import annotations

import posix

import _usermode_core as core

from usermode.errors import UsermodeError
from usermode.restart import own_string
from usermode.settings import USAGE_STATUS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from usermode.settings import Settings

VARIABLE = b"USERMODE_HANDOVER="
AT_SECURE, AT_EXECFN = 23, 31
AT_EMPTY_PATH = 0x1000


def names(settings: Settings, fd: int, argv: list[bytes]) -> tuple[bytes, bytes]:
    """Return the program's path and its AT_EXECFN, which differ for a script: its interpreter is the program then."""
    if settings.execfn is not None:
        return settings.execfn, settings.execfn
    execfn = own_string(core.auxv(AT_EXECFN) or 0)
    try:
        found, program = posix.stat(execfn), posix.fstat(fd)
        same = (found.st_dev, found.st_ino) == (program.st_dev, program.st_ino)
    except OSError:
        same = not argv  # renamed since, or a path that only the caller could follow
    return (execfn if same else argv[0]), execfn


def take_over(settings: Settings) -> list[bytes]:
    """Take what an interpreter before us has handed on, and return the program's environment. Raises UsermodeError.

    A privileged program's environment has no say: nothing that was handed on is believed.
    """
    envp = core.environment()
    handed = [entry for entry in envp if entry.startswith(VARIABLE)]
    if not handed:
        return envp
    if not core.auxv(AT_SECURE):
        try:
            settings.read_options(unpack(handed[0][len(VARIABLE) :]))
            if settings.program_fd >= 0:
                posix.close(settings.program_fd)  # AT_EXECFD is another descriptor of the same file
        except (OSError, ValueError) as error:
            message = f"{VARIABLE[:-1].decode()} is damaged"
            raise UsermodeError(message, status=USAGE_STATUS) from error
        settings.program_fd = -1
    return [entry for entry in envp if not entry.startswith(VARIABLE)]


def execute(
    fd: int, argv: list[bytes], envp: list[bytes], options: list[bytes], limits: bytes = b""
) -> None:
    """Have the kernel start a guest's open program, and hand `options` on. Comes back only as OSError.

    ENOEXEC says that the kernel's table has no entry for it any more.
    """
    envp = [entry for entry in envp if not entry.startswith(VARIABLE)]
    privileged = core.auxv(AT_SECURE)
    if not privileged:
        envp.append(VARIABLE + pack([*options, b"--program-fd", b"%d" % fd]))
    # The kernel hands a descriptor that closes on exec to no interpreter that goes by paths.
    posix.set_inheritable(fd, not privileged)
    try:
        core.execute(fd, b"", argv, envp, AT_EMPTY_PATH, limits)
    finally:
        posix.set_inheritable(fd, False)


def pack(words: list[bytes]) -> bytes:
    """Return words as one, each with its length before it."""
    return b"".join([b"%d:%b" % (len(word), word) for word in words])


def unpack(text: bytes) -> list[bytes]:
    """Return the words that `pack` was given. Raises ValueError."""
    words = []
    while text:
        size, _, rest = text.partition(b":")
        end = int(size)
        if not 0 <= end <= len(rest):
            raise ValueError(text)
        words.append(rest[:end])
        text = rest[end:]
    return words
