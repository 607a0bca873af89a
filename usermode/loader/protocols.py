# SPDX-License-Identifier: GPL-2.0-or-later
"""What loading needs of the machine; imported for its types alone."""

from __future__ import annotations

from typing import Protocol


class Space(Protocol):
    """The guest's address space, [64 KiB, limit). Methods raise OSError as mmap(2) does."""

    limit: int
    top: int
    """Where mmap(2) begins to place mappings, from high to low."""

    uncounted: int
    """Bytes of mappings that a kernel would make only when they are used: the stack's lower part."""

    def map(
        self, address: int, size: int, protection: int, flags: int, fd: int, offset: int, /
    ) -> int:
        """Map as mmap(2) and return the address."""

    def place(self, size: int, align: int, /) -> int:
        """Return an aligned address where `size` bytes are free."""

    def unmap(self, address: int, size: int, /) -> object:
        """Unmap as munmap(2)."""

    def protect(self, address: int, size: int, protection: int, /) -> object:
        """Change permissions as mprotect(2)."""

    def name(self, address: int, size: int, name: bytes, /) -> object:
        """Give a range its name in /proc/PID/maps."""


class Memory(Protocol):
    """Guest memory."""

    def write(self, address: int, data: bytes, /) -> object:
        """Copy to guest memory, or raise OSError(EFAULT)."""
