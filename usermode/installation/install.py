# SPDX-License-Identifier: GPL-2.0-or-later
"""Installing and uninstalling below a root: the files of `owned`, written so that nobody ever sees a part of one."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from usermode.errors import UsermodeError
from usermode.installation import owned, sources
from usermode.installation.texts import OLDEST_PYTHON, PYTHON

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class Target:
    """A system to install into: `root` is its top."""

    def __init__(self, root: str = "/") -> None:
        self.root = Path(root).resolve()

    def path(self, absolute: str) -> Path:
        """Return where a file of the system is for us."""
        return self.root / absolute.lstrip("/")

    @property
    def is_this_system(self) -> bool:
        """Whether it is the one that runs."""
        return self.root == Path("/")

    def write(self, target: str, data: bytes, mode: int) -> bool:
        """Put a file in place by rename(2), as the interpreter may be running; False if it is there already."""
        path = self.path(target)
        if same(path, data, mode):
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".usermode-", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                os.fchmod(file.fileno(), mode)
                file.flush()
                os.fsync(file.fileno())
            os.rename(name, path)
        except BaseException:
            os.unlink(name)
            raise
        return True

    def link(self, target: str, to: str) -> bool:
        """Make a symbolic link; False if it is there already."""
        path = self.path(target)
        if path.is_symlink() and os.readlink(path) == to:
            return False
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.symlink_to(to)
        return True


def same(path: Path, data: bytes, mode: int) -> bool:
    """Tell whether a file is what it should be."""
    try:
        facts = path.lstat()
    except FileNotFoundError:
        return False
    regular = path.is_file() and not path.is_symlink()
    return regular and facts.st_mode & 0o7777 == mode and path.read_bytes() == data


def install(
    target: Target, completions: Mapping[str, str], *, for_package: bool = False
) -> list[str]:
    """Put everything in place and return what changed, as paths of the system.

    `for_package` leaves to the package manager what it does itself: Python's packages of others, enabling units.
    Raises UsermodeError before anything is written when something is missing, or another package owns a file.
    """
    files = dict(contents(completions, for_package))
    if not for_package:
        refuse_packaged(target, [*files, *(link.target for link in owned.LINKS)])
        check_python(target)
    changed = [path for path, (data, mode) in files.items() if target.write(path, data, mode)]
    changed += [path for path in leftovers(target, files) if discard(target.path(path))]
    if not for_package:
        changed += [row.target for row in owned.LINKS if target.link(row.target, row.to)]
        compile_modules(target)
    return changed


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
    words = subprocess.run([PYTHON, "-I", "-c", code], capture_output=True, text=True, check=True)
    major, minor = (int(word) for word in words.stdout.split())
    if (major, minor) < OLDEST_PYTHON:
        raise UsermodeError(f"{PYTHON} is Python {major}.{minor}; usermode needs {wanted}")


def compile_modules(target: Target) -> None:
    """Write bytecode: ordinary users could not, and would compile at every start."""
    python = PYTHON if os.access(PYTHON, os.X_OK) else "python3"
    folder = target.path(owned.MODULES)
    command = [python, "-I", "-m", "compileall", "-q", "-s", str(target.root), "-p", "/"]
    subprocess.run([*command, str(folder)], check=True)


def uninstall(target: Target) -> list[str]:
    """Remove everything and return what was there. UsermodeError when it is the Debian package's."""
    refuse_packaged(target, owned.file_targets())
    gone = [path for path in owned.file_targets() if discard(target.path(path))]
    for path in owned.FOLDERS:
        if target.path(path).is_dir():
            shutil.rmtree(target.path(path))
            gone.append(path)
    remove_empty(target)
    return gone


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
