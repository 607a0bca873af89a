# SPDX-License-Identifier: GPL-2.0-or-later
"""The guest's CPU: what it promises (AT_HWCAP, AT_HWCAP2, /proc/cpuinfo) and what its ID registers say.

Bit numbers are those of arch/arm64/include/uapi/asm/hwcap.h. Promised is what Unicorn's model `max`
executes and nothing else: no SVE, BF16, I8MM, MTE, DIT, SSBS, BTI, and of pointer authentication only
the hint forms, which do nothing.
"""

from __future__ import annotations

ELF_MACHINE = 183
PLATFORM = b"aarch64"
DEBIAN_ARCHITECTURE = "arm64"
MINSIGSTKSZ = 4720
"""AT_MINSIGSTKSZ of a CPU without SVE: the signal frame and its record (arch/arm64/kernel/signal.c)."""

HWCAP_BITS = {
    "fp": 0,
    "asimd": 1,
    "aes": 3,
    "pmull": 4,
    "sha1": 5,
    "sha2": 6,
    "crc32": 7,
    "atomics": 8,
    "fphp": 9,
    "asimdhp": 10,
    "cpuid": 11,
    "asimdrdm": 12,
    "jscvt": 13,
    "fcma": 14,
    "lrcpc": 15,
    "dcpop": 16,
    "sha3": 17,
    "sm3": 18,
    "sm4": 19,
    "asimddp": 20,
    "sha512": 21,
    "asimdfhm": 23,
    "ilrcpc": 26,
    "flagm": 27,
    "sb": 29,
}

HWCAP2_BITS = {"dcpodp": 0, "flagm2": 7, "frint": 8, "rng": 16}

HWCAP = sum([1 << bit for bit in HWCAP_BITS.values()])
HWCAP2 = sum([1 << bit for bit in HWCAP2_BITS.values()])

MIDR = 0x000F0510
"""Implementer 0 (reserved for software), architecture by ID registers, part 0x051."""

ID_REGISTERS = {
    0 << 3 | 0: MIDR,
    0 << 3 | 5: 1 << 31,  # MPIDR_EL1, as the kernel shows it to user space
    0 << 3 | 6: 0,  # REVIDR_EL1
    # ID_AA64PFR0_EL1: EL0 and EL1 in AArch64 state, FP and AdvSIMD with half precision
    4 << 3 | 0: 1 | 1 << 4 | 1 << 16 | 1 << 20,
    # ID_AA64ISAR0_EL1: AES+PMULL SHA1 SHA512 CRC32 LSE RDM SHA3 SM3 SM4 DP FHM FLAGM2 RNDR
    6 << 3 | 0: 0x1021_1111_1021_2120,
    # ID_AA64ISAR1_EL1: DC CVADP, JSCVT, FCMA, LRCPC2, FRINTTS, SB
    6 << 3 | 1: 2 | 1 << 12 | 1 << 16 | 2 << 20 | 1 << 32 | 1 << 36,
}
"""By CRm << 3 | op2 of op0 = 3, op1 = 0, CRn = 0."""
