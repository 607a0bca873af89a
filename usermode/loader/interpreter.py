# SPDX-License-Identifier: GPL-2.0-or-later
"""Loading a program and its ELF interpreter as execve(2) does: load_elf_binary() of the kernel.

Loading has two steps, because execve(2) can still fail in the first: `prepare` reads and checks
everything and changes nothing, `commit` maps it into an address space that is empty.
"""

from __future__ import annotations

import posix
from errno import EACCES, EIO, ELIBBAD, ENOENT, ENOEXEC

from usermode.errors import CANNOT_EXECUTE, NOT_FOUND, LoadError, printable
from usermode.loader.elf import HEADER, PAGE, PROGRAM_HEADER, Elf, parse
from usermode.loader.image import map_image
from usermode.loader.stack import Strings, build, map_stack
from usermode.loader.vdso import map_vdso

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from usermode.loader.image import Image
    from usermode.loader.protocols import Memory, Space

AT_PHDR, AT_PHENT, AT_PHNUM, AT_PAGESZ, AT_BASE, AT_FLAGS, AT_ENTRY = 3, 4, 5, 6, 7, 8, 9
AT_UID, AT_EUID, AT_GID, AT_EGID = 11, 12, 13, 14
AT_PLATFORM, AT_HWCAP, AT_CLKTCK, AT_SECURE, AT_RANDOM, AT_HWCAP2 = 15, 16, 17, 23, 25, 26
AT_EXECFN, AT_SYSINFO_EHDR, AT_MINSIGSTKSZ = 31, 33, 51
CLOCKS_PER_SECOND = 100
"""USER_HZ of the guest's kernel, <asm-generic/param.h>."""

RANDOM_IMAGE_PAGES = 1 << 28
"""Chance in the place of a position-independent program, in pages: as much as the host's kernel has."""

RANDOM_BREAK_PAGES = 1 << 18
"""Chance in the place of the heap, 1 GiB: arch_randomize_brk() of the guest's kernel."""


class Cpu:
    """What the guest's CPU contributes to loading.

    `machine` is its e_machine, `platform` its AT_PLATFORM, `hwcap` and `hwcap2` the vectors of that
    name, and `signal_stack_size` AT_MINSIGSTKSZ, the size of a signal frame with all that lies
    around it.
    """

    __slots__ = ("hwcap", "hwcap2", "machine", "platform", "signal_stack_size")

    def __init__(
        self, machine: int, platform: bytes, hwcap: int, hwcap2: int, signal_stack_size: int
    ) -> None:
        self.machine = machine
        self.platform = platform
        self.hwcap = hwcap
        self.hwcap2 = hwcap2
        self.signal_stack_size = signal_stack_size


class LoadRequest:
    """What to load, and for whom.

    `fd` is the open program and stays open; it is not looked up again by `path`, which names it in
    errors. `execfn` is the path given to execve(2), the script's if the program runs a script.
    `find` opens the ELF interpreter at a path of the guest's, or raises OSError. `credentials` are
    uid, euid, gid and egid. `stack_limit` is the soft RLIMIT_STACK in bytes. Without `randomize`
    (ADDR_NO_RANDOMIZE of personality(2)) every address is the same each time.
    """

    __slots__ = (
        "argv",
        "cpu",
        "credentials",
        "envp",
        "execfn",
        "fd",
        "find",
        "path",
        "randomize",
        "secure",
        "stack_limit",
    )

    def __init__(
        self,
        cpu: Cpu,
        fd: int,
        path: bytes,
        argv: list[bytes],
        envp: list[bytes],
        find: Callable[[bytes], int],
        *,
        execfn: bytes | None = None,
        credentials: tuple[int, int, int, int],
        secure: bool = False,
        stack_limit: int,
        randomize: bool = True,
    ) -> None:
        self.cpu = cpu
        self.fd = fd
        self.path = path
        self.argv = argv
        self.envp = envp
        self.find = find
        self.execfn = path if execfn is None else execfn
        self.credentials = credentials
        self.secure = secure
        self.stack_limit = stack_limit
        self.randomize = randomize


class Prepared:
    """A program that passed every check; `interpreter_fd` is open, or -1 when there is none."""

    __slots__ = ("elf", "interpreter", "interpreter_fd", "request", "strings")

    def __init__(self, request: LoadRequest, elf: Elf, strings: Strings) -> None:
        self.request = request
        self.elf = elf
        self.strings = strings
        self.interpreter: Elf | None = None
        self.interpreter_fd = -1

    def close(self) -> None:
        """Give back the interpreter's file."""
        if self.interpreter_fd >= 0:
            posix.close(self.interpreter_fd)
            self.interpreter_fd = -1


class Loaded:
    """A guest ready to run: set PC to `entry`, SP to `stack_pointer`, every other register to 0.

    `break_start` is where the heap begins. `signal_return` is the address of the vDSO's
    __kernel_rt_sigreturn. `auxv` is the content of /proc/PID/auxv; `arguments` and `environment`
    are ranges of addresses. `interpreter` is the image of the ELF interpreter.
    """

    __slots__ = (
        "arguments",
        "auxv",
        "break_start",
        "entry",
        "environment",
        "interpreter",
        "program",
        "signal_return",
        "stack",
        "stack_pointer",
    )

    def __init__(self, program: Image, interpreter: Image | None) -> None:
        self.program = program
        self.interpreter = interpreter
        self.entry = (interpreter or program).entry
        self.break_start = 0
        self.signal_return = 0
        self.stack = (0, 0)
        self.stack_pointer = 0
        self.auxv = b""
        self.arguments = (0, 0)
        self.environment = (0, 0)


