# SPDX-License-Identifier: GPL-2.0-or-later
"""A thread's registers in a core dump: arch/arm64/include/uapi/asm/ptrace.h, arch/arm64/kernel/ptrace.c.

Made from the core's snapshot: x0…x30, sp, pc, pstate (u64 each), fpsr, fpcr (u32 each), v0…v31 (16 bytes each),
tpidr_el0 (u64).
"""

from __future__ import annotations

GENERAL_SIZE = 34 * 8
STATUS_SIZE = 8
VECTORS = GENERAL_SIZE + STATUS_SIZE
VECTORS_SIZE = 32 * 16
TLS = VECTORS + VECTORS_SIZE

NT_PRFPREG, NT_ARM_TLS = 2, 0x401
"""include/uapi/linux/elf.h; also known as NT_FPREGSET."""


def general(state: bytes) -> bytes:
    """Return elf_gregset_t, struct user_pt_regs: x0…x30, sp, pc, pstate."""
    return state[:GENERAL_SIZE]


def notes(state: bytes) -> list[tuple[bytes, int, bytes]]:
    """Return (name, type, content) of the other notes: struct user_fpsimd_state, TPIDR_EL0."""
    status = state[GENERAL_SIZE:VECTORS]
    fpsimd = state[VECTORS:TLS] + status + bytes(8)
    return [(b"CORE", NT_PRFPREG, fpsimd), (b"LINUX", NT_ARM_TLS, state[TLS : TLS + 8])]
