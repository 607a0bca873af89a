# SPDX-License-Identifier: GPL-2.0-or-later
"""Run one case inside namespaces of its own and print what it did as JSON.

Started by :mod:`world` under unshare(1); the job is read as JSON from standard input.  The
namespaces give every run the same surroundings, whatever the machine:

* a tmpfs on ``/run``, limited in size, with the case's folder at :data:`FOLDER` and the guest's
  files at :data:`SYSROOT`, so paths that a program prints, sizes of folders and the order of
  directory entries do not depend on the checkout;
* everything else read-only, so a broken emulator cannot harm the machine;
* a binfmt_misc instance of its own (for user namespaces since Linux 6.7): empty, or with the
  reference emulator registered.

Uses the standard library alone and imports nothing of the test-suite.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import random
import resource
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

BASE = Path("/run")
FOLDER = BASE / "case"
SYSROOT = BASE / "sysroot"
OUTPUT_LIMIT = 1 << 24
BINFMT_MISC = Path("/proc/sys/fs/binfmt_misc")

# The ELF header of an AArch64 executable or shared object: e_ident, e_type 2 or 3, e_machine 183.  The text form of
# Documentation/admin-guide/binfmt-misc.rst; backslashes are read by the kernel.
MAGIC = r"\x7fELF\x02\x01\x01\x00" + r"\x00" * 8 + r"\x02\x00\xb7\x00"
MASK = r"\xff" * 7 + r"\x00" + r"\xff" * 8 + r"\xfe\xff\xff\xff"

WORDS = """
anchor basin copper delta ember falcon garnet harbour island juniper kernel lantern meadow nectar orchid pebble
quartz river saddle timber umber velvet willow xenon yonder zephyr register memory signal thread process table
""".split()  # noqa: SIM905 - a list would be thirty lines


def mount(*arguments: str) -> None:
    """Run mount(8); a failure ends the run with its message."""
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"mount {' '.join(arguments)}: {done.stderr.strip()}")


def prepare(job: dict[str, Any]) -> None:
    """Make the surroundings: read-only root, tmpfs, sysroot, binfmt_misc."""
    mount("--make-rprivate", "/")
    mount("-t", "tmpfs", "-o", "mode=755,size=1g", "acceptance", str(BASE))
    SYSROOT.mkdir()
    FOLDER.mkdir()
    mount("--bind", job["sysroot"], str(SYSROOT))
    mount("-o", "remount,bind,ro", str(SYSROOT))
    mount("-o", "remount,bind,ro", "/")
    mount("-t", "binfmt_misc", "none", str(BINFMT_MISC))
    if job["register"]:
        line = f":reference:M::{MAGIC}:{MASK}:{job['register']}:OPF"
        (BINFMT_MISC / "register").write_text(line, encoding="ascii")


def words(size: int, seed: int) -> bytes:
    """Text of `size` bytes: lines of words and numbers, compressible about as prose is."""
    source = random.Random(seed)
    lines = [
        " ".join(source.choices(WORDS, k=source.randint(3, 12))) + f" {source.randrange(1 << 20)}\n"
        for _ in range(5000)
    ]
    parts = source.choices(lines, k=size // 20 + 1)
    return "".join(parts).encode()[:size]


def generate(recipe: dict[str, Any]) -> bytes:
    """The contents of a generated file: ``{kind, size, seed}``, the same on every machine."""
    size, seed = recipe["size"], recipe.get("seed", 1)
    kind = recipe["kind"]
    if kind == "words":
        return words(size, seed)
    if kind == "random":
        return random.Random(seed).randbytes(size)
    if kind == "mixed":  # text, noise and runs of one byte in turn
        source, parts, length = random.Random(seed), [], 0
        text = words(1 << 20, seed)
        while length < size:
            start = source.randrange(len(text) - 65536)
            part = (
                text[start : start + source.randrange(1024, 65536)],
                source.randbytes(source.randrange(256, 8192)),
                bytes([source.randrange(256)]) * source.randrange(16, 4096),
            )[source.choice((0, 0, 0, 1, 2))]
            parts.append(part)
            length += len(part)
        return b"".join(parts)[:size]
    raise SystemExit(f"no such kind of generated file: {kind}")


def digest(path: Path) -> str:
    """The SHA-256 of a file's contents."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def tree(folder: Path) -> dict[str, list[Any]]:
    """What the program left behind: type, permission bits, size and contents of every file, by its path."""
    found: dict[str, list[Any]] = {}
    for top, folders, files in os.walk(folder):
        for name in sorted(folders + files):
            path = Path(top) / name
            facts = path.lstat()
            row: list[Any] = [stat.filemode(facts.st_mode)]
            if stat.S_ISLNK(facts.st_mode):
                row.append(str(path.readlink()))
            elif stat.S_ISREG(facts.st_mode):
                row += [facts.st_size, digest(path)]
            found[os.fsdecode(path.relative_to(folder))] = row
    return found


def run(job: dict[str, Any]) -> dict[str, Any]:
    """Write the case's files, run its program, and collect status, output, files and time."""
    for name, content in job["files"].items():
        path = FOLDER / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else generate(content))
        if isinstance(content, str) and content.startswith("#!"):
            path.chmod(0o755)
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        # nohup(1) and a shell's "&" leave signals ignored, which a program inherits and shells show.
        signal.signal(number, signal.SIG_DFL)
    (BASE / "input").write_bytes(job["input"].encode())
    started, timed_out = time.monotonic(), False
    with (
        (BASE / "input").open("rb") as stdin,
        (BASE / "stdout").open("wb") as stdout,
        (BASE / "stderr").open("wb") as stderr,
        subprocess.Popen(
            [*job["emulator"], *job["command"]],
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            cwd=FOLDER,
            env=job["environment"],
            start_new_session=True,
            umask=0o022,
        ) as process,
    ):
        try:
            status = process.wait(timeout=job["timeout"])
        except subprocess.TimeoutExpired:
            timed_out = True
            process.kill()
            status = process.wait()
    wall = time.monotonic() - started
    for stream in ("stdout", "stderr"):
        if (BASE / stream).stat().st_size > OUTPUT_LIMIT:
            raise SystemExit(f"{stream} holds more than {OUTPUT_LIMIT} bytes")
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "status": status,
        "timed_out": timed_out,
        "stdout": base64.b64encode((BASE / "stdout").read_bytes()).decode(),
        "stderr": base64.b64encode((BASE / "stderr").read_bytes()).decode(),
        "tree": tree(FOLDER),
        "wall": round(wall, 3),
        "cpu": round(usage.ru_utime + usage.ru_stime, 3),
    }


def main() -> None:
    """Read the job, run it, write the result; a probe ends once the surroundings stand."""
    job = json.load(sys.stdin)
    prepare(job)
    if not job["probe"]:
        json.dump(run(job), sys.stdout)


if __name__ == "__main__":
    main()
