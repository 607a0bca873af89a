# SPDX-License-Identifier: GPL-2.0-or-later
"""Checks of binfmt_misc itself and of our entry in it."""

from __future__ import annotations

import os
from shlex import quote
from typing import TYPE_CHECKING

from binfmt.doctor.finding import FAILURE, OK, WARNING, Case, Finding
from binfmt.doctor.process import in_user_namespace, surroundings
from binfmt.entry import CREDENTIALS, TRANSPARENT, lacking
from binfmt.places import is_ours
from binfmt.refusal import F_SINCE, kernel_version

if TYPE_CHECKING:
    from binfmt.listing import Registered

AGAIN = "register --again"


def kernel(case: Case) -> Finding:
    """Flag F is needed for chroots and containers; flag T is an improvement."""
    release = os.uname().release
    if kernel_version() < F_SINCE:
        return Finding(
            "kernel",
            FAILURE,
            f"Linux {release} is too old: it cannot hold the interpreter open for chroots",
            "flag F of binfmt_misc came with Linux 4.8",
        )
    return Finding("kernel", OK, case.kernel.words)


def mounted(case: Case) -> Finding:
    """Without the file system nothing can be registered; in a container entries of the host hold all the same."""
    directory = case.registry.directory
    if case.registry.mounted:
        return Finding("mounted", OK, f"binfmt_misc is mounted at {directory}")
    if os.path.exists(case.sample) and not case.by_kernel.error:
        return Finding(
            "mounted", OK, "entries made elsewhere hold here; binfmt_misc is not mounted"
        )
    if not os.path.isdir(directory):
        return Finding(
            "mounted",
            FAILURE,
            f"binfmt_misc cannot be mounted: there is no folder {directory}",
            "the kernel was built without it, or its module is not loaded",
            "modprobe binfmt_misc",
        )
    return Finding(
        "mounted",
        FAILURE,
        f"binfmt_misc is not mounted at {directory}",
        surroundings(),
        f"mount -t binfmt_misc binfmt_misc {quote(directory)}",
        case.registry.mount,
    )


def writable(case: Case) -> Finding | None:
    """A container's /proc/sys is read-only; whether we have the right is no fault of the machine."""
    if not case.registry.mounted:
        return None
    if case.registry.read_only:
        return Finding(
            "writable",
            WARNING,
            f"{case.registry.directory} is read-only: entries cannot be changed from here",
            surroundings(),
            "usermode register, on the machine that runs the container",
        )
    if not os.access(case.registry.path("register"), os.W_OK):
        own = ", or a table of this user namespace's own: usermode register"
        here = own if in_user_namespace() else ""
        return Finding("writable", OK, f"changing entries takes root's rights{here}")
    return Finding("writable", OK, "entries can be changed")


def switched_on(case: Case) -> Finding | None:
    """The file `status` switches everybody's entries."""
    if not case.registry.mounted:
        return None
    if case.registry.enabled:
        return Finding("switched-on", OK, "binfmt_misc is switched on")
    return Finding(
        "switched-on",
        FAILURE,
        "binfmt_misc as a whole is switched off",
        "somebody wrote 0 to its file status",
        f"echo 1 > {quote(case.registry.path('status'))}",
        lambda: case.registry.switch_all(True),
    )


def present(case: Case) -> Finding | None:
    """The entry is there and is ours."""
    if not case.registry.mounted:
        return None
    name, entry = case.entry.name, case.registered
    if entry is None:
        return Finding(
            "present",
            FAILURE,
            f"the kernel has no entry {name}",
            why_absent(case),
            case.typed("register"),
            case.register,
        )
    if not is_ours(entry.interpreter) and entry.interpreter != case.entry.interpreter:
        return Finding(
            "present",
            FAILURE,
            f"the entry {name} is another's: it starts {entry.interpreter}",
            "",
            "usermode register --name OTHER",
        )
    return Finding("present", OK, f"the kernel has the entry {name}")


