# SPDX-License-Identifier: GPL-2.0-or-later
"""Opening files of the /proc view and of the sysroot, openat2, readlinkat, newfstatat."""

from __future__ import annotations

import fcntl
import os
import struct
from errno import E2BIG, EACCES, EEXIST, EFAULT, EINVAL, ELOOP, ENOENT, ENOTDIR, ETXTBSY
from pathlib import Path
from typing import Any

import pytest

from syscalls.arch.aarch64.flags import OPEN_FLAGS as GUEST
from syscalls.arch.generic64.structs import STAT
from syscalls.handlers import files
from tests.syscalls.handlers.fake import BASE, WILD, fails, fake_task

AT_FDCWD = -100
MAPS = b"00010000-00020000 r-xp 00001000 08:01 77".ljust(72) + b" /a program\n"


def open_how(task: Any, flags: int, mode: int = 0, resolve: int = 0, more: bytes = b"") -> int:
    how = struct.pack("<QQQ", flags, mode, resolve) + more
    task.memory.write(BASE, how)
    return len(how)


def test_a_view_says_what_the_guest_is(task: Any) -> None:
    fd = files.openat(task, AT_FDCWD, b"/proc/self/maps", os.O_CLOEXEC, 0)
    assert os.read(fd, 1000) == MAPS
    assert os.fstat(fd).st_size == len(MAPS)
    assert not os.get_inheritable(fd)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.write(fd, b"x")
    os.close(fd)


def test_a_view_is_inheritable_without_cloexec(task: Any) -> None:
    fd = files.openat(task, AT_FDCWD, b"/proc/self/auxv", 0, 0)
    assert os.get_inheritable(fd)
    assert fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_ACCMODE == os.O_RDONLY
    assert fcntl.fcntl(fd, fcntl.F_GET_SEALS) == 0xF
    os.close(fd)


def test_no_descriptor_is_left_open(task: Any) -> None:
    before = os.listdir("/proc/self/fd")
    os.close(files.openat(task, AT_FDCWD, b"/proc/self/maps", 0, 0))
    os.close(files.openat(task, AT_FDCWD, b"/proc/self/exe", 0, 0))
    task.process.executable = b"/no/such/file"
    with fails(ENOENT):
        files.openat(task, AT_FDCWD, b"/proc/self/exe", 0, 0)
    assert os.listdir("/proc/self/fd") == before


@pytest.mark.parametrize(
    ("path", "flags", "errno"),
    [
        (b"/proc/self/maps", os.O_WRONLY, EACCES),
        (b"/proc/self/maps", os.O_RDONLY | os.O_TRUNC, EACCES),
        (b"/proc/self/maps", GUEST["O_DIRECTORY"], ENOTDIR),
        (b"/proc/self/maps", os.O_CREAT | os.O_EXCL, EEXIST),
        (b"/proc/self/mem", os.O_RDONLY, EACCES),
        (b"/proc/self/mem", os.O_RDWR, EACCES),
        (b"/proc/self/task/1/../1/maps", os.O_RDONLY, ENOENT),
        (b"/proc/self/exe", os.O_RDWR, ETXTBSY),
        (b"/proc/self/exe", os.O_RDONLY | os.O_TRUNC, ETXTBSY),
        (b"/proc/self/exe", GUEST["O_NOFOLLOW"], ELOOP),
    ],
)
def test_errors_of_views(task: Any, path: bytes, flags: int, errno: int) -> None:
    with fails(errno):
        files.openat(task, AT_FDCWD, path, flags, 0)


def test_exe_is_the_guests_program(task: Any) -> None:
    fd = files.openat(task, AT_FDCWD, b"/proc/thread-self/exe", 0, 0)
    assert os.path.samestat(os.fstat(fd), os.stat("/bin/true"))
    os.close(fd)
    fd = files.openat(task, AT_FDCWD, b"/proc/self/exe", GUEST["O_NOFOLLOW"] | os.O_PATH, 0)
    assert os.path.islink(f"/proc/self/fd/{fd}")
    os.close(fd)


def test_guest_flags_are_translated(task: Any, tmp_path: Path) -> None:
    with fails(ENOTDIR):
        files.openat(task, AT_FDCWD, b"/etc/passwd", GUEST["O_DIRECTORY"], 0)
    (tmp_path / "link").symlink_to("target")
    with fails(ELOOP):
        files.openat(task, AT_FDCWD, os.fsencode(tmp_path / "link"), GUEST["O_NOFOLLOW"], 0)


