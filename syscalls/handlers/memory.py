# SPDX-License-Identifier: GPL-2.0-or-later
"""The memory map. The address space itself is `task.process.space`; these are the calls' own rules."""

from __future__ import annotations

from _struct import unpack, unpack_from
from errno import EFAULT, EINVAL, ENOMEM, ENOSPC

from syscalls.host.x86_64 import NUMBERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from syscalls.protocols import Task

LIMIT = 1 << 46
PAGE = 4096
DISCARDS = (4, 8, 9)  # MADV_DONTNEED, MADV_FREE, MADV_REMOVE

MAP_SHARED = 1
SHM_RDONLY, SHM_RND, SHM_REMAP, SHM_EXEC = 0o10000, 0o20000, 0o40000, 0o100000
IPC_STAT = 2
SHMID_DS_SIZE, SEGMENT_SIZE_OFFSET = 112, 48  # struct shmid64_ds, <asm-generic/shmbuf.h> on 64 bits


def _check_range(address: int, size: int) -> None:
    if address >= LIMIT or size > LIMIT - address:
        raise OSError(ENOMEM, "")


def brk(task: Task, address: int) -> int:
    """brk(2)."""
    return task.process.space.set_brk(address)


def mmap(task: Task, address: int, size: int, prot: int, flags: int, fd: int, offset: int) -> int:
    """mmap(2)."""
    return task.process.space.map(address, size, prot, flags, fd, offset)


def munmap(task: Task, address: int, size: int) -> int:
    """munmap(2)."""
    task.process.space.unmap(address, size)
    return 0


def mprotect(task: Task, address: int, size: int, prot: int) -> int:
    """mprotect(2)."""
    task.process.space.protect(address, size, prot)
    return 0


def mremap(task: Task, old: int, old_size: int, new_size: int, flags: int, new: int) -> int:
    """mremap(2)."""
    return task.process.space.remap(old, old_size, new_size, flags, new)


def madvise(task: Task, address: int, size: int, advice: int) -> int:
    """madvise(2); code whose pages are discarded is translated again."""
    _check_range(address, size)
    result = task.host_now(NUMBERS["madvise"], address, size, advice)
    if advice in DISCARDS:
        task.process.space.forget_code(address, size)
    return result


def process_madvise(task: Task, pidfd: int, vector: int, count: int, advice: int, flags: int) -> int:
    """process_madvise(2): the ranges may not reach the emulator's own memory."""
    if count > 1024:
        raise OSError(EINVAL, "")
    content = task.memory.read(vector, 16 * count)
    for base, size in zip(*[iter(unpack(f"<{2 * count}Q", content))] * 2, strict=True):
        if base >= LIMIT or size > LIMIT - base:
            raise OSError(EFAULT, "")
    return task.host_now(NUMBERS["process_madvise"], pidfd, content, count, advice, flags)


def remap_file_pages(task: Task, address: int, size: int, prot: int, page: int, flags: int) -> int:
    """remap_file_pages(2), which the kernel itself carries out as an mmap(2)."""
    _check_range(address, size)
    result = task.host_now(NUMBERS["remap_file_pages"], address, size, prot, page, flags)
    task.process.space.forget_code(address, size)
    return result


def pkey_alloc(task: Task, flags: int, rights: int) -> int:
    """pkey_alloc(2) on a CPU without protection keys."""
    raise OSError(EINVAL if flags or rights & ~3 else ENOSPC, "")


def pkey_free(task: Task, key: int) -> int:
    """pkey_free(2): none was allocated."""
    raise OSError(EINVAL, "")


def pkey_mprotect(task: Task, address: int, size: int, prot: int, key: int) -> int:
    """pkey_mprotect(2): with key -1 it is mprotect(2), and there is no other key."""
    if key != -1:
        raise OSError(EINVAL, "")
    return mprotect(task, address, size, prot)


def shmat(task: Task, identifier: int, address: int, flags: int) -> int:
    """shmat(2)."""
    status = bytearray(SHMID_DS_SIZE)
    task.host_now(NUMBERS["shmctl"], identifier, IPC_STAT, status)
    size = unpack_from("<Q", status, SEGMENT_SIZE_OFFSET)[0]
    if address % PAGE:
        if not flags & SHM_RND:
            raise OSError(EINVAL, "")
        address &= -PAGE
    if not address and flags & SHM_REMAP:
        raise OSError(EINVAL, "")
    prot = 1 if flags & SHM_RDONLY else 3
    if flags & SHM_EXEC:
        prot |= 4
    return task.process.space.attach(identifier, address, size, prot, flags)


def shmdt(task: Task, address: int) -> int:
    """shmdt(2)."""
    task.process.space.detach(address)
    return 0
