# SPDX-License-Identifier: GPL-2.0-or-later
"""Tools that run containers, each with a small AArch64 tree, as docs/containers.md describes them.

The registration is in a user namespace's own binfmt_misc, as the machine's is not for tests.
"""

from __future__ import annotations

import os
import shutil
import sys
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from binfmt.entry import Entry
from binfmt.registry import Registry
from tests import support
from tests.acceptance.as_user import AS_USER, OWN_PROCESSES, USER, need, start
from tests.binfmt.namespace import isolated, isolated_with_all_ids, mount_table, short_folder

BUSYBOX = support.ROOT / "build" / "sample" / "bin" / "busybox"
PODMAN = """
podman unshare sh -ec 'cd {root}; {register}'
podman import --arch arm64 - local/small < {archive}
run="podman run --rm --platform linux/arm64 --network=none --cgroups=disabled"
$run local/small /bin/sh -c 'echo "first: $(uname -m)"'
printf 'FROM local/small\\nRUN uname -m > /made\\nCMD ["/bin/cat", "/made"]\\n' > Containerfile
podman build --platform linux/arm64 --network=host --isolation=chroot -t local/built .
echo "second: $($run local/built)"
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    with short_folder() as path:
        yield path


@pytest.fixture
def tree(folder: Path) -> Path:
    """A root tree with busybox alone."""
    if not BUSYBOX.exists():
        pytest.skip("build/sample is not there: run `make`")
    top = folder / "tree"
    for name in ("bin", "dev", "etc", "proc", "sys", "tmp", "usr", "run", "root", "var/tmp"):
        (top / name).mkdir(parents=True)
    shutil.copy(BUSYBOX, top / "bin" / "busybox")
    for name in ("sh", "uname", "cat", "id", "ls", "true"):
        (top / "bin" / name).symlink_to("busybox")
    (top / "etc" / "os-release").write_text("ID=small\n")
    (top / "etc" / "passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    return top


def register(folder: Path, interpreter: Path) -> None:
    Registry(str(mount_table(folder))).register(Entry(str(interpreter)))


@isolated
def test_bubblewrap(folder: Path, tree: Path, interpreter: Path) -> None:
    need("bwrap")
    register(folder, interpreter)
    options = ["--bind", str(tree), "/", "--proc", "/proc", "--dev", "/dev", "--unshare-all"]
    script = "uname -m; id -u; sh -c 'echo $0' inner"
    done = start("bwrap", *options, "--uid", "0", "/bin/sh", "-c", script)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["aarch64", "0", "inner"]


@isolated
def test_unshare_and_chroot(folder: Path, tree: Path, interpreter: Path) -> None:
    """What every shell can do: unshare(1) with a root."""
    register(folder, interpreter)
    done = start(
        "unshare", "-pf", "--mount-proc", f"--root={tree}", "/bin/sh", "-c", "echo $$; uname -m"
    )
    assert (done.returncode, done.stdout.split()) == (0, ["1", "aarch64"]), done.stderr


@isolated_with_all_ids
def test_systemd_nspawn(folder: Path, tree: Path, interpreter: Path) -> None:
    need("systemd-nspawn")
    register(folder, interpreter)
    options = ["--quiet", "--register=no", "--keep-unit", "--private-network", "--pipe"]
    command = [*OWN_PROCESSES, "systemd-nspawn", *options, "-D", str(tree), "/bin/uname", "-m"]
    done = start(*command)
    refused = [line for line in done.stderr.splitlines() if "Failed to mount" in line]
    if done.returncode and refused:
        pytest.skip(f"needs rights over the machine's cgroups: {refused[0]}")
    assert (done.returncode, done.stdout.strip()) == (0, "aarch64"), done.stderr


@pytest.mark.long
@isolated_with_all_ids
def test_podman_of_an_ordinary_user(folder: Path, tree: Path, interpreter: Path) -> None:
    """Registered once in podman's own user namespace; then images of the guest's CPU run and are built."""
    need("podman", "buildah", "crun", "newuidmap", "setpriv")
    mount_table(folder)
    archive = folder / "tree.tar"
    with tarfile.open(archive, "w") as file:
        file.add(tree, ".")
    os.chown(archive, USER, USER)
    words = f"{sys.executable} -m usermode.cli register --interpreter {interpreter}"
    script = PODMAN.format(root=support.ROOT, archive=archive, register=words)
    done = start(*OWN_PROCESSES, "sh", "-c", AS_USER, "sh", script, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]
    assert "first: aarch64\n" in done.stdout
    assert "second: aarch64\n" in done.stdout
