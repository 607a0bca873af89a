# SPDX-License-Identifier: GPL-2.0-or-later
"""The interpreter's entry: what the kernel, `usermode run` and a guest's execve(2) start.

Started by the kernel through binfmt_misc (AT_EXECFD is there): argv = [interpreter, path, argv0, arguments…] with
flag P, which AT_FLAGS bit 0 tells, [argv0, arguments…] with flag T (bit 1), or [interpreter, path, arguments…].
Started by hand: options, program, arguments.
"""

from __future__ import annotations

import gc
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
from usermode.settings import HINT, USAGE_STATUS, Information, Settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from usermode.run import Answer

AT_FDCWD = -100
AT_EXECFD, AT_FLAGS, AT_SECURE, AT_EXECFN = 2, 8, 23, 31
PRESERVE_ARGV0, TRANSPARENT = 1, 2
ENOENT = 2
PR_SET_NAME = 15
PROT_READ, MAP_PRIVATE = 1, 2
SP, PC = 31, 32
TRANSLATION_BUFFER = 64 << 20
GUARD, GUARD_FLAGS = 16 << 20, 0x104022  # MAP_FIXED_NOREPLACE, NORESERVE, ANONYMOUS, PRIVATE
INTERNAL_ERROR = 70  # EX_SOFTWARE of <sysexits.h>


class Invocation:
    """What is to be run: the file already open, or -1, its path, the guest's whole argv, and its AT_EXECFN.

    `execfn` differs from `path` when the kernel found a guest's interpreter in a script's `#!` line. `envp` is None
    for the environment of this process.
    """

    __slots__ = ("argv", "envp", "execfn", "fd", "path", "settings")

    def __init__(
        self, settings: Settings, path: bytes, argv: list[bytes], fd: int, execfn: bytes
    ) -> None:
        self.settings = settings
        self.path = path
        self.argv = argv
        self.fd = fd
        self.execfn = execfn
        self.envp: list[bytes] | None = None


def command_line() -> list[bytes]:
    """Return our arguments as the kernel gave them."""
    return [argument.encode("utf-8", "surrogateescape") for argument in sys.argv]


def read_invocation(arguments: list[bytes]) -> Invocation:
    """Find out how we were started. Raises UsermodeError and Information."""
    settings = Settings()
    if not core.auxv(AT_SECURE):
        settings.read_environment()
    fd = core.auxv(AT_EXECFD)
    if fd is not None:
        return started_by_kernel(settings, arguments, fd)
    rest = settings.read_options(arguments[1:])
    settings.check()
    if not rest:
        raise UsermodeError("no program given", status=USAGE_STATUS, hint=HINT)
    argv0 = rest[0] if settings.argv0 is None else settings.argv0
    if settings.program_fd >= 0:
        posix.set_inheritable(settings.program_fd, False)
    execfn = rest[0] if settings.execfn is None else settings.execfn
    invocation = Invocation(settings, rest[0], [argv0, *rest[1:]], settings.program_fd, execfn)
    if settings.strings_fd >= 0:
        read_strings(invocation)
    return invocation


def started_by_kernel(settings: Settings, arguments: list[bytes], fd: int) -> Invocation:
    """Sort out what the kernel gave us for one of its flags. Raises UsermodeError."""
    posix.set_inheritable(fd, False)
    flags = core.auxv(AT_FLAGS) or 0
    if flags & TRANSPARENT:
        from usermode import transparent

        settings.transparent = True
        envp = transparent.take_over(settings)
        settings.check()
        path, execfn = transparent.names(settings, fd, arguments)
        invocation = Invocation(settings, path, arguments, fd, execfn)
        invocation.envp = envp
        if settings.strings_fd >= 0:
            read_strings(invocation)
        return invocation
    settings.check()
    path = arguments[1]
    argv = arguments[2:] if flags & PRESERVE_ARGV0 else arguments[1:]
    from usermode.restart import own_string

    return Invocation(settings, path, argv, fd, own_string(core.auxv(AT_EXECFN) or 0) or path)


def read_strings(invocation: Invocation) -> None:
    """Take arguments and environment from a file: how many arguments, and all strings, each with its NUL."""
    fd = invocation.settings.strings_fd
    text = posix.pread(fd, posix.fstat(fd).st_size, 0)
    posix.close(fd)
    count, *strings = text.split(b"\0")[:-1]
    invocation.argv = strings[: int(count)]
    invocation.envp = strings[int(count) :]


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
    envp = core.environment() if invocation.envp is None else invocation.envp
    if secure:
        # As the dynamic linker does with its own: the program's children may not be AT_SECURE any more.
        envp = [entry for entry in envp if not entry.startswith(b"USERMODE_")]
    request = programs.request(
        fd,
        invocation.path,
        invocation.argv,
        envp,
        find,
        secure,
        invocation.execfn,
        process.stack_limit(),
    )
    process.argv = request.argv
    process.environment = request.envp
    name = invocation.settings.comm
    if name is None:
        name = invocation.execfn.rpartition(b"/")[2]
    core.host_call(NUMBERS["prctl"], PR_SET_NAME, name[:15])
    return request


