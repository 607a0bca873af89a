# SPDX-License-Identifier: GPL-2.0-or-later
"""`usermode inspect` on damaged files: a report, or one line of error; a traceback never."""

from __future__ import annotations

import os
import struct

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from usermode.cli import main
from usermode.errors import UsermodeError
from usermode.inspect.render import render
from usermode.inspect.report import inspect_file


class TestErrors:
    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "not an ELF file"),
            (b"#!/bin/sh\n", "not an ELF file"),
            (b"\x7fELF", "ends inside the header"),
            (b"\x7fELF\x02\x01\x01" + bytes(40), "ends inside the header"),
            (b"\x7fELF\x07\x01\x01" + bytes(80), "damaged ELF file"),
        ],
    )
    def test_damaged_files(self, tmp_path, capfd, content, message) -> None:
        file = tmp_path / "file"
        file.write_bytes(content)
        assert main(["inspect", str(file)]) == 1
        out, err = capfd.readouterr()
        assert out == ""
        assert message in err
        assert err.startswith(f"usermode: {file}: ")
        assert err.count("\n") == 1

    def test_no_file_a_directory_a_fifo(self, tmp_path, capfd) -> None:
        os.mkfifo(tmp_path / "fifo")
        for name, message in (
            ("none", "No such file"),
            (".", "not a regular"),
            ("fifo", "not a regular"),
        ):
            assert main(["inspect", str(tmp_path / name)]) == 1
            assert message in capfd.readouterr().err

    def test_a_name_cannot_steer_the_terminal(self, tmp_path, capfd) -> None:
        assert main(["inspect", str(tmp_path / "\x1b[31m")]) == 1
        assert "\x1b" not in capfd.readouterr().err


def small_elf() -> bytes:
    """Return a dynamic program of two segments, with notes, a needed library and section headers."""
    strings = b"\0libc.so.6\0/opt/lib\0\0"
    note = struct.pack("<III4s4I", 4, 16, 1, b"GNU\0", 0, 3, 7, 0)
    note += struct.pack("<III4s8s", 4, 8, 3, b"GNU\0", b"buildid!")
    note += struct.pack("<III4sIIIxxxx", 4, 16, 5, b"GNU\0", 0xC0000000, 4, 3)
    interpreter = b"/lib/ld-linux-aarch64.so.1\0\0\0\0\0\0"
    code = struct.pack("<4I", 0x04220020, 0xD503201F, 0x9AC23020, 0xD65F03C0)
    start = 64 + 6 * 56
    places = {}
    body = b""
    for name, data in (
        ("strings", strings),
        ("note", note),
        ("interp", interpreter),
        ("code", code),
    ):
        body += bytes(-(start + len(body)) % 8)
        places[name] = (start + len(body), len(data))
        body += data
    rela = struct.pack("<QQq", 0x400, 1032, 0x400)
    for name, data in (("rela", rela), ("dynamic", bytes(16 * 7))):
        body += bytes(-(start + len(body)) % 8)
        places[name] = (start + len(body), len(data))
        body += data
    tags = [
        (1, 1),
        (29, 11),
        (5, places["strings"][0]),
        (7, places["rela"][0]),
        (8, 24),
        (0x6FFFFFFB, 0x08000000),
        (0, 0),
    ]
    dynamic = b"".join(struct.pack("<QQ", *tag) for tag in tags)
    body = body[: -len(dynamic)] + dynamic
    total = start + len(body)
    headers = [(1, 5, 0, total), (2, 6, *places["dynamic"]), (3, 4, *places["interp"]),
               (4, 4, *places["note"]), (7, 4, *places["code"]), (0x6474E551, 6, 0, 0)]  # fmt: skip
    program = b"".join(
        struct.pack("<IIQQQQQQ", kind, flags, offset, offset, offset, size, size, 8)
        for kind, flags, offset, size in headers
    )
    names = b"\0.text\0.shstrtab\0"
    sections = [(0, 0, 0, 0, 0), (1, 1, 6, *places["code"]), (7, 3, 0, total, len(names))]
    table = b"".join(
        struct.pack("<IIQQQQIIQQ", name, kind, flags, offset, offset, size, 0, 0, 1, 0)
        for name, kind, flags, offset, size in sections
    )
    header = struct.pack("<16sHHIQQQIHHHHHH", b"\x7fELF\2\1\1", 3, 183, 1, places["code"][0], 64,
                         total + len(names), 0, 64, 56, 6, 64, 3, 2)  # fmt: skip
    return header + program + body + names + table


INTERESTING = st.sampled_from([0, 1, 2, 3, 5, 7, 8, 0x7F, 0x80, 0xB7, 0xFE, 0xFF])
MUTATIONS = st.lists(
    st.tuples(
        st.integers(0, len(small_elf()) - 1), INTERESTING | st.integers(0, 255), st.integers(1, 8)
    ),
    min_size=1,
    max_size=8,
)


def test_the_small_program_is_whole(tmp_path) -> None:
    file = tmp_path / "file"
    file.write_bytes(small_elf())
    report = inspect_file(str(file))
    assert report.warnings == []
    assert report.kind == "PIE executable"
    assert [library.name for library in report.needed] == ["libc.so.6"]
    assert report.runpath == ["/opt/lib"]
    assert report.oldest_kernel == "3.7.0"
    assert report.build_id == b"buildid!".hex()
    assert report.properties == ["BTI", "PAC"]
    assert report.ifuncs == 1
    assert [found.extension for found in report.may_use] == ["SVE", "PACGA"]


@settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(changes=MUTATIONS, end=st.none() | st.integers(0, len(small_elf())))
def test_a_damaged_file_gives_a_report_or_one_line(tmp_path, changes, end) -> None:
    data = bytearray(small_elf())
    for place, value, length in changes:
        data[place : place + length] = bytes([value]) * len(data[place : place + length])
    file = tmp_path / "damaged"
    file.write_bytes(data[:end])
    problem = None
    try:
        shown = render(inspect_file(str(file)))
    except UsermodeError as error:
        problem = error
        shown = error.message
    assert shown
    if problem is None:
        assert all(line.isprintable() for line in shown.split("\n"))
    else:
        assert problem.status == 1
        assert "\n" not in shown
