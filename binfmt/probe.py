# SPDX-License-Identifier: GPL-2.0-or-later
"""What this kernel's binfmt_misc can do, found out by trying: it says so nowhere, and kernels get features backported.

A kernel refuses an entry with a flag that it does not know. So an entry is registered that matches no file, and removed
at once: in a table of a new user namespace, which nobody else sees and which goes with it. Where that cannot be had, in
the table itself.
"""

from __future__ import annotations

import errno
import os
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from binfmt.entry import FLAGS, TRANSPARENT_FLAGS, escaped
from binfmt.registry import REMOVE, Registry

if TYPE_CHECKING:
    from collections.abc import Iterator

NAME = "usermode-probe"
"""The beginning of such an entry's name."""

MAGIC = b"usermode asks what the kernel can do"
NOWHERE = "/nonexistent/interpreter"
TRANSPARENT, DISABLED = "T", "D"

CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000
MS_REC_PRIVATE = 0x4000 | 1 << 18
ANSWERED = 0x40
"""Of the exit status of the process that tried elsewhere; with the bits 1 and 2 for the answers."""


class Kernel(NamedTuple):
    """Whether entries can be transparent (flag T), and registered disabled (flag D); None: that is not known."""

    transparent: bool | None = None
    disabled: bool | None = None

    @property
    def flags(self) -> str:
        """The flags to register with."""
        return TRANSPARENT_FLAGS if self.transparent else FLAGS

    @property
    def words(self) -> str:
        """Say it in a line."""
        release = os.uname().release
        if self.transparent is None:
            return f"Linux {release}; whether it knows flag T cannot be tried here"
        return f"Linux {release}, {'with' if self.transparent else 'without'} flag T"


UNKNOWN = Kernel()


def ask(registry: Registry) -> Kernel:
    """Find out what the kernel can do, without a trace; UNKNOWN where that takes rights that we lack."""
    if not os.path.isdir(registry.directory):
        return UNKNOWN
    mounted = registry.mounted  # asked first, as an automount could not be made from elsewhere
    found = elsewhere(registry.directory)
    if found is UNKNOWN and mounted and registry.writable:
        found = here(registry)
    return found


def here(registry: Registry) -> Kernel:
    """Try in this table. Raises RegistryError where it cannot be written, and OSError."""
    with registry.alone(), undisturbed():
        for left in registry.entries():
            if left.name.startswith(NAME) and left.interpreter == NOWHERE:
                registry.write(
                    left.name, REMOVE
                )  # by one who was killed while he tried, and held the lock
        if accepts(registry, TRANSPARENT + DISABLED):
            return Kernel(True, True)
        return Kernel(accepts(registry, TRANSPARENT), accepts(registry, DISABLED))


def accepts(registry: Registry, flags: str) -> bool:
    """Tell whether the kernel takes an entry with these flags. Raises OSError for other troubles."""
    name = f"{NAME}-{os.getpid()}-{os.urandom(4).hex()}"
    magic = MAGIC + os.urandom(16)
    line = f":{name}:M::{escaped(magic)}::{NOWHERE}:{flags}"
    try:
        registry.write_bytes("register", line.encode())
    except OSError as error:
        if error.errno == errno.EINVAL:
            return False
        raise
    registry.write(name, REMOVE)
    return True


@contextmanager
def undisturbed() -> Iterator[None]:
    """Keep signals waiting, so that what is begun is ended."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def elsewhere(directory: str) -> Kernel:
    """Try in a table of a process of our own; UNKNOWN where there are no user namespaces, or before Linux 6.7."""
    with undisturbed():
        child = os.fork()
        if not child:
            status = 0
            try:
                status = _in_namespace(directory)
            finally:
                os._exit(
                    status
                )  # an exception says "not here"; the process has nothing else to say
        _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return Kernel(bool(code & 1), bool(code & 2)) if code & ANSWERED and code > 0 else UNKNOWN


def _in_namespace(directory: str) -> int:
    """Be the process that tries; returns its exit status. Raises OSError and RegistryError."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)

    def check(result: int) -> None:
        if result:
            raise OSError(ctypes.get_errno(), "")

    user, group = os.geteuid(), os.getegid()
    check(libc.unshare(CLONE_NEWUSER | CLONE_NEWNS))
    for file, text in (
        ("setgroups", "deny"),
        ("uid_map", f"0 {user} 1"),
        ("gid_map", f"0 {group} 1"),
    ):
        with open(f"/proc/self/{file}", "w", encoding="ascii") as own:
            own.write(text)
    check(libc.mount(b"none", b"/", None, MS_REC_PRIVATE, None))
    check(libc.mount(b"none", os.fsencode(directory), b"binfmt_misc", 0, None))
    found = here(Registry(directory))
    return ANSWERED | bool(found.transparent) | bool(found.disabled) << 1
