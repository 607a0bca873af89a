# SPDX-License-Identifier: GPL-2.0-or-later
"""execve(2): a guest program by a new start of the interpreter, any other by the host kernel."""

from __future__ import annotations

import posix
from errno import EINVAL, ENOENT

import _usermode_core as core
from usermode.errors import LoadError
from usermode.kernel import programs, signals
from usermode.loader.interpreter import prepare
from usermode.machine.regions import LIMIT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from usermode.kernel.task import Task

AT_FDCWD, AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH = -100, 0x100, 0x1000
SELF = b"/proc/self/exe"
INTERPRETER_NAME = b"usermode-aarch64"


def execute(task: Task, dirfd: int, path: bytes, argv: list[bytes], envp: list[bytes], flags: int) -> int:
    """Replace the program. Comes back only as OSError, with the caller intact."""
    if flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH):
        raise OSError(EINVAL, "")
    if not path and not flags & AT_EMPTY_PATH:
        raise OSError(ENOENT, "")
    argv = argv or [b""]
    place = task.paths.resolve(dirfd, path, not flags & AT_SYMLINK_NOFOLLOW) if path else (dirfd, path)
    fd = programs.open_program(*place, flags & AT_EMPTY_PATH)
    try:
        guest = _check(task, fd, path, argv, envp)
    except LoadError as error:
        raise OSError(error.errno, error.message) from error
    task.process.actions.prepare_exec()
    signals.set_exec_mask(task.blocked)
    try:
        if guest:
            special = task.paths.special(dirfd, path) if path else None
            shown = task.process.executable if special else _name_for_new_start(dirfd, path)
            options = [*task.process.settings.as_options(), b"--argv0", argv[0], b"--"]
            core.execute(AT_FDCWD, SELF, [INTERPRETER_NAME, *options, shown, *argv[1:]], envp, 0)
        core.execute(*place, argv, envp, flags)
    finally:
        core.catch_faults()
        signals.set_host_mask(task.blocked)


def _check(task: Task, fd: int, path: bytes, argv: list[bytes], envp: list[bytes]) -> bool:
    """Tell whether the program, or what runs the script, is the guest's; one that cannot be loaded is an error now."""
    find = programs.finder(task.paths)
    request = programs.request(fd, path, argv, envp, find, False)
    try:
        guest = programs.is_guest(request.fd)
        if guest:
            prepare(request, LIMIT).close()
    finally:
        posix.close(request.fd)
    return guest


def _name_for_new_start(dirfd: int, path: bytes) -> bytes:
    """Return a path that names the program without `dirfd`, in the kernel's own form (fs/exec.c, alloc_bprm())."""
    if dirfd == AT_FDCWD or path.startswith(b"/"):
        return path
    return b"/dev/fd/%d/%s" % (dirfd, path) if path else b"/dev/fd/%d" % dirfd
