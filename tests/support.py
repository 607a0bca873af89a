# SPDX-License-Identifier: GPL-2.0-or-later
"""What the tests share: where the build is, compiling C programs, running guests with a time limit."""

from __future__ import annotations

import ctypes
import hashlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "build"
INTERPRETER = BUILD / "usermode-aarch64"
EXTENSIONS = BUILD / "ext"
GUEST_LIBRARIES = Path(
    "/usr/aarch64-linux-gnu"
)  # of libc6-dev-arm64-cross: a sysroot for dynamic programs

COMPILERS = {"x86_64": "gcc", "aarch64": "aarch64-linux-gnu-gcc"}
FLAGS = ("-std=gnu17", "-O1", "-g", "-Wall", "-pthread")

LIBC = ctypes.CDLL(None)
SYS_RT_SIGACTION = 13  # of x86_64

Argument = str | bytes | Path


class Outcome(NamedTuple):
    """What a program did: its exit status (negative: the signal that ended it) and what it wrote."""

    status: int
    stdout: bytes
    stderr: bytes


def compile_c(source: Path, *flags: str, cpu: str = "aarch64", dynamic: bool = False) -> Path:
    """Compile a C program and return the executable, which is kept in build/guest under a hash of all that went in.

    A line `// flags: -lrt` in the source adds flags. AssertionError with the compiler's words if it does not compile.
    """
    text = source.read_bytes()
    own = [line[9:].decode().split() for line in text.splitlines() if line.startswith(b"// flags:")]
    command = [COMPILERS[cpu], *FLAGS, *flags, *(() if dynamic else ("-static",))]
    headers = sorted([*source.parent.glob("*.h"), *source.parent.parent.glob("*.h")])
    inputs = [repr(command).encode(), text, *(header.read_bytes() for header in headers)]
    key = hashlib.sha256(b"\0".join(inputs)).hexdigest()[:16]
    program = BUILD / "guest" / f"{source.stem}-{cpu}-{key}"
    if not program.exists():
        program.parent.mkdir(parents=True, exist_ok=True)
        new = program.with_suffix(f".{os.getpid()}")
        done = subprocess.run(
            [*command, "-o", new, source, *(flag for line in own for flag in line)],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, f"{source} does not compile for {cpu}:\n{done.stderr}"
        new.rename(program)
    return program


def transparent(interpreter: Path) -> Path:
    """Return the program that stands for a kernel with flag T of binfmt_misc and this interpreter."""
    flags = ("-static-pie", "-fPIE", f'-DINTERPRETER="{interpreter}"')
    return compile_c(ROOT / "tests/usermode/transparent.c", *flags, cpu="x86_64", dynamic=True)


def run(
    command: Sequence[Argument],
    *,
    timeout: float = 30,
    stdin: bytes = b"",
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Outcome:
    """Run a command in a process group of its own; the group is killed at the end and after `timeout` seconds.

    AssertionError if the time is up. The environment holds PATH and `env` only.
    """
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"PATH": os.environ["PATH"], **(env or {})},
        cwd=cwd,
        start_new_session=True,
        preexec_fn=default_signals,
    )
    with process:
        try:
            stdout, stderr = process.communicate(stdin, timeout)
        except subprocess.TimeoutExpired as late:
            wrote = (late.stdout or b"") + (late.stderr or b"")
            raise AssertionError(
                f"still running after {timeout} s: {command}; it wrote {wrote!r}"
            ) from None
        finally:
            end_group(process.pid)
    return Outcome(process.returncode, stdout, stderr)


def default_signals() -> None:
    """Give a new process the actions and the mask of a login, whatever tests of signals have left in this one."""
    for number in range(1, 65):  # 32 and 33 too, which libc keeps to itself
        LIBC.syscall(SYS_RT_SIGACTION, number, bytes(32), None, 8)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def end_group(leader: int) -> None:
    """Kill what is left of a process group."""
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        pass  # nothing is left, as it should be
