# SPDX-License-Identifier: GPL-2.0-or-later
"""Checks of the interpreter's file, and runs of a real guest program: by hand, and through the kernel."""

from __future__ import annotations

import errno
import os
import stat
import struct
from shlex import quote
from typing import TYPE_CHECKING

from binfmt.doctor.finding import ARGUMENTS, FAILURE, OK, UNKNOWN, WARNING, Case, Finding
from binfmt.doctor.table import AGAIN, ours
from binfmt.places import is_ours

if TYPE_CHECKING:
    from binfmt.doctor.sample import Trial

EM_X86_64, PT_INTERP = 62, 3
E_MACHINE, E_PHOFF, E_PHENTSIZE = 18, 32, 54
DELETED = " (deleted)"
"""What /proc appends to the path of a file that is gone."""
REINSTALL = "install the package usermode again, or run make in its source tree"


def interpreter(case: Case) -> Finding:
    """The file is there and can be executed."""
    path = case.entry.interpreter
    try:
        facts = os.stat(path)
        with open(path, "rb") as file:
            head = file.read(4096)
    except OSError as error:
        return Finding("interpreter", FAILURE, f"{path}: {error.strerror}", "", REINSTALL)
    if not stat.S_ISREG(facts.st_mode):
        return Finding("interpreter", FAILURE, f"{path} is no regular file", "", REINSTALL)
    if os.statvfs(path).f_flag & os.ST_NOEXEC:
        return Finding(
            "interpreter",
            FAILURE,
            f"{path} cannot be executed",
            "its file system is mounted with noexec",
            remount(path),
        )
    if facts.st_mode & 0o111 != 0o111 or facts.st_mode & stat.S_IWOTH:
        return Finding(
            "interpreter",
            FAILURE,
            f"the mode of {path} is {stat.S_IMODE(facts.st_mode):04o}",
            "everybody must be able to execute it and only its owner to write it",
            f"chmod 755 {quote(path)}",
            lambda: os.chmod(path, 0o755),  # noqa: S103  the mode of every program
        )
    return judge_elf(path, head)


def judge_elf(path: str, head: bytes) -> Finding:
    """Judge the beginning of the interpreter's file."""
    if head[:5] != b"\x7fELF\x02" or struct.unpack_from("<H", head, E_MACHINE)[0] != EM_X86_64:
        return Finding("interpreter", FAILURE, f"{path} is no x86-64 program", "", REINSTALL)
    (offset,) = struct.unpack_from("<Q", head, E_PHOFF)
    size, count = struct.unpack_from("<HH", head, E_PHENTSIZE)
    places = range(offset, min(offset + size * count, len(head) - 4), size or 1)
    if any(struct.unpack_from("<I", head, place)[0] == PT_INTERP for place in places):
        return Finding(
            "interpreter",
            WARNING,
            f"{path} is not static: it needs files that a chroot or container does not have",
            "this is the developer's build" if path.endswith("-dev") else "",
            REINSTALL,
        )
    return Finding("interpreter", OK, f"{path} is an executable file")


def remount(path: str) -> str:
    """Return the command that lets programs be executed where `path` is; "" when /proc does not tell the mount."""
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            # The fifth field, with spaces as 040 after a backslash: proc_pid_mountinfo(5).
            points = [line.split(" ")[4].replace("\\040", " ") for line in file]
    except FileNotFoundError:
        return ""
    under = [point for point in points if f"{path}/".startswith(f"{point.rstrip('/')}/")]
    return f"mount -o remount,exec {quote(max(under, key=len))}"


def emulation(case: Case) -> Finding:
    """The interpreter runs a program, without the kernel's help."""
    if not os.path.exists(case.entry.interpreter):
        return Finding("emulation", UNKNOWN, "not tried: there is no interpreter")
    if not os.path.exists(case.sample):
        return no_sample("emulation", case)
    if complaint := case.by_hand.complaint(ARGUMENTS):
        return Finding(
            "emulation",
            FAILURE,
            f"the interpreter does not run {case.sample}: {complaint}",
            "",
            f"{quote(case.entry.interpreter)} {quote(case.sample)}",
        )
    return Finding("emulation", OK, "the interpreter runs an AArch64 program")


def through_kernel(case: Case) -> Finding:
    """The kernel starts a guest program as any other, with the right arguments and exit status."""
    if not os.path.exists(case.sample):
        return no_sample("through-kernel", case)
    trial = case.by_kernel
    complaint = trial.complaint(ARGUMENTS)
    if not complaint:
        return Finding("through-kernel", OK, "the kernel runs an AArch64 program by its name")
    return Finding(
        "through-kernel",
        FAILURE,
        f"the kernel does not run {case.sample}: {complaint}",
        why_refused(trial.error),
        case.typed(AGAIN) if ours(case) else "",
        case.register if ours(case) else None,
    )


def why_refused(error: OSError | None) -> str:
    """Return what the errno of an execve(2) that binfmt_misc served tells."""
    return {
        errno.ENOEXEC: "no enabled entry of the table that holds here matches it",
        errno.ENOENT: "the entry's interpreter is gone, and flag F does not hold it",
        errno.EACCES: "the program or the interpreter may not be executed, for its mode or a noexec mount",
    }.get(error.errno or 0 if error else 0, "")


def pinned(case: Case) -> Finding | None:
    """Flag F holds the file that was installed at registration: after an upgrade that is an old one.

    The kernel does not show that file; a process that it started does.
    """
    if not os.path.exists(case.sample) or case.by_kernel.error:
        return None
    trial = case.by_kernel
    if ours(case) is None:
        return without_entry(trial)
    if trial.as_expected is None:
        return Finding(
            "pinned",
            UNKNOWN,
            "which file the kernel runs cannot be seen",
            "/proc does not show it" if not trial.interpreter else "",
        )
    if trial.as_expected:
        return Finding("pinned", OK, f"the kernel runs the file {case.entry.interpreter}")
    what = f"the kernel runs {trial.interpreter}, not the file {case.entry.interpreter}"
    cause = "that entry comes first"
    if trial.interpreter.removesuffix(DELETED) == case.entry.interpreter:
        what = f"the kernel runs an older file than {case.entry.interpreter}"
        cause = "flag F holds the file that was there at registration"
    return Finding("pinned", FAILURE, what, cause, case.typed(AGAIN), case.register)


def without_entry(trial: Trial) -> Finding | None:
    """Judge a run by an entry that cannot be seen from here: in a container it is the host's."""
    if not trial.interpreter:
        return None
    state = OK if is_ours(trial.interpreter.removesuffix(DELETED)) else FAILURE
    return Finding("pinned", state, f"the kernel runs AArch64 programs with {trial.interpreter}")


def no_sample(check: str, case: Case) -> Finding:
    """Say that there is no program to try."""
    return Finding(check, UNKNOWN, f"not tried: {case.sample} is missing", "", REINSTALL)
