# SPDX-License-Identifier: GPL-2.0-or-later
"""The server by itself: what it offers, and what it makes of requests that no debugger would send."""

from __future__ import annotations

import os
import random
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import support
from tests.usermode.debug.remote import Debugged, debugged

HERE = Path(__file__).parent


@pytest.fixture
def guest(interpreter: Path, guest_cc: Callable[..., Path], tmp_path: Path) -> Iterator[Debugged]:
    with debugged(interpreter, tmp_path, [guest_cc(HERE / "values.c", "-O0")]) as guest:
        yield guest


def test_the_socket_is_the_user_s_alone_and_goes_away(guest: Debugged) -> None:
    mode = guest.socket.stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600
    with guest.connect() as packets:
        assert packets.ask(b"?").startswith(b"T05thread:")
        assert not guest.socket.exists()


def test_a_debugger_that_goes_away_leaves_the_program_running(guest: Debugged) -> None:
    with guest.connect() as packets:
        packets.ask(b"?")
    assert guest.status() == 6


def test_what_is_offered(guest: Debugged) -> None:
    with guest.connect() as packets:
        offered = packets.ask(b"qSupported:multiprocess+;swbreak+").split(b";")
        assert {b"multiprocess+", b"QStartNoAckMode+", b"vContSupported+"} <= set(offered)
        assert packets.ask(b"qC") == b"QCp%x.%x" % (guest.process.pid, guest.process.pid)
        assert packets.ask(b"vMustReplyEmpty") == b""
        assert packets.ask(b"QNonStop:1") == b""
        assert packets.ask(b"qXfer:features:read:target.xml:0,10") == b'm<?xml version="1'
        assert len(packets.ask(b"g")) == 2 * (33 * 8 + 4 + 32 * 16 + 4 + 4 + 8)


def test_registers_come_back_as_they_were_set(guest: Debugged) -> None:
    value = random.Random(3).randbytes
    with guest.connect() as packets:
        before = packets.ask(b"g")
        for index, size in ((0, 8), (30, 8), (31, 8), (34, 16), (65, 16), (66, 4), (68, 8)):
            data = (b"\x1f" * 4 if index == 66 else value(size)).hex().encode()
            if index == 66:
                data = b"1f000000"
            assert packets.ask(b"P%x=%b" % (index, data)) == b"OK"
            assert packets.ask(b"p%x" % index) == data, index
        assert packets.ask(b"P21=000000a0") == b"OK"
        assert packets.ask(b"p21") == b"000000a0"
        assert packets.ask(b"G" + before) == b"OK"
        assert packets.ask(b"g") == before


def test_bad_packets_are_refused_or_asked_for_again(guest: Debugged) -> None:
    with guest.connect() as packets:
        packets.send(b"$?#00")
        assert packets.receive(1) == b"-"
        packets.send(b"$" + b"m" * 100_000 + b"#00")
        assert packets.receive(1) == b"-"
        packets.send(b"$qfThr$?#3f")
        assert packets.receive(2) == b"-+"
        assert packets.packet().startswith(b"T05")
        packets.send(b"-")
        assert packets.packet().startswith(b"T05")


@pytest.mark.parametrize(
    "request_",
    [
        *(b"m", b"m,", b"mzz,1", b"m0,8", b"m400000000000,8", b"m7fffffffffff,1", b"m1000,-1"),
        *(b"m" + b"f" * 40 + b",1", b"M0,1:00", b"M10000,1:00", b"X10000,5:a", b"X10000,1:a"),
        *(b"p", b"p99", b"pffffffffffffffff", b"P0", b"P0=", b"P0=00", b"P99=0000000000000000"),
        *(b"G", b"G00", b"Gzz", b"H", b"Hg", b"Hgzz", b"Hg123456", b"Hgp1.1", b"T1", b"T"),
        *(b"Z0", b"Z0,", b"Z0,401001,4", b"Z2,400000,0", b"Z2,zz,1", b"Z0,400000", b"z0"),
        *(b"vCont;", b"vCont;x", b"vCont;c:zz", b"vCont;r1", b"vCont;Szz", b"c400000", b"C"),
        *(b"qXfer:features:read:other.xml:0,10", b"qXfer:auxv:read::0", b"qXfer:auxv:read::x,y"),
        *(b"qXfer:siginfo:read::0,10", b"qXfer:x", b"qThreadExtraInfo,zz", b"QPassSignals:zz"),
        *(b"QCatchSyscalls:1;zz", b"vFile:open:2f,0", b"vFile:pread:9,1,0", b"vFile:close:9"),
        *(b"vFile:open:2f6e6f7768657265,0,0", b"vFile:open:2f746d70,1,0", b"vFile:fstat:ffffffff"),
        *(b"vFile:readlink:2f", b"vFile:readlink:zz", b"D;1", b"\xff\xff", b"m" + b"\x00" * 100),
    ],
)
def test_nonsense_is_an_error(guest: Debugged, request_: bytes) -> None:
    with guest.connect() as packets:
        before = packets.ask(b"g")
        body = packets.ask(_escaped(request_))
        assert body[:1] in (b"E", b"") or body.startswith(b"F-1"), body
        assert packets.ask(b"g") == before


