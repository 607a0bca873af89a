# SPDX-License-Identifier: GPL-2.0-or-later
"""Programs linked in every way that changes how they are loaded."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

HERE = Path(__file__).parent / "loader"
LAYOUTS = {
    "static": ("-static", "-no-pie"),
    "static-pie": ("-static-pie", "-fPIE"),
    "pie": ("-pie", "-fPIE"),
    "no-pie": ("-no-pie", "-fno-pie"),
}
PAGES = {
    "": (),
    "4K": ("-Wl,-z,max-page-size=4096", "-Wl,-z,common-page-size=4096"),
    "64K": ("-Wl,-z,max-page-size=65536",),
    "2M": ("-Wl,-z,max-page-size=0x200000",),
    "separate": ("-Wl,-z,separate-code",),
    "together": ("-Wl,-z,noseparate-code", "-Wl,-z,norelro"),
}


@pytest.mark.parametrize("pages", PAGES)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_layout(layout: str, pages: str, check_guest: Callable[..., None]) -> None:
    flags = (*LAYOUTS[layout], *PAGES[pages])
    check_guest(HERE / "dynamic" / "layout.c", *flags, dynamic=True)


@pytest.mark.parametrize("layout", ["static-pie", "pie", "no-pie"])
@pytest.mark.parametrize("name", ["auxv", "bss", "vdso", "unwind", "arguments", "scripts"])
def test_program_in_other_layouts(name: str, layout: str, check_guest: Callable[..., None]) -> None:
    check_guest(HERE / f"{name}.c", *LAYOUTS[layout], dynamic=True)


def test_vdso_seen_by_the_dynamic_linker(check_guest: Callable[..., None]) -> None:
    check_guest(HERE / "dynamic" / "vdso_names.c", dynamic=True)
