# SPDX-License-Identifier: GPL-2.0-or-later
"""Tests in a user namespace with a binfmt_misc of its own, so that the machine's stays as it is. Needs Linux 6.7."""

from __future__ import annotations

import ctypes
import functools
import os
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000
MS_REC_PRIVATE = 0x4000 | 1 << 18
ALL_IDS = 65536
LIBC = ctypes.CDLL(None, use_errno=True)


def check(result: int) -> None:
    """Raise OSError for a failed call of libc's."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def isolated(test: Callable[..., None]) -> Callable[..., None]:
    """Run a test in a process of its own, as root of a new user and mount namespace."""

    @functools.wraps(test)
    def wrapped(*instance: Any, **fixtures: Any) -> None:
        run(functools.partial(test, *instance, **fixtures), ids=1)

    return wrapped


def isolated_with_all_ids(test: Callable[..., None]) -> Callable[..., None]:
    """As `isolated`, with all users of the machine mapped, which takes root."""

    @functools.wraps(test)
    def wrapped(*instance: Any, **fixtures: Any) -> None:
        if os.geteuid() != 0:
            pytest.skip("only root may map other users into a user namespace")
        run(functools.partial(test, *instance, **fixtures), ids=ALL_IDS)

    return wrapped


def run(test: Callable[[], None], ids: int) -> None:
    """Fork, enter the namespaces, run the test there, and fail or skip as it does."""
    report, ready, go = os.pipe(), os.pipe(), os.pipe()
    owner = (os.geteuid(), os.getegid())
    child = os.fork()
    if child == 0:
        # The parent's ends, so that its death is the end of our input.
        for end in (report[0], ready[0], go[1]):
            os.close(end)
        os._exit(inside(test, report[1], ready[1], go[0]))
    for end in (report[1], ready[1], go[0]):
        os.close(end)
    entered = os.read(ready[0], 1)
    if entered:
        write_maps(child, owner, ids)
        os.write(go[1], b"g")
    with open(report[0], encoding="utf-8") as file:
        kind, _, text = file.read().partition("\n")
    os.waitpid(child, 0)
    for end in (ready[0], go[1]):
        os.close(end)
    if kind == "skip":
        pytest.skip(text)
    assert kind == "passed", text


def inside(test: Callable[[], None], report: int, ready: int, go: int) -> int:
    """Be the child; what came of it is written to `report`."""
    try:
        try:
            check(LIBC.unshare(CLONE_NEWUSER | CLONE_NEWNS))
        except OSError as error:
            pytest.skip(f"no user namespaces here: {error}")
        os.write(ready, b"r")
        os.read(go, 1)
        os.setresgid(0, 0, 0)
        os.setresuid(0, 0, 0)
        check(LIBC.mount(b"none", b"/", None, MS_REC_PRIVATE, None))
        test()
        text = "passed\n"
    except pytest.skip.Exception as skipped:
        text = f"skip\n{skipped}"
    except BaseException:  # noqa: BLE001  told by the parent
        text = f"failed\n{traceback.format_exc()}"
    with open(report, "w", encoding="utf-8") as file:
        file.write(text)
    return 0


def write_maps(child: int, owner: tuple[int, int], ids: int) -> None:
    """Give the child its users and groups: `ids` of the machine's, or its own as root."""
    uid, gid = (0, 0) if ids > 1 else owner
    if ids == 1:
        Path(f"/proc/{child}/setgroups").write_text("deny")
    Path(f"/proc/{child}/uid_map").write_text(f"0 {uid} {ids}")
    Path(f"/proc/{child}/gid_map").write_text(f"0 {gid} {ids}")


def mount_table(folder: Path) -> Path:
    """Mount this namespace's binfmt_misc below `folder`."""
    table = folder / "table"
    table.mkdir()
    try:
        check(LIBC.mount(b"none", os.fsencode(table), b"binfmt_misc", 0, None))
    except OSError as error:
        pytest.skip(f"no binfmt_misc of our own here: {error}")
    return table


@contextmanager
def short_folder() -> Iterator[Path]:
    """A new folder that everybody may enter, with a path short enough for an interpreter's."""
    with tempfile.TemporaryDirectory(prefix="um-") as name:
        os.chmod(name, 0o755)
        yield Path(name)
