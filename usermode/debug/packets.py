# SPDX-License-Identifier: GPL-2.0-or-later
"""Packets of gdb's remote protocol: `$data#checksum`, with `}` before escaped bytes (gdb's manual, E.1 "Overview")."""

from __future__ import annotations

LIMIT = 0x4000
"""The longest packet that is taken, as PacketSize announces it: what follows `$`, up to `#`."""

INTERRUPT, ACKNOWLEDGED, REFUSED, DAMAGED = "interrupt", "acknowledged", "refused", "damaged"
"""What comes between packets: Ctrl-C, `+`, `-`, and packets that did not arrive whole."""

_START, _END, _ESCAPE, _CTRL_C = b"$"[0], b"#"[0], b"}"[0], 3
_SPECIAL = frozenset(b"$#}*")
_SINGLE = {b"+"[0]: ACKNOWLEDGED, b"-"[0]: REFUSED, _CTRL_C: INTERRUPT}
_MARK = 0x20


def encode(data: bytes) -> bytes:
    """Return the packet that carries `data`."""
    if not _SPECIAL.isdisjoint(data):
        escaped = bytearray()
        for byte in data:
            escaped += bytes((_ESCAPE, byte ^ _MARK)) if byte in _SPECIAL else bytes((byte,))
        data = bytes(escaped)
    return b"$%b#%02x" % (data, sum(data) & 0xFF)


class Decoder:
    """Finds packets in a stream of bytes, whatever comes."""

    __slots__ = ("_buffer", "_skipping")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._skipping = False

    def feed(self, data: bytes) -> list[bytes | str]:
        """Take what was received; return the packets' data and the marks in between, in order.

        A packet that is too long is DAMAGED at once, and skipped up to its end.
        """
        self._buffer += data
        found: list[bytes | str] = []
        while self._buffer:
            if self._skipping:
                self._skip()
            elif self._buffer[0] == _START:
                if not self._packet(found):
                    break
            else:
                mark = _SINGLE.get(self._buffer.pop(0))
                if mark is not None:
                    found.append(mark)
        return found

    def _skip(self) -> None:
        """Drop the rest of a packet that was too long; its checksum then is noise."""
        end = self._buffer.find(_END)
        self._skipping = end < 0
        del self._buffer[: end + 1 if end >= 0 else len(self._buffer)]

    def _packet(self, found: list[bytes | str]) -> bool:
        """Take the packet at the beginning; False if more of it is to come."""
        end = self._buffer.find(_END)
        again = self._buffer.find(_START, 1, end if end >= 0 else len(self._buffer))
        if again > 0:  # its end was lost: `$` stands in no packet
            del self._buffer[:again]
            found.append(DAMAGED)
            return True
        if (end if end >= 0 else len(self._buffer)) - 1 > LIMIT:
            self._skipping = True
            found.append(DAMAGED)
            return True
        if end < 0 or len(self._buffer) < end + 3:
            return False
        body, checksum = bytes(self._buffer[1:end]), bytes(self._buffer[end + 1 : end + 3])
        del self._buffer[: end + 3]
        data = _unescaped(body) if _right(body, checksum) else None
        found.append(DAMAGED if data is None else data)
        return True


def _right(body: bytes, checksum: bytes) -> bool:
    try:
        return int(checksum, 16) == sum(body) & 0xFF
    except ValueError:
        return False


def _unescaped(body: bytes) -> bytes | None:
    """Return the data of a packet's body; None if it ends in the midst of an escape."""
    first, *rest = body.split(b"}")
    if not all(rest):
        return None
    return first + b"".join(bytes((part[0] ^ _MARK,)) + part[1:] for part in rest)


def number(text: bytes) -> int:
    """Read a hexadecimal number as the protocol writes it: digits only. Raises ValueError."""
    if not text or text.strip(b"0123456789abcdefABCDEF"):
        raise ValueError(f"no number: {text!r}")
    return int(text, 16)


def unhex(text: bytes) -> bytes:
    """Return the bytes of pairs of hexadecimal digits. Raises ValueError."""
    return bytes.fromhex(text.decode("ascii"))
