# SPDX-License-Identifier: GPL-2.0-or-later
"""/proc/cpuinfo as arm64 writes it: arch/arm64/kernel/cpuinfo.c, c_show()."""

from __future__ import annotations

from syscalls.arch.aarch64.cpu import HWCAP2_BITS, HWCAP_BITS, MIDR

COUNTER_FREQUENCY = 62_500_000
"""CNTFRQ_EL0 in Hz, which the engine's model has; BogoMIPS follows from it (setup_delay_timer)."""


def text(processors: list[int], hwcap: int, hwcap2: int) -> bytes:
    """A block for each processor number; the features are those of AT_HWCAP and AT_HWCAP2."""
    names = [name for name, bit in HWCAP_BITS.items() if hwcap >> bit & 1]
    names += [name for name, bit in HWCAP2_BITS.items() if hwcap2 >> bit & 1]
    # loops_per_jiffy = frequency / HZ, and BogoMIPS = loops_per_jiffy / (500000 / HZ)
    bogomips = COUNTER_FREQUENCY // 5000
    block = (
        f"BogoMIPS\t: {bogomips // 100}.{bogomips % 100:02}\n"
        f"Features\t: {' '.join(names)}\n"
        f"CPU implementer\t: 0x{MIDR >> 24 & 0xFF:02x}\n"
        "CPU architecture: 8\n"
        f"CPU variant\t: 0x{MIDR >> 20 & 0xF:x}\n"
        f"CPU part\t: 0x{MIDR >> 4 & 0xFFF:03x}\n"
        f"CPU revision\t: {MIDR & 0xF}\n\n"
    )
    return "".join([f"processor\t: {number}\n{block}" for number in processors]).encode()
