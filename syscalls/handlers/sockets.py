# SPDX-License-Identifier: GPL-2.0-or-later
"""getsockopt(2) and setsockopt(2): options whose value holds pointers are passed as a checked copy.

Levels, options and structures are the same on both CPUs (asm-generic/socket.h and linux/*.h); all
other options are flat and the host's.
"""

from __future__ import annotations

from _struct import pack, unpack_from
from errno import EINVAL, ENOMEM

from syscalls.handlers.pointers import checked
from syscalls.host.x86_64 import NUMBERS as HOST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from syscalls.protocols import Task

SET_POINTERS = {
    (1, 26): (16, (8,)),  # SOL_SOCKET SO_ATTACH_FILTER: struct sock_fprog
    (1, 51): (16, (8,)),  # SOL_SOCKET SO_ATTACH_REUSEPORT_CBPF
    (263, 22): (16, (8,)),  # SOL_PACKET PACKET_FANOUT_DATA: sock_fprog, or a 4-byte descriptor
    (0, 64): (96, (88,)),  # SOL_IP IPT_SO_SET_REPLACE: struct ipt_replace.counters
    (41, 64): (96, (88,)),  # SOL_IPV6 IP6T_SO_SET_REPLACE: struct ip6t_replace.counters
    (0, 96): (80, (72,)),  # SOL_IP ARPT_SO_SET_REPLACE: struct arpt_replace.counters
    (0, 128): (120, (104, 112)),  # SOL_IP EBT_SO_SET_ENTRIES: struct ebt_replace.counters, entries
    (0, 129): (120, (104, 112)),  # SOL_IP EBT_SO_SET_COUNTERS
    (276, 2): (32, (0, 16)),  # SOL_RDS RDS_GET_MR: struct rds_get_mr_args.vec, cookie_addr
    (276, 7): (160, (128, 144)),  # SOL_RDS RDS_GET_MR_FOR_DEST
    (283, 4): (8, (0,)),  # SOL_XDP XDP_UMEM_REG: struct xdp_umem_reg.addr
}
"""(level, option) -> (least size of the structure, offsets of the pointers in it)."""

GET_POINTERS = {
    (0, 129): (104, 112),  # SOL_IP EBT_SO_GET_ENTRIES: struct ebt_replace.counters, entries
    (0, 131): (104, 112),  # SOL_IP EBT_SO_GET_INIT_ENTRIES
    (6, 35): (0, 24, 40),  # TCP_ZEROCOPY_RECEIVE: address, copybuf_address, msg_control
    (132, 111): (8,),  # SOL_SCTP SCTP_SOCKOPT_CONNECTX3: struct sctp_getaddrs_old.addrs
}
"""(level, option) -> offsets of the pointers in the structure."""

_LARGEST = 1 << 26
"""No more of a value is copied than this: the largest are firewall tables, of some megabytes."""


def setsockopt(task: Task, fd: int, level: int, option: int, value: int, size: int) -> int:
    """Set a socket option."""
    number = HOST["setsockopt"]
    pointers = SET_POINTERS.get((level, option))
    if pointers is None or size < pointers[0]:
        return task.host(number, fd, level, option, checked(value), size)
    structure = _copy(task, value, size, pointers[1])
    return task.host(number, fd, level, option, structure, size)


def getsockopt(task: Task, fd: int, level: int, option: int, value: int, size_at: int) -> int:
    """Read a socket option; `size_at` points to the buffer's size, which becomes the value's."""
    number = HOST["getsockopt"]
    pointers = GET_POINTERS.get((level, option))
    if pointers is None:
        return task.host(number, fd, level, option, checked(value), checked(size_at, 4))
    (size,) = unpack_from("<i", task.memory.read(size_at, 4))
    structure = _copy(task, value, size, pointers)
    # A copy of the size too: the kernel reads it again and must not find a larger one.
    used = bytearray(pack("<i", size))
    result = task.host(number, fd, level, option, structure, used)
    task.memory.write(value, structure)
    task.memory.write(size_at, used)
    return result


def _copy(task: Task, address: int, size: int, offsets: tuple[int, ...]) -> bytearray:
    if size < 0:
        raise OSError(EINVAL, "negative size")
    if size > _LARGEST:
        raise OSError(ENOMEM, "socket option too large")
    structure = bytearray(task.memory.read(address, size))
    for offset in offsets:
        if offset + 8 <= size:
            checked(unpack_from("<Q", structure, offset)[0])
    return structure
