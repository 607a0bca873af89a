# SPDX-License-Identifier: GPL-2.0-or-later
"""Running programs as an ordinary user who has a range of ids in /etc/subuid, whatever the machine's files say."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

USER = 1000
OWN_PROCESSES = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]

# A user as adduser(8) makes one. The cgroups are hidden, for crun(1) refuses machines that mix both versions, and no
# test should make any.
AS_USER = """
set -e
mount --make-rshared /
mount -t tmpfs none /sys/fs/cgroup
grep -v '^[^:]*:[^:]*:1000:' /etc/passwd > passwd; echo "somebody:x:1000:1000::$PWD/home:/bin/sh" >> passwd
echo somebody:10000:50000 > range
mount --bind passwd /etc/passwd; mount --bind range /etc/subuid; mount --bind range /etc/subgid
mkdir home run; chown 1000:1000 home run; chmod 700 run
export HOME="$PWD/home" XDG_RUNTIME_DIR="$PWD/run" USER=somebody LOGNAME=somebody
cd home
exec setpriv --reuid=1000 --regid=1000 --clear-groups sh -exc "$1"
"""


def need(*names: str) -> None:
    """Skip a test whose programs are not installed."""
    for name in names:
        if not shutil.which(name):
            pytest.skip(f"{name} is not installed")


def start(
    *words: str | Path, cwd: Path | None = None, timeout: int = 240
) -> subprocess.CompletedProcess[str]:
    """Run a command and keep what it says."""
    command = [str(word) for word in words]
    return subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, timeout=timeout, check=False
    )
