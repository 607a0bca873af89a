# SPDX-License-Identifier: GPL-2.0-or-later
"""The vDSO: a small shared library that the guest finds through AT_SYSINFO_EHDR.

Signal handlers return through it. Its functions make the system call they are named after. A vDSO
that reads the clock itself needs the kernel's time page, and the host's is laid out for the host's
vDSO of the same kernel alone; only a call is exact.
"""

from __future__ import annotations

from _struct import unpack_from

from usermode.loader.elf import PAGE
from usermode.loader.image import MAP_ANONYMOUS, MAP_PRIVATE, PROT_EXEC, PROT_READ, PROT_WRITE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from usermode.loader.protocols import Memory, Space


def vdso_image() -> bytes:
    """Return the ELF file: built into the interpreter, or that of the source tree."""
    try:
        from usermode.loader.vdso_image import IMAGE
    except ImportError:
        return read_built()
    return IMAGE


def read_built() -> bytes:
    """Return build/vdso.so of the source tree this module is in."""
    import posix

    tree = __file__.rsplit("/", 3)[0]
    file = posix.open(f"{tree}/build/vdso.so", posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        return posix.read(file, 16 * PAGE)
    finally:
        posix.close(file)


def signal_return(image: bytes) -> int:
    """Return the offset of __kernel_rt_sigreturn, which vdso.lds makes the entry point."""
    (offset,) = unpack_from("<Q", image, 24)
    return int(offset)


def map_vdso(space: Space, memory: Memory) -> tuple[int, int]:
    """Map the vDSO; returns its address and that of __kernel_rt_sigreturn. Raises OSError."""
    image = vdso_image()
    size = (len(image) + PAGE - 1) & -PAGE
    start = space.map(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    memory.write(start, image)
    space.protect(start, size, PROT_READ | PROT_EXEC)
    space.name(start, size, b"[vdso]")
    return start, start + signal_return(image)
