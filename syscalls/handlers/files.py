# SPDX-License-Identifier: GPL-2.0-or-later
"""Opening files and reading links, where the guest must see its own process and not the emulator."""

from __future__ import annotations

from _struct import calcsize, pack, unpack_from
from errno import E2BIG, EACCES, EINVAL, ERANGE, ETXTBSY

from syscalls.arch.generic64.structs import STAT as GUEST_STAT
from syscalls.errors import Refused
from syscalls.handlers import open_flags
from syscalls.handlers.pointers import checked
from syscalls.host.x86_64 import NUMBERS as HOST
from syscalls.host.x86_64_structs import STAT as HOST_STAT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from syscalls.protocols import Task

AT_FDCWD = -100
AT_SYMLINK_NOFOLLOW = 0x100
O_ACCMODE = 0o3
O_CREAT = 0o100
O_EXCL = 0o200
O_TRUNC = 0o1000
O_NONBLOCK = 0o4000
O_CLOEXEC = 0o2000000
O_PATH = 0o10000000
O_NOFOLLOW = 0o400000
"""Host bits; all but O_NOFOLLOW are the guest's too (asm-generic/fcntl.h)."""

_MFD_CLOEXEC = 1
_MFD_ALLOW_SEALING = 2
_F_ADD_SEALS = 1033
_ALL_SEALS = 1 | 2 | 4 | 8  # F_SEAL_SEAL, SHRINK, GROW, WRITE: linux/fcntl.h

_RESOLVE_BENEATH = 0x08
_RESOLVE_IN_ROOT = 0x10
"""linux/openat2.h"""

_OPEN_HOW_SIZE = 24
"""OPEN_HOW_SIZE_VER0, openat2(2)."""

_PAGE = 4096


def openat(task: Task, dirfd: int, path: bytes, guest_flags: int, mode: int) -> int:
    """Open a file in the sysroot or of the /proc view, or any other."""
    flags = open_flags.to_host(guest_flags)
    view = _view(task, dirfd, path, flags)
    if view is not None:
        return _open_view(task, view, flags, HOST["openat"], dirfd, path, flags, 0)
    dirfd, path = task.paths.resolve(dirfd, path, _follows(flags))
    return task.host(HOST["openat"], dirfd, path, flags, mode)


def openat2(task: Task, dirfd: int, path: bytes, how_at: int, size: int) -> int:
    """Open a file as struct open_how says: {u64 flags, mode, resolve}, with zeros after it."""
    guest_flags, mode, resolve = _read_open_how(task, how_at, size)
    # A bit above the 32 is EINVAL (fs/open.c, build_open_flags) and must not get lost here.
    flags = open_flags.to_host(guest_flags & 0xFFFFFFFF) | guest_flags & ~0xFFFFFFFF
    how = pack("<QQQ", flags, mode, resolve)
    view = _view(task, dirfd, path, flags)
    if view is not None:
        return _open_view(task, view, flags, HOST["openat2"], dirfd, path, how, len(how))
    # Relative to a root of the caller's choice, or kept below one, the path is taken as it is.
    if not resolve & (_RESOLVE_BENEATH | _RESOLVE_IN_ROOT):
        dirfd, path = task.paths.resolve(dirfd, path, _follows(flags))
    return task.host(HOST["openat2"], dirfd, path, how, len(how))


def readlinkat(task: Task, dirfd: int, path: bytes, buffer: int, size: int) -> int:
    """Read a link; /proc/PID/exe is the guest's program, its own or that of another guest."""
    size = (size & 0xFFFFFFFF ^ 1 << 31) - (1 << 31)  # an int in the kernel: fs/stat.c
    target = None
    if path.endswith(b"exe"):
        own = task.paths.special(dirfd, path) == b"exe"
        target = task.paths.executable if own else task.paths.other_program(dirfd, path)
    if target is None:
        dirfd, path = task.paths.resolve(dirfd, path, False)
        return task.host(HOST["readlinkat"], dirfd, path, checked(buffer), size)
    # The host's answer about its own link carries the errors: no /proc, no such thread.
    task.host_now(HOST["readlinkat"], dirfd, path, bytearray(1), min(size, 1))
    target = target[:size]
    task.memory.write(buffer, target)
    return len(target)


def newfstatat(task: Task, dirfd: int, path: bytes | None, address: int, flags: int) -> int:
    """Look at a file in the sysroot or of the /proc view."""
    host = bytearray(HOST_STAT[0])
    found: int | bytes = 0
    if path is not None:
        dirfd, found = task.paths.resolve(dirfd, path, not flags & AT_SYMLINK_NOFOLLOW)
    result = task.host(HOST["newfstatat"], dirfd, found, host, flags)
    task.memory.write(address, _guest_stat(host))
    return result


def getcwd(task: Task, buffer: int, size: int) -> int:
    """getcwd(2): a directory of the sysroot has the name by which the guest entered it."""
    name = bytearray(_PAGE)
    length = task.host(HOST["getcwd"], name, _PAGE)
    text = task.paths.guest_name(bytes(name[: length - 1])) + b"\0"
    if len(text) > size:
        raise OSError(ERANGE, "")
    task.memory.write(checked(buffer), text)
    return len(text)


