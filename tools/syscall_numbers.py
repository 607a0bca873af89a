#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes the system call numbers of the guest and of the host from the installed kernel headers.

Usage: tools/syscall_numbers.py [--check]

The headers may be older than the ABI that is described (LAST). From number 424 on, Linux gives a new
call one number on every CPU (the comment above pidfd_send_signal in arch/x86/entry/syscalls/
syscall_64.tbl), so the newest names are listed here once, in NEWER.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FIRST_COMMON = 424
LAST = 469
"""file_setattr, the last call of Linux 6.18."""

NEWER = {
    "cachestat": 451,
    "fchmodat2": 452,
    "map_shadow_stack": 453,
    "futex_wake": 454,
    "futex_wait": 455,
    "futex_requeue": 456,
    "statmount": 457,
    "listmount": 458,
    "lsm_get_self_attr": 459,
    "lsm_set_self_attr": 460,
    "lsm_list_modules": 461,
    "mseal": 462,
    "setxattrat": 463,
    "getxattrat": 464,
    "listxattrat": 465,
    "removexattrat": 466,
    "open_tree_attr": 467,
    "file_getattr": 468,
    "file_setattr": 469,
}

TARGETS = {
    "syscalls/arch/generic64/numbers.py": (
        "aarch64-linux-gnu-gcc",
        "The guest's system call numbers (include/uapi/asm-generic/unistd.h, 64-bit form).",
    ),
    "syscalls/host/x86_64.py": (
        "gcc",
        "The host's system call numbers (arch/x86/entry/syscalls/syscall_64.tbl).",
    ),
}


def header_numbers(compiler: str) -> dict[str, int]:
    """The calls that `compiler`'s <asm/unistd.h> defines, by name."""
    probe = "#include <asm/unistd.h>\n"
    command = [compiler, "-E", "-dM", "-x", "c", "-"]
    macros = subprocess.run(command, input=probe, capture_output=True, text=True, check=True).stdout
    words: dict[str, str] = {}
    for line in macros.splitlines():
        _define, macro, *text = line.split(None, 2)
        words[macro] = "".join(text)
    numbers = {}
    for name, value in words.items():
        if name.startswith("__NR_") and name != "__NR_syscalls":
            while value in words:
                value = words[value]
            if value.isdigit() and int(value) <= LAST:
                numbers[name.removeprefix("__NR_")] = int(value)
    return numbers


def all_numbers(compiler: str) -> dict[str, int]:
    """The headers' calls and those newer than the headers, in order of their numbers."""
    numbers = header_numbers(compiler)
    numbers.pop("arch_specific_syscall", None)  # the first of 16 numbers kept for a CPU's own calls
    for name, number in NEWER.items():
        if numbers.setdefault(name, number) != number:
            raise SystemExit(f"{name} is {numbers[name]} in the headers, {number} in NEWER")
    return dict(sorted(numbers.items(), key=lambda item: item[1]))


def source(compiler: str, title: str) -> str:
    """The text of one numbers module."""
    rows = "".join(f'    "{name}": {number},\n' for name, number in all_numbers(compiler).items())
    return (
        "# SPDX-License-Identifier: GPL-2.0-or-later\n"
        f'"""{title}\n\nWritten by tools/syscall_numbers.py.\n"""\n\n'
        f"NUMBERS = {{\n{rows}}}\n"
    )


def main() -> int:
    """Write both modules; with --check only compare, status 1 when one is out of date."""
    stale = 0
    for path, (compiler, title) in TARGETS.items():
        text = source(compiler, title)
        if "--check" not in sys.argv[1:]:
            (ROOT / path).write_text(text)
        elif (ROOT / path).read_text() != text:
            print(f"{path} is out of date: run tools/syscall_numbers.py", file=sys.stderr)
            stale = 1
    return stale


if __name__ == "__main__":
    sys.exit(main())
