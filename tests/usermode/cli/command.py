# SPDX-License-Identifier: GPL-2.0-or-later
"""The command line as a process, for tests."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from binfmt import probe
from tests import support

NAME = "usermode-aarch64"
QEMU = "/usr/bin/qemu-aarch64-static"
FLAGS = probe.elsewhere("/proc/sys/fs").flags
"""What is registered on this kernel unless told otherwise."""


class Command:
    """The command line for one table and one interpreter."""

    def __init__(self, table: Path, interpreter: Path, **options: Any) -> None:
        self.table = table
        self.interpreter = interpreter
        self.options = options

    def __call__(self, command: str, *arguments: str) -> tuple[int, list[str]]:
        """Return the status, and the lines of standard output and standard error."""
        done = subprocess.run(
            [sys.executable, "-m", "usermode.cli", command, "--binfmt-dir", self.table, *arguments],
            env={"PATH": os.environ["PATH"], "USERMODE_INTERPRETER": str(self.interpreter)},
            cwd=support.ROOT,
            capture_output=True,
            text=True,
            timeout=60,
            **self.options,
        )
        assert "Traceback" not in done.stderr
        return done.returncode, (done.stdout + done.stderr).splitlines()

    def json(self, command: str, *arguments: str) -> tuple[int, Any]:
        """Return the status and the JSON."""
        status, lines = self(command, "--json", *arguments)
        return status, json.loads("\n".join(lines))


AS_NOBODY = """
import os, sys, click, json, ctypes
from importlib import import_module
import binfmt.doctor
from usermode.cli import main, COMMANDS
from usermode.container.host import unshare
for place in COMMANDS.values():
    import_module(place.split(":")[0])
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
os.environ["USERMODE_INTERPRETER"] = sys.argv[1]
if flags := int(sys.argv[2]):
    ctypes.CDLL(None).prctl(4, 1, 0, 0, 0)  # PR_SET_DUMPABLE: /proc/self is root's since setuid()
    unshare(flags)
    for name, text in (("setgroups", "deny"), ("uid_map", "0 65534 1"), ("gid_map", "0 65534 1")):
        open(f"/proc/self/{name}", "w").write(text)
sys.exit(main(sys.argv[3:]))
"""


def as_nobody(
    interpreter: Path, *arguments: str, namespaces: int = 0
) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user without rights, in new namespaces as their root."""
    return subprocess.run(
        [sys.executable, "-c", AS_NOBODY, interpreter, str(namespaces), *arguments],
        cwd=support.ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
