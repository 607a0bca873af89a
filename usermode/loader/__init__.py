# SPDX-License-Identifier: GPL-2.0-or-later
"""From a file to a guest ready for its first instruction: ELF, `#!` lines, stack, vDSO."""
