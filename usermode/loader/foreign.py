# SPDX-License-Identifier: GPL-2.0-or-later
"""Words for programs that cannot be loaded; imported only when there is an error to word."""

from __future__ import annotations

MACHINES = {
    2: "SPARC",
    3: "32-bit x86",
    4: "m68k",
    8: "MIPS",
    15: "PA-RISC",
    20: "32-bit PowerPC",
    21: "64-bit PowerPC",
    22: "s390",
    40: "32-bit Arm",
    42: "SuperH",
    43: "64-bit SPARC",
    50: "IA-64",
    62: "x86-64",
    183: "AArch64",
    243: "RISC-V",
    247: "BPF",
    258: "LoongArch",
}
"""Names of the e_machine values of <elf.h> that Linux runs on or has run on."""

NO_LIBRARIES = "give --sysroot DIR, or install libc6:arm64"
"""What to do when a program's ELF interpreter is missing."""

TYPES = {0: "ET_NONE", 1: "ET_REL, an object file", 4: "ET_CORE, a core dump"}
"""The e_type values that are no programs."""


def machine_name(machine: int) -> str:
    """Return what people call an e_machine value."""
    return MACHINES.get(machine, f"ELF machine {machine}")


def describe(head: bytes) -> str:
    """Return what the file that begins with `head` is, to stand after "this is"."""
    if not head:
        return "an empty file"
    if head[:4] == b"\x7fELF" and len(head) >= 64:
        big = head[5] == 2
        machine = machine_name(int.from_bytes(head[18:20], "big" if big else "little"))
        wide = {1: "32-bit ", 2: ""}.get(head[4], "damaged ")
        if machine.startswith(("32-bit", "64-bit")):
            wide = ""
        return f"{wide}{'big-endian ' if big else ''}{machine}"
    if head[:4] == b"\x7fELF":
        return "an ELF file cut short"
    if head[:2] == b"#!":
        return "a script"
    if head[:2] == b"MZ":
        return "a Windows program"
    if head[:4] in (b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe"):
        return "a macOS program or a Java class"
    return "no ELF file"
