# SPDX-License-Identifier: GPL-2.0-or-later
"""How a handler says that a call did not succeed."""

from __future__ import annotations

_SECOND_NAMES = {35: "EDEADLK", 95: "EOPNOTSUPP"}
"""Where `errno.errorcode` knows one of two names, and Linux says the other."""


def error_name(number: int) -> str:
    """The name of an errno, ENOENT for 2; "ERRNO_N" for one without."""
    from errno import errorcode

    return _SECOND_NAMES.get(number) or errorcode.get(number, f"ERRNO_{number}")


class Refused(OSError):
    """A call that is not made on purpose; `errno` is what the guest gets.

    `Refused(ENOSYS, "reason")` like any OSError. It is apart from OSError so that a trace can tell
    the emulator's refusals from the kernel's errors.
    """

    def __init__(self, errno: int, reason: str = "") -> None:
        """Keep the errno and the reason."""
        super().__init__(errno, reason)


class Restart(Exception):
    """A signal came before the host began the call: deliver it, then make the call again.

    The kernel's ERESTARTSYS (include/linux/errno.h). The run loop catches it.
    """
