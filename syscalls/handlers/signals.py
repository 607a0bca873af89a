# SPDX-License-Identifier: GPL-2.0-or-later
"""Signal actions, masks and stacks. Sending signals needs no handler: thread ids are the host's."""

from __future__ import annotations

from _struct import Struct
from errno import EINVAL, ENOMEM, EPERM

from syscalls.handlers.pointers import checked
from syscalls.host.x86_64 import NUMBERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from syscalls.protocols import Task

SIGSET_SIZE = 8
SS_ONSTACK, SS_DISABLE, SS_AUTODISARM = 1, 2, 1 << 31
MINSIGSTKSZ = 5120  # <asm/signal.h> of the guest

SIGACTION = Struct("<QQQQ")
"""struct sigaction of the kernel: sa_handler, sa_flags, sa_restorer, sa_mask (<asm-generic/signal.h>)."""

STACK = Struct("<QIiQ")
"""stack_t: ss_sp, ss_flags, padding, ss_size."""

MASK = Struct("<Q")


def _check_size(size: int) -> None:
    if size != SIGSET_SIZE:
        raise OSError(EINVAL, "")


def rt_sigaction(task: Task, number: int, new: int, old: int, size: int) -> int:
    """sigaction(2)."""
    _check_size(size)
    if not 1 <= number <= 64 or (new and number in (9, 19)):
        raise OSError(EINVAL, "")
    content = task.memory.read(new, SIGACTION.size) if new else b""
    before = task.signal_action(number)
    if new:
        task.set_signal_action(number, *SIGACTION.unpack(content))
    if old:
        task.memory.write(old, SIGACTION.pack(*before))
    return 0


def rt_sigreturn(task: Task) -> None:
    """sigreturn(2) with a frame that the core cannot take back."""
    task.broken_frame()


def rt_sigpending(task: Task, result: int, size: int) -> int:
    """sigpending(2): the host's pending signals, and those that wait here."""
    if size > SIGSET_SIZE:
        raise OSError(EINVAL, "")
    pending = bytearray(SIGSET_SIZE)
    task.host_now(NUMBERS["rt_sigpending"], pending, SIGSET_SIZE)
    mask = MASK.unpack(pending)[0] | task.waiting_signals()
    task.memory.write(result, MASK.pack(mask)[:size])
    return 0


def rt_sigtimedwait(task: Task, wanted: int, info: int, timeout: int, size: int) -> int:
    """sigtimedwait(2): a signal that waits here is taken first."""
    _check_size(size)
    content = task.memory.read(wanted, SIGSET_SIZE)
    held = task.take_waiting(MASK.unpack(content)[0])
    if held is None:
        host_info = bytearray(128)
        waiting = content, host_info, checked(timeout), SIGSET_SIZE
        number = task.host(NUMBERS["rt_sigtimedwait"], *waiting)
        held = bytes(host_info)
    else:
        number = held[0]
    if info:
        task.memory.write(info, held)
    return number


def signalfd4(task: Task, fd: int, mask: int, size: int, flags: int) -> int:
    """signalfd(2): reads what waits on the host, so from now on nothing that it is for waits here."""
    _check_size(size)
    wanted = task.memory.read(mask, SIGSET_SIZE)
    result = task.host_now(NUMBERS["signalfd4"], fd, wanted, SIGSET_SIZE, flags)
    task.leave_on_host(MASK.unpack(wanted)[0])
    return result


def sigaltstack(task: Task, new: int, old: int) -> int:
    """sigaltstack(2)."""
    before = task.altstack
    inside = task.on_altstack()
    if new:
        address, flags, _, size = STACK.unpack(task.memory.read(new, STACK.size))
        if inside:
            raise OSError(EPERM, "")
        mode = flags & ~SS_AUTODISARM
        if mode not in (0, SS_ONSTACK, SS_DISABLE):
            raise OSError(EINVAL, "")
        if mode == SS_DISABLE:
            address = size = 0
        elif size < MINSIGSTKSZ:
            raise OSError(ENOMEM, "")
        task.altstack = (address, flags & ~SS_ONSTACK, size)
    if old:
        flags = before[1] | (SS_ONSTACK if inside else 0)
        task.memory.write(old, STACK.pack(before[0], flags, 0, before[2]))
    return 0
