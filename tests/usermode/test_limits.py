# SPDX-License-Identifier: GPL-2.0-or-later
"""Limits that the interpreter is started with become the guest's; and what lies at the guest's limit."""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

LIMITS = r"""
#include <stdio.h>
#include <sys/mman.h>
#include <sys/resource.h>
int main(void) {
    static const int kinds[] = {RLIMIT_AS, RLIMIT_DATA, RLIMIT_STACK};
    for (int i = 0; i < 3; i++) {
        struct rlimit limit;
        getrlimit(kinds[i], &limit);
        printf("%ld %ld\n", (long)limit.rlim_cur, (long)limit.rlim_max);
    }
    void *p = mmap(NULL, 250 << 20, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    puts(p == MAP_FAILED ? "limited" : "free");
    fflush(stdout);
    return getchar() + 1;
}
"""

MIB = 1 << 20
GUARD = "400000000000-400001000000 ---p"


@pytest.fixture(scope="module")
def limits(guest_cc: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A guest that shows its limits, whether 250 MiB can be mapped, and ends with its input."""
    source = tmp_path_factory.mktemp("limits") / "limits.c"
    source.write_text(LIMITS)
    return guest_cc(source)


def start(
    command: list[Path], kind: int, soft: int, hard: int
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        command,
        preexec_fn=lambda: resource.setrlimit(kind, (soft, hard)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=30,
        check=False,
    )


@pytest.mark.parametrize(
    ("kind", "line", "soft", "hard"),
    [
        (resource.RLIMIT_AS, 0, 200 * MIB, 220 * MIB),
        (resource.RLIMIT_AS, 0, 20 * MIB, resource.RLIM_INFINITY),
        (resource.RLIMIT_DATA, 1, 150 * MIB, 160 * MIB),
        (resource.RLIMIT_DATA, 1, 30 * MIB, resource.RLIM_INFINITY),
        (resource.RLIMIT_STACK, 2, 256 << 10, MIB),
        (resource.RLIMIT_STACK, 2, 256 << 10, 1 << 46),
    ],
)
def test_inherited(
    interpreter: Path, limits: Path, kind: int, line: int, soft: int, hard: int
) -> None:
    done = start([interpreter, limits], kind, soft, hard)
    assert (done.returncode, done.stderr) == (0, b"")
    lines = done.stdout.decode().splitlines()
    assert lines[line] == f"{soft} {hard}"
    assert lines[3] == ("limited" if kind == resource.RLIMIT_AS else "free")


@pytest.mark.parametrize("kind", [resource.RLIMIT_AS, resource.RLIMIT_DATA])
def test_too_small(interpreter: Path, limits: Path, kind: int) -> None:
    done = start([interpreter, limits], kind, 40 * MIB, 40 * MIB)
    if done.returncode == 0:
        pytest.skip("this user may raise the limit")
    assert (done.returncode, done.stdout) == (1, b"")
    assert done.stderr.startswith(b"usermode: RLIMIT_")
    assert done.stderr.count(b"\n") == 1


def test_nearly_endless_stack(interpreter: Path, limits: Path) -> None:
    """So large a stack puts the host's mappings below the guest's limit, or just above it."""
    if resource.getrlimit(resource.RLIMIT_STACK)[1] != resource.RLIM_INFINITY:
        pytest.skip("the hard limit of the stack is finite here")
    for size in (1 << 45, (1 << 47) - (1 << 46) - (1 << 40), 1 << 46, 1 << 50):
        done = start([interpreter, limits], resource.RLIMIT_STACK, size, resource.RLIM_INFINITY)
        assert (done.returncode, done.stderr) == (0, b"")
        assert done.stdout.decode().splitlines()[2] == f"{size} -1"


def test_guard(interpreter: Path, limits: Path) -> None:
    with subprocess.Popen(
        [interpreter, limits], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as guest:
        assert guest.stdout
        while guest.stdout.readline() != "free\n":
            pass
        maps = Path(f"/proc/{guest.pid}/maps").read_text()
    assert [line for line in maps.splitlines() if line.startswith(GUARD)]
