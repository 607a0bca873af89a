# SPDX-License-Identifier: GPL-2.0-or-later
"""The memory map, locking, NUMA placement, and memory of other processes."""

from __future__ import annotations

from syscalls.call import HOST, call
from syscalls.handlers import memory, nested
from syscalls.kinds import (
    ADDRESS,
    ADVICE,
    COUNT,
    FD,
    FLAGS,
    HEX,
    INT,
    IPC_FLAGS,
    MAP_FLAGS,
    MLOCK_FLAGS,
    MLOCKALL_FLAGS,
    MREMAP_FLAGS,
    MSYNC_FLAGS,
    OFFSET,
    OUT_INT,
    OUT_POINTER,
    PID,
    POINTER,
    POINTER_IF_USED,
    PROT,
    SIZE,
    ULONG,
)

CALLS = (
    call("brk", ADDRESS, run=memory.brk),
    call("mmap", ADDRESS, SIZE, PROT, MAP_FLAGS, FD, OFFSET, run=memory.mmap),
    call("munmap", ADDRESS, SIZE, run=memory.munmap),
    call("mprotect", ADDRESS, SIZE, PROT, run=memory.mprotect),
    call("mremap", ADDRESS, SIZE, SIZE, MREMAP_FLAGS, ADDRESS, run=memory.mremap),
    call("madvise", ADDRESS, SIZE, ADVICE, run=memory.madvise),
    call("process_madvise", FD, POINTER, COUNT, ADVICE, FLAGS, run=memory.process_madvise),
    call("msync", ADDRESS, SIZE, MSYNC_FLAGS, run=memory.msync),
    call("mincore", ADDRESS, SIZE, OUT_POINTER, run=memory.mincore),
    call(
        "mseal",
        ADDRESS,
        SIZE,
        HEX,
        run=memory.mseal,
        partly="PROT_EXEC, which the host does not keep, can still be changed",
    ),
    call(
        "remap_file_pages",
        ADDRESS,
        SIZE,
        PROT,
        SIZE,
        MAP_FLAGS,
        run=memory.remap_file_pages,
    ),
    call("pkey_alloc", FLAGS, HEX, run=memory.pkey_alloc),
    call("pkey_free", INT, run=memory.pkey_free),
    call("pkey_mprotect", ADDRESS, SIZE, PROT, INT, run=memory.pkey_mprotect),
    call("shmat", INT, ADDRESS, IPC_FLAGS, run=memory.shmat),
    call("shmdt", ADDRESS, run=memory.shmdt),
    # Locking
    call("mlock", ADDRESS, SIZE, run=memory.mlock),
    call("mlock2", ADDRESS, SIZE, MLOCK_FLAGS, run=memory.mlock2),
    call("munlock", ADDRESS, SIZE, run=memory.munlock),
    call(
        "mlockall",
        MLOCKALL_FLAGS,
        run=HOST,
        partly="locks the emulator's own memory too, which counts towards RLIMIT_MEMLOCK",
    ),
    call("munlockall", run=HOST),
    # NUMA
    call("mbind", ADDRESS, SIZE, INT, POINTER, ULONG, FLAGS, run=memory.mbind),
    call("get_mempolicy", OUT_INT, OUT_POINTER, ULONG, POINTER_IF_USED, FLAGS, run=HOST),
    call("set_mempolicy", INT, POINTER, ULONG, run=HOST),
    call(
        "set_mempolicy_home_node", ADDRESS, SIZE, ULONG, FLAGS, run=memory.set_mempolicy_home_node
    ),
    call("migrate_pages", PID, ULONG, POINTER, POINTER, run=HOST),
    call("move_pages", PID, COUNT, POINTER, POINTER, OUT_POINTER, FLAGS, run=memory.move_pages),
    # Other processes
    call(
        "process_vm_readv",
        PID,
        POINTER,
        COUNT,
        POINTER,
        COUNT,
        FLAGS,
        run=nested.process_vm_readv,
        partly="code that is read into the caller's own executable memory is not noticed as changed",
    ),
    call(
        "process_vm_writev",
        PID,
        POINTER,
        COUNT,
        POINTER,
        COUNT,
        FLAGS,
        run=nested.process_vm_writev,
        partly="code already translated by another emulated process is not noticed as changed",
    ),
    call("process_mrelease", FD, FLAGS, run=HOST),
)
