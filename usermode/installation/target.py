# SPDX-License-Identifier: GPL-2.0-or-later
"""A system to install into, and changing its files: all or, when one cannot be written, none."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from usermode.errors import UsermodeError

if TYPE_CHECKING:
    from collections.abc import Iterator

MASK = 0o022
"""Folders that are made are for everybody to enter, whatever the caller's umask."""


class Target:
    """A system: `root` is its top."""

    def __init__(self, root: str = "/") -> None:
        self.root = Path(root).resolve()

    def path(self, absolute: str) -> Path:
        """Return where a file of the system is for us. UsermodeError when a symbolic link leads out of the system."""
        path = self.root / absolute.lstrip("/")
        if not path.parent.resolve().is_relative_to(self.root):
            raise UsermodeError(f"{path.parent} leads out of {self.root}: a link in it is absolute")
        return path

    @property
    def is_this_system(self) -> bool:
        """Whether it is the one that runs."""
        return self.root == Path("/")


class Change:
    """New files and links, which wait beside their places until all are written."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.waiting: list[tuple[str, Path]] = []
        self.made: list[Path] = []
        """Folders that were not there."""

    def write(self, name: str, data: bytes, mode: int) -> bool:
        """Add a file; False if it is there already. Raises OSError."""
        path = self.target.path(name)
        if same(path, data, mode):
            return False
        self._folder(path.parent)
        handle, new = tempfile.mkstemp(prefix=".usermode-", dir=path.parent)
        self.waiting.append((new, path))
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                os.fchmod(file.fileno(), mode)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise OSError(error.errno, error.strerror, str(path)) from error
        return True

    def link(self, name: str, to: str) -> bool:
        """Add a symbolic link; False if it is there already. Raises OSError."""
        path = self.target.path(name)
        if path.is_symlink() and os.readlink(path) == to:
            return False
        self._folder(path.parent)
        new = f"{path.parent}/.usermode-{os.urandom(6).hex()}"
        os.symlink(to, new)
        self.waiting.append((new, path))
        return True

    def _folder(self, folder: Path) -> None:
        missing = [place for place in (folder, *folder.parents) if not place.exists()]
        for place in reversed(missing):
            place.mkdir()
            self.made.append(place)

    def commit(self) -> None:
        """Put everything in place by rename(2), as the interpreter may be running."""
        while self.waiting:
            new, path = self.waiting[0]
            os.rename(new, path)
            del self.waiting[0]

    def abandon(self) -> None:
        """Remove what waits, and the folders that were made for it."""
        for new, _ in self.waiting:
            os.unlink(new)
        for folder in reversed(self.made):
            if not any(folder.iterdir()):
                folder.rmdir()


@contextmanager
def changing(target: Target) -> Iterator[Change]:
    """Make a change to a system: done at the end of the block, or not at all if anything in it fails."""
    before = os.umask(MASK)
    change = Change(target)
    try:
        yield change
        change.commit()
    except BaseException:
        change.abandon()
        raise
    finally:
        os.umask(before)


def same(path: Path, data: bytes, mode: int) -> bool:
    """Tell whether a file is what it should be."""
    try:
        facts = path.lstat()
    except FileNotFoundError:
        return False
    regular = path.is_file() and not path.is_symlink()
    return regular and facts.st_mode & 0o7777 == mode and path.read_bytes() == data
