# SPDX-License-Identifier: GPL-2.0-or-later
"""The guest's CPU, chosen here: all other modules import `cpu`, `flags` and what else from this one."""

from __future__ import annotations

from syscalls.arch.aarch64 import cpu, flags

__all__ = ["core_registers", "cpu", "cpuinfo_text", "debugger_registers", "flags"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from syscalls.arch.aarch64.registers import Registers


def cpuinfo_text(processors: list[int], hwcap: int, hwcap2: int) -> bytes:
    """Return /proc/cpuinfo for these processor numbers and promises."""
    from syscalls.arch.aarch64 import cpuinfo

    return cpuinfo.text(processors, hwcap, hwcap2)


def core_registers(state: bytes) -> tuple[bytes, list[tuple[bytes, int, bytes]]]:
    """Return a thread's registers for a core dump: elf_gregset_t, and the other notes (name, type, content)."""
    from syscalls.arch.aarch64 import elf_core

    return elf_core.general(state), elf_core.notes(state)


def debugger_registers() -> Registers:
    """Return how a debugger sees the registers."""
    from syscalls.arch.aarch64.registers import Registers

    return Registers()
