# SPDX-License-Identifier: GPL-2.0-or-later
"""ioctl: the table is compared with the headers of both CPUs; checks on what requests point to."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import shutil
import socket
import struct
import subprocess
import termios
from errno import EBADF, EFAULT, ENOTTY
from pathlib import Path
from typing import Any

import pytest

from syscalls.handlers import ioctl_requests as requests
from syscalls.handlers.ioctls import ioctl
from tests.support import COMPILERS
from tests.syscalls.handlers.fake import BASE, WILD, fails

HEADERS = """
#include <sys/ioctl.h>
#include <asm/ioctls.h>
struct termios2 { char size[44]; };
#include <linux/blkpg.h>
#include <linux/blkzoned.h>
#include <linux/btrfs.h>
#include <linux/cdrom.h>
#include <linux/eventpoll.h>
#include <linux/filter.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <linux/fscrypt.h>
#include <linux/fsverity.h>
#include <linux/fuse.h>
#include <linux/gpio.h>
#include <linux/hdreg.h>
#include <linux/hidraw.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <linux/input.h>
#include <linux/joystick.h>
#include <linux/kd.h>
#include <linux/loop.h>
#include <linux/msdos_fs.h>
#include <linux/nsfs.h>
#include <linux/perf_event.h>
#include <linux/pidfd.h>
#include <linux/random.h>
#include <linux/rtc.h>
#include <linux/seccomp.h>
#include <linux/serial.h>
#include <linux/sockios.h>
#include <linux/timerfd.h>
#include <linux/uinput.h>
#include <linux/vm_sockets.h>
#include <linux/vt.h>
#include <linux/watchdog.h>
"""

NAMES = {
    **{number: name for number, (name, _) in requests.REQUESTS.items()},
    **{number: name for number, (name, _, _) in requests.POINTERS_WITHIN.items()},
}


@pytest.mark.parametrize("cpu", COMPILERS)
def test_numbers_are_those_of_the_headers(cpu: str, tmp_path: Path) -> None:
    if not shutil.which(COMPILERS[cpu]):
        pytest.skip(f"{COMPILERS[cpu]} is missing: run `make`")
    headers = _available(cpu, tmp_path)
    known = _defined(headers, cpu, tmp_path)
    wanted = {name: (name, number) for number, name in NAMES.items()}
    for number, (name, _) in requests.SIZED.items():
        wanted[name] = (f"{name}({'0,0' if name == 'EVIOCGBIT' else '0'}) & ~0x3fff0000", number)
    assert len(wanted.keys() & known) > 0.9 * len(wanted)
    source = headers + "".join(
        f'_Static_assert((unsigned)({expression}) == {number}u, "{name}");\n'
        for name, (expression, number) in wanted.items()
        if name in known
    )
    assert _compile(source, cpu, tmp_path, "-fsyntax-only") == ""


def _compile(source: str, cpu: str, folder: Path, *flags: str) -> str:
    """What the compiler writes: the errors, or with -E the text."""
    path = folder / "probe.c"
    path.write_text(source)
    done = subprocess.run(
        [COMPILERS[cpu], "-w", *flags, path],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    return done.stdout


def _available(cpu: str, folder: Path) -> str:
    """The lines of HEADERS that this machine has a header for."""
    lines = HEADERS.strip().splitlines(keepends=True)
    return "".join(line for line in lines if not _compile(line, cpu, folder, "-fsyntax-only"))


def _defined(headers: str, cpu: str, folder: Path) -> set[str]:
    macros = _compile(headers, cpu, folder, "-E", "-dM")
    return set(re.findall(r"^#define (\w+)", macros, re.MULTILINE))


def test_encoded_sizes_agree() -> None:
    """Where a number has _IOC's direction bits, its size bits say the structure's size."""
    differs = {"FS_IOC_GETFLAGS", "FS_IOC_SETFLAGS"}
    for number, (name, size) in requests.REQUESTS.items():
        if number >> 30 and size > 0 and name not in differs:
            encoded = number >> 16 & 0x3FFF
            # Some were given the size of a pointer or an int by mistake, long ago.
            assert size == encoded or encoded in (4, 8), name


def test_terminals(task: Any) -> None:
    master, slave = pty.openpty()
    task.memory.write(BASE, struct.pack("<4H", 24, 80, 1, 2))
    assert ioctl(task, master, termios.TIOCSWINSZ, BASE) == 0
    assert ioctl(task, slave, termios.TIOCGWINSZ, BASE + 8) == 0
    assert task.memory.read(BASE + 8, 8) == task.memory.read(BASE, 8)
    assert ioctl(task, slave, 1 << 40 | termios.TIOCGWINSZ, BASE + 8) == 0  # 32 bits count
    for wild in (WILD, (1 << 46) - 7, 1 << 46, (1 << 64) - 1):
        with fails(EFAULT):
            ioctl(task, slave, termios.TIOCGWINSZ, wild)
    os.close(master)
    os.close(slave)


def test_unknown_requests_are_counted(task: Any) -> None:
    fd = os.open("/dev/null", os.O_RDWR)
    with fails(ENOTTY):
        ioctl(task, fd, 0x12345678, WILD)
    assert task.process.asked == ["ioctl request 0x12345678"]
    with fails(EBADF):
        ioctl(task, 9999, 0x12345678, 0)
    assert len(task.process.asked) == 1
    os.close(fd)


def test_sized_requests(task: Any) -> None:
    """EVIOCGNAME(256) and EVIOCGBIT(EV_KEY, 96) reach the driver; /dev/null says ENOTTY."""
    fd = os.open("/dev/null", os.O_RDWR)
    for request in (0x81004506, 0x80604521, 0x80184540 | 63, 0x80184540):
        with fails(ENOTTY):
            ioctl(task, fd, request, BASE)
        with fails(EFAULT):
            ioctl(task, fd, request, (1 << 46) - 8)
    assert task.process.asked == []
    with fails(ENOTTY):
        ioctl(task, fd, 0x80604521 | 0xF000, BASE)  # another driver's letter
    assert len(task.process.asked) == 1
    os.close(fd)


def test_pointers_within(task: Any) -> None:
    siocgifconf = 0x8912
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        task.memory.write(BASE, struct.pack("<ixxxxQ", 400, BASE + 256))
        assert ioctl(task, sock.fileno(), siocgifconf, BASE) == 0
        length, pointer = struct.unpack("<ixxxxQ", task.memory.read(BASE, 16))
        assert length % 40 == 0
        assert pointer == BASE + 256
        task.memory.write(BASE, struct.pack("<ixxxxQ", 400, WILD))
        for address in (BASE, WILD, 0):
            with fails(EFAULT):
                ioctl(task, sock.fileno(), siocgifconf, address)


def test_values_are_not_pointers(task: Any) -> None:
    fd = os.open("/dev/null", os.O_RDWR)
    assert ioctl(task, fd, termios.FIOCLEX, WILD) == 0
    assert fcntl.fcntl(fd, fcntl.F_GETFD) == 1
    os.close(fd)
