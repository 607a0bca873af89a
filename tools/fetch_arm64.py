# SPDX-License-Identifier: GPL-2.0-or-later
"""Unpack arm64 packages of Debian into a folder, by name, with the machine's own apt sources.

`fetch_arm64.py --into DIR [--with-dependencies] PACKAGE...` needs neither root nor `dpkg --add-architecture`: apt
works on a state of its own in .cache/apt, where the .deb files stay too. The package lists are fetched when they are
older than a day or lack a package that is asked for. DIR gets Debian's merged layout (/bin is a link to usr/bin); no
maintainer script is run.
"""

from __future__ import annotations

import argparse
import fcntl
import re
import subprocess
import sys
import time
from pathlib import Path

CACHE = Path(__file__).resolve().parents[1] / ".cache" / "apt"
ARCHIVES = CACHE / "debs"
DAY = 24 * 60 * 60
MERGED = ("bin", "lib", "sbin")

OPTIONS = {
    "APT::Architecture": "arm64",
    "APT::Architectures::": "arm64",
    "APT::Sandbox::User": "",  # apt run by root would read the folder as user _apt
    "APT::Install-Recommends": "false",
    "Acquire::Languages": "none",
    "Acquire::Retries": "2",
    "Debug::NoLocking": "true",  # main() locks the cache
    "Dir::Cache": str(CACHE / "cache"),
    "Dir::State::Lists": str(CACHE / "lists"),
    "Dir::State::status": "/dev/null",
}


class FetchError(Exception):
    """A package cannot be had; the message is one line for the user."""


def apt(*command: str) -> str:
    """Run apt-get or apt-cache on the private state and return its output."""
    options = [f"-o{name}={value}" for name, value in OPTIONS.items()]
    done = subprocess.run(
        [command[0], "-q", *options, *command[1:]],
        cwd=ARCHIVES,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("E: ")]
        raise FetchError(errors[0][3:] if errors else f"{command[0]} failed with {done.returncode}")
    return done.stdout


def refresh_lists() -> None:
    """Fetch the package lists of the machine's sources for arm64."""
    for folder in ("lists/partial", "cache/archives/partial"):
        (CACHE / folder).mkdir(parents=True, exist_ok=True)
    apt("apt-get", "update")
    if not any(CACHE.glob("lists/*_binary-arm64_Packages*")):
        raise FetchError("no package list for arm64 could be fetched; is there a network?")
    (CACHE / "refreshed").touch()


def versions(packages: list[str], with_dependencies: bool) -> dict[str, str]:
    """Return the file name of each wanted package in the archive, by `name=version`."""
    if with_dependencies:
        plan = apt("apt-get", "install", "--simulate", *packages)
        found = re.findall(r"^Inst (\S+) \((\S+) .*\[(\w+)\]\)", plan, re.MULTILINE)
    else:
        records = apt("apt-cache", "show", "--no-all-versions", *packages).strip().split("\n\n")
        found = [
            [field(record, name) for name in ("Package", "Version", "Architecture")]
            for record in records
        ]
    return {
        f"{name}={version}": f"{name}_{version.replace(':', '%3a')}_{architecture}.deb"
        for name, version, architecture in found
    }


def field(record: str, name: str) -> str:
    """Return a one-line field of a package's record: deb822(5)."""
    found = re.search(rf"^{name}: (\S+)$", record, re.MULTILINE)
    if not found:
        raise FetchError(f"apt's record has no field {name}")
    return found[1]


def archives(packages: list[str], with_dependencies: bool) -> list[Path]:
    """Return the .deb files of the packages, fetching what the cache lacks."""
    stamp = CACHE / "refreshed"
    fresh = stamp.exists() and time.time() - stamp.stat().st_mtime < DAY
    if not fresh:
        refresh_lists()
    try:
        wanted = versions(packages, with_dependencies)
    except FetchError:
        if not fresh:
            raise
        refresh_lists()
        wanted = versions(packages, with_dependencies)
    missing = [package for package, file in wanted.items() if not (ARCHIVES / file).exists()]
    if missing:
        apt("apt-get", "download", *missing)
    return [ARCHIVES / file for file in wanted.values()]


def unpack(archive: Path, folder: Path) -> None:
    """Unpack a .deb file; links of the merged layout stay links."""
    contents = subprocess.run(
        ["dpkg-deb", "--fsys-tarfile", archive], stdout=subprocess.PIPE, check=True
    )
    subprocess.run(
        [
            "tar",
            "-x",
            "-C",
            folder,
            "--keep-directory-symlink",
            "--no-same-owner",
            "--exclude=./dev/*",
        ],
        input=contents.stdout,
        check=True,
    )


def fetch(folder: Path, packages: list[str], with_dependencies: bool = False) -> None:
    """Unpack the packages into `folder`, and their dependencies if asked; raises FetchError."""
    ARCHIVES.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        files = archives(packages, with_dependencies)
    for name in MERGED:
        (folder / "usr" / name).mkdir(parents=True, exist_ok=True)
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"usr/{name}")
    for file in files:
        unpack(file, folder)


def main() -> int:
    """Fetch what the command line names."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--into", type=Path, required=True, metavar="DIR")
    parser.add_argument("--with-dependencies", action="store_true")
    parser.add_argument("packages", nargs="+", metavar="PACKAGE")
    options = parser.parse_args()
    try:
        fetch(options.into, options.packages, options.with_dependencies)
    except FetchError as error:
        sys.stderr.write(f"fetch_arm64: {' '.join(options.packages)}: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
