# SPDX-License-Identifier: GPL-2.0-or-later
"""The form of a row of the system call table, and of an argument's kind.

A row drives everything that is known about a call: what the C core does with it, how its arguments
are decoded for a handler, how a trace shows it, and what docs/compatibility.md says.
Not imported by a running interpreter, which has the table in compiled form (`compile.py`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from syscalls.arch.generic64.numbers import NUMBERS

if TYPE_CHECKING:
    from collections.abc import Callable

# What the core does with an argument before it hands the call to the host kernel: enum treatment in
# usermode/core/core.h.
VALUE = 0
POINTER = 1
PATH = 2
IOVEC = 3
MSGHDR = 4
MMSGHDR = 5
OPEN_FLAGS = 6
STAT_OUT = 7
EPOLL_IN = 8
EPOLL_OUT = 9
POINTER_IF_USED = 10
"""A pointer for some operations only, else anything: a value that is no guest address is replaced by
one that is never mapped, so that the kernel says EFAULT if, and only if, it looks there."""
WAIT_MASK = 11
"""The signal mask for as long as the call waits, a sigset_t; the next argument is its size."""
WAIT_MASK_PAIR = 12
"""The address of such a pair of arguments: pselect6(2)."""

MAX_ARGUMENTS = 6


class Host:
    """The type of HOST."""

    def __repr__(self) -> str:
        return "HOST"


HOST: Final = Host()
"""`run=HOST`: the core hands the call to the host kernel."""


class Core:
    """The type of CORE."""

    def __repr__(self) -> str:
        return "CORE"


CORE: Final = Core()
"""`run=CORE`: the core answers the call itself."""

CORE_CALLS = ("rt_sigprocmask", "rt_sigreturn")
"""Those it can answer: enum core_call in usermode/core/core.h."""


class Kind:
    """What one argument is.

    name: as in the table.
    treatment: what the core does with it, one of the constants above.
    decoder: how a handler gets it, a letter that `dispatch.py` explains.
    shown: how a trace prints it, a name in a WORDS of the `trace_*.py`, with a detail
        after a colon.
    when: "in" (known before the call), "out" (written by the kernel) or "both".
    bulk: the kernel writes data there that could be code.
    follow, nofollow: for a flag argument, the bits that say whether a path's last component is
        followed when it is a symbolic link, one per PATH_BY_FLAGS argument of the call.
    """

    __slots__ = ("bulk", "decoder", "follow", "name", "nofollow", "shown", "treatment", "when")

    def __init__(
        self,
        name: str,
        treatment: int,
        decoder: str,
        shown: str,
        *,
        when: str = "in",
        bulk: bool = False,
        follow: tuple[int, ...] = (),
        nofollow: tuple[int, ...] = (),
    ) -> None:
        self.name = name
        self.treatment = treatment
        self.decoder = decoder
        self.shown = shown
        self.when = when
        self.bulk = bulk
        self.follow = follow
        self.nofollow = nofollow

    def __repr__(self) -> str:
        return self.name


class Call:
    """One row: a system call, its arguments, and what becomes of it. See `call()`."""

    __slots__ = ("because", "kinds", "name", "number", "partly", "refuse", "run", "special")

    def __init__(
        self,
        name: str,
        kinds: tuple[Kind, ...],
        run: Host | Core | Callable[..., int] | None,
        special: Callable[..., int | None] | None,
        refuse: int,
        because: str,
        partly: str,
    ) -> None:
        self.name = name
        self.number = NUMBERS[name]
        self.kinds = kinds
        self.run = run
        self.special = special
        self.refuse = refuse
        self.because = because
        self.partly = partly

    @property
    def support(self) -> str:
        """How much of the call works: "full", "partly" or "refused"."""
        if self.refuse:
            return "refused"
        return "partly" if self.partly else "full"

    def __repr__(self) -> str:
        return f"call({self.name})"


def call(
    name: str,
    *kinds: Kind,
    run: Host | Core | Callable[..., int] | None = None,
    special: Callable[..., Any] | None = None,
    refuse: int = 0,
    because: str = "",
    partly: str = "",
) -> Call:
    """Describe the system call `name` and its arguments.

    run: HOST, CORE, or the handler, which gets the thread and the decoded arguments.
    special: for a HOST or CORE call, the handler for what the core hands back: paths in the sysroot or of
        the /proc view (without it `handlers.paths.host_with_paths`).
    refuse, because: the errno that is all the guest gets, and the reason.
    partly: what does not work, or not as on a real machine.
    """
    if (run is None) == (refuse == 0):
        raise ValueError(f"{name}: give either run= or refuse=")
    if bool(refuse) != bool(because):
        raise ValueError(f"{name}: refuse= and because= belong together")
    if special is not None and not isinstance(run, Host | Core):
        raise ValueError(f"{name}: special= is for run=HOST and run=CORE")
    if isinstance(run, Core) and name not in CORE_CALLS:
        raise ValueError(f"{name}: the core cannot answer it")
    if len(kinds) > MAX_ARGUMENTS:
        raise ValueError(f"{name}: {len(kinds)} arguments")
    return Call(name, kinds, run, special, refuse, because, partly)
