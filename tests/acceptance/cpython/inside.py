# SPDX-License-Identifier: GPL-2.0-or-later
"""Enter the surroundings of a run of CPython's tests, then become the command.

Started by :mod:`tests.acceptance.cpython.suite` under unshare(1), with mount and process-id namespaces of its own.
Arguments: the folder with the arm64 programs, the interpreter to register or an empty word for a native run, the
folder to be seen as /run, and the command.

A guest's run is chrooted into the arm64 programs and the interpreter is registered with a binfmt_misc instance of the
namespace's own, so each program that a test starts comes back to it.  The native run keeps the machine's root and takes
the test-suite from the arm64 programs, where it is the same files.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

BINFMT_MISC = "/proc/sys/fs/binfmt_misc"
TESTS = "usr/lib/python3.11/test"

# The ELF header of an AArch64 executable or shared object, as in tests/acceptance/inside.py.
MAGIC = r"\x7fELF\x02\x01\x01\x00" + r"\x00" * 8 + r"\x02\x00\xb7\x00"
MASK = r"\xff" * 7 + r"\x00" + r"\xff" * 8 + r"\xfe\xff\xff\xff"


def mount(*arguments: str) -> None:
    """Run mount(8); a failure ends the run with its message."""
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"mount {' '.join(arguments)}: {done.stderr.strip()}")


def main() -> None:
    """Make the mounts, register, chroot, execute."""
    programs, interpreter, folder, *command = sys.argv[1:]
    mount("--make-rprivate", "/")
    mount("-t", "binfmt_misc", "none", BINFMT_MISC)
    root = Path("/")
    if interpreter:
        line = f":guest:M::{MAGIC}:{MASK}:{interpreter}:POF"
        Path(BINFMT_MISC, "register").write_text(line, encoding="ascii")
        root = Path(programs)
        mount("--rbind", "/dev", str(root / "dev"))
        mount("-t", "proc", "proc", str(root / "proc"))
        mount("--bind", "/etc", str(root / "etc"))  # users, groups, hosts
    else:
        mount("--bind", str(Path(programs) / TESTS), str(root / TESTS))
    mount("--bind", folder, str(root / "run"))
    mount("-t", "tmpfs", "-o", "mode=1777,size=1g", "tests", str(root / "tmp"))
    if interpreter:
        os.chroot(root)
    os.chdir("/tmp")
    environment = {
        "PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        "HOME": "/tmp",
        "LC_ALL": "C.UTF-8",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    os.execve(command[0], command, environment)


if __name__ == "__main__":
    main()
