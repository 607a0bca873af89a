# SPDX-License-Identifier: GPL-2.0-or-later
"""The ELF header and program headers of a program, read by hand, checked as by the kernel.

One 4 KiB read holds everything in nearly every program. What fs/binfmt_elf.c refuses is refused
with its errno and one line that names the file and the fault; beyond the kernel, ranges that
overflow are refused too, so that the code behind this needs no further checks.
"""

from __future__ import annotations

import posix
from _struct import Struct
from errno import EINVAL, EIO, ENOEXEC, EPERM

from usermode.errors import LoadError, printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

PAGE = 4096
LOWEST_ADDRESS = 0x10000
"""First address a guest may use; also the kernel's default for vm.mmap_min_addr."""

ET_EXEC, ET_DYN = 2, 3
PT_LOAD, PT_INTERP, PT_GNU_STACK = 1, 3, 0x6474E551
PF_X, PF_W, PF_R = 1, 2, 4
IDENT = b"\x7fELF\x02\x01"
"""Magic, 64-bit, little endian. The kernel ignores the version bytes behind them too."""

HEADER = Struct("<16sHHIQQQIHHHHHH")
PROGRAM_HEADER = Struct("<IIQQQQQQ")
HEADERS_LIMIT = 65536
"""Bytes of program headers, load_elf_phdrs()."""

PATH_MAX = 4096
OFFSET_LIMIT = 1 << 63


class Segment:
    """One PT_LOAD: the file from `offset` on goes to [address, file_end), zeros to [file_end, end).

    Addresses are as linked. `protection` is the PROT_* of mmap(2).
    """

    __slots__ = ("address", "end", "file_end", "offset", "protection")

    def __init__(self, offset: int, address: int, file_end: int, end: int, protection: int) -> None:
        self.offset = offset
        self.address = address
        self.file_end = file_end
        self.end = end
        self.protection = protection


class Elf:
    """A checked program: what is mapped where, in addresses as linked.

    `fixed` is ET_EXEC. `low` and `high` enclose all segments, in whole pages. `align` is the
    largest p_align, at least a page. `disjoint` says that the segments ascend and share no page.
    `phdr` is where the program headers will be, 0 when no segment holds them. `interpreter` is the
    path of PT_INTERP without its NUL. `stack` is the PF_* of PT_GNU_STACK, None without one.
    """

    __slots__ = (
        "align",
        "disjoint",
        "entry",
        "fixed",
        "high",
        "interpreter",
        "low",
        "path",
        "phdr",
        "phnum",
        "segments",
        "stack",
    )

    def __init__(self, path: bytes, entry: int, fixed: bool, phnum: int) -> None:
        self.path = path
        self.entry = entry
        self.fixed = fixed
        self.phnum = phnum
        self.phdr = 0
        self.align = PAGE
        self.disjoint = True
        self.low = 0
        self.high = 0
        self.interpreter: bytes | None = None
        self.stack: int | None = None
        self.segments: list[Segment] = []


def parse(fd: int, path: bytes, machine: int, limit: int) -> Elf:
    """Read the headers of the open file `fd`; `path` only names it in errors.

    `machine` is the e_machine to insist on, `limit` the end of the guest's address space. Neither
    moves the file's offset nor keeps the file. Raises LoadError.
    """
    head = read(fd, path, PAGE, 0)
    if head[:6] != IDENT or len(head) < HEADER.size:
        refuse_foreign(path, head, machine)
    _, kind, e_machine, _, entry, phoff, _, _, _, phentsize, phnum, _, _, _ = HEADER.unpack_from(
        head
    )
    if e_machine != machine:
        refuse_foreign(path, head, machine)
    if kind not in (ET_EXEC, ET_DYN):
        refuse_type(path, kind)
    if phentsize != PROGRAM_HEADER.size:
        fail(path, f"program headers of {phentsize} bytes instead of {PROGRAM_HEADER.size}")
    size = phnum * PROGRAM_HEADER.size
    if not 0 < size <= HEADERS_LIMIT:
        fail(path, f"{phnum} program headers")
    headers = head[phoff : phoff + size]
    if len(headers) != size:
        headers = read(fd, path, size, phoff)
        if len(headers) != size:
            fail(path, "its program headers lie outside the file")
    elf = Elf(path, entry, kind == ET_EXEC, phnum)
    for header in PROGRAM_HEADER.iter_unpack(headers):
        p_type, flags, offset, address, _, file_size, memory_size, _ = header
        if p_type == PT_LOAD:
            if memory_size or file_size:
                add_segment(elf, header, limit)
            if offset <= phoff < offset + file_size:
                elf.phdr = phoff - offset + address
        elif p_type == PT_INTERP:
            if elf.interpreter is None:
                elf.interpreter = read_interpreter(fd, path, head, offset, file_size)
        elif p_type == PT_GNU_STACK:
            elf.stack = flags
    check_whole(elf, limit)
    return elf


