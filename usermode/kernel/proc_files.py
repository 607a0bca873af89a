# SPDX-License-Identifier: GPL-2.0-or-later
"""What the guest's own files under /proc say: proc(5), seen from inside the emulator.

Only files that can be given truthfully are here and in `proc_memory.py`. The others are the host's: of them,
`comm` is right because a guest thread is a host thread and carries the guest's name.
"""

from __future__ import annotations

from _struct import iter_unpack

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Protocol

    class Facts(Protocol):
        """What a process must know about its guest to fill these files."""

        @property
        def executable(self) -> bytes:
            """What the link /proc/self/exe names, as the host sees it."""

        @property
        def executable_file(self) -> bytes:
            """A path that opens the guest's program, even when it was deleted."""

        @property
        def argument_range(self) -> tuple[int, int]:
            """Start and end address of the argument strings."""

        @property
        def environment_range(self) -> tuple[int, int]:
            """Start and end address of the environment strings, which follow them."""

        @property
        def auxv(self) -> bytes:
            """The auxiliary vector: pairs of 64-bit words, AT_NULL included."""

        @property
        def layout(self) -> tuple[int, int, int, int, int, int]:
            """Start and end of code, start and end of data, start of the heap, and the first stack pointer."""

        @property
        def first_thread_ended(self) -> bool:
            """Whether other threads alone are left: /proc/self shows a zombie then."""

        def memory_usage(self) -> tuple[int, int, int]:
            """Bytes of all mappings, of private writable ones, and of stacks."""

        def peak_usage(self) -> int:
            """The most bytes of mappings that were seen."""

        def limit(self, resource: int, /) -> tuple[int, int]:
            """The soft and the hard limit RLIMIT_*."""

        def mappings(
            self,
        ) -> Iterable[tuple[int, int, bytes, int, tuple[int, int], int, bytes]]:
            """Guest mappings by address.

            Each is (start, end, permissions like b"r-xp", offset, (major, minor), inode, name).
            """


AT_HWCAP = 16
AT_HWCAP2 = 26

_NAME_COLUMN = 72
"""fs/proc/task_mmu.c, show_vma_header_prefix: seq_setwidth(m, 25 + sizeof(void *) * 6 - 1)."""


def map_line(mapping: tuple[int, int, bytes, int, tuple[int, int], int, bytes]) -> bytes:
    """Return the line of a mapping in /proc/PID/maps, without its end."""
    start, end, permissions, offset, device, inode, name = mapping
    line = b"%08x-%08x %s %08x %02x:%02x %d " % (
        start, end, permissions, offset, device[0], device[1], inode,
    )  # fmt: skip
    if name:
        # seq_pad fills to the width and adds a space; seq_path escapes line ends in names.
        line = line.ljust(_NAME_COLUMN) + b" " + name.replace(b"\n", b"\\012")
    return line


def maps(facts: Facts, host_text: bytes) -> bytes:
    """/proc/PID/maps: a line for each of the guest's mappings."""
    return b"".join([map_line(mapping) + b"\n" for mapping in facts.mappings()])


def cmdline(facts: Facts, host_text: bytes) -> bytes:
    """/proc/PID/cmdline: the argument strings as they are now in the guest's memory.

    A program that writes over them (setproctitle(3)) may go on into the environment: when the last
    NUL is gone, the text is one string, up to the first NUL (fs/proc/base.c, get_mm_proctitle).
    """
    start, end = facts.argument_range
    text = _memory(start, end)
    if text and text[-1]:
        text += _memory(*facts.environment_range)
        return b"".join(text.partition(b"\0")[:2])
    return text


def environ(facts: Facts, host_text: bytes) -> bytes:
    """/proc/PID/environ: the environment strings as they are now in the guest's memory."""
    return _memory(*facts.environment_range)


def _memory(start: int, end: int) -> bytes:
    """Guest memory, or nothing when the guest has unmapped it."""
    import _usermode_core as core

    try:
        return core.read(start, end - start)
    except OSError:
        return b""


def auxv(facts: Facts, host_text: bytes) -> bytes:
    """/proc/PID/auxv: the auxiliary vector as the guest's stack held it at the start."""
    return facts.auxv


def cpuinfo(facts: Facts, host_text: bytes) -> bytes:
    """/proc/cpuinfo: the guest's CPU, once for each processor the host's file lists."""
    from syscalls.arch.guest import cpuinfo_text

    processors = [
        int(line.partition(b":")[2])
        for line in host_text.split(b"\n")
        if line.startswith(b"processor")
    ]
    vector = dict(iter_unpack("<QQ", facts.auxv))
    return cpuinfo_text(processors, vector.get(AT_HWCAP, 0), vector.get(AT_HWCAP2, 0))


def content(name: bytes, facts: Facts, host_text: bytes) -> bytes:
    """The content of the view's file `name`; KeyError for a name that has none (exe, mem)."""
    if name in MEMORY_VIEWS:
        from usermode.kernel.proc_memory import CONTENT

        return CONTENT[name](facts, host_text)
    return _CONTENT[name](facts, host_text)


_CONTENT: dict[bytes, Callable[[Facts, bytes], bytes]] = {
    b"maps": maps,
    b"cmdline": cmdline,
    b"environ": environ,
    b"auxv": auxv,
    b"cpuinfo": cpuinfo,
}

MEMORY_VIEWS = (
    b"statm",
    b"status",
    b"stat",
    b"limits",
    b"numa_maps",
    b"smaps",
    b"smaps_rollup",
)
"""Those that `proc_memory.py` fills."""

VIEWS = frozenset((b"exe", b"mem", *_CONTENT, *MEMORY_VIEWS))
"""Last components of the paths that `Paths.special` looks at more closely."""
