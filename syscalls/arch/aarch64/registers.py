# SPDX-License-Identifier: GPL-2.0-or-later
"""The registers as gdb's remote protocol has them: the target description, and their places in a snapshot.

Names and order are those of gdb's features/aarch64-core.xml, aarch64-fpu.xml and aarch64-tls.xml. The snapshot is
that of `Engine.snapshot()`: x0…x30, sp, pc, pstate (8 bytes each), fpsr, fpcr (4 each), v0…v31 (16 each), tpidr (8).
"""

from __future__ import annotations

WORD, HALF, VECTOR = 8, 4, 16
PSTATE_AT, FPSR_AT, FPCR_AT, VECTORS_AT, TPIDR_AT = 33 * 8, 34 * 8, 34 * 8 + 4, 35 * 8, 99 * 8

SNAPSHOT_SIZE = TPIDR_AT + WORD
PLACES = (
    *((WORD * i, WORD) for i in range(33)),
    (PSTATE_AT, HALF),
    *((VECTORS_AT + VECTOR * i, VECTOR) for i in range(32)),
    (FPSR_AT, HALF),
    (FPCR_AT, HALF),
    (TPIDR_AT, WORD),
)
"""(offset in a snapshot, size), by gdb's register number."""

_VECTOR_TYPES = """
    <vector id="v2d" type="ieee_double" count="2"/><vector id="v2u" type="uint64" count="2"/>
    <vector id="v2i" type="int64" count="2"/><vector id="v4f" type="ieee_single" count="4"/>
    <vector id="v4u" type="uint32" count="4"/><vector id="v4i" type="int32" count="4"/>
    <vector id="v8f" type="ieee_half" count="8"/><vector id="v8u" type="uint16" count="8"/>
    <vector id="v8i" type="int16" count="8"/><vector id="v16u" type="uint8" count="16"/>
    <vector id="v16i" type="int8" count="16"/><vector id="v1u" type="uint128" count="1"/>
    <vector id="v1i" type="int128" count="1"/>
    <union id="vnd"><field name="f" type="v2d"/><field name="u" type="v2u"/><field name="s" type="v2i"/></union>
    <union id="vns"><field name="f" type="v4f"/><field name="u" type="v4u"/><field name="s" type="v4i"/></union>
    <union id="vnh"><field name="f" type="v8f"/><field name="u" type="v8u"/><field name="s" type="v8i"/></union>
    <union id="vnb"><field name="u" type="v16u"/><field name="s" type="v16i"/></union>
    <union id="vnq"><field name="u" type="v1u"/><field name="s" type="v1i"/></union>
    <union id="aarch64v"><field name="d" type="vnd"/><field name="s" type="vns"/><field name="h" type="vnh"/>
      <field name="b" type="vnb"/><field name="q" type="vnq"/></union>"""

_FLAGS = """
    <flags id="cpsr_flags" size="4"><field name="SP" start="0" end="0"/><field name="V" start="28" end="28"/>
      <field name="C" start="29" end="29"/><field name="Z" start="30" end="30"/><field name="N" start="31" end="31"/>
    </flags>"""


def _description() -> bytes:
    core = [_register(f"x{i}", 64) for i in range(31)]
    core += [_register("sp", 64, "data_ptr"), _register("pc", 64, "code_ptr")]
    core += [_register("cpsr", 32, "cpsr_flags")]
    fpu = [_register(f"v{i}", 128, "aarch64v") for i in range(32)]
    fpu += [_register("fpsr", 32), _register("fpcr", 32)]
    tls = [_register("tpidr", 64, "data_ptr")]
    text = (
        '<?xml version="1.0"?><!DOCTYPE target SYSTEM "gdb-target.dtd"><target version="1.0">'
        "<architecture>aarch64</architecture><osabi>GNU/Linux</osabi>"
        + _feature("core", _FLAGS, core)
        + _feature("fpu", _VECTOR_TYPES, fpu)
        + _feature("tls", "", tls)
        + "</target>\n"
    )
    return text.encode()


def _feature(name: str, types: str, registers: list[str]) -> str:
    return f'<feature name="org.gnu.gdb.aarch64.{name}">{types}{"".join(registers)}</feature>'


def _register(name: str, bits: int, kind: str = "int") -> str:
    return f'<reg name="{name}" bitsize="{bits}" type="{kind}"/>'


class Registers:
    """How gdb's packets and `Engine.snapshot()` go into one another."""

    PC = 32
    EXPEDITED = (29, 31, 32)
    """The registers that a stop tells without being asked: x29, sp and pc."""

    @staticmethod
    def target_description() -> bytes:
        """Return the description of the target: an XML document after gdb's gdb-target.dtd."""
        return _description()

    @staticmethod
    def packed(snapshot: bytes) -> bytes:
        """Return all registers in gdb's order."""
        return b"".join(snapshot[at : at + size] for at, size in PLACES)

    @staticmethod
    def unpacked(registers: bytes) -> bytes:
        """Return the snapshot of all registers in gdb's order. Raises ValueError if there are not as many bytes."""
        snapshot = bytearray(SNAPSHOT_SIZE)
        done = 0
        for at, size in PLACES:
            snapshot[at : at + size] = registers[done : done + size]
            done += size
        if done != len(registers) or len(snapshot) != SNAPSHOT_SIZE:
            raise ValueError(f"{done} bytes of registers are wanted")
        return bytes(snapshot)

    @staticmethod
    def read(snapshot: bytes, number: int) -> bytes:
        """Return one register by gdb's number. Raises IndexError."""
        at, size = PLACES[number]
        return snapshot[at : at + size]

    @staticmethod
    def written(snapshot: bytes, number: int, value: bytes) -> bytes:
        """Return the snapshot with one register changed. Raises IndexError, and ValueError for a wrong size."""
        at, size = PLACES[number]
        if len(value) != size:
            raise ValueError(f"register {number} has {size} bytes")
        return snapshot[:at] + value + snapshot[at + size :]
