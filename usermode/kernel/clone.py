# SPDX-License-Identifier: GPL-2.0-or-later
"""clone(2) and clone3(2): what the flags ask for, and new processes by the host's clone.

The host makes the process with the guest's flags, but for those that are about memory and registers: the child of a
fork goes on in a copy of the emulator. One that shares the memory is `vfork.py`'s, a thread `threads.py`'s.
"""

from __future__ import annotations

import posix
from _struct import Struct
from errno import EINVAL

import _usermode_core as core

from syscalls.host.x86_64 import NUMBERS
from usermode.kernel import signals
from usermode.machine.regions import LIMIT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from usermode.kernel.task import Task

CLONE_VM, CLONE_FS, CLONE_FILES, CLONE_SIGHAND = 0x100, 0x200, 0x400, 0x800
CLONE_PIDFD, CLONE_PTRACE, CLONE_VFORK = 0x1000, 0x2000, 0x4000
CLONE_THREAD, CLONE_SYSVSEM = 0x10000, 0x40000
CLONE_SETTLS, CLONE_PARENT_SETTID = 0x80000, 0x100000
CLONE_CHILD_CLEARTID, CLONE_DETACHED, CLONE_UNTRACED = 0x200000, 0x400000, 0x800000
CLONE_CHILD_SETTID, CLONE_IO, CLONE_CLEAR_SIGHAND = 0x1000000, 0x80000000, 0x100000000

OURS = (
    CLONE_VM
    | CLONE_VFORK
    | CLONE_SETTLS
    | CLONE_CHILD_SETTID
    | CLONE_CHILD_CLEARTID
    | CLONE_CLEAR_SIGHAND
)
"""Flags about memory, registers, and actions of which the host has only a part."""

SP, TPIDR = 31, -8
NEVER_MAPPED = 4096
"""For a pointer out of the guest: the kernel says EFAULT if it looks."""

_CLONE_ARGS = Struct("<11Q")


class Request:
    """struct clone_args; `stack` is where the stack pointer begins, 0 for the caller's. `extended`: from clone3(2)."""

    __slots__ = (
        "cgroup",
        "child_tid",
        "extended",
        "flags",
        "parent_tid",
        "pidfd",
        "set_tid",
        "set_tid_size",
        "signal",
        "stack",
        "tls",
    )

    def __init__(self, words: tuple[int, ...], extended: bool) -> None:
        self.flags, self.pidfd, self.child_tid, self.parent_tid, self.signal = words[:5]
        stack, stack_size, self.tls, self.set_tid, self.set_tid_size, self.cgroup = words[5:]
        self.stack = stack + stack_size
        self.extended = extended

    def for_host(self, more_flags: int = 0) -> bytes:
        """Return the host's struct clone_args: without what the emulator does, and with `more_flags`."""
        flags = self.flags & ~OURS | more_flags
        pointers = (
            pointer if pointer < LIMIT else NEVER_MAPPED
            for pointer in (self.pidfd, self.parent_tid, self.set_tid)
        )
        pidfd, parent_tid, set_tid = pointers
        return _CLONE_ARGS.pack(
            *(flags, pidfd, 0, parent_tid, self.signal, 0, 0, 0),
            *(set_tid, self.set_tid_size, self.cgroup),
        )


def clone(task: Task, words: tuple[int, ...], extended: bool) -> int:
    """Start a thread or a process. Raises OSError(EINVAL) for what is not supported."""
    request = Request(words, extended)
    flags = request.flags
    if flags & CLONE_SIGHAND and (not flags & CLONE_VM or flags & CLONE_CLEAR_SIGHAND):
        raise OSError(EINVAL, "")
    if flags & CLONE_THREAD:
        from usermode.kernel.threads import start_thread

        return start_thread(task, request)
    if not flags & CLONE_VM:
        return fork(task, request)
    from usermode.kernel.vfork import vfork

    return vfork(task, request)


def fork(task: Task, request: Request) -> int:
    """Start a process with a copy of the memory. With CLONE_VFORK the caller waits until it execs or ends."""
    import usermode.kernel.execute  # noqa: F401  or each child would load it by itself

    flags = request.flags
    if flags & CLONE_VFORK and flags & CLONE_FILES:
        task.process.unsupported("CLONE_VFORK with CLONE_FILES and without CLONE_VM")
        raise OSError(EINVAL, "")
    vfork_pipe = posix.pipe2(posix.O_CLOEXEC) if flags & CLONE_VFORK else None
    signals.set_host_mask(signals.ASK)  # what was caught before is the parent's alone
    try:
        with task.process.space.lock:  # the child gets the list of mappings as a whole
            pid = core.fork(request.for_host(), request.extended)
    finally:
        signals.set_host_mask(task.blocked)
    if pid:
        if task.process.debugger is not None:
            task.process.debugger.forked(task, pid)
        if vfork_pipe:
            posix.close(vfork_pipe[1])
            posix.read(vfork_pipe[0], 1)
            posix.close(vfork_pipe[0])
        return pid
    if vfork_pipe:
        posix.close(vfork_pipe[0])
        _move_high(vfork_pipe[1])
    task.engine.forked()
    task.tid = core.host_call(NUMBERS["gettid"])
    task.process.forget_other_threads(task)
    begin(task, request)
    return 0


def begin(task: Task, request: Request) -> None:
    """Give the registers and ids of a new process their first values, in the new process."""
    flags = request.flags
    task.clear_child_tid = request.child_tid if flags & CLONE_CHILD_CLEARTID else 0
    if flags & CLONE_CLEAR_SIGHAND:
        task.process.actions.clear_handlers()
    if flags & CLONE_CHILD_SETTID:
        store_tid(request.child_tid, task.tid)
    if flags & CLONE_SETTLS:
        state = task.engine.snapshot()
        task.engine.restore(with_tls(state, request.tls))
    if request.stack:
        task.engine.set(SP, request.stack)


def with_tls(state: bytes, tls: int) -> bytes:
    """Return a snapshot with another thread pointer."""
    return state[:TPIDR] + tls.to_bytes(8, "little")


def store_tid(address: int, tid: int) -> None:
    """Write a thread id where the guest wants it; the kernel does not mind a bad address either."""
    try:
        core.write(address, tid.to_bytes(4, "little"))
    except OSError:
        pass


def _move_high(fd: int) -> None:
    """Keep the descriptor that tells the waiting parent out of the child's way."""
    limit = NUMBERS["fcntl"]
    if core.host_call(limit, fd, 1030, 1000) >= 0:  # F_DUPFD_CLOEXEC
        posix.close(fd)
