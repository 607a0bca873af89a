# SPDX-License-Identifier: GPL-2.0-or-later
"""Making a Debian root tree with debootstrap(8): unpacked by the host's programs, configured by the guest's own."""

from __future__ import annotations

import os
import re
import shutil
import threading
from collections.abc import Callable
from dataclasses import dataclass
from shlex import quote

from syscalls.arch.guest import cpu
from usermode.container.enter import Room, environment, run
from usermode.container.identity import identity
from usermode.errors import UsermodeError

Report = Callable[[str, int, int], None]
"""Told of the step in words, and how many packages of how many are through it."""

SECOND_STAGE = "/debootstrap/debootstrap"
STEP = re.compile(
    r"I: (Retrieving|Validating|Extracting|Unpacking|Configuring) (\S+?)(?:\.\.\.| .*)?$"
)
LOG_NAME = "usermode-bootstrap.log"
CONTAINER = "lxc"
"""What debootstrap(8) takes for a place where it cannot make device nodes, and needs none made."""


@dataclass
class Plan:
    """What tree to make; all but `target` and `suite` may be left to debootstrap(8)."""

    target: str
    suite: str
    mirror: str
    variant: str
    include: str
    components: str
    keyring: str


def check(plan: Plan) -> None:
    """Raise UsermodeError for what cannot work before an hour is spent on it."""
    if not shutil.which("debootstrap", path=os.environ.get("PATH", "") + ":/usr/sbin"):
        raise UsermodeError("debootstrap is not installed", hint="apt install debootstrap")
    if os.path.isdir(plan.target) and os.listdir(plan.target):
        raise UsermodeError(f"{plan.target} is not empty", hint=removal(plan.target))
    if identity().single:
        raise UsermodeError(
            "a tree needs more users than the one you are",
            hint="install the package uidmap and give yourself a range in /etc/subuid and /etc/subgid, or be root",
        )


def removal(target: str) -> str | None:
    """Return how to remove what an attempt that failed has left; its files may have other ids than the user's."""
    if not os.path.isdir(os.path.join(target, "debootstrap")):
        return None
    others = "" if os.geteuid() == 0 else "unshare --map-auto --map-root-user "
    return f"an earlier attempt left this, which goes by: {others}rm -rf {quote(target)}"


def bootstrap(plan: Plan, interpreter: str, report: Report) -> None:
    """Make the tree. Raises UsermodeError, with the last words of the log."""
    check(plan)
    parent = os.path.dirname(os.path.abspath(plan.target))
    if not os.path.isdir(parent):
        raise UsermodeError(f"{parent}: no such folder")
    os.makedirs(plan.target, exist_ok=True)
    target = os.path.realpath(plan.target)
    options = [f"--variant={plan.variant}"] if plan.variant else []
    options += [f"--include={plan.include}"] if plan.include else []
    options += [f"--components={plan.components}"] if plan.components else []
    options += [f"--keyring={plan.keyring}"] if plan.keyring else []
    first = [
        "debootstrap",
        "--foreign",
        f"--arch={cpu.DEBIAN_ARCHITECTURE}",
        *options,
        plan.suite,
        target,
    ]
    variables = environment({"container": CONTAINER, "DEBIAN_FRONTEND": "noninteractive"})
    room = Room(target, interpreter, environment=variables, pivot=False)
    _stage(
        room, [*first, *([plan.mirror] if plan.mirror else [])], "Fetching and unpacking", report
    )
    room.pivot = True
    _stage(room, [SECOND_STAGE, "--second-stage"], "Installing", report)


def _stage(room: Room, command: list[str], title: str, report: Report) -> None:
    """Run one stage and tell how far it is. Raises UsermodeError when it fails."""
    lines: list[str] = []
    read_end, write_end = os.pipe()
    reader = threading.Thread(target=_follow, args=(read_end, lines, title, report))
    reader.start()
    try:
        status = run(room, command, output=write_end)
    finally:
        os.close(write_end)
        reader.join()
    if status:
        tail = [line for line in lines if line.strip()][-3:]
        raise UsermodeError(
            f"debootstrap ended with status {status}: {' / '.join(tail)}",
            hint=f"what it said is in {os.path.join(room.root, 'debootstrap', 'debootstrap.log')}",
        )


def _follow(read_end: int, lines: list[str], title: str, report: Report) -> None:
    """Read a stage's output to its end."""
    seen: dict[str, set[str]] = {}
    with os.fdopen(read_end, encoding="utf-8", errors="replace") as output:
        for line in output:
            lines.append(line.rstrip("\n"))
            del lines[:-200]
            step = STEP.match(lines[-1])
            if step:
                done = seen.setdefault(step[1], set())
                done.add(step[2])
                total = max(len(names) for names in seen.values())
                report(f"{title}: {step[1].lower()} {step[2]}", len(done), total)
