# SPDX-License-Identifier: GPL-2.0-or-later
"""`usermode inspect`: programs made by the cross compiler, and damaged ones made by hypothesis."""

from __future__ import annotations

import json
import re
import shutil
import struct
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.support import BUILD
from usermode.inspect.cpu import EXTENSIONS, OFFERED
from usermode.inspect.elf import merged, read_elf
from usermode.inspect.instructions import scan
from usermode.inspect.render import render
from usermode.inspect.report import Report, inspect_file
from usermode.inspect.sysroot import resolve_in_root

CC = "aarch64-linux-gnu-gcc"
SYSROOT = Path("/usr/aarch64-linux-gnu")
needs_compiler = pytest.mark.skipif(
    shutil.which(CC) is None, reason=f"{CC} is not installed (package gcc-aarch64-linux-gnu)"
)

SOURCE = r"""
#include <stdio.h>
_Thread_local long counter = 4;
static int one(void) { return 1; }
static int (*choose(void))(void) { return one; }
int chosen(void) __attribute__((ifunc("choose")));
int main(void) { printf("%ld %d\n", counter, chosen()); return 0; }
"""

NOT_EXECUTED = {
    "SVE": [
        "add z0.b, z1.b, z2.b",
        "ptrue p0.b",
        "cntb x0",
        "ldr z0, [x0]",
        "whilelo p0.s, x0, x1",
    ],
    "SME": ["smstart", "smstop za", "zero {za}", "fmopa za0.s, p0/m, p0/m, z0.s, z1.s"],
    "MTE": [
        *("irg x0, x1", "gmi x0, x1, x2", "subp x0, x1, x2", "subps x0, x1, x2"),
        *("addg x0, x1, #16, #1", "subg x0, x1, #16, #1", "ldg x0, [x1]", "stg x0, [x1]"),
        *("st2g x0, [x1], #16", "stzg x0, [x1]", "stz2g x0, [x1, #32]!"),
        *("stgp x0, x1, [x2]", "stgp x0, x1, [x2], #16", "stgp x0, x1, [x2, #16]!"),
    ],
    "BF16": [
        *(
            "bfdot v0.4s, v1.8h, v2.8h",
            "bfdot v0.2s, v1.4h, v2.2h[1]",
            "bfmmla v0.4s, v1.8h, v2.8h",
        ),
        *("bfmlalb v0.4s, v1.8h, v2.8h", "bfmlalt v0.4s, v1.8h, v2.h[7]", "bfcvt h0, s0"),
        *("bfcvtn v0.4h, v1.4s", "bfcvtn2 v0.8h, v1.4s"),
    ],
    "I8MM": [
        *("smmla v0.4s, v1.16b, v2.16b", "ummla v0.4s, v1.16b, v2.16b"),
        *("usmmla v0.4s, v1.16b, v2.16b", "usdot v0.2s, v1.8b, v2.8b"),
        *("usdot v0.4s, v1.16b, v2.4b[1]", "sudot v0.4s, v1.16b, v2.4b[3]"),
    ],
    "PACGA": ["pacga x0, x1, x2"],
    "MOPS": ["cpyfp [x0]!, [x1]!, x2!", "cpyfm [x0]!, [x1]!, x2!", "cpyfe [x0]!, [x1]!, x2!"],
    "LS64": [".arch armv8.7-a+ls64", "ld64b x0, [x8]", "st64b x0, [x8]", "st64bv x1, x2, [x8]"],
    "WFXT": [".arch armv8.7-a", "wfet x0", "wfit x0"],
    "DIT": ["msr dit, #1", "mrs x0, dit", "msr dit, x0"],
    "SSBS": ["msr ssbs, #1", "mrs x0, ssbs", "msr ssbs, x0"],
}
"""One-line programs for the extensions that the assembler of binutils 2.40 knows."""


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory):
    """Return a function (name, *options) -> path of SOURCE compiled so."""
    folder = tmp_path_factory.mktemp("inspect")
    (folder / "program.c").write_text(SOURCE)

    def compiled(name: str, *options: str) -> Path:
        target = folder / name
        if not target.exists():
            command = [CC, "-O1", "program.c", "-o", name, *options]
            subprocess.run(command, cwd=folder, check=True, capture_output=True)
        return target

    return compiled