def why_absent(case: Case) -> str:
    """Return the likely reason why the kernel has no entry of ours."""
    if in_user_namespace() and not case.entries:
        return "this user namespace has a table of its own, which is empty and hides the machine's"
    if case.entries or not os.path.exists(case.places.binfmt_d):
        return ""
    if case.places.systemd_runs:
        return "the table was flushed, or systemd-binfmt.service has not run"
    return f"{case.places.binfmt_d} is there, but without systemd nothing reads it"


def ours(case: Case) -> Registered | None:
    """Return the entry that the further checks are about; `present` has told if there is none."""
    entry = case.registered
    if entry and (is_ours(entry.interpreter) or entry.interpreter == case.entry.interpreter):
        return entry
    return None


def enabled(case: Case) -> Finding | None:
    """Entries can be switched one by one."""
    entry = ours(case)
    if entry is None:
        return None
    if entry.enabled:
        return Finding("enabled", OK, "the entry is enabled")
    return Finding(
        "enabled",
        FAILURE,
        f"the entry {entry.name} is disabled",
        "",
        case.typed("enable"),
        lambda: case.registry.switch(entry.name, True),
    )


def magic(case: Case) -> Finding | None:
    """The entry takes each kind of guest program, found out by trying."""
    entry = ours(case)
    if entry is None:
        return None
    if missed := entry.unmatched():
        return Finding(
            "magic",
            FAILURE,
            f"the entry does not match {', '.join(missed)}",
            "its magic or mask is wrong",
            case.typed(AGAIN),
            case.register,
        )
    return Finding("magic", OK, "the entry matches every kind of AArch64 program")


def flags(case: Case) -> Finding | None:
    """P, O and F are needed, or T for P; C is a choice."""
    entry = ours(case)
    if entry is None:
        return None
    if missing := lacking(entry.flags):
        consequence = {
            "P": "programs do not see their argv[0]",
            "O": "programs that nobody may read do not run",
            "F": "programs in chroots and containers do not run",
        }
        return Finding(
            "flags",
            FAILURE,
            f"the entry lacks the flags {''.join(missing)}",
            "; ".join(consequence[flag] for flag in missing),
            case.typed(AGAIN),
            case.register,
        )
    words = []
    if CREDENTIALS in entry.flags:
        words.append("set-user-ID programs gain their rights")
    if TRANSPARENT in entry.flags:
        words.append("/proc/PID/exe is the program")
    elif case.kernel.transparent:
        words.append("this kernel also knows T, see usermode register")
    return Finding(
        "flags", OK, ": ".join([f"flags {entry.flags}", *filter(None, ["; ".join(words)])])
    )


def interpreter_path(case: Case) -> Finding | None:
    """The entry names the interpreter that is installed."""
    entry = ours(case)
    if entry is None:
        return None
    if entry.interpreter == case.entry.interpreter:
        return Finding("interpreter-path", OK, f"the entry starts {entry.interpreter}")
    return Finding(
        "interpreter-path",
        FAILURE,
        f"the entry starts {entry.interpreter}, but installed is {case.entry.interpreter}",
        "" if os.path.exists(entry.interpreter) else "that file is gone",
        case.typed(AGAIN),
        case.register,
    )


def winner(case: Case) -> Finding | None:
    """Of several entries that match, the kernel takes the newest."""
    entry = ours(case)
    rivals = [other.name for other in case.registry.matching()] if case.registry.mounted else []
    if entry is None or entry.name not in rivals:
        return None  # other checks told why
    first = next(other for other in case.registry.matching() if other.name == rivals[0])
    if first.name == entry.name:
        behind = f", before {', '.join(rivals[1:])}" if rivals[1:] else ""
        return Finding("winner", OK, f"AArch64 programs go to {entry.name}{behind}")
    return Finding(
        "winner",
        FAILURE,
        f"AArch64 programs go to {first.name} ({first.interpreter}), not to {entry.name}",
        "of the entries that match, the kernel takes the one that was registered last",
        case.typed(AGAIN),
        case.register,
    )
