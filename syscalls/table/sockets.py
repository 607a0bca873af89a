# SPDX-License-Identifier: GPL-2.0-or-later
"""Sockets."""

from __future__ import annotations

from syscalls.call import HOST, call
from syscalls.handlers import sockets
from syscalls.kinds import (
    ACCEPT_LENGTH,
    FD,
    IN_BUFFER,
    IN_MMSGHDR,
    IN_MSGHDR,
    IN_SOCKADDR,
    IN_TIMESPEC,
    INOUT_LENGTH,
    INT,
    MSG_FLAGS,
    OUT_BUFFER,
    OUT_FD_PAIR,
    OUT_MMSGHDR,
    OUT_MSGHDR,
    OUT_POINTER,
    OUT_SOCKADDR,
    SHUTDOWN_HOW,
    SIZE,
    SOCKET_FAMILY,
    SOCKET_FLAGS,
    SOCKET_LEVEL,
    SOCKET_OPTION,
    SOCKET_TYPE,
    UINT,
)

CALLS = (
    call("socket", SOCKET_FAMILY, SOCKET_TYPE, INT, run=HOST),
    call("socketpair", SOCKET_FAMILY, SOCKET_TYPE, INT, OUT_FD_PAIR, run=HOST),
    call(
        "bind",
        FD,
        IN_SOCKADDR,
        UINT,
        run=HOST,
        partly="the path of a Unix socket is not looked up in the sysroot",
    ),
    call("listen", FD, INT, run=HOST),
    call("accept", FD, OUT_SOCKADDR, ACCEPT_LENGTH, run=HOST),
    call("accept4", FD, OUT_SOCKADDR, ACCEPT_LENGTH, SOCKET_FLAGS, run=HOST),
    call(
        "connect",
        FD,
        IN_SOCKADDR,
        UINT,
        run=HOST,
        partly="the path of a Unix socket is not looked up in the sysroot",
    ),
    call("getsockname", FD, OUT_SOCKADDR, INOUT_LENGTH, run=HOST),
    call("getpeername", FD, OUT_SOCKADDR, INOUT_LENGTH, run=HOST),
    call("sendto", FD, IN_BUFFER, SIZE, MSG_FLAGS, IN_SOCKADDR, UINT, run=HOST),
    call("recvfrom", FD, OUT_BUFFER, SIZE, MSG_FLAGS, OUT_SOCKADDR, ACCEPT_LENGTH, run=HOST),
    call("sendmsg", FD, IN_MSGHDR, MSG_FLAGS, run=HOST),
    call("recvmsg", FD, OUT_MSGHDR, MSG_FLAGS, run=HOST),
    call("sendmmsg", FD, IN_MMSGHDR, UINT, MSG_FLAGS, run=HOST),
    call("recvmmsg", FD, OUT_MMSGHDR, UINT, MSG_FLAGS, IN_TIMESPEC, run=HOST),
    call(
        "getsockopt",
        FD,
        SOCKET_LEVEL,
        SOCKET_OPTION,
        OUT_POINTER,
        INOUT_LENGTH,
        run=sockets.getsockopt,
    ),
    call(
        "setsockopt",
        FD,
        SOCKET_LEVEL,
        SOCKET_OPTION,
        IN_BUFFER,
        UINT,
        run=sockets.setsockopt,
    ),
    call("shutdown", FD, SHUTDOWN_HOW, run=HOST),
)
