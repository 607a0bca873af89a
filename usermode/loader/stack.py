# SPDX-License-Identifier: GPL-2.0-or-later
"""The initial stack of a program: argc, argv, envp, the auxiliary vector and their strings.

The layout is that of create_elf_tables() in fs/binfmt_elf.c and of copy_strings() in fs/exec.c,
from high to low addresses: eight zero bytes, the path of the program, the environment, the
arguments, up to a page of chance, the platform's name, 16 random bytes, and at the 16-aligned stack
pointer argc, argv, NULL, envp, NULL, auxv. It is built as one bytes object and written at once.
"""

from __future__ import annotations

from _struct import pack
from errno import E2BIG

from usermode.errors import LoadError, printable
from usermode.loader.elf import PAGE, PF_X
from usermode.loader.image import (
    MAP_ANONYMOUS,
    MAP_FIXED_NOREPLACE,
    MAP_GROWSDOWN,
    MAP_NORESERVE,
    MAP_PRIVATE,
    MAP_STACK,
    PROT_EXEC,
    PROT_READ,
    PROT_WRITE,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from usermode.loader.protocols import Space

AT_NULL = 0
AT_PLATFORM, AT_RANDOM, AT_EXECFN = 15, 25, 31

STRING_LIMIT = 32 * PAGE
"""MAX_ARG_STRLEN: bytes of one argument or variable with its NUL."""

ARGUMENTS_FLOOR, ARGUMENTS_CEILING = 128 << 10, 6 << 20
"""Bytes of strings and pointers that are always allowed, and never: bprm_stack_limits()."""

EXPANSION = 128 << 10
"""Bytes of stack below the strings, whatever RLIMIT_STACK says: setup_arg_pages()."""

UNLIMITED_STACK = 1 << 30
"""Bytes of stack that are mapped when RLIMIT_STACK is larger or unlimited."""

GUARD = 256 * PAGE
"""The kernel's stack_guard_gap."""

LEAST_GAP = 128 << 20
"""Room for the stack to grow when a program raises its RLIMIT_STACK: MIN_GAP of mm/util.c."""

RANDOM_TOP_PAGES, RANDOM_MAP_PAGES = 1 << 22, 1 << 28
"""Chance in the place of the stack and of mappings, in pages: as much as the host's kernel has."""


class Strings:
    """Arguments, environment and path of a program, checked for size.

    `argv` is never empty: the kernel gives a program without arguments an empty one.
    """

    __slots__ = ("argv", "envp", "execfn", "size")

    def __init__(
        self, argv: list[bytes], envp: list[bytes], execfn: bytes, stack_limit: int
    ) -> None:
        self.argv = argv or [b""]
        self.envp = envp
        self.execfn = execfn
        count = len(self.argv) + len(envp)
        strings = sum(map(len, self.argv)) + sum(map(len, envp)) + count
        self.size = strings + len(execfn) + 1
        room = max(min(ARGUMENTS_CEILING, stack_limit // 4), ARGUMENTS_FLOOR)
        total = self.size + 8 * count
        if total > room:
            self.fail(f"{total} bytes of arguments and environment; {room} are allowed")
        if strings > STRING_LIMIT and max(map(len, [*self.argv, *envp])) >= STRING_LIMIT:
            self.fail(f"an argument or variable is longer than {STRING_LIMIT} bytes")

    def fail(self, fault: str) -> NoReturn:
        """Refuse as execve(2) does with E2BIG."""
        raise LoadError(f"{printable(self.execfn)}: {fault}", E2BIG)


class Stack:
    """The initial stack, ready to be written to `pointer`.

    `auxv` is the auxiliary vector alone, for /proc/PID/auxv; `arguments` and `environment` are the
    address ranges of the strings, for /proc/PID/{cmdline,environ,stat}.
    """

    __slots__ = ("arguments", "auxv", "content", "environment", "pointer")

    def __init__(
        self,
        pointer: int,
        content: bytes,
        auxv: bytes,
        arguments: tuple[int, int],
        environment: tuple[int, int],
    ) -> None:
        self.pointer = pointer
        self.content = content
        self.auxv = auxv
        self.arguments = arguments
        self.environment = environment


def build(
    top: int,
    strings: Strings,
    auxv: list[tuple[int, int]],
    platform: bytes,
    random: bytes,
    shift: int,
) -> Stack:
    """Lay out the stack that ends at `top`.

    `auxv` has (type, value) in order; the values of AT_RANDOM, AT_EXECFN and AT_PLATFORM are filled
    in here. `random` are the 16 bytes of AT_RANDOM. `shift` moves the stack pointer down by up to a
    page.
    """
    argv, envp = strings.argv, strings.envp
    texts = [*argv, *envp, strings.execfn]
    texts_start = top - 8 - strings.size
    address = texts_start
    pointers = []
    for text in texts:
        pointers.append(address)
        address += len(text) + 1
    environment = pointers[len(argv)]
    execfn = pointers.pop()

    platform_at = (texts_start - shift & -16) - len(platform) - 1
    random_at = platform_at - 16
    places = {AT_RANDOM: random_at, AT_EXECFN: execfn, AT_PLATFORM: platform_at}
    words: list[int] = []
    for kind, value in auxv:
        words += (kind, places.get(kind, value))
    words += (AT_NULL, 0)
    vector = pack(f"<{len(words)}Q", *words)
    head = [len(argv), *pointers[: len(argv)], 0, *pointers[len(argv) :], 0]
    tables = pack(f"<{len(head)}Q", *head) + vector
    pointer = (random_at & -16) - len(tables) & -16
    content = b"".join(
        [
            tables,
            bytes(random_at - pointer - len(tables)),
            random,
            platform,
            bytes(texts_start - platform_at - len(platform)),
            b"\0".join(texts),
            bytes(9),
        ]
    )
    return Stack(pointer, content, vector, (texts_start, environment), (environment, execfn))


def map_stack(
    space: Space, strings: Strings, stack_limit: int, flags: int | None, random: int
) -> tuple[int, int]:
    """Map the stack near the end of the address space; mappings begin below it. Returns its range.

    All that RLIMIT_STACK allows is mapped at once, without reserving memory, so that a system call
    can write to a page that the program has not touched. A program that raises the limit finds room
    for the stack to grow. `flags` are those of PT_GNU_STACK, `random` is 0 or a random number.
    Raises OSError.
    """
    least = strings.size + 8 * (len(strings.argv) + len(strings.envp)) + 2 * PAGE + EXPANSION
    size = (max(min(stack_limit, UNLIMITED_STACK), least) + PAGE - 1) & -PAGE
    end = space.limit - PAGE * (1 + random % RANDOM_TOP_PAGES)
    protection = PROT_READ | PROT_WRITE
    if flags is not None and flags & PF_X:
        protection |= PROT_EXEC
    # MAP_STACK keeps the host from spending a huge page on the first few words.
    space.uncounted = size - (least + PAGE - 1 & -PAGE)
    how = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_GROWSDOWN | MAP_STACK
    start = space.map(end - size, size, protection, how | MAP_FIXED_NOREPLACE, -1, 0)
    space.name(start, size, b"[stack]")
    gap = max(size, LEAST_GAP) + GUARD
    space.top = end - gap - PAGE * (random // RANDOM_TOP_PAGES % RANDOM_MAP_PAGES)
    return start, end
