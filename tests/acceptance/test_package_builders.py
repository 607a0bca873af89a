# SPDX-License-Identifier: GPL-2.0-or-later
"""Tools that make trees and build packages in them, as docs/package-builders.md describes them."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import support
from tests.acceptance import trees
from tests.acceptance.as_user import AS_USER, OWN_PROCESSES, need, start
from tests.acceptance.reference import Unavailable
from tests.binfmt.namespace import isolated_with_all_ids, mount_table, short_folder

MMDEBSTRAP = """
unshare --user --map-root-user --map-auto --mount sh -exc '
mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc
(cd {root}; {register})
mmdebstrap --mode=root --arch=arm64 --variant=custom --include={packages} "" tree.tar \\
    "deb [trusted=yes] copy:{repository} ./"
'
tar -tf tree.tar | grep -x ./usr/bin/jq
"""
# With base-passwd, which makes the users and groups that the scripts of base-files name.
INCLUDED = (
    *(
        "base-files",
        "base-passwd",
        "bash",
        "coreutils",
        "dash",
        "debconf",
        "diffutils",
        "dpkg",
        "findutils",
        "grep",
    ),
    *("gzip", "jq", "libc-bin", "perl-base", "sed", "tar"),
)


@pytest.fixture
def folder() -> Iterator[Path]:
    with short_folder() as path:
        yield path


@pytest.mark.long
@pytest.mark.timeout(1800)
@isolated_with_all_ids
def test_mmdebstrap_of_an_ordinary_user(folder: Path, interpreter: Path, every_case: bool) -> None:
    """Packages from a folder; their maintainer scripts run in the tree."""
    if not every_case:
        pytest.skip("a long case: USERMODE_ACCEPTANCE=all or --acceptance-all")
    need("mmdebstrap", "arch-test", "newuidmap", "setpriv")
    try:
        served = trees.repository(*INCLUDED)
    except Unavailable as error:
        pytest.skip(str(error))
    mount_table(folder)
    script = MMDEBSTRAP.format(
        root=support.ROOT,
        register=f"{sys.executable} -m usermode.cli register --interpreter {interpreter}",
        packages=",".join(INCLUDED),
        repository=served,
    )
    command = [*OWN_PROCESSES, "sh", "-c", AS_USER, "sh", script]
    done = start(*command, cwd=folder, timeout=1500)
    assert done.returncode == 0, done.stdout + done.stderr[-9000:]
    assert done.stdout.endswith("./usr/bin/jq\n")
