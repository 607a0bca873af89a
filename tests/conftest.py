# SPDX-License-Identifier: GPL-2.0-or-later
"""Fixtures for all tests: the interpreter, guest programs in C, the C core."""

from __future__ import annotations

import importlib
import shutil
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests import support


def pytest_configure() -> None:
    """Give programs the actions of a login: nohup(1) and a shell's `&` leave signals ignored for them."""
    for number in (signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(scope="session")
def interpreter() -> Path:
    """The built interpreter."""
    if not support.INTERPRETER.exists():
        pytest.skip(f"{support.INTERPRETER.relative_to(support.ROOT)} is not built: run `make`")
    return support.INTERPRETER


@pytest.fixture(scope="session")
def core() -> ModuleType:
    """The C core as an extension of the Python that runs the tests."""
    if not any(support.EXTENSIONS.glob("_usermode_core.*.so")):
        pytest.skip("build/ext/_usermode_core is not built: run `make`")
    if str(support.EXTENSIONS) not in sys.path:
        sys.path.append(str(support.EXTENSIONS))
    return importlib.import_module("_usermode_core")


@pytest.fixture(scope="session")
def guest_cc() -> Callable[..., Path]:
    """support.compile_c for the guest's CPU: `guest_cc(source, *flags, dynamic=False)` returns the program."""
    if not shutil.which(support.COMPILERS["aarch64"]):
        pytest.skip("aarch64-linux-gnu-gcc is missing: run `make`")
    return support.compile_c


@pytest.fixture(scope="session")
def run_guest(interpreter: Path) -> Callable[..., support.Outcome]:
    """Run a guest: `run_guest(argv, options=(), **as for support.run)`."""

    def run(argv: Sequence[Any], *, options: Sequence[str] = (), **more: Any) -> support.Outcome:
        return support.run([interpreter, *options, *argv], **more)

    return run


@pytest.fixture
def check_guest(
    guest_cc: Callable[..., Path], run_guest: Callable[..., support.Outcome], tmp_path: Path
) -> Callable[..., None]:
    """Prove a self-checking C program on the host, then expect the same output and status under the interpreter."""

    def check(
        source: Path,
        *flags: str,
        dynamic: bool = False,
        arguments: Sequence[str] = (),
        timeout: float = 120,
    ) -> None:
        outcomes = []
        for cpu in support.COMPILERS:
            program = guest_cc(source, *flags, cpu=cpu, dynamic=dynamic)
            folder = tmp_path / cpu
            folder.mkdir()
            if cpu == "x86_64":
                outcomes.append(support.run([program, *arguments], cwd=folder, timeout=timeout))
            else:
                options = ("--sysroot", str(support.GUEST_LIBRARIES)) if dynamic else ()
                outcomes.append(
                    run_guest([program, *arguments], options=options, cwd=folder, timeout=timeout)
                )
        native, guest = outcomes
        assert native.status == 0, (
            f"fails on the host itself:\n{native.stdout!r}\n{native.stderr!r}"
        )
        assert (guest.status, guest.stdout) == (native.status, native.stdout), guest.stderr.decode(
            errors="replace"
        )

    return check
