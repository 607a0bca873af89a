# SPDX-License-Identifier: GPL-2.0-or-later
"""Running a command in a guest's root tree, in user, mount and process-id namespaces of its own.

Four processes: the caller waits; its child makes the namespaces, for the ids of a user namespace are set from
outside; the first process of the new process-id namespace mounts, and reaps orphans; the command is its child.
Each dies with the one before it, and the namespaces with the last, so nothing is left behind.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from usermode.container import identity, tree
from usermode.container.host import (
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUSER,
    die_with_parent,
    pivot_root,
    unshare,
)
from usermode.container.tree import SET_UP_FAILED
from usermode.errors import CANNOT_EXECUTE, NOT_FOUND, UsermodeError

if TYPE_CHECKING:
    from collections.abc import Callable

SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
KEPT = ("TERM", "COLORTERM", "LANG", "LC_ALL", "TZ", "NO_COLOR", "http_proxy", "https_proxy")
KEYBOARD_SIGNALS = (signal.SIGINT, signal.SIGQUIT)


@dataclass
class Room:
    """A root tree and how to be in it.

    `binds` are (source, target inside); the command starts in the first of `folders` that can be entered. Without
    `pivot` the host's root stays the root.
    """

    root: str
    interpreter: str
    binds: list[tuple[str, str]] = field(default_factory=list)
    folders: list[str] = field(default_factory=lambda: ["/"])
    environment: dict[str, str] = field(default_factory=dict)
    pivot: bool = True


def environment(assignments: dict[str, str]) -> dict[str, str]:
    """Return the variables of a root login, with what describes the terminal and the network kept."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    fixed = {"PATH": SEARCH_PATH, "HOME": "/root", "USER": "root", "LOGNAME": "root"}
    return {**kept, **fixed, **assignments}


def check_root(root: str) -> str:
    """Return the tree's absolute path. Raises UsermodeError for what cannot be one."""
    path = os.path.realpath(root)
    if not os.path.isdir(path):
        raise UsermodeError(f"{root}: no such folder", status=SET_UP_FAILED)
    if path == "/":
        raise UsermodeError("the tree cannot be the host's own root", status=SET_UP_FAILED)
    if not os.path.isdir(os.path.join(path, "usr")) and not os.path.isdir(
        os.path.join(path, "bin")
    ):
        raise UsermodeError(
            f"{root} holds no system: neither usr nor bin is there",
            status=SET_UP_FAILED,
            hint=f"'usermode bootstrap {root}' makes one",
        )
    return path


def run(room: Room, command: list[str], output: int | None = None) -> int:
    """Run a command in the room; its exit status, 128 + n for a death by signal n. Raises UsermodeError.

    `output` is the descriptor that its standard output and error go to, instead of ours.
    """
    chosen = identity.identity()
    made_read, made_write = os.pipe()
    mapped_read, mapped_write = os.pipe()
    parent = os.getpid()
    child = os.fork()
    if not child:
        os.close(made_read)
        os.close(mapped_write)
        _guarded(lambda: _separate(room, command, output, parent, made_write, mapped_read))
    os.close(made_write)
    os.close(mapped_read)
    previous = [signal.signal(number, signal.SIG_IGN) for number in KEYBOARD_SIGNALS]
    try:
        if os.read(made_read, 1):
            identity.apply(chosen, child)
            os.write(mapped_write, b"x")
    finally:
        os.close(made_read)
        os.close(mapped_write)  # without its byte the child gives up
        _, status = os.waitpid(child, 0)
        for number, action in zip(KEYBOARD_SIGNALS, previous, strict=True):
            signal.signal(number, action)
    return shell_status(status)


def shell_status(status: int) -> int:
    """Turn a wait status into an exit status as a shell does."""
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _guarded(work: Callable[[], int]) -> NoReturn:
    """Run a child's part; whatever goes wrong is said in one line, and no frame of the parent is left to."""
    status = SET_UP_FAILED
    try:
        status = work()
    except UsermodeError as error:
        _say(error.message)
        status = error.status
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        _say(f"{where}{error.strerror or error}")
    except BaseException as error:  # noqa: BLE001  the child's outermost edge
        _say(f"internal error: {error!r}")
    finally:
        sys.stderr.flush()
        os._exit(status)


def _say(message: str) -> None:
    sys.stderr.write(f"usermode: {message}\n")


def _separate(
    room: Room, command: list[str], output: int | None, parent: int, made: int, mapped: int
) -> int:
    """Make the namespaces, wait for the ids, and start the namespace's first process."""
    die_with_parent(signal.SIGKILL)
    if os.getppid() != parent:
        return SET_UP_FAILED
    try:
        unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWPID)
    except OSError as error:
        raise UsermodeError(_no_namespaces(error), status=SET_UP_FAILED) from error
    os.write(made, b"x")
    os.close(made)
    if not os.read(mapped, 1):
        return SET_UP_FAILED
    os.close(mapped)
    os.setgid(0)
    os.setuid(0)
    if Path("/proc/self/setgroups").read_text().strip() == "allow":
        os.setgroups([])
    first = os.fork()
    if not first:
        die_with_parent(signal.SIGKILL)
        _guarded(lambda: _first_process(room, command, output))
    _, status = os.waitpid(first, 0)
    return shell_status(status)


def _no_namespaces(error: OSError) -> str:
    if error.errno == errno.ENOSPC:
        return "no user namespace: user.max_user_namespaces is used up or 0"
    return (
        f"no user namespace: {error.strerror} (kernel.unprivileged_userns_clone, "
        "kernel.apparmor_restrict_unprivileged_userns, a container's seccomp filter, or a chroot)"
    )


def _first_process(room: Room, command: list[str], output: int | None) -> int:
    """Set up the tree, start the command, and reap until it ends."""
    registered, warnings = tree.furnish(room.root, room.interpreter, room.binds)
    for warning in warnings:
        _say(warning)
    starter = -1 if registered else os.open(room.interpreter, os.O_RDONLY | os.O_CLOEXEC)
    if room.pivot:
        pivot_root(room.root)
    started = os.fork()
    if not started:
        _guarded(lambda: _command(room, command, output, starter))
    if output is not None:
        os.close(output)
    while True:
        pid, status = os.wait()
        if pid == started:
            return shell_status(status)


def _command(room: Room, command: list[str], output: int | None, starter: int) -> int:
    """Become the command; without a registration by the interpreter, which then serves all its guests."""
    for number in KEYBOARD_SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    if output is not None:
        os.dup2(output, 1)
        os.dup2(output, 2)
    _start_in(room.folders)
    path = _find(command[0], room.environment.get("PATH", SEARCH_PATH))
    try:
        if starter < 0:
            os.execve(path, command, room.environment)
        name = os.path.basename(room.interpreter)
        os.execve(
            starter, [name, "--argv0", command[0], "--", path, *command[1:]], room.environment
        )
    except OSError as error:
        raise UsermodeError(
            f"{command[0]}: {error.strerror}",
            status=NOT_FOUND if error.errno == errno.ENOENT else CANNOT_EXECUTE,
        ) from error


def _start_in(folders: list[str]) -> None:
    """Change to the first of the folders that can be entered. Raises OSError for the last."""
    for folder in folders:
        try:
            os.chdir(folder)
        except OSError:
            if folder is folders[-1]:
                raise
        else:
            return


def _find(name: str, search_path: str) -> str:
    """Find a command as a shell does. Raises UsermodeError."""
    if "/" in name:
        return name
    for folder in search_path.split(":"):
        path = os.path.join(folder or ".", name)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    raise UsermodeError(f"{name}: command not found in the tree", status=NOT_FOUND)
