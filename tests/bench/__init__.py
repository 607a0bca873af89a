# SPDX-License-Identifier: GPL-2.0-or-later
"""Benchmarks: the same work natively, under qemu-aarch64 and under usermode, side by side."""
