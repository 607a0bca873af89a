# SPDX-License-Identifier: GPL-2.0-or-later
"""Calls on open files: reading, writing, copying, locking, descriptor flags."""

from __future__ import annotations

from syscalls.call import HOST, call
from syscalls.handlers import descriptors, ioctls
from syscalls.kinds import (
    CLOSE_RANGE_FLAGS,
    COUNT,
    DESCRIPTOR_FLAGS,
    FADVICE,
    FALLOCATE_MODE,
    FCNTL_ARGUMENT,
    FCNTL_COMMAND,
    FD,
    FLAGS,
    IN_BUFFER,
    IN_IOVEC,
    INOUT_OFFSET,
    IOCTL_ARGUMENT,
    IOCTL_REQUEST,
    LOCK_OPERATION,
    MEMFD_FLAGS,
    OFFSET,
    OUT_BUFFER,
    OUT_FD_PAIR,
    OUT_IOVEC,
    OUT_POINTER,
    POINTER,
    RWF_FLAGS,
    SIZE,
    SPLICE_FLAGS,
    STRING,
    SYNC_RANGE_FLAGS,
    UINT,
    UNUSED,
    WHENCE,
)

CALLS = (
    call("close", FD, run=HOST),
    call("close_range", UINT, UINT, CLOSE_RANGE_FLAGS, run=HOST),
    call("dup", FD, run=HOST),
    call("dup3", FD, FD, DESCRIPTOR_FLAGS, run=HOST),
    call("fcntl", FD, FCNTL_COMMAND, FCNTL_ARGUMENT, run=descriptors.fcntl),
    call(
        "ioctl",
        FD,
        IOCTL_REQUEST,
        IOCTL_ARGUMENT,
        run=ioctls.ioctl,
        partly="a request that is not in the list of handlers/ioctl_requests.py is ENOTTY",
    ),
    call("flock", FD, LOCK_OPERATION, run=HOST),
    # Reading and writing
    call("read", FD, OUT_BUFFER, SIZE, run=HOST),
    call("write", FD, IN_BUFFER, SIZE, run=HOST),
    call("readv", FD, OUT_IOVEC, COUNT, run=HOST),
    call("writev", FD, IN_IOVEC, COUNT, run=HOST),
    call("pread64", FD, OUT_BUFFER, SIZE, OFFSET, run=HOST),
    call("pwrite64", FD, IN_BUFFER, SIZE, OFFSET, run=HOST),
    call("preadv", FD, OUT_IOVEC, COUNT, OFFSET, UNUSED, run=HOST),
    call("pwritev", FD, IN_IOVEC, COUNT, OFFSET, UNUSED, run=HOST),
    call("preadv2", FD, OUT_IOVEC, COUNT, OFFSET, UNUSED, RWF_FLAGS, run=HOST),
    call("pwritev2", FD, IN_IOVEC, COUNT, OFFSET, UNUSED, RWF_FLAGS, run=HOST),
    call("lseek", FD, OFFSET, WHENCE, run=HOST),
    call("readahead", FD, OFFSET, SIZE, run=HOST),
    call("fadvise64", FD, OFFSET, OFFSET, FADVICE, run=HOST),
    call("cachestat", FD, POINTER, OUT_POINTER, FLAGS, run=HOST),
    # Copying without a buffer
    call("sendfile", FD, FD, INOUT_OFFSET, SIZE, run=HOST),
    call("splice", FD, INOUT_OFFSET, FD, INOUT_OFFSET, SIZE, SPLICE_FLAGS, run=HOST),
    call("tee", FD, FD, SIZE, SPLICE_FLAGS, run=HOST),
    call("vmsplice", FD, OUT_IOVEC, COUNT, SPLICE_FLAGS, run=HOST),
    call("copy_file_range", FD, INOUT_OFFSET, FD, INOUT_OFFSET, SIZE, FLAGS, run=HOST),
    # Size and storage
    call("ftruncate", FD, OFFSET, run=HOST),
    call("fallocate", FD, FALLOCATE_MODE, OFFSET, OFFSET, run=HOST),
    call("sync", run=HOST),
    call("syncfs", FD, run=HOST),
    call("fsync", FD, run=HOST),
    call("fdatasync", FD, run=HOST),
    call("sync_file_range", FD, OFFSET, OFFSET, SYNC_RANGE_FLAGS, run=HOST),
    # New descriptors
    call("pipe2", OUT_FD_PAIR, DESCRIPTOR_FLAGS, run=HOST),
    call("memfd_create", STRING, MEMFD_FLAGS, run=HOST),
    call("memfd_secret", FLAGS, run=HOST),
)
