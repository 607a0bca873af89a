# SPDX-License-Identifier: GPL-2.0-or-later
"""clone(2): new processes by the host's fork, new threads as host threads with engines of their own."""

from __future__ import annotations

import posix
from _thread import allocate_lock, start_new_thread
from errno import EAGAIN, EINVAL

import _usermode_core as core

from syscalls.host.x86_64 import NUMBERS
from usermode.kernel import robust, signals
from usermode.kernel.task import Task, ThreadExit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

CLONE_VM, CLONE_FS, CLONE_FILES, CLONE_SIGHAND = 0x100, 0x200, 0x400, 0x800
CLONE_PIDFD, CLONE_PTRACE, CLONE_VFORK = 0x1000, 0x2000, 0x4000
CLONE_THREAD, CLONE_SYSVSEM = 0x10000, 0x40000
CLONE_SETTLS, CLONE_PARENT_SETTID = 0x80000, 0x100000
CLONE_CHILD_CLEARTID, CLONE_DETACHED, CLONE_UNTRACED = 0x200000, 0x400000, 0x800000
CLONE_CHILD_SETTID, CLONE_IO, CLONE_CLEAR_SIGHAND = 0x1000000, 0x80000000, 0x100000000

THREAD_FLAGS = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD
"""What a thread must share: there is one host process for all threads."""

NO_DIFFERENCE = CLONE_PTRACE | CLONE_DETACHED | CLONE_UNTRACED | CLONE_IO
"""Flags that change nothing here: about tracers, without meaning, or a mere hint."""

THREAD_MORE = (
    CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID | CLONE_CHILD_CLEARTID | CLONE_CHILD_SETTID
)

PROCESS_FLAGS = (
    CLONE_VFORK | CLONE_VM | CLONE_PIDFD | CLONE_CLEAR_SIGHAND | THREAD_MORE & ~CLONE_SYSVSEM
)

SIGCHLD, SIGSETXID = 17, 33
THREAD_BUFFER = 8 << 20
SP, TPIDR = 31, -8
FUTEX_WAKE = 1


def clone(
    task: Task,
    flags: int,
    signal: int,
    stack: int,
    parent_tid: int,
    tls: int,
    child_tid: int,
    pidfd: int,
) -> int:
    """Start a thread (CLONE_THREAD) or a process. Raises OSError(EINVAL) for what is not supported."""
    if flags & CLONE_SIGHAND and (not flags & CLONE_VM or flags & CLONE_CLEAR_SIGHAND):
        raise OSError(EINVAL, "")
    if flags & CLONE_THREAD:
        if flags & THREAD_FLAGS != THREAD_FLAGS or flags & ~(
            THREAD_FLAGS | THREAD_MORE | NO_DIFFERENCE
        ):
            task.process.unsupported(f"clone flags {flags:#x} of a thread")
            raise OSError(EINVAL, "")
        return _start_thread(task, flags, stack, parent_tid, tls, child_tid)
    flags &= ~NO_DIFFERENCE
    if flags & ~PROCESS_FLAGS or (flags & CLONE_VM and not flags & CLONE_VFORK):
        task.process.unsupported(f"clone flags {flags:#x}")
        raise OSError(EINVAL, "")
    if signal != SIGCHLD:
        task.process.unsupported(f"clone with exit signal {signal}")
        raise OSError(EINVAL, "")
    return _fork(task, flags, stack, parent_tid, tls, child_tid, pidfd)