def _escaped(data: bytes) -> bytes:
    return b"".join(
        b"}" + bytes((byte ^ 0x20,)) if byte in b"#$}*" else bytes((byte,)) for byte in data
    )


def test_random_requests_do_no_harm(guest: Debugged) -> None:
    random_ = random.Random(11)
    with guest.connect() as packets:
        for _ in range(300):
            letter = random_.choice(
                [b"m", b"M", b"X", b"p", b"P", b"Z", b"z", b"H", b"T", b"q", b"Q"]
            )
            rest = bytes(
                random_.choice(b"0123456789abcdef,:;=.-pXfer") for _ in range(random_.randrange(24))
            )
            if letter in b"MXP":
                rest = rest.replace(b"=", b"").replace(b":", b"")
            packets.ask(letter + rest)
        assert packets.ask(b"qXfer:exec-file:read::0,100")[:1] == b"l"


def test_memory_that_the_program_may_not_write(guest: Debugged) -> None:
    with guest.connect() as packets:
        text = packets.ask(b"m400000,4")
        assert text == b"7f454c46"
        assert packets.ask(b"M400000,2:abcd") == b"OK"
        assert packets.ask(b"m400000,4") == b"abcd4c46"
        assert packets.ask(b"M400000,2:7f45") == b"OK"


def test_breakpoints_are_not_seen_in_memory(guest: Debugged) -> None:
    with guest.connect() as packets:
        entry = packets.ask(b"p20")
        pc = int.from_bytes(bytes.fromhex(entry.decode()), "little")
        before = packets.ask(b"m%x,10" % pc)
        assert packets.ask(b"Z0,%x,4" % pc) == b"OK"
        assert packets.ask(b"m%x,10" % pc) == before
        assert packets.ask(b"vCont;c").startswith(b"T05swbreak:;")
        assert packets.ask(b"p20") == entry


def test_requests_at_a_running_program_are_refused(
    interpreter: Path, guest_cc: Callable[..., Path], tmp_path: Path
) -> None:
    program = guest_cc(HERE / "waits.c", "-O0")
    with debugged(interpreter, tmp_path, [program, "spin"]) as guest, guest.connect() as packets:
        packets.send(b"$vCont;c#a8")
        for request in (b"g", b"P0=0000000000000000", b"Z0,400000,4", b"vCont;c", b"c", b"D"):
            assert packets.ask(request) == b"E10"
        assert packets.ask(b"m400000,4") == b"7f454c46"
        packets.send(b"\x03")
        assert packets.packet().startswith(b"T02thread:")
        assert len(packets.ask(b"g")) > 1000


def test_the_exit_status_is_told(guest: Debugged) -> None:
    with guest.connect() as packets:
        assert packets.ask(b"c") == b"W06"
    assert guest.status() == 6


def test_a_port_is_of_this_machine_alone(interpreter: Path, guest_cc: Callable[..., Path]) -> None:
    import socket
    import subprocess

    program = guest_cc(HERE / "values.c", "-O0")
    command = [interpreter, "--gdb", "0", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stderr
        said = process.stderr.readline().decode()
        host, _, port = said.split()[-1].rpartition(":")
        assert host == "127.0.0.1"
        with socket.create_connection((host, int(port))) as connected:
            connected.sendall(b"$?#3f")
            assert connected.recv(1) == b"+"
        assert process.wait(60) == 6


@pytest.mark.parametrize(
    ("where", "words"),
    [
        ("70000", "is no port"),
        ("example.org:1", "is no IPv4 address"),
        ("1.2.3:4", "is no IPv4 address"),
        ("/" + "x" * 200, "is no socket's path"),
        ("/nowhere/socket", "No such file"),
        ("/dev/null", "in use"),
        ("192.0.2.1:1", "assign"),
    ],
)
def test_places_that_cannot_be(
    run_guest: Callable[..., support.Outcome],
    guest_cc: Callable[..., Path],
    where: str,
    words: str,
) -> None:
    outcome = run_guest([guest_cc(HERE / "values.c", "-O0")], options=("--gdb", where))
    assert outcome.status in (1, 2)
    assert words in outcome.stderr.decode()
    assert outcome.stderr.count(b"\n") <= 2


def test_the_guest_cannot_close_the_connection(
    interpreter: Path, guest_cc: Callable[..., Path], tmp_path: Path
) -> None:
    program = guest_cc(HERE / "programs.c", "-O0")
    with debugged(interpreter, tmp_path, [program, "x"]) as guest, guest.connect() as packets:
        assert packets.ask(b"c") == b"W09"
    assert os.path.exists(program)
