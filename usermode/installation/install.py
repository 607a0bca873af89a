# SPDX-License-Identifier: GPL-2.0-or-later
"""Installing and uninstalling below a root: the files of `owned`, written so that nobody ever sees a part of one."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

from binfmt.configuration import HEADER, read
from binfmt.places import BINFMT_D, BINFMT_D_FOLDERS, INTERPRETER
from usermode.errors import UsermodeError
from usermode.installation import owned, sources
from usermode.installation.target import MASK, changing
from usermode.installation.texts import OLDEST_PYTHON, PYTHON

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from usermode.installation.target import Target

OVERRIDE = f"{BINFMT_D_FOLDERS[0]}/{os.path.basename(BINFMT_D)}"
"""What `usermode doctor --fix` writes where the file of binfmt.d is missing or wrong."""


def install(
    target: Target, completions: Mapping[str, str], *, for_package: bool = False
) -> list[str]:
    """Put everything in place and return what changed, as paths of the system.

    `for_package` leaves to the package manager what it does itself: Python's packages of others, enabling units.
    Raises UsermodeError before anything is written when something is missing, or another package owns a file; and
    OSError, with nothing changed, when a file cannot be written.
    """
    files = dict(contents(completions, for_package))
    if not for_package:
        refuse_packaged(target, [*files, *(link.target for link in owned.LINKS)])
        check_python(target)
    with changing(target) as change:
        new = [path for path, (data, mode) in files.items() if change.write(path, data, mode)]
        if not for_package:
            new += [row.target for row in owned.LINKS if change.link(row.target, row.to)]
    old = [path for path in leftovers(target, files) if discard(target.path(path))]
    if not for_package:
        compile_modules(target)
    return new + old


def contents(
    completions: Mapping[str, str], for_package: bool
) -> Iterator[tuple[str, tuple[bytes, int]]]:
    """Yield path, content and mode of every file."""
    for shipped in owned.SHIPPED:
        yield shipped.target, (sources.find(shipped.source).read_bytes(), shipped.mode)
    for made in owned.MADE:
        yield made.target, (made.text.encode(), made.mode)
    for shell, place in owned.COMPLETIONS.items():
        yield place, (completions[shell].encode(), 0o644)
    for name in owned.PACKAGES + (() if for_package else owned.DEPENDENCIES):
        folder = sources.package(name)
        for file in sources.modules(folder):
            yield f"{owned.MODULES}/{name}/{file}", ((folder / file).read_bytes(), 0o644)


def leftovers(target: Target, files: Mapping[str, object]) -> list[str]:
    """Return modules of an older version that this one has no longer."""
    folder = target.path(owned.MODULES)
    found = [f"/{path.relative_to(target.root)}" for path in folder.rglob("*.py")]
    return [path for path in found if path not in files]


def discard(path: Path) -> bool:
    """Remove a file or link; False if there is none."""
    if not path.is_symlink() and not path.exists():
        return False
    path.unlink()
    return True


def refuse_packaged(target: Target, paths: list[str]) -> None:
    """Raise UsermodeError when the files are the Debian package's."""
    owners = packaged(target, paths)
    if owners:
        path, package = next(iter(owners.items()))
        raise UsermodeError(
            f"{path} belongs to the Debian package {package}",
            hint=f"use apt for it: apt install --reinstall {package}, or apt remove {package} first",
        )


def packaged(target: Target, paths: list[str]) -> dict[str, str]:
    """Return which of the paths a Debian package owns: path -> package."""
    database = target.path("/var/lib/dpkg")
    if not shutil.which("dpkg-query") or not (database / "status").exists():
        return {}
    # dpkg knows a file by the name in the package, which may lead through /lib instead of /usr/lib.
    names = {path: path for path in paths if not path.startswith(owned.MODULES)}
    names |= {path.removeprefix("/usr"): path for path in names if path.startswith("/usr/lib/")}
    answer = subprocess.run(
        ["dpkg-query", f"--admindir={database}", "-S", *names],
        capture_output=True,
        text=True,
        env={**os.environ, "LC_ALL": "C"},
    )
    owners = {}
    for line in answer.stdout.splitlines():
        package, _, path = line.partition(": ")
        if path in names:
            owners[names[path]] = package
    return owners


def check_python(target: Target) -> None:
    """Raise UsermodeError when the system's Python cannot run the command and the service."""
    path = target.path(PYTHON)
    wanted = ".".join(map(str, OLDEST_PYTHON))
    if not os.path.lexists(path):
        raise UsermodeError(f"{path} is missing", hint=f"usermode needs Python {wanted}")
    if not target.is_this_system:
        return
    code = "import sys; print(*sys.version_info[:2])"
    answer = subprocess.run([PYTHON, "-I", "-c", code], capture_output=True, text=True)
    words = answer.stdout.split()
    if answer.returncode or len(words) != 2:
        raise UsermodeError(f"{PYTHON} does not work: {answer.stderr.strip()[-200:]}")
    major, minor = map(int, words)
    if (major, minor) < OLDEST_PYTHON:
        raise UsermodeError(f"{PYTHON} is Python {major}.{minor}; usermode needs {wanted}")


def compile_modules(target: Target) -> None:
    """Write bytecode: ordinary users could not, and would compile at every start."""
    python = PYTHON if os.access(PYTHON, os.X_OK) else "python3"
    folder = target.path(owned.MODULES)
    command = [python, "-I", "-m", "compileall", "-q", "-s", str(target.root), "-p", "/"]
    answer = subprocess.run(
        [*command, str(folder)], capture_output=True, text=True, errors="replace", umask=MASK
    )
    if answer.returncode:
        words = (answer.stderr or answer.stdout).strip().splitlines() or ["no reason given"]
        raise UsermodeError(
            f"everything is in place, but {folder} could not be compiled: {words[-1]}",
            hint="programs run; the command starts slowly until 'usermode install' is done again",
        )


def uninstall(target: Target) -> list[str]:
    """Remove everything and return what was there. UsermodeError when it is the Debian package's."""
    refuse_packaged(target, owned.file_targets())
    refuse_read_only(target)
    override = [OVERRIDE] if written_by_doctor(target.path(OVERRIDE)) else []
    gone = [path for path in [*owned.file_targets(), *override] if discard(target.path(path))]
    for path in owned.FOLDERS:
        place = target.path(path)
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
            gone.append(path)
    remove_empty(target)
    return gone


def refuse_read_only(target: Target) -> None:
    """Raise UsermodeError when something could not be removed, before anything is."""
    for path in [*owned.file_targets(), *owned.FOLDERS]:
        place = target.path(path)
        if os.path.lexists(place) and not os.access(place.parent, os.W_OK):
            raise UsermodeError(f"{place} cannot be removed: {place.parent} is read-only for you")


def written_by_doctor(path: Path) -> bool:
    """Tell whether a file of binfmt.d is one that we wrote for the installed interpreter, and nobody has changed."""
    if not path.is_file():
        return False
    found = read(str(path))
    return (
        path.read_text(errors="replace").startswith(HEADER)
        and len(found.entries) == 1
        and found.entries[0].interpreter == INTERPRETER
    )


def remove_empty(target: Target) -> None:
    """Remove folders that nothing is left in and no package has: install made them."""
    folders = {
        parent
        for path in [*owned.file_targets(), *owned.FOLDERS]
        for parent in Path(path).parents
        if parent != Path("/")
    }
    kept = packaged(target, [str(folder) for folder in folders])
    for folder in sorted(folders, reverse=True):
        path = target.path(str(folder))
        if str(folder) not in kept and path.is_dir() and not any(path.iterdir()):
            path.rmdir()
