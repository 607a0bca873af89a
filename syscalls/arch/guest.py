# SPDX-License-Identifier: GPL-2.0-or-later
"""The guest's CPU, chosen here: all other modules import `cpu` and `flags` from this one."""

from __future__ import annotations

from syscalls.arch.aarch64 import cpu, flags

__all__ = ["cpu", "flags"]
