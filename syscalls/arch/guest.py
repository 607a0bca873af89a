# SPDX-License-Identifier: GPL-2.0-or-later
"""The guest's CPU, chosen here: all other modules import `cpu`, `cpuinfo` and `flags` from this one."""

from __future__ import annotations

from syscalls.arch.aarch64 import cpu, cpuinfo, flags

__all__ = ["cpu", "cpuinfo", "flags"]
