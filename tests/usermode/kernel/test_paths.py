# SPDX-License-Identifier: GPL-2.0-or-later
"""Which file a guest's path means."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from errno import EACCES, ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR
from pathlib import Path
from typing import Any

import pytest

from tests.syscalls.handlers.fake import Process, fails, host_call
from usermode.kernel.paths import Paths

AT_FDCWD = -100


@pytest.fixture
def paths() -> Paths:
    return Paths(Process(), host_call)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A sysroot beside a file that no path of the guest may reach through it."""
    (tmp_path / "outside").write_text("outside")
    root = tmp_path / "root"
    for name in ("lib", "usr/lib", "etc", "proc", "dev"):
        (root / name).mkdir(parents=True)
    (root / "usr/lib/libc.so").write_text("guest libc")
    (root / "etc/passwd").write_text("guest passwd")
    (root / "proc/cpuinfo").write_text("not /proc")
    (root / "relative").symlink_to("usr/lib")
    (root / "absolute").symlink_to("/usr/lib/libc.so")
    (root / "escaping").symlink_to("../../outside")
    (root / "dangling").symlink_to("/etc/group")
    (root / "loop").symlink_to("loop")
    return root


@pytest.fixture
def inside(root: Path) -> Paths:
    return Paths(Process(), host_call, os.fsencode(root))


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/usr/lib/libc.so", "usr/lib/libc.so"),
        ("//usr/./lib//libc.so", "usr/lib/libc.so"),
        ("/relative/libc.so", "usr/lib/libc.so"),
        ("/absolute", "usr/lib/libc.so"),
        ("/../../../usr/lib/../../etc/passwd", "etc/passwd"),
        ("/usr/lib/", "usr/lib/"),
        ("/relative/", "usr/lib/"),
        ("/", ""),
    ],
)
def test_what_is_inside_is_taken_from_there(
    inside: Paths, root: Path, path: str, found: str
) -> None:
    expected = os.fsencode(f"{root}/{found}" if found else root)
    assert inside.resolve(7, path.encode(), True) == (AT_FDCWD, expected)


@pytest.mark.parametrize(
    "path",
    [
        b"/etc/group",  # on the host alone
        b"/no/such/file",
        b"/etc/passwd/below",
        b"/outside",
        b"/../outside",
        b"/escaping",  # names a file that the sysroot does not have
        b"/dangling",
        b"/proc/cpuinfo",
        b"//proc//cpuinfo",
        b"/dev/null",
        b"/sys",
        b"relative",
        b"usr/lib/libc.so",
        b"",
    ],
)
def test_all_else_is_the_hosts(inside: Paths, path: bytes) -> None:
    assert inside.resolve(7, path, True) == (7, path)


def test_links_themselves(inside: Paths, root: Path) -> None:
    for name in ("absolute", "relative", "dangling", "loop"):
        found = inside.resolve(AT_FDCWD, b"/" + name.encode(), False)
        assert found == (AT_FDCWD, os.fsencode(root / name))
    assert inside.resolve(AT_FDCWD, b"/relative/", False)[1] == os.fsencode(root / "usr/lib") + b"/"


def test_errors_inside(inside: Paths, root: Path) -> None:
    with fails(ELOOP):
        inside.resolve(AT_FDCWD, b"/loop", True)
    with fails(ENAMETOOLONG):
        inside.resolve(AT_FDCWD, b"/" + b"x" * 300, True)
    if os.geteuid():
        (root / "etc").chmod(0)
        with fails(EACCES):
            inside.resolve(AT_FDCWD, b"/etc/passwd", True)


