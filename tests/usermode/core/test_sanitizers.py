# SPDX-License-Identifier: GPL-2.0-or-later
"""The tests of this folder once more, with the C core under AddressSanitizer and UndefinedBehaviorSanitizer.

Only the core's own files are instrumented: Unicorn comes as it is, and what it generates cannot be. The extension is
built into build/asan and loaded by a Python of its own, into which the sanitizer's library is preloaded.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support import BUILD, EXTENSIONS, ROOT

FOLDER = BUILD / "asan"
SOURCES = ROOT / "usermode/core"
SANITIZE = ("-fsanitize=address,undefined", "-fno-sanitize-recover=undefined")
FLAGS = ("-std=gnu17", "-O2", "-g", "-fPIC", "-fvisibility=hidden", "-fno-omit-frame-pointer")
OPTIONS = {
    # The core's own handlers turn SIGSEGV and SIGBUS into the guest's faults.
    "ASAN_OPTIONS": "handle_segv=0:handle_sigbus=0:allow_user_segv_handler=1:detect_leaks=0:abort_on_error=1"
    ":allocator_may_return_null=1",
    "UBSAN_OPTIONS": "print_stacktrace=1",
    "PYTHONMALLOC": "malloc",
}
# Too many threads, forks or rounds for the sanitizer's slower locks.
LEFT_OUT = "not litmus and not store_buffering and not leaks and not collected and not lost"


def library(name: str) -> Path:
    """Return the compiler's own copy of a library; skip where it has none."""
    done = subprocess.run(["gcc", f"-print-file-name={name}"], capture_output=True, text=True)
    path = Path(done.stdout.strip())
    if not path.is_absolute():
        pytest.skip(f"this gcc has no {name}")
    return path


def compiled(source: Path, unicorn: Path) -> Path:
    """Compile one file of the core, unless its object is newer than all that goes into it."""
    target = FOLDER / f"{source.stem}.o"
    inputs = [source, Path(__file__), *SOURCES.glob("*.h")]
    if not target.exists() or target.stat().st_mtime < max(p.stat().st_mtime for p in inputs):
        includes = ("-isystem", unicorn / "include", "-isystem", "/usr/include/python3.11")
        command = ["gcc", *FLAGS, *SANITIZE, *includes, "-c", "-o", target, source]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    return target


@pytest.fixture(scope="module")
def extension() -> Path:
    """The instrumented extension."""
    stubs = BUILD / "obj/other_cpus.o"
    archives = sorted(ROOT.glob(".venv/lib/python3.*/site-packages/unicorn/lib/libunicorn.a"))
    present = sorted(EXTENSIONS.glob("_usermode_core.*.so"))
    if not archives or not stubs.exists() or not present or not shutil.which("gcc"):
        pytest.skip("the C core is not built: run `make`")
    FOLDER.mkdir(parents=True, exist_ok=True)
    unicorn = archives[0].parents[1]
    with ThreadPoolExecutor(2) as pool:
        sources = sorted(SOURCES.glob("*.c"))
        objects = list(pool.map(lambda source: compiled(source, unicorn), sources))
    target = FOLDER / present[0].name
    newest = max(path.stat().st_mtime for path in [*objects, SOURCES / "wraps"])
    if not target.exists() or target.stat().st_mtime < newest:
        wraps = [f"-Wl,--wrap={name}" for name in (SOURCES / "wraps").read_text().split()]
        link = ["-Wl,--allow-multiple-definition,-Bsymbolic,--exclude-libs,ALL", "-lm"]
        command = ["gcc", "-shared", *SANITIZE, *wraps, "-o", target, *objects, stubs, *archives]
        done = subprocess.run([*command, *link], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    return target


def environment(extension: Path) -> dict[str, str]:
    path = f"{extension.parent}:{ROOT}"
    return {**os.environ, **OPTIONS, "LD_PRELOAD": str(library("libasan.so")), "PYTHONPATH": path}


def test_sanitizer_is_awake(extension: Path) -> None:
    """A Python with the library preloaded finds the instrumented core, not the ordinary one."""
    program = "import _usermode_core; print(_usermode_core.__file__)"
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment(extension), capture_output=True, text=True
    )
    assert done.stdout.strip() == str(extension), done.stderr
    symbols = subprocess.run(["nm", "-D", extension], capture_output=True, text=True).stdout
    assert "__asan_report_load8" in symbols
    assert "__ubsan_handle_" in symbols


@pytest.mark.long
def test_core_under_sanitizers(extension: Path) -> None:
    here = Path(__file__)
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:xdist", "-p", "no:cacheprovider"]
    done = subprocess.run(
        [*command, "-k", LEFT_OUT, f"--ignore={here}", here.parent],
        env=environment(extension), cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-8000:]
    assert " passed" in done.stdout
