# SPDX-License-Identifier: GPL-2.0-or-later
"""Socket options: those with pointers within are checked and copied, the layouts compared with the headers."""

from __future__ import annotations

import socket
import struct
import subprocess
from collections.abc import Iterator
from errno import EFAULT, EINVAL, ENOMEM, ENOPROTOOPT
from pathlib import Path
from typing import Any

import pytest

from syscalls.handlers.sockets import GET_POINTERS, SET_POINTERS, getsockopt, setsockopt
from tests.syscalls.handlers.fake import BASE, WILD, fails

SO_ATTACH_FILTER = 26
LAYOUTS = """
#include <stddef.h>
#include <stdio.h>
#include <sys/socket.h>
#include <netinet/in.h>
#include <linux/filter.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <linux/netfilter_arp/arp_tables.h>
#include <linux/netfilter_bridge/ebtables.h>
#include <linux/if_packet.h>
#include <linux/if_xdp.h>
#include <linux/rds.h>
#include <linux/sctp.h>
#include <linux/tcp.h>
#define SHOW(way, level, option, type, ...) do { size_t offsets[] = {__VA_ARGS__}; \\
    printf("%s %d %d", way, level, option); \\
    for (size_t i = 0; i < sizeof offsets / sizeof *offsets; i++) printf(" %zu", offsets[i]); \\
    puts(""); } while (0)
#define AT(type, field) offsetof(struct type, field)
int main(void) {
    SHOW("set", SOL_SOCKET, SO_ATTACH_FILTER, sock_fprog, AT(sock_fprog, filter));
    SHOW("set", SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, sock_fprog, AT(sock_fprog, filter));
    SHOW("set", SOL_PACKET, PACKET_FANOUT_DATA, sock_fprog, AT(sock_fprog, filter));
    SHOW("set", SOL_IP, IPT_SO_SET_REPLACE, ipt_replace, AT(ipt_replace, counters));
    SHOW("set", SOL_IPV6, IP6T_SO_SET_REPLACE, ip6t_replace, AT(ip6t_replace, counters));
    SHOW("set", SOL_IP, ARPT_SO_SET_REPLACE, arpt_replace, AT(arpt_replace, counters));
    SHOW("set", SOL_IP, EBT_SO_SET_ENTRIES, ebt_replace, AT(ebt_replace, counters), AT(ebt_replace, entries));
    SHOW("set", SOL_IP, EBT_SO_SET_COUNTERS, ebt_replace, AT(ebt_replace, counters), AT(ebt_replace, entries));
    SHOW("set", SOL_RDS, RDS_GET_MR, rds_get_mr_args, AT(rds_get_mr_args, vec), AT(rds_get_mr_args, cookie_addr));
    SHOW("set", SOL_RDS, RDS_GET_MR_FOR_DEST, x, AT(rds_get_mr_for_dest_args, vec),
         AT(rds_get_mr_for_dest_args, cookie_addr));
    SHOW("set", SOL_XDP, XDP_UMEM_REG, xdp_umem_reg, AT(xdp_umem_reg, addr));
    SHOW("get", SOL_IP, EBT_SO_GET_ENTRIES, ebt_replace, AT(ebt_replace, counters), AT(ebt_replace, entries));
    SHOW("get", SOL_IP, EBT_SO_GET_INIT_ENTRIES, x, AT(ebt_replace, counters), AT(ebt_replace, entries));
    SHOW("get", IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE, x, AT(tcp_zerocopy_receive, address),
         AT(tcp_zerocopy_receive, copybuf_address), AT(tcp_zerocopy_receive, msg_control));
    SHOW("get", IPPROTO_SCTP, SCTP_SOCKOPT_CONNECTX3, x, AT(sctp_getaddrs_old, addrs));
    return 0;
}
"""


@pytest.fixture
def sock() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        made.bind(("127.0.0.1", 0))
        yield made


