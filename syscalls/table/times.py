# SPDX-License-Identifier: GPL-2.0-or-later
"""Clocks, timers and sleeping."""

from __future__ import annotations

from syscalls.call import HOST, call
from syscalls.kinds import (
    CLOCK,
    IN_ITIMERSPEC,
    IN_ITIMERVAL,
    IN_SIGEVENT,
    IN_TIMESPEC,
    IN_TIMEVAL,
    INOUT_TIMEX,
    ITIMER,
    OUT_ITIMERSPEC,
    OUT_ITIMERVAL,
    OUT_TIMER,
    OUT_TIMESPEC,
    OUT_TIMEVAL,
    OUT_TMS,
    POINTER,
    TIMER,
    TIMER_FLAGS,
)

CALLS = (
    call("clock_gettime", CLOCK, OUT_TIMESPEC, run=HOST),
    call("clock_settime", CLOCK, IN_TIMESPEC, run=HOST),
    call("clock_getres", CLOCK, OUT_TIMESPEC, run=HOST),
    call("clock_adjtime", CLOCK, INOUT_TIMEX, run=HOST),
    call("clock_nanosleep", CLOCK, TIMER_FLAGS, IN_TIMESPEC, OUT_TIMESPEC, run=HOST),
    call("nanosleep", IN_TIMESPEC, OUT_TIMESPEC, run=HOST),
    call("gettimeofday", OUT_TIMEVAL, POINTER, run=HOST),
    call("settimeofday", IN_TIMEVAL, POINTER, run=HOST),
    call("adjtimex", INOUT_TIMEX, run=HOST),
    call("times", OUT_TMS, run=HOST),
    call("getitimer", ITIMER, OUT_ITIMERVAL, run=HOST),
    call("setitimer", ITIMER, IN_ITIMERVAL, OUT_ITIMERVAL, run=HOST),
    call("timer_create", CLOCK, IN_SIGEVENT, OUT_TIMER, run=HOST),
    call("timer_settime", TIMER, TIMER_FLAGS, IN_ITIMERSPEC, OUT_ITIMERSPEC, run=HOST),
    call("timer_gettime", TIMER, OUT_ITIMERSPEC, run=HOST),
    call("timer_getoverrun", TIMER, run=HOST),
    call("timer_delete", TIMER, run=HOST),
)
