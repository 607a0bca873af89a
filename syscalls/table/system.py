# SPDX-License-Identifier: GPL-2.0-or-later
"""The machine as a whole."""

from __future__ import annotations

from syscalls.call import HOST, call
from syscalls.handlers import identity
from syscalls.kinds import (
    GETRANDOM_FLAGS,
    HEX,
    IN_BUFFER,
    INT,
    OUT_BUFFER,
    OUT_INT,
    OUT_SYSINFO,
    OUT_UTSNAME,
    POINTER_IF_USED,
    SIZE,
    UNUSED,
)

CALLS = (
    call("uname", OUT_UTSNAME, run=identity.uname),
    call("sysinfo", OUT_SYSINFO, run=HOST),
    call("sethostname", IN_BUFFER, SIZE, run=HOST),
    call("setdomainname", IN_BUFFER, SIZE, run=HOST),
    call("syslog", INT, POINTER_IF_USED, INT, run=HOST),
    call("getrandom", OUT_BUFFER, SIZE, GETRANDOM_FLAGS, run=HOST),
    call("getcpu", OUT_INT, OUT_INT, UNUSED, run=HOST),
    call("vhangup", run=HOST),
    call("reboot", HEX, HEX, HEX, POINTER_IF_USED, run=HOST),
)
