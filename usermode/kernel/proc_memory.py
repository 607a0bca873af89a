# SPDX-License-Identifier: GPL-2.0-or-later
"""What the guest's own files under /proc say of its memory and limits: the host's, without the emulator's part.

How much is resident the host counts for both together; what is said is its number, but never more than is mapped.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from usermode.kernel.proc_files import Facts

    Mapping = tuple[int, int, bytes, int, tuple[int, int], int, bytes]

PAGE, KIB = 4096, 1024
LIMIT = 1 << 46
INFINITY = (1 << 64) - 1
LEFT_FIELDS = (b"KernelPageSize", b"MMUPageSize", b"THPeligible", b"ProtectionKey")
RIGHTS = ((b"rd", b"r"), (b"wr", b"w"), (b"ex", b"x"))
HOST_RIGHTS = (b"rd", b"wr", b"ex")
LIMITS = {b"Max data size": 2, b"Max stack size": 3, b"Max address space": 9}


def statm(facts: Facts, host_text: bytes) -> bytes:
    """/proc/PID/statm, in pages: size, resident, shared, text, 0, data and stack, 0."""
    _, resident, shared, *_ = map(int, host_text.split())
    total, data, stack = facts.memory_usage()
    size = total // PAGE
    text = (facts.layout[1] - facts.layout[0] + PAGE - 1) // PAGE
    resident = min(resident, size)
    numbers = size, resident, min(shared, resident), text, 0, (data + stack) // PAGE, 0
    return b"%d %d %d %d %d %d %d\n" % numbers


def status(facts: Facts, host_text: bytes) -> bytes:
    """/proc/PID/status: its lines about memory."""
    total, data, stack = facts.memory_usage()
    peak = facts.peak_usage()
    most = {b"VmHWM": peak, b"VmRSS": total, b"RssAnon": total, b"RssFile": total}
    own = {
        b"VmPeak": peak,
        b"VmSize": total,
        b"VmData": data,
        b"VmStk": stack,
        b"VmExe": facts.layout[1] - facts.layout[0],
    }
    lines = []
    for line in host_text.splitlines(keepends=True):
        name, _, value = line.partition(b":")
        if name in own:
            line = b"%s:\t%8d kB\n" % (name, own[name] // KIB)
        elif name in most:
            line = b"%s:\t%8d kB\n" % (name, min(int(value.split()[0]), most[name] // KIB))
        lines.append(line)
    return b"".join(lines)


def stat(facts: Facts, host_text: bytes) -> bytes:
    """/proc/PID/stat: its addresses and sizes (proc_pid_stat(5), fields counted from 1)."""
    head, bracket, rest = host_text.rpartition(b")")
    fields = rest.split()
    total = facts.memory_usage()[0]
    code, code_end, data, data_end, heap, stack = facts.layout
    resident = min(int(fields[24 - 3]), total // PAGE)
    groups = {
        23: (total, resident),
        26: (code, code_end, stack),
        45: (data, data_end, heap, *facts.argument_range, *facts.environment_range),
    }
    for first, values in groups.items():
        fields[first - 3 : first - 3 + len(values)] = [b"%d" % value for value in values]
    return head + bracket + b" " + b" ".join(fields) + b"\n"


def limits(facts: Facts, host_text: bytes) -> bytes:
    """/proc/PID/limits, with those limits that are the guest's own."""
    lines = []
    for line in host_text.splitlines(keepends=True):
        resource = LIMITS.get(line[:25].rstrip())
        if resource is not None:
            both = [b"%d" % n if n != INFINITY else b"unlimited" for n in facts.limit(resource)]
            line = b"%-25s %-20s %-20s %-10s\n" % (line[:25].rstrip(), *both, b"bytes")
        lines.append(line)
    return b"".join(lines)


def numa_maps(facts: Facts, host_text: bytes) -> bytes:
    """/proc/PID/numa_maps: the lines of the guest's part."""
    lines = host_text.splitlines(keepends=True)
    return b"".join([line for line in lines if int(line.split(None, 1)[0], 16) < LIMIT])


