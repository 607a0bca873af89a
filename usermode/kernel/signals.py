# SPDX-License-Identifier: GPL-2.0-or-later
"""Signal actions and delivery, as signal(7) and the kernel's do_signal() have it."""

from __future__ import annotations

import posix
from _struct import Struct
from errno import EINVAL

import _usermode_core as core

from syscalls.host.x86_64 import NUMBERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from usermode.kernel.task import Task

SIGHUP, SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGKILL, SIGSEGV, SIGCHLD = 1, 4, 5, 7, 8, 9, 11, 17
SIGCONT, SIGSTOP, SIGTSTP, SIGTTIN, SIGTTOU, SIGURG, SIGWINCH = 18, 19, 20, 21, 22, 23, 28
LAST_SIGNAL = 64

SIG_DFL, SIG_IGN = 0, 1
SA_NOCLDSTOP, SA_NOCLDWAIT, SA_SIGINFO = 0x1, 0x2, 0x4
SA_RESTORER, SA_ONSTACK, SA_RESTART = 0x04000000, 0x08000000, 0x10000000
SA_NODEFER, SA_RESETHAND = 0x40000000, 0x80000000
HOST_FLAGS = SA_NOCLDSTOP | SA_NOCLDWAIT | SA_RESTART

ASK = (1 << 64) - 1
FAULTS = (SIGSEGV, SIGBUS)
"""Always caught by the core, for faults of its own accesses."""

NEVER_BLOCKED = 1 << SIGSEGV - 1 | 1 << SIGBUS - 1
"""Not blocked on the host: a fault while blocked would end the process. They wait in the core instead."""

UNBLOCKABLE = 1 << SIGKILL - 1 | 1 << SIGSTOP - 1
KNOWN_FLAGS = 0xDC000807
"""UAPI_SA_FLAGS of include/linux/signal_types.h: others do not come back from sigaction(2)."""

SIGQUIT, SIGABRT, SIGXCPU, SIGXFSZ, SIGSYS = 3, 6, 24, 25, 31
DUMP_CORE = (SIGQUIT, SIGILL, SIGTRAP, SIGABRT, *FAULTS, SIGFPE, SIGXCPU, SIGXFSZ, SIGSYS)
"""SIG_KERNEL_COREDUMP_MASK of include/linux/signal.h."""

IGNORED_BY_DEFAULT = (SIGCHLD, SIGCONT, SIGURG, SIGWINCH)
STOPS_BY_DEFAULT = (SIGTSTP, SIGTTIN, SIGTTOU)

SI_KERNEL = 0x80
SS_ONSTACK, SS_DISABLE, SS_AUTODISARM = 1, 2, 1 << 31

SIGINFO_SIZE = 128
SIG_SETMASK = 2
_MASK = Struct("<Q")
_RT_SIGPROCMASK, _TGKILL = NUMBERS["rt_sigprocmask"], NUMBERS["tgkill"]


class Action:
    """One signal's action: `handler` is SIG_DFL, SIG_IGN or an address; `mask` has bit n-1 for signal n."""

    __slots__ = ("flags", "handler", "mask", "restorer")

    def __init__(
        self, handler: int = SIG_DFL, flags: int = 0, restorer: int = 0, mask: int = 0
    ) -> None:
        self.handler = handler
        self.flags = flags
        self.restorer = restorer
        self.mask = mask


class Actions:
    """The signal actions of a process; those never set are what the host process inherited.

    `caught`: signals that are caught also when their action is the default one, because it writes a core dump.
    """

    __slots__ = ("_known", "caught")

    def __init__(self) -> None:
        self._known: dict[int, Action] = {}
        self.caught: tuple[int, ...] = ()

    def get(self, number: int) -> Action:
        """Return the action of a signal."""
        action = self._known.get(number)
        if action is None:
            action = self._known[number] = Action(core.signal_set(number, ASK, 0))
        return action

    def set(self, number: int, action: Action) -> None:
        """Set the action of a signal here and on the host. Raises OSError(EINVAL) for SIGKILL and SIGSTOP."""
        if not 0 < number <= LAST_SIGNAL or number in (SIGKILL, SIGSTOP):
            raise OSError(EINVAL, "")
        action.flags &= KNOWN_FLAGS
        action.mask &= ~UNBLOCKABLE
        self._known[number] = action
        default = action.handler == SIG_DFL and number not in self.caught
        if default or action.handler == SIG_IGN:
            core.signal_set(number, action.handler, action.flags & HOST_FLAGS)
        else:
            core.signal_catch(number, action.flags & HOST_FLAGS)

    def copy(self) -> Actions:
        """Return the actions of a child, which may change them for itself."""
        other = Actions()
        other._known = dict(self._known)
        other.caught = self.caught
        return other

    def not_ending(self) -> int:
        """Return the set of the signals that do not just end the process: they are caught here, or stop it."""
        known = self._known.items()
        caught = [number for number, action in known if action.handler not in (SIG_DFL, SIG_IGN)]
        numbers = {*caught, *self.caught, *STOPS_BY_DEFAULT}
        return sum([1 << number - 1 for number in numbers])

    def clear_handlers(self) -> None:
        """Give every signal that has a handler its default action: CLONE_CLEAR_SIGHAND of clone3(2)."""
        for number, action in list(self._known.items()):
            if action.handler not in (SIG_DFL, SIG_IGN):
                self.set(number, Action())