def assemble(folder: Path, lines: list[str]) -> Path:
    """Assemble instructions into an object file."""
    text = ".arch armv9-a+sve2+sme+memtag+bf16+i8mm+mops\n" + "\n".join(lines) + "\n"
    (folder / "code.s").write_text(text)
    subprocess.run([CC, "-c", "code.s", "-o", "code.o"], cwd=folder, check=True)
    return folder / "code.o"


@needs_compiler
class TestPrograms:
    @pytest.mark.parametrize(
        ("options", "kind", "runnable"),
        [
            ((), "PIE executable", True),
            (("-no-pie",), "executable", True),
            (("-static",), "executable", True),
            (("-static-pie",), "static PIE executable", True),
            (("-shared", "-fPIC", "-Wl,-soname,x.so"), "shared library", False),
            (("-c",), "object file", False),
        ],
    )
    def test_kind(self, build, options, kind, runnable) -> None:
        report = inspect_file(str(build("kind" + "".join(options).replace("/", ""), *options)))
        assert (report.kind, report.runnable) == (kind, runnable)
        assert (report.machine, report.bits, report.byte_order) == ("AARCH64", 64, "little")

    def test_facts_of_a_dynamic_program(self, build) -> None:
        program = build(
            "facts", "-Wl,-rpath,$ORIGIN/lib", "-Wl,--build-id=0x0123abcd", "-Wl,-z,execstack"
        )
        report = inspect_file(str(program), str(SYSROOT))
        assert report.interpreter is not None
        assert report.interpreter.name == "/lib/ld-linux-aarch64.so.1"
        assert report.interpreter.found == str(SYSROOT / "lib/ld-linux-aarch64.so.1")
        assert [(file.name, file.found) for file in report.needed] == [
            ("libc.so.6", str(SYSROOT / "lib/libc.so.6"))
        ]
        assert report.runpath == ["$ORIGIN/lib"]
        assert report.build_id == "0123abcd"
        assert re.fullmatch(r"\d+\.\d+\.\d+", report.oldest_kernel or "")
        assert report.stack == "executable"
        assert report.tls is not None
        assert (report.tls.size, report.tls.initialised) == (8, 8)
        assert report.ifuncs == 1
        assert [load.permissions for load in report.loads] == ["r-x", "rw-"]
        assert report.warnings == []
        assert "runs here:    yes" in render(report)

    def test_a_missing_library_is_said(self, build, tmp_path) -> None:
        program = build("missing", "-shared", "-fPIC", "-Wl,-soname,libmissing.so")
        user = build("user", "-Wl,--no-as-needed", str(program))
        report = inspect_file(str(user), str(SYSROOT))
        assert {file.name: bool(file.found) for file in report.needed}["libmissing.so"] is False
        assert "no: libmissing.so not found" in render(report)

    def test_origin_and_ld_so_conf_find_libraries(self, build, tmp_path) -> None:
        library = build("missing", "-shared", "-fPIC", "-Wl,-soname,libmissing.so")
        user = build("user-origin", "-Wl,--no-as-needed", str(library), "-Wl,-rpath,$ORIGIN/lib")
        (tmp_path / "lib").mkdir()
        shutil.copy(library, tmp_path / "lib/libmissing.so")
        moved = shutil.copy(user, tmp_path / "user")
        found = {file.name: file.found for file in inspect_file(moved, str(SYSROOT)).needed}
        assert found["libmissing.so"] == str(tmp_path / "lib/libmissing.so")

        root = tmp_path / "root"
        (root / "etc/ld.so.conf.d").mkdir(parents=True)
        (root / "opt/special").mkdir(parents=True)
        (root / "etc/ld.so.conf").write_text("include ld.so.conf.d/*.conf\n")
        (root / "etc/ld.so.conf.d/special.conf").write_text("# a comment\n/opt/special\n")
        shutil.copy(library, root / "opt/special/libmissing.so.1")
        (root / "opt/special/libmissing.so").symlink_to("/opt/special/libmissing.so.1")
        (tmp_path / "lib/libmissing.so").write_bytes(b"not for this CPU")
        found = {file.name: file.found for file in inspect_file(moved, str(root)).needed}
        assert found["libmissing.so"] == str(root / "opt/special/libmissing.so.1")

    def test_bti_and_pac(self, build, tmp_path) -> None:
        (tmp_path / "leaf.c").write_text("int leaf(void) { return 0; }")
        command = [CC, "-mbranch-protection=standard", "-nostdlib", "-shared", "-fPIC"]
        subprocess.run([*command, "leaf.c", "-o", "leaf.so"], cwd=tmp_path, check=True)
        assert inspect_file(str(tmp_path / "leaf.so")).properties == ["BTI", "PAC"]
        assert inspect_file(str(build("plain"))).properties == []

    def test_sections_may_be_missing_or_damaged(self, build, tmp_path) -> None:
        whole = inspect_file(str(build("plain")), str(SYSROOT))
        data = bytearray(build("plain").read_bytes())
        struct.pack_into("<Q", data, 0x28, 1 << 40)  # e_shoff
        damaged = tmp_path / "damaged"
        damaged.write_bytes(data)
        report = inspect_file(str(damaged), str(SYSROOT))
        assert report.warnings == ["the section headers are damaged; programs run without them"]
        assert report.runnable
        for name in (
            "kind",
            "needed",
            "interpreter",
            "build_id",
            "oldest_kernel",
            "tls",
            "loads",
            "ifuncs",
        ):
            assert getattr(report, name) == getattr(whole, name), name

    def test_a_program_of_the_host_is_not_ours(self) -> None:
        report = inspect_file("/bin/sh")
        assert not report.is_guest
        assert not report.runnable
        assert "no: not for a 64-bit little-endian AArch64 CPU" in render(report)

    def test_agrees_with_readelf(self, build) -> None:
        report = inspect_file(str(build("static", "-static")))
        shown = subprocess.run(
            ["aarch64-linux-gnu-readelf", "-W", "-h", "-l", "-n", str(build("static", "-static"))],
            check=True, capture_output=True, text=True,
        ).stdout  # fmt: skip
        assert f"Entry point address:               {report.entry:#x}\n" in shown
        assert f"Build ID: {report.build_id}\n" in shown
        assert f"OS: Linux, ABI: {report.oldest_kernel}\n" in shown
        loads = re.findall(r"^  LOAD +\S+ (\S+) \S+ (\S+) (\S+) .*? (0x\S+)$", shown, re.MULTILINE)
        assert [
            (load.address, load.file_size, load.memory_size, load.align) for load in report.loads
        ] == [tuple(int(number, 16) for number in load) for load in loads]