def take_over(process: Process, loaded: Loaded, request: LoadRequest) -> None:
    """Keep what /proc shows of the loaded program: see `usermode.kernel.own_program`."""
    status = posix.fstat(request.fd)
    mapped = core.host_call(
        NUMBERS["mmap"], 0, status.st_size, PROT_READ, MAP_PRIVATE, request.fd, 0
    )
    process.program = (mapped, status.st_size, status.st_dev, status.st_ino, request.path)
    posix.close(request.fd)
    process.auxv = loaded.auxv
    process.argument_range = loaded.arguments
    process.environment_range = loaded.environment
    process.sigreturn = loaded.signal_return
    process.space.set_brk_start(loaded.break_start)
    image = loaded.program
    process.space.data_size = image.data_end - image.data_start
    process.layout = (
        image.code_start, image.code_end, image.data_start, image.data_end, loaded.break_start,
        loaded.stack_pointer,
    )  # fmt: skip
    words = 1 + len(request.argv) + 1 + len(request.envp) + 1  # argc, argv, NULL, envp, NULL
    core.show_guest(  # which a kernel without CONFIG_CHECKPOINT_RESTORE refuses
        image.code_start,
        image.code_end,
        image.data_start,
        image.data_end,
        loaded.stack_pointer,
        loaded.arguments[0],
        loaded.arguments[1],
        loaded.environment[1],
        loaded.stack_pointer + 8 * words,
        len(loaded.auxv),
    )


def inherit_mask(task: Task) -> None:
    """Begin with the signal mask that the host process was given."""
    mask = bytearray(8)
    core.host_call(NUMBERS["rt_sigprocmask"], 0, 0, mask, 8)
    signals.set_blocked(task, int.from_bytes(mask, "little"))


def start(invocation: Invocation) -> None:
    """Load the program and run its first thread. Raises UsermodeError if it cannot be loaded."""
    settings = invocation.settings
    compiled = tables()
    core.configure(
        compiled.HOST_ROWS, compiled.STAT_COPY, compiled.OPEN_FLAG_PAIRS, bool(settings.sysroot)
    )
    dispatcher = Dispatcher(compiled)
    process = Process(AddressSpace(), signals.Actions(), settings)
    process.adopt_limits()
    request = prepare(process, invocation)
    loaded = load(process.space, core, request)
    take_over(process, loaded, request)
    task = Task(process, core.Engine(TRANSLATION_BUFFER))
    process.tasks[task.tid] = task
    inherit_mask(task)
    process.prepare_core_dumps()
    task.engine.set(PC, loaded.entry)
    task.engine.set(SP, loaded.stack_pointer)
    answer: Answer = dispatcher.call
    if settings.strace is not None:
        from usermode.kernel.tracing import traced

        answer = traced(dispatcher, settings.strace)
        task.engine.trace(True)
    body = lambda thread: run(thread, answer)  # noqa: E731
    if settings.gdb is not None or settings.gdb_connection:
        body = debugged(process, dispatcher, answer)
    process.run = lambda thread: run_guarded(thread, body)
    gc.freeze()  # what there is now stays, so neither a collection nor a fork's child need touch it
    gc.enable()
    process.run(task)


def debugged(process: Process, dispatcher: Dispatcher, answer: Answer) -> Callable[[Task], None]:
    """Wait for the debugger, and return what runs a thread for it. Raises UsermodeError."""
    from usermode.debug.server import debug

    settings = process.settings
    traced = settings.strace is not None
    every = answer if traced else dispatcher.call_any
    return debug(process, answer, every, traced, lambda error: report(error, settings.debug))


def run_guarded(task: Task, body: Callable[[Task], None]) -> None:
    """Run a guest thread. An error of ours ends the whole process, whichever thread meets it."""
    try:
        body(task)
    except Exception as error:  # noqa: BLE001  the outermost edge of a thread
        core.host_call(NUMBERS["exit_group"], report(error, task.process.settings.debug))


def ensure_layout(invocation: Invocation) -> None:
    """See that our own memory lies above the guest's, if need be by starting again. Raises UsermodeError."""
    settings = invocation.settings
    if id(sys) < LIMIT or not guarded():
        from usermode.restart import restart

        restart(invocation)
    elif settings.personality >= 0:
        from usermode.restart import restore

        restore(settings)


def guarded() -> bool:
    """Keep the pages at the guest's limit unusable for ever; tell whether they were free.

    A buffer of a system call is checked by where it begins. One that begins below the limit ends here, whatever its
    size: the kernel copies up to the first page that cannot be used.
    """
    return core.host_call(NUMBERS["mmap"], LIMIT, GUARD, 0, GUARD_FLAGS, -1, 0) == LIMIT


def report(error: Exception, debug: bytes) -> int:
    """Say in one line what went wrong; with `debug` also where. Returns the exit status."""
    if isinstance(error, UsermodeError):
        text = f"usermode: {error.message}\n"
        if error.hint:
            text += f"usermode: {error.hint}\n"
        status = error.status
    else:
        text = f"usermode: internal error: {error!r}"
        text += where(error) if debug else " (USERMODE_DEBUG=1 tells more)\n"
        status = INTERNAL_ERROR
    posix.write(2, text.encode("utf-8", "backslashreplace"))
    return status


def where(error: BaseException) -> str:
    """Return the call stack of an error; the traceback module is no part of the interpreter."""
    text = "\n"
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        text += f"  {code.co_filename}:{trace.tb_lineno} {code.co_qualname}\n"
        trace = trace.tb_next
    return text


def main() -> int:
    """Run the program that the command line names; the exit status if that was not possible."""
    debug = b""
    try:
        invocation = read_invocation(command_line())
        debug = invocation.settings.debug
        ensure_layout(invocation)
        start(invocation)
    except Information as wanted:
        posix.write(1, wanted.text.encode())
        return 0
    except Exception as error:  # noqa: BLE001  the outermost edge
        return report(error, debug)
    return INTERNAL_ERROR