def test_unusable_sysroots(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for name, errno in (("missing", ENOENT), ("file", ENOTDIR)):
        with fails(errno):
            Paths(Process(), host_call, os.fsencode(tmp_path / name))


def test_a_sysroot_is_kept_by_absolute_name(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(root.parent)
    made = Paths(Process(), host_call, b"root")
    monkeypatch.chdir("/")
    assert made.resolve(AT_FDCWD, b"/etc/passwd", True)[1] == os.fsencode(root / "etc/passwd")


def test_no_descriptor_is_kept(root: Path) -> None:
    before = os.listdir("/proc/self/fd")
    made = Paths(Process(), host_call, os.fsencode(root))
    made.resolve(AT_FDCWD, b"/etc/passwd", True)
    made.special(AT_FDCWD, b"/proc/self/../self/maps")
    assert os.listdir("/proc/self/fd") == before


def test_leaving_the_sysroot(inside: Paths) -> None:
    inside.leave_sysroot()
    assert inside.sysroot is None
    assert inside.resolve(AT_FDCWD, b"/etc/passwd", True) == (AT_FDCWD, b"/etc/passwd")


@pytest.mark.parametrize("name", ["exe", "maps", "cmdline", "auxv", "environ", "mem"])
def test_views_by_every_path(paths: Paths, name: str) -> None:
    pid = os.getpid()
    places = [
        "/proc/self",
        "//proc/self",
        "/proc//self/.",
        "/proc/self/../self",
        "/proc/thread-self",
        f"/proc/{pid}",
        f"/proc/{pid}/task/{pid}",
        f"/proc/self/task/{pid}",
        "/dev/fd/..",
    ]
    for place in places:
        assert paths.special(AT_FDCWD, f"{place}/{name}".encode()) == name.encode(), place


def test_views_of_threads(paths: Paths) -> None:
    seen: list[Any] = []

    def look() -> None:
        tid = threading.get_native_id()
        seen.extend(
            paths.special(AT_FDCWD, b"/proc/%b/exe" % place)
            for place in (b"%d" % tid, b"self/task/%d" % tid, b"%d/task/%d" % (tid, tid))
        )

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()
    assert seen == [b"exe"] * 3


def test_views_by_directory(paths: Paths, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in ("/proc/self", "/proc"):
        fd = os.open(place, os.O_PATH)
        relative = b"maps" if place == "/proc/self" else b"self/maps"
        assert paths.special(fd, relative) == b"maps"
        assert paths.special(fd, b"/etc/maps") is None
        os.close(fd)
        assert paths.special(fd, relative) is None
        monkeypatch.chdir(place)
        assert paths.special(AT_FDCWD, relative) == b"maps"


@pytest.fixture
def other() -> Iterator[int]:
    with subprocess.Popen(["sleep", "100"]) as process:
        yield process.pid
        process.kill()


def test_other_files_are_no_views(paths: Paths, other: int, tmp_path: Path) -> None:
    (tmp_path / "maps").touch()
    for path in (
        f"/proc/{other}/exe",
        f"/proc/{other}/task/{other}/maps",
        "/proc/999999999/maps",
        "/proc/self/net/maps",
        "/proc/self/comm",
        "/proc/self/sched",
        "/proc/self/exe/",
        "/proc/self",
        "/proc/maps",
        "/proc/self/cpuinfo",
        "/proc/self/task/maps",
        "maps",
        "",
        f"{tmp_path}/maps",
        f"{tmp_path}/missing/maps",
    ):
        assert paths.special(AT_FDCWD, path.encode()) is None, path


def test_cpuinfo_is_one_file(paths: Paths) -> None:
    for path in (b"/proc/cpuinfo", b"//proc/./cpuinfo", b"/proc/self/../cpuinfo"):
        assert paths.special(AT_FDCWD, path) == b"cpuinfo"
    assert paths.special(AT_FDCWD, b"/etc/cpuinfo") is None


def test_exe_is_followed_to_the_program(paths: Paths, other: int) -> None:
    assert paths.resolve(AT_FDCWD, b"/proc/self/exe", True) == (AT_FDCWD, b"/bin/true")
    assert paths.resolve(AT_FDCWD, b"/proc/self/exe", False) == (AT_FDCWD, b"/proc/self/exe")
    assert paths.resolve(AT_FDCWD, b"/proc/self/maps", True) == (AT_FDCWD, b"/proc/self/maps")
    theirs = b"/proc/%d/exe" % other
    assert paths.resolve(AT_FDCWD, theirs, True) == (AT_FDCWD, theirs)
    assert paths.resolve(AT_FDCWD, b"/opt/some.exe", True) == (AT_FDCWD, b"/opt/some.exe")
