# SPDX-License-Identifier: GPL-2.0-or-later
"""RLIMIT_AS, RLIMIT_DATA and RLIMIT_STACK: the guest's own values (getrlimit(2)).

On the host they would bind the emulator's memory too. So the host's are made as wide as they may be, the guest's are
kept in the settings, which follow it through fork and execve, and the address space enforces them. A native program
that the guest starts gets them for real.
"""

from __future__ import annotations

import posix
from _struct import iter_unpack, pack, unpack_from
from errno import EINVAL, EPERM

import _usermode_core as core

from syscalls.host.x86_64 import NUMBERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from usermode.kernel.process import Process

RLIMIT_DATA, RLIMIT_STACK, RLIMIT_AS = 2, 3, 9
INFINITY = (1 << 64) - 1
OWN_STACK = 8 << 20
"""Bytes of stack that the emulator's first thread may use when a program begins; it needs far less."""

NEEDED_STACK = 1 << 20
"""Bytes that it has for sure under a smaller limit of the guest's: four times the most that was seen."""

CAP_SYS_RESOURCE = 1 << 24
CAPABILITY_VERSION_3 = 0x20080522
WHOLE_RANGE = [b"0", b"0", b"4294967295"]

_PRLIMIT, _CAPGET = NUMBERS["prlimit64"], NUMBERS["capget"]


def adopt(process: Process, first: bytes) -> None:
    """Make the limits that this process was started with the guest's; `first` are those that were widened at once."""
    limits = process.settings.limits
    for resource, soft, hard in iter_unpack("<3Q", first):
        limits.setdefault(resource, (soft, hard))
    for resource in limits:
        _widen(resource)
    _bound(process)


def change(process: Process, resource: int, soft: int, hard: int) -> None:
    """Set a limit as setrlimit(2). Raises OSError."""
    if soft > hard:
        raise OSError(EINVAL, "")
    if hard > process.limit(resource)[1] and not _privileged():
        raise OSError(EPERM, "")
    process.settings.limits[resource] = soft, hard
    _widen(resource)
    _bound(process)


def for_next_program(process: Process, guest: bool) -> bytes:
    """Return what core.execute() sets for the next program: the guest's limits, or those that the emulator wants."""
    limits = process.settings.limits
    if not guest:
        return b"".join([pack("<3Q", resource, *both) for resource, both in limits.items()])
    if RLIMIT_STACK not in limits:
        return b""
    hard = _host_limit(RLIMIT_STACK)[
        1
    ]  # an endless stack would have the next start lie in the guest's memory
    return pack("<3Q", RLIMIT_STACK, min(OWN_STACK, hard), hard)


def _host_limit(resource: int) -> tuple[int, int]:
    both = bytearray(16)
    core.host_call(_PRLIMIT, 0, resource, 0, both)
    soft, hard = unpack_from("<2Q", both)
    return soft, hard


def _widen(resource: int) -> None:
    """Give the host process all it may have."""
    if resource != RLIMIT_STACK:
        _set_host(resource, INFINITY)


def _set_host(resource: int, target: int) -> None:
    soft, hard = _host_limit(resource)
    if hard < target and not core.host_call(_PRLIMIT, 0, resource, pack("<2Q", target, target), 0):
        return
    if soft != min(target, hard):
        core.host_call(_PRLIMIT, 0, resource, pack("<2Q", min(target, hard), hard), 0)


def _bound_growth(process: Process) -> None:
    """Let MAP_GROWSDOWN mappings grow on the host as far as the guest's may, for most do so without our notice.

    Under other limits they grow only when asked for, by machine/growth.py: an address that the guest never used cannot
    be passed to a call then.
    """
    limits = process.settings.limits
    if RLIMIT_STACK not in limits:
        if not process.space.bounds:
            return  # the host's was never changed
        limits[RLIMIT_STACK] = _host_limit(RLIMIT_STACK)
    wanted = 0 if process.space.bounds else limits[RLIMIT_STACK][0]
    if wanted < OWN_STACK:
        _set_host(RLIMIT_STACK, OWN_STACK)
        core.stack_reserve(min(NEEDED_STACK, _host_limit(RLIMIT_STACK)[0] // 2))
    _set_host(RLIMIT_STACK, wanted)


def _bound(process: Process) -> None:
    space_limit, data_limit = process.limit(RLIMIT_AS), process.limit(RLIMIT_DATA)
    process.space.bounds = (space_limit[0], data_limit[0], data_limit[1])
    if min(process.space.bounds) == INFINITY:
        process.space.bounds = None
    _bound_growth(process)


def _privileged() -> bool:
    """Tell whether capable(CAP_SYS_RESOURCE) holds, which looks at the first user namespace alone."""
    header, sets = pack("<Ii", CAPABILITY_VERSION_3, 0), bytearray(24)
    if core.host_call(_CAPGET, header, sets):
        return False
    if not unpack_from("<I", sets)[0] & CAP_SYS_RESOURCE:
        return False
    try:
        fd = posix.open("/proc/thread-self/uid_map", posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError:
        return True  # no user namespaces, or no /proc: then the capability is all that is known
    try:
        return posix.read(fd, 4096).split() == WHOLE_RANGE
    finally:
        posix.close(fd)
