# SPDX-License-Identifier: GPL-2.0-or-later
"""ioctl(2): passed to the host when the request is known, ENOTTY when not."""

from __future__ import annotations

from _struct import unpack_from
from errno import ENOTTY

from syscalls.errors import Refused
from syscalls.handlers.ioctl_requests import POINTERS_WITHIN, REQUESTS, SIZED, VALUE, VARIABLE
from syscalls.handlers.pointers import checked
from syscalls.host.x86_64 import NUMBERS as HOST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from syscalls.protocols import Task

_SIZE_SHIFT = 16
_SIZE_MASK = 0x3FFF << _SIZE_SHIFT
"""asm-generic/ioctl.h: _IOC_SIZEBITS 14, above 8 bits each of type and number."""


def ioctl(task: Task, fd: int, request: int, argument: int) -> int:
    """Pass a request on after the checks its argument needs.

    A request that is not known may point anywhere from within its structure, so it is refused as a
    driver without it would: ENOTTY.
    """
    request &= 0xFFFFFFFF  # the kernel's parameter is an unsigned int (fs/ioctl.c)
    known = REQUESTS.get(request)
    if known is not None:
        size = known[1]
        if size != VALUE:
            checked(argument, 1 if size == VARIABLE else size)
        return task.host(HOST["ioctl"], fd, request, argument)
    within = POINTERS_WITHIN.get(request)
    if within is not None:
        return _with_pointers(task, fd, request, argument, within[1], within[2])
    if _is_sized(request):
        size = (request & _SIZE_MASK) >> _SIZE_SHIFT
        return task.host(HOST["ioctl"], fd, request, checked(argument, size))
    return _unknown(task, fd, request)


def _with_pointers(
    task: Task, fd: int, request: int, argument: int, size: int, offsets: tuple[int, ...]
) -> int:
    """Pass a copy: the pointers that were checked are then the ones the kernel sees."""
    before = task.memory.read(argument, size)
    structure = bytearray(before)
    for offset in offsets:
        checked(unpack_from("<Q", structure, offset)[0])
    result = task.host(HOST["ioctl"], fd, request, structure)
    if structure != before:  # a request that only reads may be given read-only memory
        task.memory.write(argument, structure)
    return result


def _is_sized(request: int) -> bool:
    first = request & ~_SIZE_MASK
    if first in SIZED:
        return True
    # EVIOCGBIT and EVIOCGABS are runs of requests: their number is a base plus an index. The runs
    # are aligned to their length.
    for base, (_, length) in SIZED.items():
        if length > 1 and base & ~_SIZE_MASK == first & ~(length - 1):
            return True
    return False


def _unknown(task: Task, fd: int, request: int) -> int:
    task.host(HOST["fcntl"], fd, 1, 0)  # F_GETFD: EBADF comes before ENOTTY
    task.process.unsupported(f"ioctl request 0x{request:08x}")
    raise Refused(ENOTTY, "unknown ioctl request")
