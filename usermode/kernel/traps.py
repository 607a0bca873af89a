# SPDX-License-Identifier: GPL-2.0-or-later
"""Stops of the CPU that are no system calls: page faults, undefined instructions, breakpoints → signals.

Codes and addresses as arch/arm64/mm/fault.c and arch/arm64/kernel/traps.c give them; ESR values as the Arm ARM
(D17.2.37) lays them out.
"""

from __future__ import annotations

import _usermode_core as core

from usermode.kernel import signals
from usermode.machine import stops

TYPE_CHECKING = False
if TYPE_CHECKING:
    from usermode.kernel.task import Task

SIGILL, SIGTRAP, SIGBUS, SIGSEGV = 4, 5, 7, 11
SEGV_MAPERR, SEGV_ACCERR = 1, 2
BUS_ADRALN, BUS_ADRERR = 1, 2
ILL_ILLOPC, TRAP_BRKPT = 1, 1
PC = 32

ESR_IL = 1 << 25
ESR_INSTRUCTION_ABORT, ESR_PC_ALIGNMENT, ESR_DATA_ABORT = 0x20 << 26, 0x22 << 26, 0x24 << 26
ESR_WRITE = 1 << 6
TRANSLATION_FAULT, PERMISSION_FAULT, ALIGNMENT_FAULT = 0x07, 0x0F, 0x21

PERMISSION_NEEDED = (1, 2, 4)  # by stops.READ, WRITE, EXECUTE


def handle(task: Task, stop: int) -> None:
    """Turn a stop into its signal, or repair its cause and let the instruction run again."""
    if stop == stops.FAULT:
        _fault(task)
    elif stop == stops.BUS:
        address, access = task.engine.fault()
        signals.force(task, SIGBUS, BUS_ADRERR, address, _abort(access) | TRANSLATION_FAULT)
    elif stop == stops.UNDEFINED:
        _undefined(task)
    elif stop == stops.ALIGNMENT:
        address, write = _misaligned(task)
        syndrome = ESR_DATA_ABORT | ESR_IL | ALIGNMENT_FAULT | write
        signals.force(task, SIGBUS, BUS_ADRALN, address, syndrome)
    elif stop == stops.PC_ALIGNMENT:
        pc = task.engine.get(PC)
        signals.force(task, SIGBUS, BUS_ADRALN, pc, ESR_PC_ALIGNMENT | ESR_IL)
    elif stop == stops.BREAKPOINT:
        signals.force(task, SIGTRAP, TRAP_BRKPT, task.engine.get(PC))
    else:
        raise RuntimeError(f"the engine failed at {task.engine.get(PC):#x}")


def _abort(access: int) -> int:
    if access == stops.EXECUTE:
        return ESR_INSTRUCTION_ABORT | ESR_IL
    return ESR_DATA_ABORT | ESR_IL | (ESR_WRITE if access == stops.WRITE else 0)


def _fault(task: Task) -> None:
    address, access = task.engine.fault()
    space = task.process.space
    with space.lock:  # another thread may be in the midst of a change
        permitted = core.permission(address) & PERMISSION_NEEDED[access]
        region = space.region_at(address)
    if permitted and (address, access) != task.last_fault:
        task.last_fault = (address, access)
        return
    task.last_fault = None
    if region is None and space.grow_down(address, task.process.stack_limit()):
        return
    refused = region and not permitted  # else the host has no page there: MADV_GUARD_INSTALL
    kind = PERMISSION_FAULT if refused else TRANSLATION_FAULT
    code = SEGV_ACCERR if refused else SEGV_MAPERR
    signals.force(task, SIGSEGV, code, address, _abort(access) | kind)


def _undefined(task: Task) -> None:
    from usermode.machine.id_registers import emulate

    pc = task.engine.get(PC)
    try:
        instruction = int.from_bytes(core.read(pc, 4), "little")
    except OSError:
        instruction = 0  # unmapped meanwhile by another thread: as if it had been undefined
    if not emulate(task.engine, instruction):
        signals.force(task, SIGILL, ILL_ILLOPC, pc)


def _misaligned(task: Task) -> tuple[int, int]:
    """Return the address of a misaligned exclusive, ordered or atomic access, and ESR_WRITE if it stores.

    It is in the base register. LDAPUR and STLUR alone have an offset.
    """
    try:
        instruction = int.from_bytes(core.read(task.engine.get(PC), 4), "little")
    except OSError:
        return 0, 0
    address = task.engine.get(instruction >> 5 & 31)
    if instruction & 0x3F200C00 == 0x19000000:
        offset = instruction >> 12 & 0x1FF
        address += offset - (offset >> 8 << 9)
        loads = instruction >> 22 & 3
    elif instruction & 0x3F000000 == 0x08000000:  # exclusives; LDAR, STLR; CAS
        loads = instruction >> 22 & 1 and instruction & 0x00A00000 != 0x00A00000
    else:
        loads = instruction & 0x3FFFFC00 == 0x38BFC000  # LDAPR; the rest are LSE atomics
    return address & (1 << 64) - 1, 0 if loads else ESR_WRITE