def test_openat2(task: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    path = os.fsencode(tmp_path / "file")
    fd = files.openat2(task, AT_FDCWD, path, BASE, open_how(task, 0, more=bytes(8)))
    os.close(fd)
    for size, errno in ((23, EINVAL), (0, EINVAL), (4097, E2BIG), (1 << 63, E2BIG)):
        with fails(errno):
            files.openat2(task, AT_FDCWD, path, BASE, size)
    with fails(E2BIG):
        files.openat2(task, AT_FDCWD, path, BASE, open_how(task, 0, more=b"\1"))
    with fails(EINVAL):
        files.openat2(task, AT_FDCWD, path, BASE, open_how(task, 1 << 40))
    with fails(EINVAL):
        files.openat2(task, AT_FDCWD, path, BASE, open_how(task, 0, mode=0o600))
    with fails(ENOTDIR):
        files.openat2(task, AT_FDCWD, path, BASE, open_how(task, GUEST["O_DIRECTORY"]))
    with fails(EFAULT):
        files.openat2(task, AT_FDCWD, path, WILD, 24)


def test_openat2_of_views(task: Any) -> None:
    fd = files.openat2(task, AT_FDCWD, b"/proc/self/maps", BASE, open_how(task, 0))
    assert os.read(fd, 1000) == MAPS
    os.close(fd)
    no_magic_links = 2
    with fails(ELOOP):
        size = open_how(task, 0, resolve=no_magic_links)
        files.openat2(task, AT_FDCWD, b"/proc/self/exe", BASE, size)


def test_readlinkat(task: Any) -> None:
    assert files.readlinkat(task, AT_FDCWD, b"/proc/self/exe", BASE, 100) == 9
    assert task.memory.read(BASE, 10) == b"/bin/true\0"
    task.memory.write(BASE, b"#" * 10)
    assert files.readlinkat(task, AT_FDCWD, b"/proc/self/exe", BASE, 4) == 4
    assert task.memory.read(BASE, 6) == b"/bin##"
    assert files.readlinkat(task, AT_FDCWD, b"/proc/self/cwd", BASE, 4096) > 0
    for path in (b"/proc/self/exe", b"/proc/self/cwd"):
        for size in (0, 0xFFFFFFFF, 1 << 32):
            with fails(EINVAL):
                files.readlinkat(task, AT_FDCWD, path, BASE, size)
        with fails(EFAULT):
            files.readlinkat(task, AT_FDCWD, path, WILD, 100)


def test_newfstatat(task: Any, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(5000))
    os.utime(tmp_path / "file", ns=(1_000_000_007, -5))
    path = os.fsencode(tmp_path / "file")
    assert files.newfstatat(task, AT_FDCWD, path, BASE, 0) == 0
    expected = os.stat(path)
    guest = task.memory.read(BASE, STAT[0])
    for name, (offset, code) in STAT[1].items():
        (value,) = struct.unpack_from("<" + code, guest, offset)
        if name.endswith("nsec"):
            assert value == getattr(expected, f"{name[:8]}_ns") % 10**9
        elif name.endswith("time"):
            assert value == getattr(expected, f"{name}_ns") // 10**9
        else:
            assert value == getattr(expected, name), name
    with fails(ENOENT):
        files.newfstatat(task, AT_FDCWD, path + b"x", BASE, 0)
    with fails(EFAULT):
        files.newfstatat(task, AT_FDCWD, path, WILD, 0)


def test_files_of_the_sysroot(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").write_text("the sysroot's")
    (tmp_path / "link").symlink_to("/etc/passwd")
    with fake_task(os.fsencode(tmp_path)) as task:
        for path in (b"/etc/passwd", b"/link"):
            fd = files.openat(task, AT_FDCWD, path, 0, 0)
            assert os.read(fd, 100) == b"the sysroot's"
            os.close(fd)
        assert files.readlinkat(task, AT_FDCWD, b"/link", BASE, 100) == 11
        fd = files.openat(task, AT_FDCWD, b"/etc/group", 0, 0)
        assert os.path.samestat(os.fstat(fd), os.stat("/etc/group"))
        os.close(fd)


def test_chroot_leaves_the_sysroot(tmp_path: Path) -> None:
    with fake_task(os.fsencode(tmp_path)) as task:
        asked = []
        task.host = lambda number, *arguments: asked.append((number, arguments)) or 0
        assert files.chroot(task, b"/") == 0
        assert asked == [(161, (os.fsencode(tmp_path),))]
        assert task.paths.sysroot is None
