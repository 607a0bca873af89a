# SPDX-License-Identifier: GPL-2.0-or-later
"""The bytes by which the kernel knows a guest program: magic and mask of a binfmt_misc entry.

Both cover the first 20 bytes of an ELF header (elf(5)): e_ident, e_type, e_machine.
"""

from __future__ import annotations

from struct import pack

from syscalls.arch.aarch64.cpu import ELF_MACHINE

EI_OSABI, EI_ABIVERSION = 7, 8
E_TYPE = 16
IDENT = b"\x7fELF\x02\x01\x01"  # 64-bit, little endian, version 1
ET_EXEC = 2

MAGIC = IDENT.ljust(E_TYPE, b"\0") + pack("<HH", ET_EXEC, ELF_MACHINE)
"""EI_OSABI is 0 here because the kernel compares after masking."""


def mask(appimage: bool = False) -> bytes:
    """Return which bits count.

    Not EI_OSABI: programs that use GNU extensions have 3 there. Not the low bit of e_type:
    position-independent programs and ELF interpreters are ET_DYN (3). With `appimage` the three
    bytes behind EI_OSABI do not count either, where AppImages have "AI" and their version; it is no
    default because it makes the entry match more.
    """
    bits = bytearray(b"\xff" * len(MAGIC))
    bits[EI_OSABI] = 0
    bits[E_TYPE] = 0xFE
    if appimage:
        bits[EI_ABIVERSION : EI_ABIVERSION + 3] = bytes(3)
    return bytes(bits)


def matches(head: bytes, appimage: bool = False) -> bool:
    """Tell whether the kernel would take a file that begins with `head` for a guest program."""
    bits = mask(appimage)
    return len(head) >= len(MAGIC) and all(
        a & b == c for a, b, c in zip(head, bits, MAGIC, strict=False)
    )
