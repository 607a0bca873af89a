# SPDX-License-Identifier: GPL-2.0-or-later
"""The guest's machine: its address space, registers and identification."""