def load(space: Space, memory: Memory, request: LoadRequest) -> Loaded:
    """Prepare and commit."""
    return commit(space, memory, prepare(request, space.limit))


def prepare(request: LoadRequest, limit: int) -> Prepared:
    """Read and check the program and its ELF interpreter; changes nothing. Raises LoadError.

    `limit` is the end of the address space the program will get.
    """
    machine = request.cpu.machine
    elf = parse(request.fd, request.path, machine, limit)
    strings = Strings(request.argv, request.envp, request.execfn, request.stack_limit)
    prepared = Prepared(request, elf, strings)
    name = elf.interpreter
    if name is not None:
        try:
            prepared.interpreter_fd = request.find(name or b".")  # open_exec() of no name
        except OSError as error:
            raise interpreter_missing(request.path, name, error) from error
        try:
            prepared.interpreter = parse(prepared.interpreter_fd, name, machine, limit)
        except LoadError as error:
            if error.errno == ENOEXEC:
                short = posix.fstat(prepared.interpreter_fd).st_size < HEADER.size
                error.errno = EIO if short else ELIBBAD
            prepared.close()
            raise
    return prepared


def interpreter_missing(path: bytes, name: bytes, error: OSError) -> LoadError:
    """Word the failure to open the ELF interpreter, nearly always that there is no sysroot."""
    number = error.errno or ENOENT
    text = f"{printable(path)}: its ELF interpreter {printable(name)}"
    if number == ENOENT:
        from usermode.loader.foreign import NO_LIBRARIES

        return LoadError(f"{text} is not here", number, status=NOT_FOUND, hint=NO_LIBRARIES)
    return LoadError(f"{text}: {posix.strerror(number)}", number, status=CANNOT_EXECUTE)


def commit(space: Space, memory: Memory, prepared: Prepared) -> Loaded:
    """Map stack, program, interpreter and vDSO into the empty `space`, and write the stack.

    Closes the interpreter's file. Raises LoadError, after which the space is in no state to be
    used.
    """
    request, elf = prepared.request, prepared.elf
    random = posix.urandom(16 + 24)
    seed = int.from_bytes(random[16:], "little") if request.randomize else 0
    try:
        stack = map_stack(space, prepared.strings, request.stack_limit, elf.stack, seed)
        seed >>= 64
        base = 0
        if prepared.interpreter is not None:
            base = program_base(space) + PAGE * (seed % RANDOM_IMAGE_PAGES)
        program = map_image(space, memory, request.fd, elf, base)
        interpreter = None
        if prepared.interpreter is not None:
            interpreter = map_image(space, memory, prepared.interpreter_fd, prepared.interpreter)
        loaded = Loaded(program, interpreter)
        loaded.stack = stack
        seed >>= 32
        loaded.break_start = break_start(space, elf, program) + PAGE * (seed % RANDOM_BREAK_PAGES)
        vdso, loaded.signal_return = map_vdso(space, memory)
        content = build(
            stack[1],
            prepared.strings,
            auxiliary_vector(request, elf, loaded, vdso),
            request.cpu.platform,
            random[:16],
            (seed >> 32) % PAGE,
        )
        memory.write(content.pointer, content.content)
    except OSError as error:
        number = error.errno or EACCES
        message = f"{printable(request.path)}: cannot be loaded: {posix.strerror(number)}"
        raise LoadError(message, number) from error
    finally:
        prepared.close()
    loaded.stack_pointer = content.pointer
    loaded.auxv = content.auxv
    loaded.arguments = content.arguments
    loaded.environment = content.environment
    return loaded


def program_base(space: Space) -> int:
    """Return where position-independent programs begin, two thirds up: ELF_ET_DYN_BASE."""
    return 2 * space.limit // 3 & -PAGE


def break_start(space: Space, elf: Elf, program: Image) -> int:
    """Return where the heap may begin.

    Behind the program; but one that was placed like a library, which is an ELF interpreter or a
    static-pie, has other mappings behind it, and its heap goes to where programs begin.
    """
    if not elf.fixed and elf.interpreter is None:
        return program_base(space)
    return (program.break_start + PAGE - 1) & -PAGE


def auxiliary_vector(
    request: LoadRequest, elf: Elf, loaded: Loaded, vdso: int
) -> list[tuple[int, int]]:
    """Return the auxiliary vector in the order of create_elf_tables().

    Pointers into the stack are 0 until it is built.
    """
    cpu = request.cpu
    uid, euid, gid, egid = request.credentials
    return [
        (AT_SYSINFO_EHDR, vdso),
        (AT_MINSIGSTKSZ, cpu.signal_stack_size),
        (AT_HWCAP, cpu.hwcap),
        (AT_PAGESZ, PAGE),
        (AT_CLKTCK, CLOCKS_PER_SECOND),
        (AT_PHDR, loaded.program.phdr),
        (AT_PHENT, PROGRAM_HEADER.size),
        (AT_PHNUM, elf.phnum),
        (AT_BASE, loaded.interpreter.bias if loaded.interpreter else 0),
        (AT_FLAGS, 0),
        (AT_ENTRY, loaded.program.entry),
        (AT_UID, uid),
        (AT_EUID, euid),
        (AT_GID, gid),
        (AT_EGID, egid),
        (AT_SECURE, int(request.secure)),
        (AT_RANDOM, 0),
        (AT_HWCAP2, cpu.hwcap2),
        (AT_EXECFN, 0),
        (AT_PLATFORM, 0),
    ]