def test_layouts_are_those_of_the_headers(tmp_path: Path) -> None:
    source = tmp_path / "layouts.c"
    source.write_text(LAYOUTS)
    subprocess.run(["gcc", "-w", "-o", tmp_path / "layouts", source], check=True)
    shown = subprocess.run([tmp_path / "layouts"], check=True, capture_output=True, text=True)
    found: dict[str, dict[tuple[int, int], tuple[int, ...]]] = {"set": {}, "get": {}}
    for line in shown.stdout.splitlines():
        way, level, option, *offsets = line.split()
        # IPPROTO_SCTP 132 is SOL_SCTP, IPPROTO_TCP 6 is SOL_TCP.
        found[way][int(level), int(option)] = tuple(map(int, offsets))
    assert found["set"] == {key: offsets for key, (_, offsets) in SET_POINTERS.items()}
    assert found["get"] == GET_POINTERS


def test_filters(task: Any, sock: socket.socket) -> None:
    code = struct.pack("<HBBI", 0x06, 0, 0, 12)  # ret #12: 8 bytes of header, 4 of data
    task.memory.write(BASE + 64, code)
    task.memory.write(BASE, struct.pack("<HxxxxxxQ", 1, BASE + 64))
    assert setsockopt(task, sock.fileno(), 1, SO_ATTACH_FILTER, BASE, 16) == 0
    sock.sendto(b"datagram", sock.getsockname())
    assert sock.recv(100) == b"data"
    for pointer in (WILD, 1 << 46):
        task.memory.write(BASE, struct.pack("<HxxxxxxQ", 1, pointer))
        with fails(EFAULT):
            setsockopt(task, sock.fileno(), 1, SO_ATTACH_FILTER, BASE, 16)
    with fails(EFAULT):
        setsockopt(task, sock.fileno(), 1, SO_ATTACH_FILTER, WILD, 16)
    with fails(EINVAL):
        setsockopt(task, sock.fileno(), 1, SO_ATTACH_FILTER, BASE, 3)
    with fails(ENOMEM):
        setsockopt(task, sock.fileno(), 1, SO_ATTACH_FILTER, BASE, 0xFFFFFFFF)


def test_flat_options(task: Any, sock: socket.socket) -> None:
    task.memory.write(BASE, struct.pack("<ii", 1, 4))
    assert setsockopt(task, sock.fileno(), 1, 9, BASE, 4) == 0
    task.memory.write(BASE, bytes(4))
    assert getsockopt(task, sock.fileno(), 1, 9, BASE, BASE + 4) == 0
    assert task.memory.read(BASE, 8) == struct.pack("<ii", 1, 4)
    with fails(ENOPROTOOPT):
        getsockopt(task, sock.fileno(), 1, 9999, BASE, BASE + 4)
    for value, size in ((WILD, BASE + 4), (BASE, WILD), (BASE, (1 << 46) - 2)):
        with fails(EFAULT):
            getsockopt(task, sock.fileno(), 1, 9, value, size)
    with fails(EFAULT):
        setsockopt(task, sock.fileno(), 1, 9, WILD, 4)


def test_received_without_copying(task: Any) -> None:
    """TCP_ZEROCOPY_RECEIVE is given a copy, and the copy is given back."""
    server = socket.create_server(("127.0.0.1", 0))
    client = socket.create_connection(server.getsockname())
    peer, _ = server.accept()
    task.memory.write(BASE, struct.pack("<QIIiiQiI", 0, 0, 7, 7, 7, 0, 0, 0))
    task.memory.write(BASE + 512, struct.pack("<i", 40))
    assert getsockopt(task, peer.fileno(), 6, 35, BASE, BASE + 512) == 0
    assert struct.unpack_from("<I", task.memory.read(BASE, 64), 16) == (0,)  # inq: nothing came
    for offset in (0, 24):
        task.memory.write(BASE, bytes(64))
        task.memory.write(BASE + offset, struct.pack("<Q", WILD))
        with fails(EFAULT):
            getsockopt(task, peer.fileno(), 6, 35, BASE, BASE + 512)
    task.memory.write(BASE + 512, struct.pack("<i", -1))
    with fails(EINVAL):
        getsockopt(task, peer.fileno(), 6, 35, BASE, BASE + 512)
    for made in (server, client, peer):
        made.close()
