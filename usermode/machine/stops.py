# SPDX-License-Identifier: GPL-2.0-or-later
"""Why an engine stopped: the values of `enum stop` in core/core.h."""

FAULT = 2
UNDEFINED = 3
ALIGNMENT = 4
BREAKPOINT = 5
SIGNAL = 6
PC_ALIGNMENT = 7
BUS = 8
ENGINE = 9
INTERRUPT = 11
STEP = 12
WATCH = 13

READ, WRITE, EXECUTE = 0, 1, 2
