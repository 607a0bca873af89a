# SPDX-License-Identifier: GPL-2.0-or-later
"""Guest threads: host threads with engines of their own."""

from __future__ import annotations

import posix
from _thread import allocate_lock, start_new_thread
from errno import EAGAIN, EINVAL

import _usermode_core as core

from syscalls.host.x86_64 import NUMBERS
from usermode.kernel import robust, signals
from usermode.kernel.clone import (
    CLONE_CHILD_CLEARTID,
    CLONE_CHILD_SETTID,
    CLONE_DETACHED,
    CLONE_FILES,
    CLONE_FS,
    CLONE_IO,
    CLONE_PARENT_SETTID,
    CLONE_PTRACE,
    CLONE_SETTLS,
    CLONE_SIGHAND,
    CLONE_SYSVSEM,
    CLONE_THREAD,
    CLONE_UNTRACED,
    CLONE_VM,
    Request,
    store_tid,
    with_tls,
)
from usermode.kernel.task import Task, ThreadExit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import NoReturn

    from usermode.kernel.process import Process

THREAD_FLAGS = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD
"""What a thread must share: there is one host process for all threads."""

NO_DIFFERENCE = CLONE_PTRACE | CLONE_DETACHED | CLONE_UNTRACED | CLONE_IO
"""Flags that change nothing here: about tracers, without meaning, or a mere hint."""

THREAD_MORE = (
    CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID | CLONE_CHILD_SETTID
)

SIGSETXID = 33
THREAD_BUFFER = 128 << 20
"""Memory is only taken as code is translated; when a buffer is full, all of the thread's code is translated anew."""

SPARE_ENGINES = 8
"""So many ended threads leave their engines to new ones, which would else translate the same code once more."""

SP = 31
FUTEX_WAKE = 1


def start_thread(task: Task, request: Request) -> int:
    """Start a thread and return its id. Raises OSError(EINVAL) for flags that a thread here cannot have."""
    flags = request.flags
    if flags & THREAD_FLAGS != THREAD_FLAGS or flags & ~(
        THREAD_FLAGS | THREAD_MORE | NO_DIFFERENCE
    ):
        task.process.unsupported(f"clone flags {flags:#x} of a thread")
        raise OSError(EINVAL, "")
    if task.process.vfork_depth:
        task.process.unsupported("a thread of a process that shares its parent's memory")
        raise OSError(EAGAIN, "")
    state = task.engine.snapshot()
    if flags & CLONE_SETTLS:
        state = with_tls(state, request.tls)
    started = allocate_lock()
    started.acquire()
    outcome: list[Task | Exception] = []

    def thread() -> None:
        try:
            outcome.append(_prepare(task, request, state))
        except (OSError, RuntimeError, MemoryError) as error:
            outcome.append(error)
            return
        finally:
            started.release()
        child = outcome[0]
        assert isinstance(child, Task)
        run_thread(child)

    _start_host_thread(task, thread)
    started.acquire()
    child = outcome[0]
    if isinstance(child, Task):
        return child.tid
    raise OSError(EAGAIN, "") from child


def _prepare(parent: Task, request: Request, state: bytes) -> Task:
    """Make the guest thread of the calling host thread."""
    flags, process = request.flags, parent.process
    engine = _engine(process)
    engine.restore(state)
    engine.set(0, 0)
    if request.stack:
        engine.set(SP, request.stack)
    child = Task(process, engine)
    child.blocked = parent.blocked
    child.clear_child_tid = request.child_tid if flags & CLONE_CHILD_CLEARTID else 0
    if flags & CLONE_PARENT_SETTID:
        store_tid(request.parent_tid, child.tid)
    if flags & CLONE_CHILD_SETTID:
        store_tid(request.child_tid, child.tid)
    engine.trace(process.settings.strace is not None)
    with process.lock:
        process.tasks[child.tid] = child
    return child


def _engine(process: Process) -> core.Engine:
    """Return an engine for the calling thread: that of an ended thread with its translations, or a new one."""
    try:
        while not (engine := process.spare_engines.pop()).attach():
            pass
    except IndexError:
        engine = core.Engine(THREAD_BUFFER)
    return engine


def _start_host_thread(task: Task, body: Callable[[], None]) -> None:
    """Start a host thread with all signals blocked. Raises OSError(EAGAIN)."""
    actions = task.process.actions
    set_id_action = actions.get(SIGSETXID)
    first = len(task.process.tasks) == 1
    try:
        signals.set_host_mask(signals.ASK)
        start_new_thread(body, ())
    except RuntimeError:
        raise OSError(EAGAIN, "") from None
    finally:
        if first:  # with its first thread the host's libc takes this signal for itself
            actions.set(SIGSETXID, set_id_action)
        signals.set_host_mask(task.blocked)


def run_thread(child: Task) -> None:
    """Run a new guest thread in its host thread until it ends."""
    signals.set_host_mask(child.blocked)
    spare = child.process.spare_engines
    ended = False
    try:
        child.process.run(child)
    except ThreadExit:
        ended = True
    finally:
        if ended and len(spare) < SPARE_ENGINES:
            child.engine.detach()
            spare.append(child.engine)
        else:
            child.engine.close()


def exit_thread(task: Task, status: int) -> NoReturn:
    """End one guest thread; the last one ends the process with `status`."""
    process = task.process
    with process.lock:
        process.tasks.pop(task.tid, None)
        last = not process.tasks
    if not last:
        robust.leave(task)
        signals.give_back(task)
    if last:
        task.exit_group(status)
    if task.clear_child_tid:  # mm_release() of the kernel: not for the last that uses the memory
        store_tid(task.clear_child_tid, 0)
        core.host_call(NUMBERS["futex"], task.clear_child_tid, FUTEX_WAKE, 1, 0, 0, 0)
    if task.tid == posix.getpid():
        core.exit_thread()
    raise ThreadExit
