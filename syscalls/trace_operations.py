# SPDX-License-Identifier: GPL-2.0-or-later
"""How a trace prints arguments that mean one thing or another by the call's operation: ioctl, fcntl, futex."""

from __future__ import annotations

from _struct import unpack_from

from syscalls.handlers.ioctl_requests import REQUESTS
from syscalls.trace_names import CHOICES, FLAGS
from syscalls.trace_structs import show_struct
from syscalls.trace_values import View, named_flags, open_flags, pointed_int, pointer, signed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def _ioctl(_view: View, value: int, _detail: str) -> str:
    request = value & 0xFFFFFFFF
    known = REQUESTS.get(request)
    return known[0] if known is not None else f"{request:#x}"


def _ioctl_argument(view: View, value: int, _detail: str) -> str:
    known = REQUESTS.get(view.arguments[1] & 0xFFFFFFFF)
    if known is not None and known[1] == 4 and value:
        return pointed_int(view, value)
    return str(value) if known is not None and not known[1] else pointer(value)


_FCNTL_INTEGER = (0, 1030, 8, 10, 1024, 1026, 1031)
_FCNTL_LOCK = (5, 6, 7, 36, 37, 38)


def _fcntl_argument(view: View, value: int, _detail: str) -> str | None:
    command = view.arguments[1] & 0xFFFFFFFF
    if command == 2:  # F_SETFD
        return named_flags(value & 0xFFFFFFFF, FLAGS["FD_FLAGS"])
    if command == 4:  # F_SETFL
        return open_flags(value & 0xFFFFFFFF)
    if command in _FCNTL_INTEGER:
        return str(signed(value))
    if command in _FCNTL_LOCK:
        kind, whence, start, length = unpack_from("<hh4xqq", view.memory.read(value, 32))
        kind, whence = CHOICES["LOCK_TYPE"].get(kind, kind), CHOICES["WHENCE"].get(whence, whence)
        return f"{{l_type={kind}, l_whence={whence}, l_start={start}, l_len={length}}}"
    # F_GETFD, F_GETFL and the like have no argument.
    return None if command in (1, 3, 9, 11, 1025, 1032, 1034) else pointer(value)


_FUTEX_TIMED = (0, 6, 9, 11, 13)
_FUTEX_COUNTED = (3, 4, 5, 12)


def _futex_timeout(view: View, value: int, _detail: str) -> str | None:
    operation = view.arguments[1] & 0x7F
    if operation in _FUTEX_TIMED:
        return show_struct(view, value, "timespec")
    return str(value & 0xFFFFFFFF) if operation in _FUTEX_COUNTED else None


_FUTEX_TWO = (3, 4, 5, 11, 12)
_FUTEX_THREE = (4, 5, 9, 10, 11, 12)


def _futex_second(view: View, value: int, _detail: str) -> str | None:
    return pointer(value) if view.arguments[1] & 0x7F in _FUTEX_TWO else None


def _futex_value(view: View, value: int, _detail: str) -> str | None:
    if view.arguments[1] & 0x7F not in _FUTEX_THREE:
        return None
    return (
        "FUTEX_BITSET_MATCH_ANY" if value & 0xFFFFFFFF == 0xFFFFFFFF else f"{value & 0xFFFFFFFF:#x}"
    )


def _futex_operation(_view: View, value: int, _detail: str) -> str:
    private, realtime = value & 0x80, value & 0x100
    name = CHOICES["FUTEX_OPERATION"].get(value & 0x7F, str(value & 0x7F))
    return f"{name}{'_PRIVATE' if private else ''}{'|FUTEX_CLOCK_REALTIME' if realtime else ''}"


WORDS: dict[str, Callable[[View, int, str], str | None]] = {
    "fcntl_argument": _fcntl_argument,
    "futex_operation": _futex_operation,
    "futex_second": _futex_second,
    "futex_timeout": _futex_timeout,
    "futex_value": _futex_value,
    "ioctl": _ioctl,
    "ioctl_argument": _ioctl_argument,
}
