# SPDX-License-Identifier: GPL-2.0-or-later
"""Starting the interpreter again when the kernel laid out its memory where the guest's goes.

The kernel's legacy layout, which an unlimited stack or ADDR_COMPAT_LAYOUT asks for, puts mappings at a third of
the address space and upwards (arch/x86/mm/mmap.c), below the 2^46 that divide guest and emulator. So the interpreter
starts once more with a finite stack limit and without that personality, and gives both back to the guest. A finite
limit that is nearly as large as the address space has the same effect.
"""

from __future__ import annotations

import posix
import sys
from _struct import Struct

import _usermode_core as core

from syscalls.host.x86_64 import NUMBERS
from usermode.errors import UsermodeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from usermode.launcher import Invocation
    from usermode.settings import Settings

AT_FDCWD = -100
SELF = b"/proc/thread-self/exe"  # /proc/self is empty when the first thread has ended
RLIMIT_STACK = 3
SIGBUS, SIGSEGV = 7, 11
FINITE, LARGEST = 8 << 20, 1 << 40
PERSONALITY_ASK, ADDR_COMPAT_LAYOUT = 0xFFFFFFFF, 0x0200000
PAGE, PATH_MAX = 4096, 4096

_LIMIT, _WORDS = Struct("<QQ"), Struct("<QQQ")
_PRLIMIT, _PERSONALITY = NUMBERS["prlimit64"], NUMBERS["personality"]


def stack_limits() -> tuple[int, int]:
    """Return the soft and the hard RLIMIT_STACK."""
    limits = bytearray(_LIMIT.size)
    core.host_call(_PRLIMIT, 0, RLIMIT_STACK, 0, limits)
    soft, hard = _LIMIT.unpack(limits)
    return soft, hard


def restart(invocation: Invocation) -> NoReturn:
    """Start again with a layout that fits. Raises UsermodeError when that cannot be, or has been done in vain."""
    settings = invocation.settings
    soft, hard = stack_limits()
    persona = core.host_call(_PERSONALITY, PERSONALITY_ASK)
    if (soft > LARGEST or persona & ADDR_COMPAT_LAYOUT) and settings.personality < 0:
        core.host_call(_PRLIMIT, 0, RLIMIT_STACK, _LIMIT.pack(min(soft, hard, FINITE), hard), 0)
        core.host_call(_PERSONALITY, persona & ~ADDR_COMPAT_LAYOUT)
        for resource, *both in _WORDS.iter_unpack(getattr(sys, "usermode_limits", b"")):
            settings.limits.setdefault(resource, (both[0], both[1]))
        settings.limits.setdefault(RLIMIT_STACK, (soft, hard))
        options = [
            *settings.as_options(),
            *((b"--gdb", settings.gdb) if settings.gdb else ()),
            *((b"--gdb-connection", settings.gdb_connection) if settings.gdb_connection else ()),
            *(b"--restore-personality", b"%d" % persona),
            *(b"--execfn", invocation.execfn),
        ]
        if settings.comm is not None:
            options += [b"--comm", settings.comm]
        for number in SIGBUS, SIGSEGV:  # caught by now, so exec would make them default
            core.release_fault(number)
        try:
            execute(invocation, options)
        except OSError:
            pass  # no /proc here: told below, as the layout is what stands in the way
    raise UsermodeError(
        "the emulator's own memory lies in the guest's address space",
        hint="run with a finite stack limit (ulimit -S -s 8192) and vm.legacy_va_layout=0",
    )


def execute(invocation: Invocation, options: list[bytes]) -> None:
    """Start again with these options for the same program. Comes back only as OSError."""
    argv = invocation.argv
    envp = core.environment() if invocation.envp is None else invocation.envp
    if invocation.settings.transparent:
        from usermode import transparent

        transparent.execute(invocation.fd, argv, envp, options)
    if invocation.fd >= 0:
        posix.set_inheritable(invocation.fd, True)
        options += [b"--program-fd", b"%d" % invocation.fd]
    words = [b"usermode-aarch64", *options, b"--argv0", argv[0], b"--", invocation.path, *argv[1:]]
    core.execute(AT_FDCWD, SELF, words, envp, 0)


def restore(settings: Settings) -> None:
    """Give the guest the personality that the first start had; the stack limit is among the settings."""
    if settings.personality >= 0:
        core.host_call(_PERSONALITY, settings.personality)


def own_string(address: int) -> bytes:
    """Read a string of our own, such as one the kernel put on the stack, up to its NUL. b"" if there is none.

    The core reads guest memory only, so the kernel copies it, page by page, through a pipe.
    """
    text = b""
    read_end, write_end = posix.pipe2(posix.O_CLOEXEC)
    try:
        while len(text) < PATH_MAX and b"\0" not in text:
            start = address + len(text)
            size = core.host_call(NUMBERS["write"], write_end, start, PAGE - start % PAGE)
            if size <= 0:
                break
            text += posix.read(read_end, size)
    finally:
        posix.close(read_end)
        posix.close(write_end)
    return text.partition(b"\0")[0]
