# SPDX-License-Identifier: GPL-2.0-or-later
# The module is written by syscalls/compile.py when the interpreter is built.
from syscalls.compile import PathCall

HOST_ROWS: bytes
HANDLERS: dict[int, tuple[str, str, str]]
PATH_CALLS: dict[int, PathCall]
OPEN_FLAG_PAIRS: bytes
STAT_COPY: bytes
