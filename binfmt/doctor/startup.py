# SPDX-License-Identifier: GPL-2.0-or-later
"""Checks of binfmt.d(5): whether the entry will be there after the next start of the machine."""

from __future__ import annotations

import os
from shlex import quote
from typing import TYPE_CHECKING

from binfmt.configuration import NULL, File, files, later_rivals, read, render
from binfmt.doctor.finding import OK, WARNING, Case, Finding
from binfmt.entry import CREDENTIALS, lacking
from binfmt.places import BINFMT_D_FOLDERS, SYSTEMD_UNIT_MASK

if TYPE_CHECKING:
    from collections.abc import Sequence

ADMINISTRATORS = BINFMT_D_FOLDERS[0]
BACKUP = ".before-usermode-doctor"


def startup_file(case: Case) -> Finding:
    """The file is there, not masked, and says what is to be registered."""
    name = f"{case.entry.name}.conf"
    if not case.places.systemd_runs:
        return Finding("startup-file", OK, "systemd does not run here, so binfmt.d is not read")
    file = effective(case)
    wrong, cause = "", ""
    if file is None:
        wrong = f"no {name} in binfmt.d: the entry is lost at the next start of the machine"
    elif file.masked:
        wrong, cause = f"{file.path} masks {name}", "a link to /dev/null, or an empty file, does so"
    elif file.problem:
        wrong = f"{file.path} is damaged: {file.problem}"
    elif not any(entry.name == case.entry.name for entry in file.entries):
        wrong = f"{file.path} has no line for {case.entry.name}"
    elif difference := differs(case, file):
        wrong = f"{file.path} registers {difference}"
        cause = f"it hides {file.hidden[0]}" if file.hidden else ""
    else:
        return Finding(
            "startup-file", OK, f"{file.path} registers the entry at the machine's start"
        )
    command = case.typed("doctor --fix")
    return Finding("startup-file", WARNING, wrong, cause, command, lambda: mend(case))


def effective(case: Case) -> File | None:
    """Return the file that systemd-binfmt reads under our entry's name."""
    name = f"{case.entry.name}.conf"
    return next((file for file in read_all(case) if os.path.basename(file.path) == name), None)


def read_all(case: Case) -> Sequence[File]:
    """Return all files that systemd-binfmt reads."""
    return list(files(case.places.binfmt_d_folders()))


def differs(case: Case, file: File) -> str:
    """Return what a file registers other than it should; "" if it is right. Flag C and AppImages are a choice."""
    entry = next(entry for entry in file.entries if entry.name == case.entry.name)
    if entry.interpreter != case.entry.interpreter:
        return f"the interpreter {entry.interpreter}, not {case.entry.interpreter}"
    if lacking(entry.flags) or (CREDENTIALS in case.entry.flags) > (CREDENTIALS in entry.flags):
        return f"the flags {entry.flags or 'none'}, not {case.entry.portable.flags}"
    if missed := entry.unmatched():
        return f"a magic that does not match {', '.join(missed)}"
    return ""


def mend(case: Case) -> None:
    """Remove masks, put other overrides aside, and write a file unless the package's is right then.

    The package's own folders are not touched. OSError when that is not allowed.
    """
    name = f"{case.entry.name}.conf"
    for folder in case.places.binfmt_d_folders()[:2]:
        path = os.path.join(folder, name)
        if not os.path.lexists(path):
            continue
        if read(path).masked:
            os.unlink(path)
        else:
            os.replace(path, path + BACKUP)
    if startup_file(case).state == OK:
        return
    folder = case.places.path(ADMINISTRATORS)
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
        file.write(render(case.entry.portable))


def service(case: Case) -> Finding | None:
    """The service that reads binfmt.d may be masked as a whole, which is the administrator's decision."""
    link = case.places.path(SYSTEMD_UNIT_MASK)
    if not case.places.systemd_runs:
        return None
    if os.path.islink(link) and os.readlink(link) == NULL:
        return Finding(
            "service",
            WARNING,
            "systemd-binfmt.service is masked: nothing is registered at the machine's start",
            f"{SYSTEMD_UNIT_MASK} is a link to {NULL}",
            "systemctl unmask systemd-binfmt.service",
        )
    return Finding("service", OK, "systemd-binfmt.service is not masked")


def rivals(case: Case) -> Finding | None:
    """systemd-binfmt registers in the order of the names, and the last entry wins."""
    if not case.places.systemd_runs:
        return None
    later = later_rivals(read_all(case), f"{case.entry.name}.conf")
    if not later:
        return None
    file, entry = later[-1]
    return Finding(
        "rivals",
        WARNING,
        f"after the next start AArch64 programs go to {entry.name} ({entry.interpreter})",
        f"{file.path} is read after ours",
        hide(case, file.path),
    )


def hide(case: Case, path: str) -> str:
    """Return the command that keeps systemd-binfmt from reading a file: a mask, or another name where that would be."""
    folder = case.places.path(ADMINISTRATORS)
    mask = os.path.join(folder, os.path.basename(path))
    if path == mask:
        return f"mv {quote(path)} {quote(path + '.off')}"
    make = "" if os.path.isdir(folder) else f"mkdir -p {quote(folder)} && "
    return f"{make}ln -s {NULL} {quote(mask)}"