@needs_compiler
class TestInstructions:
    @pytest.mark.parametrize("extension", NOT_EXECUTED)
    def test_each_is_found_as_its_own(self, extension, tmp_path) -> None:
        code = NOT_EXECUTED[extension]
        found = scan(read_elf(str(assemble(tmp_path, code))), offered=())
        words = sum(not line.startswith(".arch") for line in code)
        assert [(item.extension, item.words) for item in found] == [(extension, words)]

    def test_what_is_offered_is_not_reported(self, tmp_path) -> None:
        elf = read_elf(str(assemble(tmp_path, ["pacga x0, x1, x2", "cntb x0"])))
        assert [item.extension for item in scan(elf, offered=["pacg"])] == ["SVE"]

    def test_ordinary_code_is_not_taken_for_one(self, build, tmp_path) -> None:
        assert inspect_file(str(build("plain"))).may_use == []
        ordinary = [
            *(
                "add x0, x1, #16",
                "sub x0, x1, #4095, lsl #12",
                "csel x0, x1, x2, eq",
                "udiv x0, x1, x2",
            ),
            *(
                "ldapur x0, [x1]",
                "stlur x0, [x1]",
                "ldpsw x0, x1, [x2]",
                "stp w0, w1, [x2]",
                "cfinv",
            ),
            *(
                "fmlal v0.4s, v1.4h, v2.4h",
                "sdot v0.4s, v1.16b, v2.16b",
                "fcvt h0, s0",
                "clz x0, x1",
            ),
            *(
                "ldaddal x0, x1, [x2]",
                "swpal x0, x1, [x2]",
                "crc32x w0, w1, x2",
                "wfe",
                "msr tpidr_el0, x0",
            ),
            *(
                "sdot v0.4s, v1.16b, v2.4b[1]",
                "rev x0, x1",
                "pacia x0, x1",
                "retaa",
                "xtn v0.8b, v1.8h",
            ),
        ]
        assert scan(read_elf(str(assemble(tmp_path, ordinary))), offered=()) == []

    def test_address_is_that_of_the_first(self, tmp_path) -> None:
        (tmp_path / "code.s").write_text(
            ".globl _start\n_start: nop\nnop\nhere: .inst 0x04220020\nret\n"
        )
        command = [CC, "-nostdlib", "-static", "code.s", "-o", "code"]
        subprocess.run(command, cwd=tmp_path, check=True)
        report = inspect_file(str(tmp_path / "code"))
        assert [(item.extension, item.address - report.entry) for item in report.may_use] == [
            ("SVE", 8)
        ]