def set_host_mask(mask: int) -> None:
    """Block on the host's side what `mask` says, but for the signals of faults."""
    core.host_call(_RT_SIGPROCMASK, SIG_SETMASK, _MASK.pack(mask & ~NEVER_BLOCKED), 0, 8)


def set_exec_mask(mask: int) -> None:
    """Set the host's mask to all of the guest's, for the next program to begin with."""
    core.host_call(_RT_SIGPROCMASK, SIG_SETMASK, _MASK.pack(mask), 0, 8)


def set_blocked(task: Task, mask: int) -> None:
    """Set the thread's mask; SIGKILL and SIGSTOP stay deliverable."""
    task.engine.set_blocked(mask)


def die(task: Task, number: int, info: bytes = b"") -> None:
    """End the process by `number`'s default action, so that its parent sees that signal."""
    if task.process.debugger is not None:
        task.process.debugger.died(task, number)
    if number in DUMP_CORE:
        from usermode.kernel.core_dump import dump

        dump(task, number, info)
    core.signal_set(number, SIG_DFL, 0)
    if number in FAULTS:
        core.release_fault(number)
    core.host_call(_RT_SIGPROCMASK, SIG_SETMASK, _MASK.pack(~(1 << number - 1) & ASK), 0, 8)
    core.host_call(_TGKILL, posix.getpid(), task.tid, number)
    task.exit_group(128 + number)


def deliver_pending(task: Task) -> None:
    """Deliver what was caught for this thread, in the kernel's order.

    Handlers are entered one on top of the other, as do_signal() does before it goes back to the program. If a wait
    under another mask has ended, that one rules; the frame of the first handler brings the thread's own back.
    """
    engine = task.engine
    mask = engine.end_wait()
    entered = False
    while (info := engine.take_signal(mask)) is not None:
        entered = _deliver(task, info, mask)
        if entered:
            mask = engine.blocked
    if not entered:
        engine.set_blocked(engine.blocked)


def give_back(task: Task) -> None:
    """Block everything, for a thread that ends: the core hands what was caught to other threads."""
    set_host_mask(ASK)


def _deliver(task: Task, info: bytes, mask: int) -> bool:
    """Act on one signal under the signal mask `mask`. True if a handler was entered."""
    if task.process.debugger is not None:
        wanted = task.process.debugger.signal(task, info)
        if wanted is None:
            return False
        info = wanted
    number = info[0]
    action = task.process.actions.get(number)
    if action.handler == SIG_IGN or (action.handler == SIG_DFL and number in IGNORED_BY_DEFAULT):
        return False
    if action.handler == SIG_DFL:
        if number in STOPS_BY_DEFAULT:
            core.signal_set(number, SIG_DFL, 0)
            core.host_call(_TGKILL, posix.getpid(), task.tid, number)
            return False
        die(task, number, info)
    enter_handler(task, number, info, action, mask)
    return True


def enter_handler(
    task: Task, number: int, info: bytes, action: Action, mask: int, fault: int = 0, esr: int = 0
) -> None:
    """Build the frame, switch to the handler, and block what it wants blocked beside `mask`.

    `mask` is the thread's, or that of a sigsuspend(2) which ends now. `fault` and `esr` go into the ucontext, for
    signals of faults. A stack that cannot take the frame is SIGSEGV: force_sigsegv() of the kernel.
    """
    if action.flags & SA_RESETHAND:
        task.process.actions.set(number, Action())
    blocked = mask | action.mask
    if not action.flags & SA_NODEFER:
        blocked |= 1 << number - 1
    restorer = action.restorer if action.flags & SA_RESTORER else task.process.sigreturn
    if not task.engine.enter_handler(
        info, action.handler, action.flags, restorer, blocked, fault, esr
    ):
        if number == SIGSEGV:
            die(task, SIGSEGV)
        force(task, SIGSEGV, SI_KERNEL, 0)


def force(task: Task, number: int, code: int, address: int, esr: int = 0) -> None:
    """Raise the signal of a fault at this thread (force_sig_fault()): blocked or ignored ones end the process."""
    info = Struct("<iiiiQ").pack(number, 0, code, 0, address).ljust(128, b"\0")
    if task.process.debugger is not None:
        wanted = task.process.debugger.signal(task, info)
        if wanted is None:
            return
        info = wanted
        number = info[0]
    action = task.process.actions.get(number)
    if action.handler in (SIG_DFL, SIG_IGN) or task.engine.blocked >> number - 1 & 1:
        die(task, number, info)
    enter_handler(task, number, info, action, task.engine.blocked, address if esr else 0, esr)


def on_altstack(task: Task, sp: int) -> bool:
    """Tell whether `sp` lies on the alternate stack; never with SS_AUTODISARM, which leaves it while it is used."""
    start, flags, size = task.engine.altstack
    return not flags & (SS_DISABLE | SS_AUTODISARM) and start < sp <= start + size
