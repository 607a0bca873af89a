# SPDX-License-Identifier: GPL-2.0-or-later
"""The codec of gdb's packets, with what no debugger would send."""

from __future__ import annotations

import random

import pytest

from usermode.debug.packets import (
    ACKNOWLEDGED,
    DAMAGED,
    INTERRUPT,
    LIMIT,
    REFUSED,
    Decoder,
    encode,
    number,
    unhex,
)


def decode(*pieces: bytes) -> list[bytes | str]:
    decoder = Decoder()
    return [item for piece in pieces for item in decoder.feed(piece)]


def test_known_packets() -> None:
    assert encode(b"OK") == b"$OK#9a"
    assert encode(b"") == b"$#00"
    assert decode(b"$OK#9a") == [b"OK"]
    assert decode(b"$vCont?#49") == [b"vCont?"]
    assert decode(b"$#00") == [b""]


@pytest.mark.parametrize("size", [0, 1, 2, 255, 4096])
def test_any_bytes_come_back(size: int) -> None:
    data = random.Random(size).randbytes(size)
    packet = encode(data)
    assert decode(packet) == [data]
    assert decode(*(bytes((byte,)) for byte in packet)) == [data]
    assert b"$" not in packet[1:]
    assert packet.index(b"#") == len(packet) - 3


def test_special_bytes_are_escaped() -> None:
    assert encode(b"#$}*") == b"$}\x03}\x04}]}\x0a#%02x" % (sum(b"}\x03}\x04}]}\x0a") & 0xFF)


def test_marks_between_packets() -> None:
    found = decode(b"+-\x03$a#61+noise$b#62\x03")
    assert found == [ACKNOWLEDGED, REFUSED, INTERRUPT, b"a", ACKNOWLEDGED, b"b", INTERRUPT]


def test_the_interrupt_byte_within_a_packet_is_data() -> None:
    assert decode(b"$a\x03b#c6") == [b"a\x03b"]


@pytest.mark.parametrize(
    "packet", [b"$OK#9b", b"$OK#zz", b"$OK#-1", b"$OK# 9", b"$a}#de", b"$a}}\x03#f1"]
)
def test_damaged_packets(packet: bytes) -> None:
    damaged = packet[-2:] in (b"de", b"f1")
    found = decode(packet + b"$OK#9a")
    assert found[-1] == b"OK"
    assert found[0] == DAMAGED or not damaged


def test_run_length_encoding_is_not_for_requests() -> None:
    """gdb's manual allows it in answers; a request with `*` is taken as it stands."""
    body = b"0* "
    assert decode(b"$%b#%02x" % (body, sum(body) & 0xFF)) == [body]


def test_a_packet_without_its_end_gives_way_to_the_next() -> None:
    assert decode(b"$lost", b"$OK#9a") == [DAMAGED, b"OK"]


def test_the_longest_packet() -> None:
    assert decode(encode(b"x" * LIMIT)) == [b"x" * LIMIT]
    found = decode(b"$" + b"x" * (LIMIT + 1), b"x" * 5_000_000 + b"#00", b"$OK#9a")
    assert found == [DAMAGED, b"OK"]


def test_noise_never_raises() -> None:
    noise = random.Random(7)
    for _ in range(2000):
        decoder = Decoder()
        for _ in range(4):
            text = bytes(noise.choice(b"$#}*+-\x03aF0\xff") for _ in range(noise.randrange(20)))
            decoder.feed(text)
        assert decoder.feed(b"#00$OK#9a")[-1] in (b"OK", DAMAGED)


def test_numbers() -> None:
    assert number(b"fF0") == 0xFF0
    for bad in (b"", b"-1", b"0x1", b" 1", b"1_0", b"g"):
        with pytest.raises(ValueError, match="no number"):
            number(bad)
    assert unhex(b"00fF") == b"\x00\xff"
    for bad in (b"0", b"zz", b"\xff\xff"):
        with pytest.raises(ValueError, match=r".*"):
            unhex(bad)