def read(fd: int, path: bytes, size: int, offset: int) -> bytes:
    """Read up to `size` bytes at `offset`, fewer at the end of the file."""
    if offset >= OFFSET_LIMIT:
        return b""
    try:
        return posix.pread(fd, size, offset)
    except OSError as error:
        message = f"{printable(path)}: cannot be read: {error.strerror}"
        raise LoadError(message, error.errno or EIO) from error


def add_segment(elf: Elf, header: tuple[int, ...], limit: int) -> None:
    """Check one PT_LOAD and take it into `elf`."""
    _, flags, offset, address, _, file_size, memory_size, align = header
    end = address + memory_size
    if file_size > memory_size:
        fail(elf.path, f"a segment of {memory_size} bytes has {file_size} in the file", EINVAL)
    if end > limit:
        where = f"{address:#x}, {memory_size:#x} bytes"
        fail(elf.path, f"a segment at {where}, ends beyond {limit:#x}", EINVAL)
    if offset + file_size >= OFFSET_LIMIT - PAGE:
        fail(elf.path, f"a segment at offset {offset:#x} of the file", EINVAL)
    if file_size and (address - offset) % PAGE:
        where = f"a segment at {address:#x} from offset {offset:#x}"
        fail(elf.path, f"{where}: their places in a page differ", EINVAL)
    low = address & -PAGE
    if elf.segments and low < elf.high:
        elf.disjoint = False
    if not elf.segments or low < elf.low:
        elf.low = low
    high = (end + PAGE - 1) & -PAGE
    if high > elf.high:
        elf.high = high
    if align > elf.align and not align & (align - 1):  # as maximum_alignment() of the kernel
        elf.align = align
    # PF_* and PROT_* have R and X the other way round.
    protection = flags & PF_W | (flags & PF_X) << 2 | (flags & PF_R) >> 2
    elf.segments.append(Segment(offset, address, address + file_size, end, protection))


def read_interpreter(fd: int, path: bytes, head: bytes, offset: int, size: int) -> bytes:
    """Return the path in PT_INTERP, checked as load_elf_binary() does."""
    if not 2 <= size <= PATH_MAX:
        fail(path, f"PT_INTERP is {size} bytes long")
    text = head[offset : offset + size]
    if len(text) != size:
        text = read(fd, path, size, offset)
        if len(text) != size:
            number = EINVAL if offset >= OFFSET_LIMIT else EIO
            fail(path, "PT_INTERP lies outside the file", number)
    if text[-1]:
        fail(path, "PT_INTERP does not end with a NUL")
    return text[: text.index(0)]


def check_whole(elf: Elf, limit: int) -> None:
    """Check what only shows when all segments are known."""
    if not elf.segments:
        fail(elf.path, "it has no segment to load", EINVAL)
    if elf.fixed:
        if elf.low < LOWEST_ADDRESS:
            message = f"it is linked to address {elf.low:#x}, below {LOWEST_ADDRESS:#x}"
            raise LoadError(f"{printable(elf.path)}: {message}", EPERM)
    elif elf.high - elf.low + elf.align > limit - LOWEST_ADDRESS:
        fail(elf.path, f"it needs {elf.high - elf.low:#x} bytes of address space", EINVAL)
    if elf.entry >= limit:
        fail(elf.path, f"its entry point {elf.entry:#x} is no address", EINVAL)


def fail(path: bytes, fault: str, errno: int = ENOEXEC) -> NoReturn:
    """Refuse a file whose headers are wrong."""
    raise LoadError(f"{printable(path)}: damaged ELF file: {fault}", errno)


def refuse_foreign(path: bytes, head: bytes, machine: int) -> NoReturn:
    """Refuse a file that is something else."""
    from usermode.loader.foreign import describe, machine_name

    name = machine_name(machine)
    article = "an" if name[0] in "AEIOU" else "a"
    message = f"{printable(path)}: not {article} {name} program: this is {describe(head)}"
    raise LoadError(message, ENOEXEC)


def refuse_type(path: bytes, kind: int) -> NoReturn:
    """Refuse an ELF file that is no program."""
    from usermode.loader.foreign import TYPES

    raise LoadError(f"{printable(path)}: not a program: ELF type {TYPES.get(kind, kind)}", ENOEXEC)
