# SPDX-License-Identifier: GPL-2.0-or-later
"""A folder of plain files that answers as a newer kernel's binfmt_misc does, for what no kernel here can do yet."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from binfmt.configuration import parse_line
from binfmt.entry import Entry, in_order
from binfmt.registry import Registry


class NewerKernel:
    """Such a table; `knows` are the flags that the kernel takes. Entries are shown as `binfmt.listing` reads them."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch, knows: str) -> None:
        self.directory = directory
        self.knows = knows
        self.registered: list[str] = []
        """Lines, also of entries that are gone."""
        directory.mkdir()
        (directory / "status").write_text("enabled\n")
        (directory / "register").write_text("")
        monkeypatch.setattr(Registry, "write_bytes", lambda _, *written: self.write(*written))

    def write(self, name: str, data: bytes, entry: Entry | None = None) -> None:
        """What write(2) to a file of the table does."""
        if name != "register":
            assert data == b"-1"
            (self.directory / name).unlink()
            return
        new = parse_line(data.decode())
        flags = data.decode().rpartition(data.decode()[0])[2]
        if set(flags) - set(self.knows) or {"P", "T"} <= set(flags):
            raise OSError(errno.EINVAL, "Invalid argument")
        self.registered.append(data.decode())
        state = "disabled" if "D" in flags else "enabled"
        assert new.magic is not None
        shown = in_order(flags.replace("D", ""))
        text = f"{state}\ninterpreter {new.interpreter}\nflags: {shown}\noffset 0\n"
        text += f"magic {new.magic.hex()}\n" + (f"mask {new.mask.hex()}\n" if new.mask else "")
        (self.directory / new.name).write_text(text)

    @property
    def names(self) -> set[str]:
        """The entries that are there."""
        return {file.name for file in self.directory.iterdir()} - {"status", "register"}
