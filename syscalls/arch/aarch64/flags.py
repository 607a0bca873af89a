# SPDX-License-Identifier: GPL-2.0-or-later
"""Flags that have another value on AArch64 than in include/uapi/asm-generic, which x86_64 follows."""

OPEN_FLAGS = {
    "O_DIRECTORY": 0o40000,
    "O_NOFOLLOW": 0o100000,
    "O_DIRECT": 0o200000,
    "O_LARGEFILE": 0o400000,
}
"""arch/arm64/include/uapi/asm/fcntl.h."""

PROT = {"PROT_BTI": 0x10, "PROT_MTE": 0x20}
"""arch/arm64/include/uapi/asm/mman.h."""
