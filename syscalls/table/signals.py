# SPDX-License-Identifier: GPL-2.0-or-later
"""Signals."""

from __future__ import annotations

from syscalls.call import CORE, HOST, call
from syscalls.handlers import signals
from syscalls.kinds import (
    FD,
    FLAGS,
    IN_SIGACTION,
    IN_SIGINFO,
    IN_SIGSET,
    IN_STACK,
    IN_TIMESPEC,
    OUT_SIGACTION,
    OUT_SIGINFO,
    OUT_SIGSET,
    OUT_STACK,
    PID,
    SIGMASK_HOW,
    SIGNAL,
    SIZE,
    WAIT_MASK,
)

CALLS = (
    call("rt_sigaction", SIGNAL, IN_SIGACTION, OUT_SIGACTION, SIZE, run=signals.rt_sigaction),
    call("rt_sigprocmask", SIGMASK_HOW, IN_SIGSET, OUT_SIGSET, SIZE, run=CORE),
    call("rt_sigreturn", run=CORE, special=signals.rt_sigreturn),
    call("rt_sigsuspend", WAIT_MASK, SIZE, run=HOST),
    call("rt_sigpending", OUT_SIGSET, SIZE, run=signals.rt_sigpending),
    call(
        "rt_sigtimedwait",
        IN_SIGSET,
        OUT_SIGINFO,
        IN_TIMESPEC,
        SIZE,
        run=signals.rt_sigtimedwait,
    ),
    call("sigaltstack", IN_STACK, OUT_STACK, run=signals.sigaltstack),
    call("restart_syscall", run=HOST),
    call("kill", PID, SIGNAL, run=HOST),
    call("tkill", PID, SIGNAL, run=HOST),
    call("tgkill", PID, PID, SIGNAL, run=HOST),
    call("rt_sigqueueinfo", PID, SIGNAL, IN_SIGINFO, run=HOST),
    call("rt_tgsigqueueinfo", PID, PID, SIGNAL, IN_SIGINFO, run=HOST),
    call("pidfd_send_signal", FD, SIGNAL, IN_SIGINFO, FLAGS, run=HOST),
)
