# SPDX-License-Identifier: GPL-2.0-or-later
"""dpkg and apt in a tree of a dozen unpacked packages: the short form of test_distribution.py."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.acceptance import trees
from tests.acceptance.reference import ROOT, Unavailable, locked

PACKAGES = (
    *(
        "apt",
        "bash",
        "coreutils",
        "dash",
        "diffutils",
        "dpkg",
        "findutils",
        "grep",
        "gzip",
        "libc-bin",
    ),
    *("perl-base", "sed", "tar"),
)
SYSROOT = ROOT / ".cache" / "sysroot" / "small-tree"
CONTROL = """\
Package: {name}
Version: {version}
Architecture: arm64
Maintainer: Nobody <nobody@example.org>
Description: a package for a test
{more}"""
SCRIPT = """#!/bin/{shell}
echo "{name} {script} $*"
"""
SCRIPT_PERL = """#!/usr/bin/perl
use strict; use POSIX;
print "{name} {script} @ARGV ", (POSIX::uname())[4], "\\n";
"""
STEPS = """
cp /usr/bin/id /root/id; chmod 4755 /root/id; chmod 755 /root
perl -e '$( = 1000; $) = "1000 1000"; $< = $> = 1000; exec "/root/id"'
cd /packages
dpkg --unpack first_1_arm64.deb second_1_arm64.deb
dpkg --configure -a
dpkg-query -W -f '${Package} ${Status}\\n'
first-program
echo changed >> /etc/first.conf
dpkg -i --force-confold first_2_arm64.deb
cat /etc/first.conf; ls /etc/first.conf*
dpkg -V second; dpkg -S /usr/share/second/data
dpkg -r second; dpkg -P first; dpkg-query -l first 2>&1 | tail -n 1
echo 'deb [trusted=yes] file:/packages ./' > /etc/apt/sources.list
apt-get -q update
apt-get -q -s install second
apt-get -q -y install second
dpkg --audit; echo "audited"
"""
TOLD = (
    "uid=1000 gid=1000 euid=0(root)",
    "first preinst install aarch64",
    "first postinst configure",
    "second postinst configure",
    "second postinst triggered /usr/share/first",
    "second install ok installed",
    "this is first\n",
    "first postinst configure 1",
    "old\nchanged\n/etc/first.conf\n/etc/first.conf.dpkg-dist\n",
    "second: /usr/share/second/data",
    "second prerm remove",
    "first postrm purge",
    "un  first ",
    "Inst second (1 localhost [arm64])",
    "audited\n",
)


def build(folder: Path, name: str, version: str, more: str, files: dict[str, str]) -> None:
    """Make a .deb file whose maintainer scripts tell how they are called: in sh, bash and perl."""
    root = folder / f"{name}-{version}"
    (root / "DEBIAN").mkdir(parents=True)
    (root / "DEBIAN" / "control").write_text(CONTROL.format(name=name, version=version, more=more))
    for script, shell in {
        "preinst": "perl",
        "postinst": "bash",
        "prerm": "sh",
        "postrm": "sh",
    }.items():
        path = root / "DEBIAN" / script
        text = SCRIPT_PERL if shell == "perl" else SCRIPT
        path.write_text(text.format(name=name, script=script, shell=shell))
        path.chmod(0o755)
    for place, text in files.items():
        path = root / place.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755 if text.startswith("#!") else 0o644)
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "--build", root, folder / f"{name}_{version}_arm64.deb"],
        check=True,
        capture_output=True,
    )
    shutil.rmtree(root)


def packages(folder: Path) -> None:
    """Two packages, one of them in two versions, and their index for apt."""
    for version, setting in (("1", "old\n"), ("2", "new\n")):
        files = {
            "/usr/bin/first-program": "#!/bin/bash\necho this is first\n",
            "/usr/share/first/a": version,
            "/etc/first.conf": setting,
            "/DEBIAN/conffiles": "/etc/first.conf\n",
        }
        build(folder, "first", version, "", files)
    files = {
        "/usr/share/second/data": "x" * 100000,
        "/DEBIAN/triggers": "interest-noawait /usr/share/first\n",
    }
    build(folder, "second", "1", "Depends: first\n", files)
    index = subprocess.run(
        ["dpkg-scanpackages", "--multiversion", "."], cwd=folder, capture_output=True, check=True
    )
    (folder / "Packages").write_bytes(index.stdout)


def unpacked() -> None:
    """Fetch and unpack the tree, once. Raises Unavailable."""
    from tools import fetch_arm64

    with locked(SYSROOT.with_suffix(".lock")):
        stamp = SYSROOT.with_suffix(".packages")
        if stamp.exists() and stamp.read_text() == " ".join(PACKAGES):
            return
        try:
            fetch_arm64.fetch(SYSROOT, list(PACKAGES), with_dependencies=True)
        except fetch_arm64.FetchError as error:
            raise Unavailable(f"no packages to be had: {error}") from error
        stamp.write_text(" ".join(PACKAGES))


def fill(tree: Path) -> None:
    """What the packages' own scripts would have made."""
    (tree / "var/lib/dpkg").mkdir(parents=True)
    (tree / "var/lib/dpkg/status").touch()
    for folder in ("etc/apt", "tmp", "root", "var/lib/apt/lists/partial", "var/log/apt"):
        (tree / folder).mkdir(parents=True)
    (tree / "etc/passwd").write_text(
        "root:x:0:0:root:/root:/bin/bash\n_apt:x:42:65534::/:/bin/false\n"
    )
    (tree / "etc/group").write_text("root:x:0:\nnogroup:x:65534:\n")


@pytest.mark.timeout(900)  # the first run fetches
def test_dpkg_and_apt(tmp_path: Path) -> None:
    for program in ("dpkg-deb", "dpkg-scanpackages"):
        if not shutil.which(program):
            pytest.skip(f"{program} is not installed")
    (tmp_path / "packages").mkdir()
    packages(tmp_path / "packages")
    fill(tmp_path / "extra")
    try:
        unpacked()
        copy = f"cp -a {SYSROOT}/. {tmp_path}/extra/. {{tree}}; ldconfig -r {{tree}}"
        commands = [trees.Command(["sh", "-ec", copy], host=True), trees.Command.script(STEPS)]
        binds = [(str(tmp_path / "packages"), "/packages")]
        results, _ = trees.run(
            trees.Job(None, commands, trees.ours(), binds, size="1g", timeout=240)
        )
    except Unavailable as error:
        pytest.skip(str(error))
    assert [done.status for done in results] == [0, 0], results[-1].output
    missing = [text for text in TOLD if text not in results[-1].output]
    assert not missing, results[-1].output
