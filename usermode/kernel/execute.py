# SPDX-License-Identifier: GPL-2.0-or-later
"""execve(2): a guest program by a new start of the interpreter, any other by the host kernel.

Nothing that other threads, or a parent sharing memory, could see is changed before the host's own execve(2) succeeds:
a call that fails leaves the caller as it was.
"""

from __future__ import annotations

import posix
from errno import E2BIG, EACCES, EINVAL, ENOENT, ENOEXEC

import _usermode_core as core

from syscalls.errors import Restart
from syscalls.host.x86_64 import NUMBERS
from usermode.errors import LoadError
from usermode.kernel import programs, signals
from usermode.loader.interpreter import prepare
from usermode.machine.regions import LIMIT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from usermode.kernel.process import Process
    from usermode.kernel.task import Task
    from usermode.loader.interpreter import LoadRequest

    Place = tuple[int, bytes]

AT_FDCWD, AT_SYMLINK_NOFOLLOW, AT_EMPTY_PATH = -100, 0x100, 0x1000
AT_EXECVE_CHECK = programs.AT_EXECVE_CHECK
AT_SECURE = 23
SELF = b"/proc/thread-self/exe"  # /proc/self is empty when the first thread has ended
INTERPRETER_NAME = b"usermode-aarch64"
S_ISUID, S_ISGID, S_IXGRP = 0o4000, 0o2000, 0o010
MFD_CLOEXEC = 1
DELETED = b" (deleted)"
_RT_TGSIGQUEUEINFO = NUMBERS["rt_tgsigqueueinfo"]


class Call:
    """One execve(2): `place` is where the host finds the file that the guest calls `path`."""

    __slots__ = ("argv", "dirfd", "envp", "flags", "path", "place", "process")

    def __init__(
        self,
        task: Task,
        dirfd: int,
        path: bytes,
        argv: list[bytes],
        envp: list[bytes],
        flags: int,
    ) -> None:
        self.process = task.process
        self.dirfd = dirfd
        self.path = path
        self.argv = argv or [b""]
        self.envp = envp
        self.flags = flags
        self.place: Place = (dirfd, path)
        if path:
            self.place = task.paths.resolve(dirfd, path, not flags & AT_SYMLINK_NOFOLLOW)

    @property
    def execfn(self) -> bytes:
        """The program's AT_EXECFN, a path without `dirfd` (fs/exec.c, alloc_bprm())."""
        if self.dirfd == AT_FDCWD or self.path.startswith(b"/"):
            return self.path
        directory = b"/dev/fd/%d" % self.dirfd
        return directory + b"/" + self.path if self.path else directory

    @property
    def inaccessible(self) -> bool:
        """Whether `execfn` names nothing any more for the new program: BINPRM_FLAGS_PATH_INACCESSIBLE."""
        return self.execfn is not self.path and not posix.get_inheritable(self.dirfd)

    def on_host(self) -> None:
        """Let the host kernel execute the file."""
        core.execute(*self.place, self.argv, self.envp, self.flags, _limits(self.process, False))


def execute(
    task: Task, dirfd: int, path: bytes, argv: list[bytes], envp: list[bytes], flags: int
) -> int:
    """Replace the program. Comes back as OSError with the caller intact, or with 0 from AT_EXECVE_CHECK."""
    if flags & ~(AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH | AT_EXECVE_CHECK):
        raise OSError(EINVAL, "")
    if not path and not flags & AT_EMPTY_PATH:
        raise OSError(ENOENT, "")
    call = Call(task, dirfd, path, argv, envp, flags)
    try:
        if flags & AT_EXECVE_CHECK:
            call.on_host()
        else:
            _replace(task, call)
    except InterruptedError:
        raise Restart from None  # the signal comes first; its handler may not survive the call
    return 0


def _replace(task: Task, call: Call) -> None:
    try:
        program = _open(task, call)
    except programs.Unreadable:
        _execute_unreadable(task, call)
        return
    try:
        guest = _check(task, posix.dup(program), call)
        _hand_down_signals(task)
        if guest:
            if _gains_privilege(program):
                _try_host(call)
            _start_again(task, program, call)
        call.on_host()
    finally:
        _take_back_signals(task)
        posix.close(program)


def _open(task: Task, call: Call) -> int:
    """Open the program. The guest's own may have been deleted, and still be executed again by /proc/self/exe."""
    if call.path.endswith(b"exe") and call.place[1] == task.process.program_link:
        from usermode.kernel.own_program import open_again

        return open_again(task.process)
    return programs.open_program(*call.place, call.flags)


def _execute_unreadable(task: Task, call: Call) -> None:
    """Execute a program that only the kernel may read: a native one, or a guest's through a registration."""
    _hand_down_signals(task)
    try:
        call.on_host()
    except OSError as error:
        if error.errno == ENOEXEC:  # the file is sound, as far as one can see
            raise OSError(EACCES, posix.strerror(EACCES)) from None
        raise
    finally:
        _take_back_signals(task)


def _limits(process: Process, guest: bool) -> bytes:
    """Return the limits to be set for the next program."""
    if not process.settings.limits:
        return b""
    from usermode.kernel.limits import for_next_program

    return for_next_program(process, guest)


def _hand_down_signals(task: Task) -> None:
    """Let the next program inherit what the host's side has otherwise for SIGSEGV and SIGBUS: ignored, or blocked."""
    for number in signals.FAULTS:
        if task.process.actions.get(number).handler == signals.SIG_IGN:
            core.release_fault(number)
    if task.blocked & signals.NEVER_BLOCKED:
        signals.set_exec_mask(task.blocked)
        while (info := task.take_waiting(signals.NEVER_BLOCKED)) is not None:
            # stays pending; if the call fails it is caught once more
            core.host_call(_RT_TGSIGQUEUEINFO, posix.getpid(), task.tid, info[0], info)


