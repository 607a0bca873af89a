# SPDX-License-Identifier: GPL-2.0-or-later
"""Calls with paths that the core hands back: paths of the sysroot or of the guest's /proc."""

from __future__ import annotations

from errno import EFAULT

from syscalls.handlers.pointers import LIMIT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from syscalls.compile import PathCall
    from syscalls.protocols import Task

AT_FDCWD = -100


def host_with_paths(task: Task, arguments: tuple[int, ...], call: PathCall) -> int:
    """Make a call with every path resolved; `call` is its entry in `compiled.PATH_CALLS`."""
    number, pointers, places = call
    for index in pointers:
        if arguments[index] >= LIMIT:
            raise OSError(EFAULT, "a pointer beyond the guest's memory")
    passed: list[int | bytes | bytearray] = list(arguments)
    for path, directory, flags, bit, when in places:
        if arguments[path]:
            follow = when if flags < 0 else bool(arguments[flags] & bit) == when
            at = AT_FDCWD if directory < 0 else _int(arguments[directory])
            text = task.memory.read_string(arguments[path])
            at, passed[path] = task.paths.resolve(at, text, follow)
            if directory >= 0:
                passed[directory] = at
    return task.host(number, *passed)


def _int(register: int) -> int:
    return (register & 0xFFFFFFFF ^ 1 << 31) - (1 << 31)
