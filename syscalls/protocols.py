# SPDX-License-Identifier: GPL-2.0-or-later
"""What handlers may use of the emulator. `usermode.kernel` supplies it, a test may supply a fake.

For type checkers: nothing imports this module when a program runs.
"""

from __future__ import annotations

from typing import Protocol


class Memory(Protocol):
    """The guest's memory. Every method raises OSError(EFAULT) outside it."""

    def read(self, address: int, size: int, /) -> bytes:
        """Read `size` bytes."""

    def write(self, address: int, data: bytes | bytearray, /) -> None:
        """Write all of `data`."""

    def read_string(self, address: int, limit: int = 4096, /) -> bytes:
        """Read up to a NUL, which is left out; OSError(ENAMETOOLONG) if `limit` bytes have none."""


class Paths(Protocol):
    """Which host file a guest's path means: the sysroot and the guest's view of /proc."""

    def resolve(self, dirfd: int, path: bytes, follow: bool) -> tuple[int, bytes]:
        """Return the host's (directory descriptor, path); `follow` a link in the last component?"""

    def special(self, dirfd: int, path: bytes) -> bytes | None:
        """Return which file of the /proc view the path names, b"exe", b"maps", …, or None."""

    def content(self, name: bytes, host_text: bytes, /) -> bytes:
        """Return what that file shows; `host_text` is what the host's file of the name says."""

    def leave_sysroot(self) -> None:
        """Use the host's files alone from now on."""

    @property
    def executable(self) -> bytes:
        """The absolute path of the guest's program."""


class Process(Protocol):
    """What the threads of a guest share."""

    @property
    def pid(self) -> int:
        """The process id."""

    def unsupported(self, what: str) -> None:
        """Count a request that nothing here supports."""


class Task(Protocol):
    """A guest thread."""

    @property
    def tid(self) -> int:
        """The thread id."""

    @property
    def memory(self) -> Memory:
        """The guest's memory."""

    @property
    def paths(self) -> Paths:
        """The process's path rules."""

    @property
    def process(self) -> Process:
        """The process."""

    def host(self, number: int, *arguments: int | bytes | bytearray) -> int:
        """Make a host call, by the host's number; bytes go by their address.

        Raises OSError, and Restart when a signal came before the host began it.
        """

    def pass_through(self, number: int, arguments: tuple[int, ...]) -> int:
        """Make guest call `number` as its HOST row says; the kernel's result, -errno on errors.

        -4096: a path needs the sysroot or the /proc view. Raises Restart like `host`.
        """
