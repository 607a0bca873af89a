# SPDX-License-Identifier: GPL-2.0-or-later
"""Who a process is: ids, groups, sessions, capabilities, security modules, limits."""

from __future__ import annotations

from syscalls.call import HOST, call
from syscalls.handlers import processes
from syscalls.kinds import (
    FD,
    FLAGS,
    GID,
    IN_RLIMIT,
    INT,
    MODE,
    OUT_ID,
    OUT_POINTER,
    OUT_RLIMIT,
    OUT_RUSAGE,
    PID,
    POINTER,
    RESOURCE,
    RUSAGE_WHO,
    SIZE,
    UID,
    UINT,
)

CALLS = (
    call("getpid", run=HOST),
    call("getppid", run=HOST),
    call("gettid", run=HOST),
    call("getuid", run=HOST),
    call("geteuid", run=HOST),
    call("getgid", run=HOST),
    call("getegid", run=HOST),
    call("setuid", UID, run=HOST),
    call("setgid", GID, run=HOST),
    call("setreuid", UID, UID, run=HOST),
    call("setregid", GID, GID, run=HOST),
    call("setresuid", UID, UID, UID, run=HOST),
    call("getresuid", OUT_ID, OUT_ID, OUT_ID, run=HOST),
    call("setresgid", GID, GID, GID, run=HOST),
    call("getresgid", OUT_ID, OUT_ID, OUT_ID, run=HOST),
    call("setfsuid", UID, run=HOST),
    call("setfsgid", GID, run=HOST),
    call("getgroups", INT, OUT_POINTER, run=HOST),
    call("setgroups", INT, POINTER, run=HOST),
    call("setpgid", PID, PID, run=HOST),
    call("getpgid", PID, run=HOST),
    call("getsid", PID, run=HOST),
    call("setsid", run=HOST),
    call("umask", MODE, run=HOST),
    call("capget", POINTER, OUT_POINTER, run=HOST),
    call("capset", POINTER, POINTER, run=HOST),
    # Limits
    call("getrlimit", RESOURCE, OUT_RLIMIT, run=processes.getrlimit),
    call("setrlimit", RESOURCE, IN_RLIMIT, run=processes.setrlimit),
    call(
        "prlimit64",
        PID,
        RESOURCE,
        IN_RLIMIT,
        OUT_RLIMIT,
        run=processes.prlimit64,
        partly="RLIMIT_AS, RLIMIT_DATA and RLIMIT_STACK of another guest cannot be set (EPERM), and are told as its "
        "emulator has them",
    ),
    call("getrusage", RUSAGE_WHO, OUT_RUSAGE, run=HOST),
    # Security modules
    call("landlock_create_ruleset", POINTER, SIZE, FLAGS, run=HOST),
    call("landlock_add_rule", FD, INT, POINTER, FLAGS, run=HOST),
    call(
        "landlock_restrict_self",
        FD,
        FLAGS,
        run=HOST,
        partly="binds the emulator too: what it opens for the guest later is restricted alike",
    ),
    call("lsm_get_self_attr", UINT, OUT_POINTER, POINTER, FLAGS, run=HOST),
    call("lsm_set_self_attr", UINT, POINTER, UINT, FLAGS, run=HOST),
    call("lsm_list_modules", OUT_POINTER, POINTER, FLAGS, run=HOST),
)