def chroot(task: Task, path: bytes) -> int:
    """Change the root directory; the sysroot lies outside the new one."""
    _dirfd, path = task.paths.resolve(AT_FDCWD, path, True)
    result = task.host(HOST["chroot"], path)
    task.paths.leave_sysroot()
    return result


def _follows(flags: int) -> bool:
    # open(2): with O_CREAT|O_EXCL a symbolic link in the last component is not followed.
    return not flags & O_NOFOLLOW and flags & (O_CREAT | O_EXCL) != O_CREAT | O_EXCL


def _read_open_how(task: Task, address: int, size: int) -> tuple[int, int, int]:
    """Read a struct that may be larger than ours: lib/usercopy.c, copy_struct_from_user."""
    if size < _OPEN_HOW_SIZE:
        raise OSError(EINVAL, "open_how is too small")
    if size > _PAGE:
        raise OSError(E2BIG, "open_how is too large")
    data = task.memory.read(address, size)
    if any(data[_OPEN_HOW_SIZE:]):
        raise OSError(E2BIG, "open_how has fields that are not known")
    flags, mode, resolve = unpack_from("<QQQ", data)
    return flags, mode, resolve


def _guest_stat(host: bytearray) -> bytearray:
    """A struct stat in the guest's layout."""
    guest = bytearray(GUEST_STAT[0])
    for guest_bytes, host_bytes in _STAT_FIELDS:
        guest[guest_bytes] = host[host_bytes]
    return guest


def _stat_fields() -> list[tuple[slice, slice]]:
    """Where each field lies in both layouts. Only little-endian integers: their low bytes are kept."""
    fields = []
    for name, (offset, code) in GUEST_STAT[1].items():
        source, host_code = HOST_STAT[1][name]
        width = min(calcsize(code), calcsize(host_code))
        fields.append((slice(offset, offset + width), slice(source, source + width)))
    return fields


_STAT_FIELDS = _stat_fields()


def _view(task: Task, dirfd: int, path: bytes, flags: int) -> bytes | None:
    """Which file of the /proc view an open finds; the link `exe` itself is the host's."""
    view = task.paths.special(dirfd, path)
    return None if view == b"exe" and flags & O_NOFOLLOW else view


def _open_view(task: Task, view: bytes, flags: int, number: int, *call: int | bytes) -> int:
    """Open a file of the /proc view: read only, with what it says at this moment.

    The host's file is opened first, by call `number`, with the guest's flags: it gives the errors
    and the descriptor's number, and only it may be interrupted. Then the guest's executable or a
    sealed memfd takes its place.
    """
    if view == b"mem":
        # The host's file would show, and change, the emulator's own memory.
        raise Refused(EACCES, "the guest's memory as a file")
    if flags & (O_ACCMODE | O_TRUNC) and not flags & O_PATH:
        raise OSError(ETXTBSY if view == b"exe" else EACCES, "not writable")
    descriptor = task.host(number, *call)
    try:
        if view == b"exe":
            kept = flags & ~(O_CREAT | O_EXCL)
            _replace_by_file(task, descriptor, task.paths.executable_file, kept)
        elif not flags & O_PATH:
            text = task.paths.content(view, _read_all(task, descriptor))
            _replace_by_text(task, descriptor, view, text, flags)
    except BaseException:
        task.host_now(HOST["close"], descriptor)
        raise
    return descriptor


def _replace_by_file(task: Task, descriptor: int, path: bytes, flags: int) -> None:
    opened = task.host_now(HOST["openat"], AT_FDCWD, path, flags | O_CLOEXEC, 0)
    try:
        task.host_now(HOST["dup3"], opened, descriptor, flags & O_CLOEXEC)
    finally:
        task.host_now(HOST["close"], opened)


def _replace_by_text(task: Task, descriptor: int, name: bytes, text: bytes, flags: int) -> None:
    writable = task.host_now(HOST["memfd_create"], name, _MFD_CLOEXEC | _MFD_ALLOW_SEALING)
    try:
        done = 0
        while done < len(text):
            done += task.host_now(HOST["pwrite64"], writable, text[done:], len(text) - done, done)
        task.host_now(HOST["fcntl"], writable, _F_ADD_SEALS, _ALL_SEALS)
        # Opened again to be read only for the guest: F_GETFL and write(2) then say so.
        again = b"/proc/thread-self/fd/%d" % writable
        _replace_by_file(task, descriptor, again, flags & (O_CLOEXEC | O_NONBLOCK))
    finally:
        task.host_now(HOST["close"], writable)


def _read_all(task: Task, descriptor: int) -> bytes:
    parts = []
    chunk = bytearray(1 << 16)
    while count := task.host_now(HOST["read"], descriptor, chunk, len(chunk)):
        parts.append(bytes(chunk[:count]))
    return b"".join(parts)
