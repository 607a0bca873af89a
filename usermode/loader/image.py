# SPDX-License-Identifier: GPL-2.0-or-later
"""Mapping a checked ELF file into the guest's address space, as elf_load() of fs/binfmt_elf.c does.

Nothing is copied: each segment is a private mapping of the file. What lies between segments stays
unmapped.
"""

from __future__ import annotations

import posix
from errno import EFAULT

from usermode.errors import LoadError, printable
from usermode.loader.elf import PAGE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from usermode.loader.elf import Elf, Segment
    from usermode.loader.protocols import Memory, Space

PROT_NONE, PROT_READ, PROT_WRITE, PROT_EXEC = 0, 1, 2, 4
MAP_PRIVATE, MAP_FIXED, MAP_ANONYMOUS = 0x02, 0x10, 0x20
MAP_GROWSDOWN, MAP_NORESERVE, MAP_STACK, MAP_FIXED_NOREPLACE = 0x100, 0x4000, 0x20000, 0x100000


class Image:
    """Where an ELF file came to lie.

    `bias` is what was added to its addresses as linked; `start` and `end` enclose it in whole
    pages. The code and data bounds are those of /proc/PID/stat (proc_pid_stat(5)); `break_start` is
    the end of its last segment.
    """

    __slots__ = (
        "bias",
        "break_start",
        "code_end",
        "code_start",
        "data_end",
        "data_start",
        "end",
        "entry",
        "phdr",
        "start",
    )

    def __init__(self, elf: Elf, bias: int) -> None:
        self.bias = bias
        self.start = elf.low + bias
        self.end = elf.high + bias
        self.entry = elf.entry + bias
        self.phdr = elf.phdr + bias
        code = [segment for segment in elf.segments if segment.protection & PROT_EXEC]
        self.code_start = bias + min([segment.address for segment in code], default=0)
        self.code_end = bias + max([segment.file_end for segment in code], default=0)
        self.data_start = bias + max([segment.address for segment in elf.segments])
        self.data_end = bias + max([segment.file_end for segment in elf.segments])
        self.break_start = bias + max([segment.end for segment in elf.segments])


def map_image(space: Space, memory: Memory, fd: int, elf: Elf, base: int = 0) -> Image:
    """Map all segments of `elf`, which is the open file `fd`.

    An ET_EXEC goes where it was linked to; anything else to `base`, rounded down to its alignment,
    or with base 0 to where the address space puts a mapping. Existing mappings are never replaced.
    Raises LoadError.
    """
    size = elf.high - elf.low
    start = elf.low if elf.fixed else base & -elf.align
    try:
        if not start:
            start = space.place(size, elf.align)
        flags = MAP_PRIVATE | MAP_FIXED_NOREPLACE
        if not elf.disjoint:
            take_room(space, start, size)
            flags = MAP_PRIVATE | MAP_FIXED
        bias = start - elf.low
        for segment in elf.segments:
            map_segment(space, memory, fd, segment, bias, flags)
    except OSError as error:
        number = error.errno or EFAULT
        reason = f"{start:#x}, {size:#x} bytes: {posix.strerror(number)}"
        message = f"{printable(elf.path)}: cannot be mapped to {reason}"
        raise LoadError(message, number) from error
    return Image(elf, bias)


def take_room(space: Space, start: int, size: int) -> None:
    """Make sure that nothing is mapped in the room of an image whose segments share pages.

    Such segments are mapped one over the other. The guest has no thread yet that could take the
    room again.
    """
    flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE
    space.map(start, size, PROT_NONE, flags, -1, 0)
    space.unmap(start, size)


def map_segment(
    space: Space, memory: Memory, fd: int, segment: Segment, bias: int, flags: int
) -> None:
    """Map one segment: pages of the file, zeros to the end of the last one, anonymous pages.

    Anonymous pages are writable whatever the segment says, and a page of the file that is not
    writable keeps what the file has behind the segment: so does the kernel, vm_brk_flags() and
    padzero().
    """
    address = segment.address + bias
    protection = segment.protection
    start = address & -PAGE
    file_end = segment.file_end + bias
    end = (segment.end + bias + PAGE - 1) & -PAGE
    zeros = start
    if segment.file_end > segment.address:
        zeros = (file_end + PAGE - 1) & -PAGE
        offset = segment.offset - (address - start)
        space.map(start, zeros - start, protection, flags, fd, offset)
        if segment.end > segment.file_end and protection & PROT_WRITE and zeros > file_end:
            memory.write(file_end, bytes(zeros - file_end))
    if end > zeros:
        protection = protection & PROT_EXEC | PROT_READ | PROT_WRITE
        space.map(zeros, end - zeros, protection, flags | MAP_ANONYMOUS, -1, 0)
