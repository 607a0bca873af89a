# SPDX-License-Identifier: GPL-2.0-or-later
"""The memory map. The address space itself is `task.process.space`; these are the calls' own rules."""

from __future__ import annotations

from _struct import iter_unpack, pack_into, unpack_from
from errno import E2BIG, EFAULT, EINVAL, ENOMEM, ENOSPC

from syscalls.handlers.pointers import LIMIT, checked
from syscalls.host.x86_64 import NUMBERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from syscalls.protocols import Task

PAGE = 4096
UIO_MAXIOV = 1024
WORDS_END = 1 << 64
NEVER_MAPPED = PAGE  # below vm.mmap_min_addr

MADV_DONTFORK, MADV_DOFORK = 10, 11
DISCARDS = (4, 8, 9, 24)  # MADV_DONTNEED, MADV_FREE, MADV_REMOVE, MADV_DONTNEED_LOCKED

SHM_RDONLY, SHM_RND, SHM_REMAP, SHM_EXEC = 0o10000, 0o20000, 0o40000, 0o100000
IPC_STAT = 2
SHMID_DS_SIZE, SEGMENT_SIZE_OFFSET = 112, 48  # struct shmid64_ds, <asm-generic/shmbuf.h> on 64 bits


def _range(address: int, size: int) -> tuple[int, int, bool]:
    """Return the part of a range that is the guest's, and whether there was another.

    A range that begins beyond the guest becomes one that is never mapped, so that the host says what is wrong with
    it. The tag byte of an address is ignored, as the kernel's untagged_addr() does in these calls.
    """
    if not address >> 55 & 1:
        address &= (1 << 56) - 1
    if address + size <= LIMIT or (address < LIMIT and address + size > WORDS_END):
        return address, size, False
    if address < LIMIT:
        return address, LIMIT - address, True
    size = WORDS_END - PAGE if address + size > WORDS_END else min(size, PAGE)
    return NEVER_MAPPED + address % PAGE, size, False


def _range_call(
    task: Task, name: str, address: int, size: int, *rest: int, hole: int = ENOMEM
) -> int:
    """Make a host call about a range of the guest's memory; beyond the guest it finds a hole."""
    address, size, cut = _range(address, size)
    result = task.host_now(NUMBERS[name], address, size, *rest)
    if cut and hole:
        raise OSError(hole, "")
    return result


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
    address, size, cut = _range(address, size)
    space = task.process.space
    try:
        if advice in (MADV_DONTFORK, MADV_DOFORK):
            result = space.advise_fork(address, size, advice)
        else:
            result = task.host_now(NUMBERS["madvise"], address, size, advice)
    finally:  # with ENOMEM, all but the holes was done
        if advice in DISCARDS:
            space.forget_code(address, min(size, LIMIT))
    if cut:
        raise OSError(ENOMEM, "")
    return result


def process_madvise(
    task: Task, pidfd: int, vector: int, count: int, advice: int, flags: int
) -> int:
    """process_madvise(2): the ranges may not reach the emulator's own memory."""
    if count > UIO_MAXIOV:
        raise OSError(EINVAL, "")
    content = task.memory.read(vector, 16 * count)
    ranges = list(iter_unpack("<QQ", content))
    for base, size in ranges:
        if base >= LIMIT or size > LIMIT - base:
            raise OSError(EFAULT, "")
    result = task.host_now(NUMBERS["process_madvise"], pidfd, content, count, advice, flags)
    if advice in DISCARDS:  # perhaps this process's own
        for base, size in ranges:
            task.process.space.forget_code(base, size)
    return result


def msync(task: Task, address: int, size: int, flags: int) -> int:
    """msync(2)."""
    return _range_call(task, "msync", address, size, flags)


def mincore(task: Task, address: int, size: int, vector: int) -> int:
    """mincore(2): a byte for each page."""
    pages = (size + PAGE - 1) // PAGE
    result = _range_call(task, "mincore", address, size, checked(vector, pages))
    task.process.space.forget_code(vector, pages)
    return result


def mseal(task: Task, address: int, size: int, flags: int) -> int:
    """mseal(2)."""
    return _range_call(task, "mseal", address, size, flags)


def mlock(task: Task, address: int, size: int) -> int:
    """mlock(2)."""
    return _range_call(task, "mlock", address, size)


def mlock2(task: Task, address: int, size: int, flags: int) -> int:
    """mlock2(2)."""
    return _range_call(task, "mlock2", address, size, flags)


def munlock(task: Task, address: int, size: int) -> int:
    """munlock(2)."""
    return _range_call(task, "munlock", address, size)


def mbind(
    task: Task, address: int, size: int, mode: int, nodes: int, count: int, flags: int
) -> int:
    """mbind(2)."""
    nodes = checked(nodes)
    return _range_call(task, "mbind", address, size, mode, nodes, count, flags, hole=EFAULT)


def set_mempolicy_home_node(task: Task, address: int, size: int, node: int, flags: int) -> int:
    """set_mempolicy_home_node(2)."""
    return _range_call(task, "set_mempolicy_home_node", address, size, node, flags, hole=0)


def move_pages(
    task: Task, pid: int, count: int, pages: int, nodes: int, status: int, flags: int
) -> int:
    """move_pages(2): a page that is not the guest's is one that is not mapped."""
    if count > LIMIT // 8:
        raise OSError(E2BIG, "")
    addresses = bytearray(task.memory.read(pages, 8 * count))
    for i, (address,) in enumerate(iter_unpack("<Q", bytes(addresses))):
        if address >= LIMIT:
            pack_into("<Q", addresses, 8 * i, NEVER_MAPPED)
    checked(nodes, 4 * count)
    checked(status, 4 * count)
    number = NUMBERS["move_pages"]
    result = task.host_now(number, pid, count, addresses, nodes, status, flags)
    task.process.space.forget_code(status, 4 * count)
    return result


def remap_file_pages(task: Task, address: int, size: int, prot: int, page: int, flags: int) -> int:
    """remap_file_pages(2), which the kernel itself carries out as an mmap(2)."""
    if address >= LIMIT or size > LIMIT - address:
        raise OSError(EINVAL, "")
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
