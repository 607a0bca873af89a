# SPDX-License-Identifier: GPL-2.0-or-later
"""Calls that are not made, each with the reason.

A call is refused as a kernel refuses it that was built without the feature, so that programs fall
back as they do there.
"""

from __future__ import annotations

from errno import ENOSYS, EOPNOTSUPP, EPERM

from syscalls.call import call
from syscalls.kinds import (
    COUNT,
    FD,
    FLAGS,
    HEX,
    INT,
    LONG,
    PID,
    POINTER,
    PTRACE_REQUEST,
    SECCOMP_OPERATION,
    SIZE,
    STRING,
    UINT,
)

_OTHER_KERNEL = (
    "the running kernel is of another CPU: its modules and successors are not the guest's"
)
_RING = "the entries of the shared rings hold addresses that the kernel reads unchecked"
_AIO = "the kernel puts its ring where the guest cannot see it; the C library's own AIO needs none"

CALLS = (
    # A wrong machine's code or state
    call("kexec_load", HEX, COUNT, POINTER, HEX, refuse=EPERM, because=_OTHER_KERNEL),
    call("kexec_file_load", FD, FD, SIZE, POINTER, HEX, refuse=EPERM, because=_OTHER_KERNEL),
    call("init_module", POINTER, SIZE, STRING, refuse=EPERM, because=_OTHER_KERNEL),
    call("finit_module", FD, STRING, FLAGS, refuse=EPERM, because=_OTHER_KERNEL),
    call("delete_module", STRING, FLAGS, refuse=EPERM, because=_OTHER_KERNEL),
    call(
        "map_shadow_stack",
        HEX,
        SIZE,
        FLAGS,
        refuse=EOPNOTSUPP,
        because="the emulated CPU has no Guarded Control Stack; a real one without it says the same",
    ),
    call(
        "rseq",
        POINTER,
        UINT,
        FLAGS,
        HEX,
        refuse=ENOSYS,
        because="the host kernel cannot see where in a restartable sequence the guest is; "
        "the C library does without",
    ),
    call(
        "ptrace",
        PTRACE_REQUEST,
        PID,
        HEX,
        HEX,
        refuse=ENOSYS,
        because="the host would show the emulator's registers and code instead of the guest's",
    ),
    call(
        "perf_event_open",
        POINTER,
        PID,
        INT,
        FD,
        FLAGS,
        refuse=ENOSYS,
        because="the counters would measure the emulator, and samples hold the host CPU's registers",
    ),
    call(
        "seccomp",
        SECCOMP_OPERATION,
        FLAGS,
        POINTER,
        refuse=ENOSYS,
        because="a filter would see the host's call numbers and the emulator's own calls",
    ),
    # Addresses inside structures that the kernel uses later, where they cannot be checked
    call("io_uring_setup", UINT, POINTER, refuse=ENOSYS, because=_RING),
    call("io_uring_enter", FD, UINT, UINT, FLAGS, POINTER, SIZE, refuse=ENOSYS, because=_RING),
    call("io_uring_register", FD, UINT, POINTER, UINT, refuse=ENOSYS, because=_RING),
    call("io_setup", UINT, POINTER, refuse=ENOSYS, because=_AIO),
    call("io_destroy", HEX, refuse=ENOSYS, because=_AIO),
    call("io_submit", HEX, LONG, POINTER, refuse=ENOSYS, because=_AIO),
    call("io_cancel", HEX, POINTER, POINTER, refuse=ENOSYS, because=_AIO),
    call("io_getevents", HEX, LONG, LONG, POINTER, POINTER, refuse=ENOSYS, because=_AIO),
    call(
        "io_pgetevents",
        HEX,
        LONG,
        LONG,
        POINTER,
        POINTER,
        POINTER,
        refuse=ENOSYS,
        because=_AIO,
    ),
    call(
        "bpf",
        INT,
        POINTER,
        UINT,
        refuse=ENOSYS,
        because="its commands hold addresses that differ from one to the next and are not checked",
    ),
    call(
        "userfaultfd",
        FLAGS,
        refuse=ENOSYS,
        because="the emulator's own accesses would wait for the guest, which waits for them",
    ),
    # Without code in Linux itself
    call(
        "lookup_dcookie",
        HEX,
        POINTER,
        SIZE,
        refuse=ENOSYS,
        because="removed from Linux 6.7; every newer kernel says the same",
    ),
    call(
        "nfsservctl",
        INT,
        POINTER,
        POINTER,
        refuse=ENOSYS,
        because="removed from Linux 3.1; the number is all that is left",
    ),
)