class Block:
    """A mapping of the host's smaps: its range, its lines but the last, VmFlags, and that one's text.

    The lines are read only where several of the guest's mappings share it: (name, KiB not yet given to one, text).
    """

    def __init__(self, header: bytes, lines: bytes, flags: bytes) -> None:
        start, _, end = header.split(None, 1)[0].partition(b"-")
        self.start, self.end = int(start, 16), int(end, 16)
        self.lines, self.flags = lines, flags
        self.left: dict[bytes, int] = {}
        self.texts: dict[bytes, bytes] = {}

    def read(self) -> None:
        """Take the lines apart, the first time."""
        if not self.texts:
            for line in self.lines.splitlines():
                name, _, text = line.partition(b":")
                self.texts[name] = text
                if name not in LEFT_FIELDS:
                    self.left[name] = int(text.split()[0])

    def take(self, name: bytes, most: int) -> int:
        """Give a part of this mapping its share: what fits, so that the sums are right."""
        share = min(self.left[name], most)
        self.left[name] -= share
        return share

    def share(self, size: int) -> bytes:
        """Return the lines of a part with so many KiB."""
        self.read()
        lines = []
        for name, text in self.texts.items():
            if name in LEFT_FIELDS:
                lines.append(name + b":" + text)
            else:
                amount = size if name == b"Size" else self.take(name, size)
                lines.append(b"%-16s%8d kB" % (name + b":", amount))
        return b"\n".join(lines)


def _blocks(host_text: bytes) -> Iterator[Block]:
    mapping, *rest = host_text.split(b"\nVmFlags:")
    for text in rest:
        flags, _, following = text.partition(b"\n")
        header, _, lines = mapping.partition(b"\n")
        yield Block(header, lines, flags)
        mapping = following


def _parts(facts: Facts, host_text: bytes) -> Iterator[tuple[Mapping, Block]]:
    """Yield each of the guest's mappings with the host's that holds it, as `facts.mappings()` has cut them."""
    blocks = _blocks(host_text)
    block = next(blocks, None)
    for mapping in facts.mappings():
        start = mapping[0]
        while block is not None and block.end <= start:
            block = next(blocks, None)
        if block is None or block.start > start:
            continue  # came or went meanwhile
        yield mapping, block


def smaps(facts: Facts, host_text: bytes) -> bytes:
    """/proc/PID/smaps."""
    from usermode.kernel.proc_files import map_line

    lines = []
    for mapping, block in _parts(facts, host_text):
        start, end, permissions, *_ = mapping
        whole = block.start == start and block.end == end
        rights = [flag for flag, letter in RIGHTS if letter in permissions]
        others = [flag for flag in block.flags.split() if flag not in HOST_RIGHTS]
        lines += [
            map_line(mapping),
            block.lines if whole else block.share((end - start) // KIB),
            b"VmFlags: " + b" ".join(rights + others) + b" ",
        ]
    return b"\n".join([*lines, b""])


def smaps_rollup(facts: Facts, host_text: bytes) -> bytes:
    """/proc/PID/smaps_rollup: the sums of smaps, by the names that the host's has."""
    import posix

    fd = posix.open("/proc/thread-self/smaps", posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        text = b""
        while chunk := posix.read(fd, 1 << 20):
            text += chunk
    finally:
        posix.close(fd)
    sums: dict[bytes, int] = {}
    first, last = 0, 0
    for (start, end, *_), block in _parts(facts, text):
        first, last = first or start, end
        block.read()
        for name in block.left:
            sums[name] = sums.get(name, 0) + block.take(name, (end - start) // KIB)
    sums[b"Pss_Anon"] = min(sums.get(b"Anonymous", 0), sums.get(b"Pss", 0))
    sums[b"Pss_File"] = sums.get(b"Pss", 0) - sums[b"Pss_Anon"]
    header, *lines = host_text.splitlines()
    shown = [b"%08x-%08x %s" % (first, last, header.split(None, 1)[1])]
    for line in lines:
        name = line.partition(b":")[0]
        shown.append(b"%-16s%8d kB" % (name + b":", sums.get(name, 0)))
    return b"\n".join([*shown, b""])


CONTENT: dict[bytes, Callable[[Facts, bytes], bytes]] = {
    b"statm": statm,
    b"status": status,
    b"stat": stat,
    b"limits": limits,
    b"numa_maps": numa_maps,
    b"smaps": smaps,
    b"smaps_rollup": smaps_rollup,
}
