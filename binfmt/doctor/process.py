# SPDX-License-Identifier: GPL-2.0-or-later
"""Checks of what surrounds us: container, user namespace, and what keeps the engine from making code."""

from __future__ import annotations

import errno
import mmap
import os
import resource
from typing import TYPE_CHECKING

from binfmt.doctor.finding import FAILURE, OK, WARNING, Finding

if TYPE_CHECKING:
    from binfmt.doctor.finding import Case

PR_GET_MDWE = 66
PERSONALITY_ASK, ADDR_COMPAT_LAYOUT = 0xFFFFFFFF, 0x0200000
ALL_IDS = ["0", "0", "4294967295"]
CONTAINERS = (
    ("/run/systemd/container", ""),
    ("/run/.containerenv", "podman"),
    ("/.dockerenv", "docker"),
    ("/var/run/secrets/kubernetes.io", "kubernetes"),
)
"""File that tells of a container, and of which kind; "" when its content does."""


def container() -> str:
    """Return the kind of container that we are in, "" for none; the signs are those of systemd-detect-virt(1)."""
    for path, kind in CONTAINERS:
        if os.path.exists(path):
            if kind:
                return kind
            with open(path, encoding="utf-8", errors="replace") as file:
                return file.read().strip() or "unknown"
    try:
        with open("/proc/1/environ", "rb") as file:
            variables = file.read().split(b"\0")
    except OSError:
        return ""  # only root may see this sign
    kinds = [word[10:] for word in variables if word.startswith(b"container=")]
    return kinds[0].decode("utf-8", "replace") if kinds else ""


def in_user_namespace() -> bool:
    """Tell whether we are in another user namespace than the machine's first."""
    try:
        with open("/proc/self/uid_map", encoding="ascii") as file:
            return file.read().split() != ALL_IDS
    except FileNotFoundError:
        return False  # a kernel without user namespaces


def surroundings() -> str:
    """Return a few words about where we are, "" on the machine itself."""
    words = []
    if kind := container():
        words.append(f"a container ({kind})")
    if in_user_namespace():
        words.append("a user namespace")
    return f"this is {' in '.join(words)}" if words else ""


def place(_: Case) -> Finding:
    """A container sees its host's entries unless its user namespace has a table of its own."""
    return Finding("place", OK, surroundings() or "this is no container and no user namespace")


def executable_memory(_: Case) -> Finding:
    """The engine writes code and runs it in the same memory, which hardened services and SELinux forbid."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    denied = libc.prctl(PR_GET_MDWE, 0, 0, 0, 0)
    if denied > 0:
        return Finding(
            "executable-memory",
            FAILURE,
            "this process may not have memory that is both writable and executable",
            "memory-deny-write-execute is set, see prctl(2)",
            "MemoryDenyWriteExecute=no, in the unit that starts the program",
        )
    try:
        protection = mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC
        mmap.mmap(-1, mmap.PAGESIZE, prot=protection).close()
    except OSError as error:
        reason = (
            "SELinux enforces, and its domain lacks execmem"
            if selinux()
            else "a security module or seccomp filter"
        )
        return Finding(
            "executable-memory",
            FAILURE,
            f"no memory can be both writable and executable: {error.strerror}",
            reason,
            "setsebool deny_execmem off" if selinux() else "",
        )
    return Finding("executable-memory", OK, "memory can be both writable and executable")


def selinux() -> bool:
    """Tell whether SELinux enforces its policy."""
    try:
        with open("/sys/fs/selinux/enforce", encoding="ascii") as file:
            return file.read().strip() == "1"
    except OSError:
        return False  # no SELinux, or no /sys


def confinement(_: Case) -> Finding:
    """A seccomp filter or an AppArmor profile is inherited by guests, whose calls are then refused too."""
    facts = []
    try:
        with open("/proc/self/status", encoding="utf-8", errors="replace") as file:
            status = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
        if status.get("Seccomp", "0").strip() != "0":
            facts.append("a seccomp filter")
        with open("/proc/self/attr/current", encoding="utf-8", errors="replace") as file:
            profile = file.read().strip("\0\n ")
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOENT):
            raise
        profile = ""  # no security module shows a label
    if profile and not profile.startswith(("unconfined", "kernel")) and not selinux():
        facts.append(f"the AppArmor profile {profile}")
    if facts:
        return Finding(
            "confinement",
            WARNING,
            f"programs started here are confined by {' and '.join(facts)}",
            "calls that it refuses fail in AArch64 programs as in others",
        )
    return Finding("confinement", OK, "no seccomp filter and no AppArmor profile holds here")


def layout(_: Case) -> Finding:
    """The legacy layout puts the interpreter's memory where the guest's goes."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    try:
        with open("/proc/sys/vm/legacy_va_layout", encoding="ascii") as file:
            forced = file.read().strip() != "0"
    except FileNotFoundError:
        forced = False  # no /proc in this chroot
    if forced:
        return Finding(
            "layout",
            FAILURE,
            "the kernel lays out all programs' memory in the legacy way",
            "the sysctl vm.legacy_va_layout is set",
            "sysctl vm.legacy_va_layout=0",
        )
    unlimited = resource.getrlimit(resource.RLIMIT_STACK)[0] == resource.RLIM_INFINITY
    if unlimited or libc.personality(PERSONALITY_ASK) & ADDR_COMPAT_LAYOUT:
        return Finding(
            "layout",
            WARNING,
            "programs started here get the legacy memory layout: in a chroot without /proc they fail",
            "the stack is unlimited" if unlimited else "the personality ADDR_COMPAT_LAYOUT is set",
            "ulimit -S -s 8192" if unlimited else "",
        )
    return Finding("layout", OK, "the kernel's memory layout suits")
