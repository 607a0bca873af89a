# SPDX-License-Identifier: GPL-2.0-or-later
"""An entry as the kernel shows it: the text of a file below /proc/sys/fs/binfmt_misc.

Source: bm_entry_read() and entry_status() in fs/binfmt_misc.c.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from binfmt.entry import PRESERVE, TRANSPARENT, Entry, in_order
from binfmt.magic import MAGIC
from binfmt.places import is_ours

PROGRAMS = {
    "programs": MAGIC,
    "position-independent programs": MAGIC[:16] + b"\x03" + MAGIC[17:],
    "programs with GNU extensions": MAGIC[:7] + b"\x03" + MAGIC[8:],
}
"""Beginnings of guest programs that an entry has to match, by what they are called."""

APPIMAGE = MAGIC[:8] + b"AI\x02" + MAGIC[11:]


@dataclass(frozen=True)
class Registered:
    """An entry that the kernel holds; `magic` is None for one that goes by a file name's extension, or a newer kind."""

    name: str
    enabled: bool
    interpreter: str
    flags: str
    offset: int = 0
    magic: bytes | None = None
    mask: bytes | None = None
    extension: str | None = None

    def matches(self, head: bytes) -> bool:
        """Tell whether the kernel would take a file that begins with `head` for this entry's, were it enabled."""
        if self.magic is None:
            return False
        part = head[self.offset : self.offset + len(self.magic)]
        # The kernel reads 256 bytes, and zeros behind the end of the file; `head` may be shorter.
        part = part.ljust(len(self.magic), b"\0")
        bits = self.mask or b"\xff" * len(self.magic)
        return all(not (a ^ b) & m for a, b, m in zip(part, self.magic, bits, strict=True))

    @property
    def ours(self) -> bool:
        """Whether it starts our interpreter, wherever that is installed."""
        return is_ours(self.interpreter)

    @property
    def appimage(self) -> bool:
        """Whether it takes AppImages."""
        return self.matches(APPIMAGE)

    def unmatched(self) -> list[str]:
        """Return which kinds of guest programs it misses."""
        return [kind for kind, head in PROGRAMS.items() if not self.matches(head)]

    def same(self, entry: Entry) -> bool:
        """Tell whether registering `entry` would give this, apart from the file that flag F opened."""
        return (
            self.interpreter == entry.interpreter
            and in_order(self.flags) == entry.flags
            and (self.offset, self.magic, self.mask) == (0, MAGIC, entry.mask)
        )

    def equivalent(self, entry: Entry) -> bool:
        """As `same`, but P or T does not matter: one does for programs what the other does."""
        twin = replace(self, flags=self.flags.replace(TRANSPARENT, PRESERVE))
        return twin.same(entry.portable)


def parse(name: str, text: str) -> Registered:
    """Read one entry's file. Lines of kinds that we do not know are passed over: newer kernels may add some.

    Raises ValueError when it is no entry at all.
    """
    lines = text.splitlines()
    if not lines or lines[0] not in ("enabled", "disabled"):
        raise ValueError(f"{name}: no entry of binfmt_misc begins with {text[:20]!r}")
    facts = dict(line.split(" ", 1) for line in lines[1:] if " " in line)
    return Registered(
        name=name,
        enabled=lines[0] == "enabled",
        interpreter=facts.get("interpreter", ""),
        flags=facts.get("flags:", "").strip(),
        offset=int(facts.get("offset", "0")),
        magic=bytes.fromhex(facts["magic"]) if "magic" in facts else None,
        mask=bytes.fromhex(facts["mask"]) if "mask" in facts else None,
        extension=facts.get("extension"),
    )
