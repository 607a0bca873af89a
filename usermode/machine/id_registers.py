# SPDX-License-Identifier: GPL-2.0-or-later
"""Reads of ID registers, which trap at EL0 and which Linux answers (HWCAP_CPUID of elf_hwcaps.rst)."""

from __future__ import annotations

from syscalls.arch.guest import cpu

TYPE_CHECKING = False
if TYPE_CHECKING:
    from _usermode_core import Engine

MRS_MASK, MRS = 0xFFF00000, 0xD5300000
FIELDS_SHIFT, FIELDS_MASK = 5, 0x7FFF
PC, ZERO_REGISTER = 32, 31


def emulate(engine: Engine, instruction: int) -> bool:
    """Carry out `mrs Xt, <ID register>` at the PC. False if the instruction is something else.

    The register is op0:op1:CRn:CRm:op2 in bits 19..5, op0 = 3; ID space is CRn 0, CRm 0 or 2…7, of which those that
    are not in `cpu.ID_REGISTERS` read as zero, as in emulate_id_reg() of arch/arm64/kernel/cpufeature.c.
    """
    if instruction & MRS_MASK != MRS:
        return False
    fields = instruction >> FIELDS_SHIFT & FIELDS_MASK
    if fields >> 7 != 0b1_000_0000:  # op0 = 3 (its low bit here), op1 = 0, CRn = 0
        return False
    value = cpu.ID_REGISTERS.get(fields & 0x7F)
    if value is None:
        if (fields >> 3 & 0xF) < 2:
            return False
        value = 0
    target = instruction & 31
    if target != ZERO_REGISTER:
        engine.set(target, value)
    engine.set(PC, engine.get(PC) + 4)
    return True
