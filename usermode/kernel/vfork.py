# SPDX-License-Identifier: GPL-2.0-or-later
"""Children that share the caller's memory until they exec: vfork(2), posix_spawn(3).

The caller's host thread runs the child's guest code, nested, on the same engine. Every host call meanwhile, also those
of Python's posix module, is made by the child's process (core/proxy.c). When that is gone, by execve(2), by its end or
by a signal, whatever is under way here ends with `core.ProcessGone`, and the caller goes on as the parent.
"""

from __future__ import annotations

from errno import EAGAIN, EINVAL

import _usermode_core as core

from syscalls.host.x86_64 import NUMBERS
from usermode.kernel import signals
from usermode.kernel.clone import (
    CLONE_SIGHAND,
    CLONE_VFORK,
    CLONE_VM,
    Request,
    begin,
    fork,
    store_tid,
)
from usermode.kernel.task import Task

FUTEX_WAKE = 1

DEEPEST = 64
"""Each child of a child runs in further frames of one stack, ours and Python's."""


def vfork(task: Task, request: Request) -> int:
    """Start a process that shares the memory, and run it until it has a memory of its own or ends.

    Meanwhile the caller's signals wait, but for those that end it.
    """
    if not request.flags & CLONE_VFORK:
        task.process.unsupported("CLONE_VM without CLONE_VFORK and CLONE_THREAD")
        raise OSError(EINVAL, "")
    if task.process.vfork_depth == DEEPEST:
        task.process.unsupported(f"vfork children more than {DEEPEST} deep")
        raise OSError(EAGAIN, "")
    if task.process.debugger is not None:
        return _copy(task, request)
    state = task.engine.snapshot()
    signals.set_host_mask(task.blocked | task.process.actions.not_ending())
    try:
        try:
            pid = core.vfork(
                request.for_host(CLONE_VM | request.flags & CLONE_SIGHAND), request.extended
            )
        except NotImplementedError:
            return _copy(task, request)
        try:
            cleared = _run(task, request)
        finally:
            core.vfork_end()
        task.engine.restore(state)
        if cleared:
            store_tid(cleared, 0)
            core.host_call(NUMBERS["futex"], cleared, FUTEX_WAKE, 1, 0, 0, 0)
    finally:
        signals.set_host_mask(task.blocked)
    return pid


def _run(task: Task, request: Request) -> int:
    """Run the child. Returns the address of the word that its end clears, or 0."""
    shared = bool(request.flags & CLONE_SIGHAND)
    child = Task(task.process.sharing_memory(shared), task.engine)
    try:
        child.tid = core.host_call(NUMBERS["gettid"])
        child.process.tasks[child.tid] = child
        task.engine.set(0, 0)
        begin(child, request)
        signals.set_host_mask(child.blocked)
        child.process.run(child)
    except core.ProcessGone:
        pass
    return child.clear_child_tid


def _copy(task: Task, request: Request) -> int:
    """Give the child a copy: a debugger looks at one process; the developer's build cannot redirect libc's calls."""
    request.flags &= ~(CLONE_VM | CLONE_SIGHAND)
    return fork(task, request)
