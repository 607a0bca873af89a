# SPDX-License-Identifier: GPL-2.0-or-later
# The module is written by syscalls/compile.py when the interpreter is built.
from syscalls.compile import TracedCall

CALLS: dict[int, TracedCall]
