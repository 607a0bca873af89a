# SPDX-License-Identifier: GPL-2.0-or-later
"""Run AArch64 Linux programs on x86_64 Linux."""