def _fork(
    task: Task, flags: int, stack: int, parent_tid: int, tls: int, child_tid: int, pidfd: int
) -> int:
    """Start a process with the host's fork. With CLONE_VFORK the parent waits until the child execs or ends."""
    vfork_pipe = posix.pipe2(posix.O_CLOEXEC) if flags & CLONE_VFORK else None
    signals.set_host_mask(signals.ASK)  # what was caught before is the parent's alone
    try:
        with task.process.space.lock:  # the child gets the list of mappings as a whole
            pid = core.fork()
        if not pid:
            signals.forget_caught(task)
    finally:
        signals.set_host_mask(task.blocked)
    if pid:
        if flags & CLONE_PIDFD:
            _give_pidfd(pid, pidfd)
        if flags & CLONE_PARENT_SETTID:
            _store_tid(parent_tid, pid)
        if vfork_pipe:
            posix.close(vfork_pipe[1])
            posix.read(vfork_pipe[0], 1)
            posix.close(vfork_pipe[0])
        return pid
    if vfork_pipe:
        posix.close(vfork_pipe[0])
        _move_high(vfork_pipe[1])
    task.engine.forked()
    task.tid = posix.getpid()
    task.process.forget_other_threads(task)
    task.clear_child_tid = child_tid if flags & CLONE_CHILD_CLEARTID else 0
    if flags & CLONE_CLEAR_SIGHAND:
        task.process.actions.clear_handlers()
    if flags & CLONE_CHILD_SETTID:
        _store_tid(child_tid, task.tid)
    if flags & CLONE_SETTLS:
        state = task.engine.snapshot()
        task.engine.restore(state[:TPIDR] + tls.to_bytes(8, "little"))
    if stack:
        task.engine.set(SP, stack)
    return 0


def _store_tid(address: int, tid: int) -> None:
    """Write a thread id where the guest wants it; the kernel does not mind a bad address either."""
    try:
        core.write(address, tid.to_bytes(4, "little"))
    except OSError:
        pass


def _give_pidfd(pid: int, address: int) -> None:
    """Open a descriptor of the child, for CLONE_PIDFD. The child exists until the guest waits for it."""
    fd = core.host_call(NUMBERS["pidfd_open"], pid, 0)
    if fd >= 0:
        core.write(address, fd.to_bytes(4, "little"))


def _move_high(fd: int) -> None:
    """Keep the descriptor that tells the waiting parent out of the child's way."""
    limit = NUMBERS["fcntl"]
    if core.host_call(limit, fd, 1030, 1000) >= 0:  # F_DUPFD_CLOEXEC
        posix.close(fd)


def _start_thread(
    task: Task, flags: int, stack: int, parent_tid: int, tls: int, child_tid: int
) -> int:
    state = task.engine.snapshot()
    if flags & CLONE_SETTLS:
        state = state[:TPIDR] + tls.to_bytes(8, "little")
    started = allocate_lock()
    started.acquire()
    outcome: list[Task | Exception] = []

    def prepare() -> Task:
        engine = core.Engine(THREAD_BUFFER)
        engine.restore(state)
        engine.set(0, 0)
        if stack:
            engine.set(SP, stack)
        child = Task(task.process, engine)
        child.blocked = task.blocked
        child.clear_child_tid = child_tid if flags & CLONE_CHILD_CLEARTID else 0
        if flags & CLONE_PARENT_SETTID:
            _store_tid(parent_tid, child.tid)
        if flags & CLONE_CHILD_SETTID:
            _store_tid(child_tid, child.tid)
        engine.trace(task.process.settings.strace is not None)
        with task.process.lock:
            task.process.tasks[child.tid] = child
        return child

    def thread() -> None:
        try:
            outcome.append(prepare())
        except (OSError, RuntimeError, MemoryError) as error:
            outcome.append(error)
            return
        finally:
            started.release()
        child = outcome[0]
        assert isinstance(child, Task)
        run_thread(child)

    actions = task.process.actions
    set_id_action = actions.get(SIGSETXID)
    first = len(task.process.tasks) == 1
    try:
        signals.set_host_mask(signals.ASK)  # the new thread begins with everything blocked
        start_new_thread(thread, ())
    except RuntimeError:
        raise OSError(EAGAIN, "") from None
    finally:
        if first:  # with its first thread the host's libc takes this signal for itself
            actions.set(SIGSETXID, set_id_action)
        signals.set_host_mask(task.blocked)
    started.acquire()
    child = outcome[0]
    if isinstance(child, Task):
        return child.tid
    raise OSError(EAGAIN, "") from child


def run_thread(child: Task) -> None:
    """Run a new guest thread in its host thread until it ends."""
    signals.set_host_mask(child.blocked)
    try:
        child.process.run(child)
    except ThreadExit:
        pass
    finally:
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
    if task.clear_child_tid:
        _store_tid(task.clear_child_tid, 0)
        core.host_call(NUMBERS["futex"], task.clear_child_tid, FUTEX_WAKE, 1, 0, 0, 0)
    if last:
        posix._exit(status)
    if task.tid == posix.getpid():
        core.exit_thread()
    raise ThreadExit
