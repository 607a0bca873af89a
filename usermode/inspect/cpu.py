# SPDX-License-Identifier: GPL-2.0-or-later
"""What `usermode inspect` knows about the guest's CPU: the only file of it that names one.

ELF numbers: "ELF for the Arm 64-bit Architecture". Encodings: Arm Architecture Reference Manual,
DDI 0487, C4.1 "A64 instruction set encoding".
"""

from __future__ import annotations

from dataclasses import dataclass

from syscalls.arch.aarch64.cpu import ELF_MACHINE, HWCAP2_BITS, HWCAP_BITS

NAME = "AArch64"
MACHINE = "EM_AARCH64"
MACHINE_NUMBER = ELF_MACHINE
TRIPLE = "aarch64-linux-gnu"
"""The name of the libraries' folder below /lib and /usr/lib."""

IRELATIVE = 1032
"""R_AARCH64_IRELATIVE: a relocation whose addend is the address of a resolver to call."""

OFFERED = frozenset(HWCAP_BITS) | frozenset(HWCAP2_BITS)
"""The hwcaps that guests are given."""

FEATURE_1_AND = 0xC0000000
"""GNU_PROPERTY_AARCH64_FEATURE_1_AND: the bits that every object file of the program has."""
FEATURES = {1 << 0: "BTI", 1 << 1: "PAC", 1 << 2: "GCS"}


@dataclass(frozen=True)
class Extension:
    """An extension of the instruction set: a word is of it when `word & mask == value`.

    `hwcap` is the name of the AT_HWCAP* bit that announces it, as in /proc/cpuinfo.
    """

    name: str
    hwcap: str
    encodings: tuple[tuple[int, int], ...]


EXTENSIONS = (
    Extension("SVE", "sve", ((0x1E000000, 0x04000000),)),  # a class of its own: bits 28:25 are 0010
    Extension(
        "SME",
        "sme",
        (
            (0x9E000000, 0x80000000),  # a class of its own: bit 31 is 1, bits 28:25 are 0000
            (0xFFFFF8FF, 0xD503407F),  # smstart, smstop
        ),
    ),
    Extension(
        "MTE",
        "mte",
        (
            (0xFFE0FC00, 0x9AC01000),  # irg
            (0xFFE0FC00, 0x9AC01400),  # gmi
            (0xDFE0FC00, 0x9AC00000),  # subp, subps
            (0xBFC0C000, 0x91800000),  # addg, subg
            (
                0xFF200000,
                0xD9200000,
            ),  # ldg, stg, st2g, stzg, stz2g and their forms for many granules
            (0xFFC00000, 0x68800000),  # stgp, three ways to address
            (0xFFC00000, 0x69000000),
            (0xFFC00000, 0x69800000),
        ),
    ),
    Extension(
        "BF16",
        "bf16",
        (
            (0xBFE0FC00, 0x2E40FC00),  # bfdot
            (0xBFC0F400, 0x0F40F000),  # bfdot by element
            (0xFFE0FC00, 0x6E40EC00),  # bfmmla
            (0xBFE0FC00, 0x2EC0FC00),  # bfmlalb, bfmlalt
            (0xBFC0F400, 0x0FC0F000),  # bfmlalb, bfmlalt by element
            (0xFFFFFC00, 0x1E634000),  # bfcvt
            (0xBFFFFC00, 0x0EA16800),  # bfcvtn
        ),
    ),
    Extension(
        "I8MM",
        "i8mm",
        (
            (0xDFE0FC00, 0x4E80A400),  # smmla, ummla
            (0xFFE0FC00, 0x4E80AC00),  # usmmla
            (0xBFE0FC00, 0x0E809C00),  # usdot
            (0xBFC0F400, 0x0F80F000),  # usdot by element
            (0xBFC0F400, 0x0F00F000),  # sudot by element
        ),
    ),
    Extension("PACGA", "pacg", ((0xFFE0FC00, 0x9AC03000),)),
    Extension(
        "MOPS",
        "mops",
        ((0xFB200C00, 0x19000400),),  # cpy* and set*: memory copy and set in one instruction
    ),
    Extension(
        "CSSC",
        "cssc",
        (
            (0x7FFFFC00, 0x5AC02000),  # abs
            (0x7FFFFC00, 0x5AC01800),  # ctz
            (0x7FFFFC00, 0x5AC01C00),  # cnt
            (0x7FE0F000, 0x1AC06000),  # smax, umax, smin, umin
            (0x7FF00000, 0x11C00000),  # the same with an immediate
        ),
    ),
    Extension(
        "LSE128",
        "lse128",
        (
            (0xFF20FC00, 0x19201000),  # ldclrp
            (0xFF20FC00, 0x19203000),  # ldsetp
            (0xFF20FC00, 0x19208000),  # swpp
        ),
    ),
    Extension("LRCPC3", "lrcpc3", ((0xBFA0EC00, 0x99000800),)),  # ldiapp, stilp
    Extension(
        "LS64",
        "ls64",
        (
            (0xFFFFFC00, 0xF83FD000),  # ld64b
            (0xFFFFFC00, 0xF83F9000),  # st64b
            (0xFFE0EC00, 0xF820A000),  # st64bv, st64bv0
        ),
    ),
    Extension("WFXT", "wfxt", ((0xFFFFFFC0, 0xD5031000),)),
    Extension("DIT", "dit", ((0xFFFFF0FF, 0xD503405F), (0xFFDFFFE0, 0xD51B42A0))),
    Extension("SSBS", "ssbs", ((0xFFFFF0FF, 0xD503403F), (0xFFDFFFE0, 0xD51B42C0))),
)
"""What the engine does not execute: each was run on it (Unicorn 2.1.4, model "max") and is undefined."""
