# SPDX-License-Identifier: GPL-2.0-or-later
"""Files of binfmt.d(5): writing ours, reading everybody's."""

from __future__ import annotations

from pathlib import Path

import pytest

from binfmt.configuration import files, later_rivals, parse_line, read, render, unescape
from binfmt.entry import Entry
from binfmt.places import Places, is_ours, sample_beside

QEMU = Entry("/usr/bin/qemu-aarch64-static", name="qemu-aarch64", flags="F").line()


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_what_is_written_is_read(tmp_path) -> None:
    for entry in (Entry(), Entry("/opt/a:b", name="other", flags="POCF", appimage=True)):
        write(tmp_path / "a.conf", render(entry))
        (found,) = read(str(tmp_path / "a.conf")).entries
        assert found.name == entry.name
        assert found.same(entry)


def test_lines_of_others() -> None:
    found = parse_line(":llvm:M::BC::/usr/bin/lli:")
    assert (found.name, found.magic, found.mask, found.flags) == ("llvm", b"BC", None, "")
    found = parse_line(":dos:E::exe::/usr/bin/wine:F")
    assert (found.extension, found.magic, found.flags) == ("exe", None, "F")
    with pytest.raises(ValueError, match="no entry"):
        parse_line("nonsense")
    with pytest.raises(ValueError, match="non-hexadecimal"):
        parse_line(r":x:M::\xzz::/a:")


def test_unescape() -> None:
    assert unescape(r"\x7fELF\x02") == b"\x7fELF\x02"
    assert unescape("") == b""


def test_order_hiding_and_masks(tmp_path) -> None:
    places = Places(str(tmp_path))
    etc, run, _, lib = (Path(folder) for folder in places.binfmt_d_folders())
    write(lib / "b.conf", render(Entry()))
    write(run / "b.conf", render(Entry("/run/b")))
    write(lib / "a.conf", "; nothing\n")
    write(lib / "c.conf", QEMU)
    write(lib / "README", "no .conf")
    write(etc / "d.conf", "")
    (etc / "c.conf").symlink_to("/dev/null")
    found = list(files(places.binfmt_d_folders()))
    assert [(Path(file.path).name, file.masked) for file in found] == [
        ("a.conf", False),
        ("b.conf", False),
        ("c.conf", True),
        ("d.conf", True),
    ]
    assert found[1].entries[0].interpreter == "/run/b"
    assert found[1].hidden == (str(lib / "b.conf"),)
    assert later_rivals(found, "b.conf") == []


def test_rivals_are_those_that_are_read_later(tmp_path) -> None:
    write(tmp_path / "qemu-aarch64.conf", QEMU)
    write(tmp_path / "usermode-aarch64.conf", render(Entry()))
    assert later_rivals(list(files([str(tmp_path)])), "usermode-aarch64.conf") == []
    write(tmp_path / "zz.conf", QEMU)
    ((file, entry),) = later_rivals(list(files([str(tmp_path)])), "usermode-aarch64.conf")
    assert (file.path, entry.name) == (str(tmp_path / "zz.conf"), "qemu-aarch64")
    assert later_rivals([], "usermode-aarch64.conf") == []


def test_a_damaged_file_does_not_hide_the_others(tmp_path) -> None:
    write(tmp_path / "a.conf", "nonsense\n")
    write(tmp_path / "b.conf", QEMU)
    (tmp_path / "c.conf").symlink_to("nowhere")
    a, b, c = files([str(tmp_path), str(tmp_path / "none")])
    assert "no entry of binfmt_misc" in a.problem
    assert b.problem == ""
    assert "No such file" in c.problem


def test_places(tmp_path) -> None:
    assert Places().interpreter == "/usr/libexec/usermode/usermode-aarch64"
    assert Places().binfmt_d == "/usr/lib/binfmt.d/usermode-aarch64.conf"
    below = Places(str(tmp_path))
    assert below.interpreter == f"{tmp_path}/usr/libexec/usermode/usermode-aarch64"
    assert not below.systemd_runs
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    assert below.systemd_runs
    assert sample_beside("/a/usermode-aarch64") == "/a/usermode-sample"
    assert is_ours("/opt/x/usermode-aarch64-dev")
    assert not is_ours("/usr/bin/qemu-aarch64")