def _take_back_signals(task: Task) -> None:
    core.catch_faults()
    if task.blocked & signals.NEVER_BLOCKED:
        signals.set_host_mask(task.blocked)


def _gains_privilege(program: int) -> bool:
    """Tell whether execve(2) of the file would change the credentials."""
    status = posix.fstat(program)
    if status.st_mode & S_ISUID and status.st_uid != posix.geteuid():
        return True
    group = status.st_mode & (S_ISGID | S_IXGRP) == S_ISGID | S_IXGRP
    return group and status.st_gid != posix.getegid()


def _try_host(call: Call) -> None:
    """Give the host kernel a guest program, which it knows if it is registered: with flag C it gets its credentials."""
    try:
        call.on_host()
    except OSError as error:
        if error.errno != ENOEXEC:
            raise


def _start_again(task: Task, program: int, call: Call) -> None:
    """Start the interpreter anew. Comes back where there is no /proc: the kernel may know us by binfmt_misc."""
    options = task.process.settings.as_options()
    if not call.path:
        options += [b"--comm", _file_name(call.dirfd)]
    debugger = task.process.debugger
    if debugger is not None:
        options += debugger.hand_over()
    limits = _limits(task.process, True)
    try:
        if task.process.settings.transparent:
            _start_by_kernel(task, program, call, options, limits)
        else:
            _start_by_self(program, call, options, limits)
    finally:
        if debugger is not None:
            debugger.keep()


def _start_by_self(program: int, call: Call, options: list[bytes], limits: bytes) -> None:
    options += [b"--program-fd", b"%d" % program]
    own = [*options, b"--argv0", call.argv[0], b"--", call.execfn, *call.argv[1:]]
    posix.set_inheritable(program, True)
    try:
        core.execute(AT_FDCWD, SELF, [INTERPRETER_NAME, *own], call.envp, 0, limits)
    except OSError as error:
        if error.errno == E2BIG:  # the guest's strings alone are not too many: _check()
            _start_with_file(options, call)
        elif error.errno not in programs.NO_PROC:
            raise
    finally:
        posix.set_inheritable(program, False)


def _start_by_kernel(
    task: Task, program: int, call: Call, options: list[bytes], limits: bytes
) -> None:
    """With flag T the kernel starts the program, or what runs the script: usermode.transparent. Raises OSError.

    A privileged program hands nothing on, so the kernel gets the file as the guest named it.
    """
    from usermode import transparent

    if core.auxv(AT_SECURE):
        core.execute(*call.place, call.argv, call.envp, call.flags, limits)
    request = _request(task, posix.dup(program), call)
    options = [*options, b"--execfn", call.execfn]
    try:
        transparent.execute(request.fd, request.argv, request.envp, options, limits)
    except OSError as error:
        if error.errno != E2BIG:  # the guest's strings alone are not too many: _check()
            raise
        strings = _strings_file(request.argv, request.envp)
        try:
            options += [b"--strings-fd", b"%d" % strings]
            transparent.execute(request.fd, request.argv[:1], [], options, limits)
        finally:
            posix.close(strings)
    finally:
        posix.close(request.fd)


def _start_with_file(options: list[bytes], call: Call) -> None:
    """Start the interpreter anew with arguments and environment in a file: launcher.read_strings()."""
    fd = _strings_file(call.argv, call.envp)
    try:
        words = [INTERPRETER_NAME, *options, b"--strings-fd", b"%d" % fd, b"--", call.execfn]
        core.execute(AT_FDCWD, SELF, words, [], 0, _limits(call.process, True))
    finally:
        posix.close(fd)


def _strings_file(argv: list[bytes], envp: list[bytes]) -> int:
    """Return a file in memory with these, which the next program inherits."""
    fd = core.host_call(NUMBERS["memfd_create"], b"strings", MFD_CLOEXEC)
    if fd < 0:
        raise OSError(-fd, posix.strerror(-fd))
    try:
        left = memoryview(b"\0".join([b"%d" % len(argv), *argv, *envp]) + b"\0")
        while left:
            left = left[posix.write(fd, left) :]
        posix.set_inheritable(fd, True)
    except OSError:
        posix.close(fd)
        raise
    return fd


def _file_name(fd: int) -> bytes:
    """Return the name of an open file without its directory: what execveat(2) of a descriptor calls the thread."""
    try:
        name = posix.readlink(b"/proc/thread-self/fd/%d" % fd)
    except OSError:
        return b"%d" % fd  # no /proc; the kernel before Linux 6.14 says no more either
    return name.rpartition(b"/")[2].removesuffix(DELETED)


def _check(task: Task, fd: int, call: Call) -> bool:
    """Tell whether the program, or what runs the script, is the guest's; one that cannot be loaded is an error now.

    Takes `fd` over. Raises OSError.
    """
    request = _request(task, fd, call)
    try:
        guest = programs.is_guest(request.fd)
        if guest:
            if request.path is not request.execfn and call.inaccessible:
                raise OSError(ENOENT, "")
            prepare(request, LIMIT).close()
    except LoadError as error:
        raise OSError(error.errno, error.message) from error
    finally:
        posix.close(request.fd)
    return guest


def _request(task: Task, fd: int, call: Call) -> LoadRequest:
    """Find out what is to be loaded, for a script what runs it. Takes `fd` over. Raises OSError."""
    find, name, stack = programs.finder(task.paths), call.execfn, task.process.stack_limit()
    try:
        return programs.request(fd, name, call.argv, call.envp, find, False, name, stack)
    except LoadError as error:
        raise OSError(error.errno, error.message) from error
