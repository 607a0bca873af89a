# SPDX-License-Identifier: GPL-2.0-or-later
"""The frame on a guest's stack while a signal handler runs: struct rt_sigframe of arch/arm64/kernel/signal.c.

From the stack pointer up: siginfo (128 bytes), struct ucontext (flags, link, stack_t, sigset_t padded to 128 bytes,
struct sigcontext at a multiple of 16), and behind it the frame record {fp, lr} that x29 points to.
"""

from __future__ import annotations

from _struct import Struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from usermode.kernel.signals import Action
    from usermode.kernel.task import Task

SIGINFO_SIZE = 128
UCONTEXT = SIGINFO_SIZE
SIGCONTEXT = UCONTEXT + 176
RESERVED = SIGCONTEXT + 288
FRAME_SIZE = RESERVED + 4096
RECORD_SIZE = 16

FPSIMD_MAGIC, FPSIMD_SIZE = 0x46508001, 528
ESR_MAGIC, ESR_SIZE = 0x45535201, 16

_HEAD = Struct("<QQQIiQQ")  # uc_flags, uc_link, ss_sp, ss_flags, padding, ss_size, uc_sigmask
_HEADER = Struct("<II")
_ESR = Struct("<IIQ")
_WORDS = Struct("<34Q")  # as Engine.snapshot() has them
_ADDRESS = Struct("<Q")
_RECORD = Struct("<QQ")
WORDS_SIZE, FP_SIZE = 34 * 8, 520

SA_SIGINFO, SA_RESTORER, SA_ONSTACK = 0x4, 0x04000000, 0x08000000
SS_ONSTACK, SS_DISABLE, SS_AUTODISARM = 1, 2, 1 << 31
MINSIGSTKSZ = 5120  # <asm/signal.h> of the guest


def _top(task: Task, sp: int, action: Action) -> int:
    """Return where the frame's top goes: the alternate stack unless it is already in use."""
    start, flags, size = task.altstack
    if action.flags & SA_ONSTACK and not flags & SS_DISABLE:
        inside = start < sp <= start + size
        if not inside or flags & SS_AUTODISARM:
            return start + size
    return sp


def push(
    task: Task, number: int, info: bytes, action: Action, mask: int, fault: int, esr: int
) -> None:
    """Write the frame and set the registers to enter the handler. Raises OSError(EFAULT)."""
    state = task.engine.snapshot()
    words = list(_WORDS.unpack_from(state))
    sp = words[31]
    top = _top(task, sp, action)
    record = (top - RECORD_SIZE) & -16
    frame = (record - FRAME_SIZE) & -16
    start, flags, size = task.altstack
    head = _HEAD.pack(0, 0, start, flags, 0, size, mask)
    fpsimd = _HEADER.pack(FPSIMD_MAGIC, FPSIMD_SIZE) + state[WORDS_SIZE : WORDS_SIZE + FP_SIZE]
    extra = _ESR.pack(ESR_MAGIC, ESR_SIZE, esr) if esr else b""
    ucontext = head.ljust(SIGCONTEXT - UCONTEXT, b"\0") + _ADDRESS.pack(fault) + state[:WORDS_SIZE]
    content = info[:SIGINFO_SIZE] + ucontext
    content = content.ljust(RESERVED, b"\0") + fpsimd + extra + bytes(16)
    task.memory.write(record, _RECORD.pack(words[29], words[30]))
    task.memory.write(frame, content)
    if flags & SS_AUTODISARM:
        task.altstack = (0, SS_DISABLE, 0)
    _enter(task, number, action, frame, record)


def _enter(task: Task, number: int, action: Action, frame: int, record: int) -> None:
    put = task.engine.set
    put(0, number)
    if action.flags & SA_SIGINFO:
        put(1, frame)
        put(2, frame + UCONTEXT)
    put(29, record)
    put(30, action.restorer if action.flags & SA_RESTORER else task.process.sigreturn)
    put(31, frame)
    put(32, action.handler)


class Frame:
    """What rt_sigreturn(2) takes back: the register state, the mask and the alternate stack."""

    __slots__ = ("altstack", "mask", "state")

    def __init__(self, state: bytes, mask: int, altstack: tuple[int, int, int]) -> None:
        self.state = state
        self.mask = mask
        self.altstack = altstack


def pop(task: Task) -> Frame:
    """Read the frame at the stack pointer. Raises OSError or ValueError for one that is not whole."""
    frame = task.engine.get(31)
    if frame % 16:
        raise ValueError("misaligned frame")
    content = task.memory.read(frame, RESERVED + FPSIMD_SIZE)
    _, _, start, flags, _, size, mask = _HEAD.unpack_from(content, UCONTEXT)
    words = content[SIGCONTEXT + 8 : SIGCONTEXT + 8 + WORDS_SIZE]
    magic, length = _HEADER.unpack_from(content, RESERVED)
    if magic != FPSIMD_MAGIC or length != FPSIMD_SIZE:
        raise ValueError("no FPSIMD context")
    current = task.engine.snapshot()
    state = words + content[RESERVED + 8 : RESERVED + FPSIMD_SIZE] + current[WORDS_SIZE + FP_SIZE :]
    return Frame(state, mask, _altstack(task.altstack, start, flags, size))


def _altstack(now: tuple[int, int, int], start: int, flags: int, size: int) -> tuple[int, int, int]:
    """Return the alternate stack after the handler: the frame's, unless sigaltstack(2) would refuse it."""
    mode = flags & ~SS_AUTODISARM
    if mode == SS_DISABLE:
        return 0, flags, 0
    if mode not in (0, SS_ONSTACK) or size < MINSIGSTKSZ:
        return now
    return start, flags & ~SS_ONSTACK, size
