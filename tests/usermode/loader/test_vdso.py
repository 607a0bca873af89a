# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import struct
from io import BytesIO

import pytest
from elftools.elf.dynamic import DynamicSegment
from elftools.elf.elffile import ELFFile
from elftools.elf.gnuversions import GNUVerDefSection
from elftools.elf.sections import SymbolTableSection

from tests.support import BUILD
from usermode.loader.elf import PAGE
from usermode.loader.vdso import signal_return, vdso_image

FUNCTIONS = {
    "__kernel_rt_sigreturn": 139,
    "__kernel_gettimeofday": 169,
    "__kernel_clock_gettime": 113,
    "__kernel_clock_getres": 114,
}
"""Names of vdso(7) and the numbers of the calls, <asm-generic/unistd.h>."""


@pytest.fixture(scope="module")
def image() -> bytes:
    if not (BUILD / "vdso.so").exists():
        pytest.skip("build/vdso.so is not built: run `make`")
    return vdso_image()


@pytest.fixture(scope="module")
def elf(image: bytes) -> ELFFile:
    return ELFFile(BytesIO(image))


def symbols(elf: ELFFile) -> dict[str, tuple[int, int]]:
    table = elf.get_section_by_name(".dynsym")
    assert isinstance(table, SymbolTableSection)
    found = [s for s in table.iter_symbols() if s["st_info"]["type"] == "STT_FUNC"]
    return {symbol.name: (symbol["st_value"], symbol["st_size"]) for symbol in found}


def test_one_segment_to_read_and_run(image: bytes, elf: ELFFile) -> None:
    (load,) = elf.iter_segments("PT_LOAD")
    assert (load["p_vaddr"], load["p_offset"], load["p_flags"]) == (0, 0, 5)
    assert load["p_filesz"] == load["p_memsz"] <= PAGE
    assert len(image) <= PAGE


def test_nothing_is_left_to_relocate(elf: ELFFile) -> None:
    (dynamic,) = elf.iter_segments("PT_DYNAMIC")
    assert isinstance(dynamic, DynamicSegment)
    tags = {tag.entry.d_tag for tag in dynamic.iter_tags()}
    assert not tags & {"DT_RELA", "DT_REL", "DT_JMPREL", "DT_NEEDED", "DT_TEXTREL"}
    assert {"DT_HASH", "DT_GNU_HASH", "DT_VERSYM"} <= tags


def test_names_and_version(elf: ELFFile) -> None:
    assert set(symbols(elf)) == set(FUNCTIONS)
    versions = elf.get_section_by_name(".gnu.version_d")
    assert isinstance(versions, GNUVerDefSection)
    names = [[entry.name for entry in entries] for _, entries in versions.iter_versions()]
    assert names == [["linux-vdso.so.1"], ["LINUX_2.6.39"]]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_make_their_call(name: str, image: bytes, elf: ELFFile) -> None:
    address, size = symbols(elf)[name]
    movz_x8 = 0xD2800008 | FUNCTIONS[name] << 5
    wanted = [movz_x8, 0xD4000001] + ([] if name == "__kernel_rt_sigreturn" else [0xD65F03C0])
    assert struct.unpack_from(f"<{size // 4}I", image, address) == tuple(wanted)


def test_signal_return_is_known(image: bytes, elf: ELFFile) -> None:
    address = symbols(elf)["__kernel_rt_sigreturn"][0]
    assert signal_return(image) == address
    assert image[address - 4 : address] == bytes.fromhex("1f2003d5"), (
        "the nop unwinders step back to"
    )


def test_no_frame_description(elf: ELFFile) -> None:
    assert elf.get_section_by_name(".eh_frame") is None
