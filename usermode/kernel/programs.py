# SPDX-License-Identifier: GPL-2.0-or-later
"""From the path of a program to a request to load it: opening, `#!` lines, and what runs natively."""

from __future__ import annotations

import posix
from errno import EACCES, EINVAL, ELOOP, ENOENT, ENOTDIR

import _usermode_core as core

from syscalls.arch.guest import cpu
from syscalls.host.x86_64 import NUMBERS
from usermode.loader.interpreter import Cpu, LoadRequest
from usermode.loader.script import follow

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from usermode.kernel.paths import Paths

AT_FDCWD, AT_SYMLINK_NOFOLLOW, AT_EACCESS, AT_EMPTY_PATH = -100, 0x100, 0x200, 0x1000
AT_EXECVE_CHECK = 0x10000
X_OK = 1
S_IFMT, S_IFREG = 0o170000, 0o100000
PERSONALITY_ASK, ADDR_NO_RANDOMIZE = 0xFFFFFFFF, 0x0040000
ELF_MAGIC = b"\x7fELF"
MACHINE_OFFSET = 18
NO_PROC = (ENOENT, ENOTDIR, ELOOP)
"""Errors of a file in /proc where it is not mounted; debootstrap(8) leaves a symbolic link to itself there."""
_FACCESSAT2, _OPENAT = NUMBERS["faccessat2"], NUMBERS["openat"]


class Unreadable(PermissionError):
    """A program that may be executed but not read: only the kernel can start it."""


def open_program(dirfd: int, path: bytes, flags: int = 0) -> int:
    """Open a file to run it, as execve(2) looks at it: a regular file that may be executed. Raises OSError.

    `flags`: AT_EMPTY_PATH when `dirfd` may be the file itself, AT_SYMLINK_NOFOLLOW. Raises Unreadable for a file
    that lacks no more than read permission. A file open for writing is ETXTBSY where the kernel has AT_EXECVE_CHECK.
    """
    how = posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NONBLOCK
    checked = _check_executable(dirfd, path, flags)
    try:
        if flags & AT_EMPTY_PATH and not path:
            fd = _reopen(dirfd, how)
        else:
            if flags & AT_SYMLINK_NOFOLLOW:
                how |= posix.O_NOFOLLOW
            fd = _checked(core.host_call(_OPENAT, dirfd, path, how, 0))
    except PermissionError as error:
        flags &= AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW
        if checked or not core.host_call(_FACCESSAT2, dirfd, path, X_OK, AT_EACCESS | flags):
            raise Unreadable(EACCES, error.strerror) from None
        raise
    if checked:
        return fd
    try:
        if posix.fstat(fd).st_mode & S_IFMT != S_IFREG:
            raise OSError(EACCES, posix.strerror(EACCES))
        _checked(core.host_call(_FACCESSAT2, fd, b"", X_OK, AT_EACCESS | AT_EMPTY_PATH))
    except OSError:
        posix.close(fd)
        raise
    return fd


def _check_executable(dirfd: int, path: bytes, flags: int) -> bool:
    """Let the kernel say what it would say to execve(2) of the file. Raises OSError. False before Linux 6.14."""
    try:
        core.execute(dirfd, path, [path], [], flags | AT_EXECVE_CHECK)
    except OSError as error:
        if error.errno != EINVAL:
            raise OSError(error.errno, posix.strerror(error.errno or 0)) from None
        return False
    return True


def _reopen(fd: int, how: int) -> int:
    """Open a descriptor's file again, for it may be an O_PATH one; without /proc take the descriptor itself."""
    try:
        return posix.open(b"/proc/thread-self/fd/%d" % fd, how)
    except OSError as error:
        if error.errno not in NO_PROC:
            raise
        return posix.dup(fd)


def _checked(result: int) -> int:
    if result < 0:
        raise OSError(-result, posix.strerror(-result))
    return result


def finder(paths: Paths) -> Callable[[bytes], int]:
    """Return the function that opens an interpreter: in the sysroot first, then on the host."""
    return lambda name: open_program(*paths.resolve(AT_FDCWD, name, True))


def is_guest(fd: int) -> bool:
    """Tell whether an open file is an ELF file of the guest's machine, whole or not."""
    head = posix.pread(fd, 20, 0)
    machine = int.from_bytes(head[MACHINE_OFFSET:], "little")
    return head[:4] == ELF_MAGIC and machine == cpu.ELF_MACHINE


def credentials() -> tuple[int, int, int, int]:
    """Return uid, euid, gid and egid."""
    return posix.getuid(), posix.geteuid(), posix.getgid(), posix.getegid()


def request(
    fd: int,
    path: bytes,
    argv: list[bytes],
    envp: list[bytes],
    find: Callable[[bytes], int],
    secure: bool,
    execfn: bytes,
    stack_limit: int,
) -> LoadRequest:
    """Describe what is to be loaded; `fd` may be a script and is taken over. Raises LoadError."""
    fd, path, argv = follow(fd, path, argv, find)
    persona = core.host_call(NUMBERS["personality"], PERSONALITY_ASK)
    return LoadRequest(
        Cpu(cpu.ELF_MACHINE, cpu.PLATFORM, cpu.HWCAP, cpu.HWCAP2, cpu.MINSIGSTKSZ),
        fd,
        path,
        argv,
        envp,
        find,
        execfn=execfn,
        credentials=credentials(),
        secure=secure,
        stack_limit=stack_limit,
        randomize=not persona & ADDR_NO_RANDOMIZE,
    )
