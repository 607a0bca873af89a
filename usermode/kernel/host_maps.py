# SPDX-License-Identifier: GPL-2.0-or-later
"""The guest's mappings with the files behind them, read from the host's /proc/self/maps (proc_pid_maps(5))."""

from __future__ import annotations

import posix

from usermode.machine.address_space import MAP_SHARED, MAP_TYPE
from usermode.machine.regions import LIMIT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from usermode.machine.address_space import AddressSpace

    Mapping = tuple[int, int, bytes, int, tuple[int, int], int, bytes]

CHUNK = 1 << 16


def _host_lines() -> list[bytes]:
    fd = posix.open("/proc/thread-self/maps", posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        chunks = []
        while chunk := posix.read(fd, CHUNK):
            chunks.append(chunk)
    finally:
        posix.close(fd)
    return b"".join(chunks).splitlines()


def _backing() -> Iterator[tuple[int, int, int, tuple[int, int], int, bytes]]:
    """Yield (start, end, offset, device, inode, name) of the host's mappings below the guest's limit."""
    for line in _host_lines():
        fields = line.split(None, 5)
        start, _, end = fields[0].partition(b"-")
        if int(start, 16) >= LIMIT:
            return
        major, _, minor = fields[3].partition(b":")
        name = fields[5] if len(fields) > 5 else b""
        if name.startswith(b"["):
            name = b""  # the host's own names: [heap] is the emulator's
        yield (
            int(start, 16),
            int(end, 16),
            int(fields[2], 16),
            (int(major, 16), int(minor, 16)),
            int(fields[4]),
            name,
        )


def _permissions(prot: int, flags: int) -> bytes:
    text = bytes(
        letter if prot & bit else ord("-") for letter, bit in zip(b"rwx", (1, 2, 4), strict=True)
    )
    return text + (b"s" if flags & MAP_TYPE == MAP_SHARED or flags & MAP_TYPE == 3 else b"p")


def guest_mappings(space: AddressSpace) -> Iterator[Mapping]:
    """Yield the guest's mappings in order: its own permissions, the host's backing, its labels."""
    with space.lock:
        space.locked_take_growth(0, LIMIT)
    backing = list(_backing())
    first_left = 0  # both are in order: what lies below one region lies below the next
    for start, end, prot, flags in space.regions():
        while first_left < len(backing) and backing[first_left][1] <= start:
            first_left += 1
        i = first_left
        while i < len(backing) and backing[i][0] < end:
            low, high, offset, device, inode, name = backing[i]
            i += 1
            first, last = max(low, start), min(high, end)
            shown = name or _label(space, first, last)
            yield (
                first,
                last,
                _permissions(prot, flags),
                offset + first - low if inode else 0,
                device,
                inode,
                shown,
            )


def _label(space: AddressSpace, low: int, high: int) -> bytes:
    for start, (end, label) in space.labels.items():
        if start < high and low < end:
            return label
    return b""
