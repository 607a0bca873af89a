# SPDX-License-Identifier: GPL-2.0-or-later
"""Which of the guest's memory goes into a core dump: vma_dump_size() of fs/coredump.c, core(5).

Read by /proc/thread-self: what /proc/self has of memory goes with the first thread, even if others live on.
"""

from __future__ import annotations

import posix

import _usermode_core as core

from syscalls.host.x86_64 import NUMBERS
from usermode.machine.regions import LIMIT, PAGE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from usermode.machine.address_space import AddressSpace

ANON_PRIVATE, ANON_SHARED, MAPPED_PRIVATE, MAPPED_SHARED = 1, 2, 4, 8
ELF_HEADERS, HUGETLB_PRIVATE, HUGETLB_SHARED = 16, 32, 64
"""Bits of /proc/PID/coredump_filter."""
DEFAULT_FILTER = ANON_PRIVATE | ANON_SHARED | ELF_HEADERS | HUGETLB_PRIVATE

PROT_READ = 1
DELETED = b" (deleted)"
ELF_MAGIC = b"\x7fELF"

PAGEMAP_ENTRY = 8
PAGEMAP_CHUNK = 1 << 16
PRESENT_OR_SWAPPED, FILE_OR_SHARED = 3 << 62, 1 << 61
"""Of an entry of /proc/PID/pagemap."""


class HostMapping:
    """One mapping of /proc/PID/smaps. `flags` are its VmFlags; `empty`: no page of it was ever touched."""

    __slots__ = ("empty", "end", "flags", "inode", "name", "offset", "start")

    def __init__(self, header: bytes) -> None:
        fields = header.split(None, 5)
        start, _, end = fields[0].partition(b"-")
        self.start = int(start, 16)
        self.end = int(end, 16)
        self.offset = int(fields[2], 16)
        self.inode = int(fields[4])
        self.name = fields[5].replace(b"\\012", b"\n") if len(fields) > 5 else b""
        self.empty = True
        self.flags: list[bytes] = []

    def take(self, line: bytes) -> None:
        """Take one more line about the mapping."""
        key, _, value = line.partition(b":")
        if key in (b"Rss", b"Swap") and int(value.split()[0]):
            self.empty = False
        elif key == b"VmFlags":
            self.flags = value.split()


class Part:
    """What one program header of the dump describes: a mapping, of which the first `size` bytes are dumped.

    `offset` and `name` are those of the file behind it, if `inode` is not 0. `sparse`: only pages that were
    touched have a content.
    """

    __slots__ = ("end", "inode", "name", "offset", "prot", "size", "sparse", "start")

    def __init__(self, start: int, end: int, prot: int, host: HostMapping) -> None:
        self.start = start
        self.end = end
        self.prot = prot
        self.inode = host.inode
        self.name = host.name
        self.offset = host.offset + start - host.start if host.inode else 0
        self.size = 0
        self.sparse = not host.inode


def read_file(path: str) -> bytes:
    """Read a file of /proc. Raises OSError."""
    fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        chunks = []
        while chunk := posix.read(fd, 1 << 16):
            chunks.append(chunk)
    finally:
        posix.close(fd)
    return b"".join(chunks)


def _host_mappings() -> list[HostMapping]:
    """Return the host's mappings below the guest's limit. Lines that begin with an address are headers."""
    mappings: list[HostMapping] = []
    for line in read_file("/proc/thread-self/smaps").splitlines():
        if not b"A" <= line[:1] <= b"Z":
            mapping = HostMapping(line)
            if mapping.start >= LIMIT:
                break
            mappings.append(mapping)
        else:
            mappings[-1].take(line)
    return mappings


class Memory:
    """The process's memory as /proc shows it, whatever the permissions."""

    __slots__ = ("_mem", "_pagemap")

    def __init__(self) -> None:
        """Open it. Raises OSError."""
        self._mem = posix.open("/proc/thread-self/mem", posix.O_RDONLY | posix.O_CLOEXEC)
        self._pagemap = posix.open("/proc/thread-self/pagemap", posix.O_RDONLY | posix.O_CLOEXEC)

    def read(self, address: int, size: int) -> bytes:
        """Read up to `size` bytes; none where there is no page, as beyond the end of a mapped file."""
        try:
            return posix.pread(self._mem, size, address)
        except OSError:
            return b""

    def _touched(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """Yield (address, entry) of the pages in the range that have a content of their own."""
        at = start
        while at < end:
            size = min(PAGEMAP_CHUNK, (end - at) // PAGE * PAGEMAP_ENTRY)
            entries = posix.pread(self._pagemap, size, at // PAGE * PAGEMAP_ENTRY)
            if entries.strip(b"\0"):
                for i, entry in enumerate(memoryview(entries).cast("Q")):
                    if entry & PRESENT_OR_SWAPPED:
                        yield at + i * PAGE, entry
            at += size // PAGEMAP_ENTRY * PAGE

    def has_own_pages(self, part: Part) -> bool:
        """Tell whether a page of a private mapping was written to: the kernel asks for vma->anon_vma."""
        return any(not entry & FILE_OR_SHARED for _, entry in self._touched(part.start, part.end))

    def runs(self, part: Part) -> Iterator[tuple[int, int]]:
        """Yield (start, end) of what may hold other bytes than 0 in the dumped beginning of `part`."""
        end = part.start + part.size
        if not part.sparse:
            yield part.start, end
            return
        first = last = part.start
        for address, _ in self._touched(part.start, end):
            if address != last:
                if last > first:
                    yield first, last
                first = address
            last = address + PAGE
        if last > first:
            yield first, last


def _dumped_size(part: Part, host: HostMapping, memory: Memory, wanted: int) -> int:
    whole = part.end - part.start
    shared = b"sh" in host.flags
    if b"dd" in host.flags:  # MADV_DONTDUMP
        return 0
    if b"ht" in host.flags:
        return whole if wanted & (HUGETLB_SHARED if shared else HUGETLB_PRIVATE) else 0
    if b"io" in host.flags:
        return 0
    if shared:
        return (
            whole if wanted & (ANON_SHARED if part.name.endswith(DELETED) else MAPPED_SHARED) else 0
        )
    if wanted & ANON_PRIVATE and not host.empty and memory.has_own_pages(part):
        return whole
    if not part.inode:
        return 0
    if wanted & MAPPED_PRIVATE:
        return whole
    if wanted & ELF_HEADERS and not part.offset and part.prot & PROT_READ:
        return PAGE if memory.read(part.start, len(ELF_MAGIC)) == ELF_MAGIC else 0
    return 0


def parts(space: AddressSpace, memory: Memory) -> list[Part]:
    """Return the guest's mappings in order of address, each with what is dumped of it. Raises OSError."""
    tid = core.host_call(NUMBERS["gettid"])  # /proc/thread-self has no such file, /proc/TID has
    text = read_file(f"/proc/{tid}/coredump_filter")
    wanted = int(text, 16) if text else DEFAULT_FILTER
    hosts = _host_mappings()
    found = []
    first = 0
    for low, high, prot, _ in space.regions():
        while first < len(hosts) and hosts[first].end <= low:
            first += 1
        for i in range(first, len(hosts)):
            host = hosts[i]
            if host.start >= high:
                break
            part = Part(max(low, host.start), min(high, host.end), prot, host)
            part.size = _dumped_size(part, host, memory, wanted)
            found.append(part)
    return found
