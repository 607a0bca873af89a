# SPDX-License-Identifier: GPL-2.0-or-later
"""execve(2): a guest program by a new start of the interpreter, any other by the host kernel."""

from __future__ import annotations

import posix
from errno import EINVAL, ELOOP, ENOENT, ENOTDIR

import _usermode_core as core

from usermode.errors import LoadError
from usermode.kernel import programs, signals
from usermode.loader.interpreter import prepare
from usermode.machine.regions import LIMIT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from usermode.kernel.task import Task

AT_FDCWD, AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH = -100, 0x100, 0x1000
SELF = b"/proc/self/exe"
INTERPRETER_NAME = b"usermode-aarch64"
NO_PROC = (ENOENT, ENOTDIR, ELOOP)
"""Errors of SELF where /proc is not mounted; debootstrap(8) leaves a symbolic link to itself there."""


def execute(
    task: Task, dirfd: int, path: bytes, argv: list[bytes], envp: list[bytes], flags: int
) -> NoReturn:
    """Replace the program. Comes back only as OSError, with the caller intact."""
    if flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH):
        raise OSError(EINVAL, "")
    if not path and not flags & AT_EMPTY_PATH:
        raise OSError(ENOENT, "")
    argv = argv or [b""]
    place = (
        task.paths.resolve(dirfd, path, not flags & AT_SYMLINK_NOFOLLOW) if path else (dirfd, path)
    )
    program = programs.open_program(*place, flags)
    try:
        name = _execfn(dirfd, path)
        guest = _check(task, posix.dup(program), name, argv, envp)
        _prepare_signals(task)
        if guest:
            _start_again(task, program, name, argv, envp)
        core.execute(*place, argv, envp, flags)
    finally:
        core.catch_faults()
        signals.set_host_mask(task.blocked)
        posix.close(program)


def _prepare_signals(task: Task) -> None:
    """Let the next program inherit the guest's ignored signals and mask."""
    task.process.actions.prepare_exec()
    signals.set_exec_mask(task.blocked)


def _start_again(
    task: Task, program: int, name: bytes, argv: list[bytes], envp: list[bytes]
) -> None:
    """Start the interpreter anew. Comes back where there is no /proc: the kernel may know us by binfmt_misc."""
    options = [
        *task.process.settings.as_options(),
        b"--program-fd",
        b"%d" % program,
        b"--argv0",
        argv[0],
        b"--",
    ]
    posix.set_inheritable(program, True)
    try:
        core.execute(AT_FDCWD, SELF, [INTERPRETER_NAME, *options, name, *argv[1:]], envp, 0)
    except OSError as error:
        posix.set_inheritable(program, False)
        if error.errno not in NO_PROC:
            raise


def _check(task: Task, fd: int, path: bytes, argv: list[bytes], envp: list[bytes]) -> bool:
    """Tell whether the program, or what runs the script, is the guest's; one that cannot be loaded is an error now.

    Takes `fd` over. Raises OSError.
    """
    find = programs.finder(task.paths)
    try:
        request = programs.request(fd, path, argv, envp, find, False, path)
        try:
            guest = programs.is_guest(request.fd)
            if guest:
                prepare(request, LIMIT).close()
        finally:
            posix.close(request.fd)
    except LoadError as error:
        raise OSError(error.errno, error.message) from error
    return guest


def _execfn(dirfd: int, path: bytes) -> bytes:
    """Return the program's AT_EXECFN, a path without `dirfd` (fs/exec.c, alloc_bprm())."""
    if dirfd == AT_FDCWD or path.startswith(b"/"):
        return path
    return b"/dev/fd/%d/%s" % (dirfd, path) if path else b"/dev/fd/%d" % dirfd
