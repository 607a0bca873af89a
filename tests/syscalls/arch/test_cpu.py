# SPDX-License-Identifier: GPL-2.0-or-later
"""The CPU's promises: HWCAP bits against the headers, and against what the ID registers say."""

from __future__ import annotations

import pytest

from syscalls.arch.aarch64 import cpu
from tests.syscalls.probe import evaluate

HEADERS = ("asm/hwcap.h",)
PFR0, ISAR0, ISAR1 = 4 << 3, 6 << 3, 6 << 3 | 1

# Promise: (ID register, lowest bit of the field, least value), arch/arm64/kernel/cpufeature.c,
# arm64_elf_hwcaps; in two's complement for the FP fields of ID_AA64PFR0_EL1, where 15 is "absent".
FIELDS = {
    "fp": (PFR0, 16, 0),
    "fphp": (PFR0, 16, 1),
    "asimd": (PFR0, 20, 0),
    "asimdhp": (PFR0, 20, 1),
    "aes": (ISAR0, 4, 1),
    "pmull": (ISAR0, 4, 2),
    "sha1": (ISAR0, 8, 1),
    "sha2": (ISAR0, 12, 1),
    "sha512": (ISAR0, 12, 2),
    "crc32": (ISAR0, 16, 1),
    "atomics": (ISAR0, 20, 2),
    "asimdrdm": (ISAR0, 28, 1),
    "sha3": (ISAR0, 32, 1),
    "sm3": (ISAR0, 36, 1),
    "sm4": (ISAR0, 40, 1),
    "asimddp": (ISAR0, 44, 1),
    "asimdfhm": (ISAR0, 48, 1),
    "flagm": (ISAR0, 52, 1),
    "flagm2": (ISAR0, 52, 2),
    "rng": (ISAR0, 60, 1),
    "dcpop": (ISAR1, 0, 1),
    "dcpodp": (ISAR1, 0, 2),
    "jscvt": (ISAR1, 12, 1),
    "fcma": (ISAR1, 16, 1),
    "lrcpc": (ISAR1, 20, 1),
    "ilrcpc": (ISAR1, 20, 2),
    "frint": (ISAR1, 32, 1),
    "sb": (ISAR1, 36, 1),
}


@pytest.mark.parametrize(
    ("prefix", "bits"), [("HWCAP_", cpu.HWCAP_BITS), ("HWCAP2_", cpu.HWCAP2_BITS)]
)
def test_bits_are_the_headers(prefix: str, bits: dict[str, int]) -> None:
    names = [prefix + name.upper() for name in bits]
    assert evaluate("aarch64", HEADERS, names) == [1 << bit for bit in bits.values()]


def test_promises_are_what_the_id_registers_say() -> None:
    promised = {*cpu.HWCAP_BITS, *cpu.HWCAP2_BITS} - {"cpuid"}
    said = set()
    for name, (register, low, least) in FIELDS.items():
        field = cpu.ID_REGISTERS[register] >> low & 0xF
        if field != 0xF and field >= least:
            said.add(name)
    assert said == promised


def test_words_hold_the_bits() -> None:
    assert cpu.HWCAP.bit_count() == len(cpu.HWCAP_BITS)
    assert cpu.HWCAP2.bit_count() == len(cpu.HWCAP2_BITS)
    assert not cpu.HWCAP >> 22 & 1  # SVE is not executed
