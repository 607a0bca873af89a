# SPDX-License-Identifier: GPL-2.0-or-later
"""The guest's CPU, chosen here: all other modules import `cpu`, `flags` and what else from this one."""

from __future__ import annotations

from syscalls.arch.aarch64 import cpu, flags

__all__ = ["cpu", "cpuinfo_text", "flags"]


def cpuinfo_text(processors: list[int], hwcap: int, hwcap2: int) -> bytes:
    """Return /proc/cpuinfo for these processor numbers and promises."""
    from syscalls.arch.aarch64 import cpuinfo

    return cpuinfo.text(processors, hwcap, hwcap2)