@needs_compiler
def test_code_is_read_in_chunks_and_an_odd_end_is_left(tmp_path, monkeypatch) -> None:
    object_file = assemble(tmp_path, ["cntb x0"] * 5 + [".byte 1, 2, 3"])
    monkeypatch.setattr("usermode.inspect.instructions.CHUNK", 8)
    assert [found.words for found in scan(read_elf(str(object_file)), offered=())] == [5]


def test_areas_that_overlap_are_read_once() -> None:
    assert merged([(8, 8), (0, 4), (8, 2), (12, 8), (40, 1), (20, 4)]) == [(0, 4), (8, 16), (40, 1)]


def test_what_the_engine_executes_is_not_listed() -> None:
    """An extension that becomes offered leaves the list: until then the entry would be dead."""
    assert not {extension.hwcap for extension in EXTENSIONS} & OFFERED
    assert {"asimd", "atomics", "flagm2"} <= OFFERED


def test_an_encoding_s_value_lies_within_its_mask() -> None:
    for extension in EXTENSIONS:
        for mask, value in extension.encodings:
            assert value & ~mask == 0, extension.name


def test_segment_of_zeros_may_lie_behind_the_end_of_the_file() -> None:
    """As GNU ld lays out the sample program, whose only data is .bss."""
    sample = BUILD / "usermode-sample"
    if not sample.exists():
        pytest.skip("build/usermode-sample is not built: run `make`")
    assert inspect_file(sample).runnable


@needs_compiler
class TestCommand:
    def test_json_holds_the_report(self, build) -> None:
        program = str(build("plain"))
        from usermode.cli.inspect import inspect

        result = CliRunner().invoke(inspect, ["--json", "--sysroot", str(SYSROOT), program])
        assert result.exit_code == 0
        shown = json.loads(result.output)
        assert shown["needed"] == [{"name": "libc.so.6", "found": str(SYSROOT / "lib/libc.so.6")}]
        assert set(shown) == set(Report.__dataclass_fields__)


class TestSysroot:
    def test_links_stay_inside(self, tmp_path) -> None:
        (tmp_path / "etc").mkdir()
        (tmp_path / "etc/up").symlink_to("../../../../etc/target")
        (tmp_path / "absolute").symlink_to("/etc/up")
        (tmp_path / "loop").symlink_to("loop")
        root = str(tmp_path)
        assert resolve_in_root(root, "/absolute") == f"{root}/etc/target"
        assert resolve_in_root(root, "/../x/./y") == f"{root}/x/y"
        assert resolve_in_root(root, "/loop") is None
