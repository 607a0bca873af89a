# SPDX-License-Identifier: GPL-2.0-or-later
"""The interpreter's entry: what the kernel, `usermode run` and a guest's execve(2) start.

Started by the kernel through binfmt_misc (AT_EXECFD is there): argv = [interpreter, path, argv0, arguments…] with flag P,
which AT_FLAGS bit 0 tells, or [interpreter, path, arguments…]. Started by hand: options, program, arguments.
"""

from __future__ import annotations

import posix
import sys

import _usermode_core as core
from syscalls.dispatch import Dispatcher, tables
from syscalls.host.x86_64 import NUMBERS
from usermode.errors import CANNOT_EXECUTE, NOT_FOUND, LoadError, UsermodeError, printable
from usermode.kernel import programs, signals
from usermode.kernel.process import Process
from usermode.kernel.task import Task
from usermode.loader.interpreter import Loaded, LoadRequest, load
from usermode.machine.address_space import AddressSpace
from usermode.machine.regions import LIMIT
from usermode.run import run
from usermode.settings import Settings

AT_FDCWD = -100
AT_FLAGS, AT_SECURE, AT_EXECFD = 8, 23, 2
PRESERVE_ARGV0 = 1
ENOENT = 2
PR_SET_NAME = 15
SP, PC = 31, 32
TRANSLATION_BUFFER = 64 << 20
INTERNAL_ERROR = 70  # EX_SOFTWARE of <sysexits.h>


class Invocation:
    """What is to be run: the file already open, or -1, its path, and the guest's whole argv."""

    __slots__ = ("argv", "fd", "path", "settings")

    def __init__(self, settings: Settings, path: bytes, argv: list[bytes], fd: int) -> None:
        self.settings = settings
        self.path = path
        self.argv = argv
        self.fd = fd


def command_line() -> list[bytes]:
    """Return our arguments as the kernel gave them."""
    return [argument.encode("utf-8", "surrogateescape") for argument in sys.argv]


def read_invocation(arguments: list[bytes]) -> Invocation:
    """Find out how we were started. Raises UsermodeError."""
    settings = Settings()
    if not core.auxv(AT_SECURE):
        settings.read_environment()
    fd = core.auxv(AT_EXECFD)
    if fd is not None:
        settings.check()
        posix.set_inheritable(fd, False)
        path = arguments[1]
        preserved = (core.auxv(AT_FLAGS) or 0) & PRESERVE_ARGV0
        argv = arguments[2:] if preserved else arguments[1:]
        return Invocation(settings, path, argv, fd)
    rest = settings.read_options(arguments[1:])
    settings.check()
    if not rest:
        raise UsermodeError("no program given", status=2, hint="usermode-aarch64 --help")
    argv0 = rest[0] if settings.argv0 is None else settings.argv0
    return Invocation(settings, rest[0], [argv0, *rest[1:]], -1)


def open_program(process: Process, invocation: Invocation) -> int:
    """Open the program unless the kernel did. Raises LoadError."""
    if invocation.fd >= 0:
        return invocation.fd
    try:
        return programs.open_program(*process.paths.resolve(AT_FDCWD, invocation.path, True))
    except OSError as error:
        status = NOT_FOUND if error.errno == ENOENT else CANNOT_EXECUTE
        raise LoadError(
            f"{printable(invocation.path)}: {posix.strerror(error.errno or 0)}",
            error.errno or 0,
            status=status,
        ) from error


def prepare(process: Process, invocation: Invocation) -> LoadRequest:
    """Open the program and whatever a `#!` line wants. Raises LoadError."""
    fd = open_program(process, invocation)
    find = programs.finder(process.paths)
    secure = bool(core.auxv(AT_SECURE))
    request = programs.request(fd, invocation.path, invocation.argv, core.environment(), find, secure)
    process.executable = posix.readlink(b"/proc/self/fd/%d" % request.fd) if has_proc() else request.path
    process.argv = request.argv
    process.environment = request.envp
    name = (invocation.path.rpartition(b"/")[2])[:15]
    core.host_call(NUMBERS["prctl"], PR_SET_NAME, name)
    return request


def has_proc() -> bool:
    """Tell whether /proc is mounted; a chroot may lack it."""
    try:
        posix.stat("/proc/self/exe")
    except OSError:
        return False
    return True


def take_over(process: Process, loaded: Loaded, request: LoadRequest) -> None:
    """Note what /proc shows of the loaded program."""
    posix.close(request.fd)
    process.auxv = loaded.auxv
    process.argument_range = loaded.arguments
    process.environment_range = loaded.environment
    process.sigreturn = loaded.signal_return
    process.space.set_brk_start(loaded.break_start)


def inherit_mask(task: Task) -> None:
    """Begin with the signal mask that the host process was given."""
    mask = bytearray(8)
    core.host_call(NUMBERS["rt_sigprocmask"], 0, 0, mask, 8)
    signals.set_blocked(task, int.from_bytes(mask, "little"))


def start(invocation: Invocation) -> None:
    """Load the program and run its first thread. Raises UsermodeError if it cannot be loaded."""
    settings = invocation.settings
    compiled = tables()
    core.configure(compiled.HOST_ROWS, compiled.STAT_COPY, compiled.OPEN_FLAG_PAIRS, bool(settings.sysroot))
    dispatcher = Dispatcher(compiled)
    process = Process(AddressSpace(), signals.Actions(), settings)
    request = prepare(process, invocation)
    loaded = load(process.space, core, request)
    take_over(process, loaded, request)
    task = Task(process, core.Engine(TRANSLATION_BUFFER))
    process.tasks[task.tid] = task
    inherit_mask(task)
    task.engine.set(PC, loaded.entry)
    task.engine.set(SP, loaded.stack_pointer)
    answer = dispatcher.call
    if settings.strace is not None:
        from usermode.kernel.tracing import traced

        answer = traced(dispatcher, settings.strace)
        task.engine.trace(True)
    process.run = lambda thread: run(thread, answer)
    process.run(task)


def check_layout() -> None:
    """Refuse a process whose own memory lies where the guest's goes (see `ensure_layout`)."""
    if id(sys) < LIMIT and not sys.flags.dev_mode:
        raise UsermodeError(
            "the emulator's own memory lies in the guest's address space",
            hint="run with a finite stack limit: ulimit -S -s 8192",
        )


def main() -> int:
    """Run the program that the command line names; the exit status if that was not possible."""
    debug = b""
    try:
        invocation = read_invocation(command_line())
        debug = invocation.settings.debug
        check_layout()
        start(invocation)
    except UsermodeError as error:
        text = f"usermode: {error.message}\n"
        if error.hint:
            text += f"usermode: {error.hint}\n"
        posix.write(2, text.encode())
        return error.status
    except Exception as error:
        if debug:
            raise
        posix.write(2, f"usermode: internal error: {error!r} (USERMODE_DEBUG=1 tells more)\n".encode())
        return INTERNAL_ERROR
    return INTERNAL_ERROR
