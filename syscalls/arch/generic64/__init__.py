# SPDX-License-Identifier: GPL-2.0-or-later
"""What the newer 64-bit CPUs share (include/uapi/asm-generic): call numbers, layouts, flags."""
