# SPDX-License-Identifier: GPL-2.0-or-later
"""What the C core offers Python. Addresses are the guest's and the host's alike; words are 64 bits."""

from typing import NoReturn

from typing_extensions import Buffer

class Engine:
    """One Unicorn engine, of the thread that makes it.

    `buffer_size`: bytes of translated code kept before all is dropped, 1 MiB to 1 GiB. Raises ValueError for another
    size, and RuntimeError when Unicorn refuses or the linked build is not the one the core knows. Only that thread may
    call run(), pass_through() and forked(), and only on the newest of its engines; a closed engine refuses all but
    close(), fault(), trace() and take_signal(). The refusals are RuntimeError.
    """

    def __init__(self, buffer_size: int = ...) -> None: ...
    def run(self, result: int | None = ..., /) -> int | tuple[int, int, int, int, int, int, int]:
        """Put `result` into x0, if given, and run guest code until something needs Python.

        Returns (number, x0 … x5) for a system call that Python answers, else a reason of `usermode.machine.stops`.
        """
    def get(self, index: int, /) -> int:
        """Read register x0 … x30, 31 = sp, 32 = pc."""
    def set(self, index: int, value: int, /) -> None:
        """Write register x0 … x30, 31 = sp, 32 = pc."""
    def snapshot(self) -> bytes:
        """Return x0…x30, sp, pc, pstate (u64 each), fpsr, fpcr (u32 each), v0…v31 (16 bytes each), tpidr_el0 (u64)."""
    def restore(self, state: bytes, /) -> None:
        """Set all registers from a snapshot; of pstate only NZCV counts."""
    def fault(self) -> tuple[int, int]:
        """Return (address, access) of the last fault; access 0 read, 1 write, 2 execute."""

    blocked: int
    """The guest's signal mask, bit n-1 for signal n. Setting it leaves the host's alone; see set_blocked()."""
    altstack: tuple[int, int, int]
    """(start, flags, size) of sigaltstack(2)."""

    def set_blocked(self, mask: int, /) -> None:
        """Set the guest's signal mask, and the host's likewise but for SIGSEGV and SIGBUS, which stay open."""
    def end_wait(self) -> int:
        """Return the mask that rules the delivery: `blocked`, or that of a ppoll(2) or the like that a signal ended."""
    def take_signal(self, blocked: int, /) -> bytes | None:
        """Take the next caught signal that the mask `blocked` lets through: its siginfo of 128 bytes.

        Of most signals one waits at a time, and the host's mask is closed; SIGSEGV and SIGBUS wait here while blocked.
        """
    def take_blocked_signal(self, wanted: int, /) -> bytes | None:
        """Take a waiting SIGSEGV or SIGBUS that is in the set `wanted`: its siginfo."""
    def waiting_signals(self) -> int:
        """Return which of SIGSEGV and SIGBUS wait, as a signal set."""
    def enter_handler(
        self,
        info: bytes,
        handler: int,
        flags: int,
        restorer: int,
        mask: int,
        fault: int,
        esr: int,
        /,
    ) -> bool:
        """Build the frame of a signal, go to its handler, and set the signal mask. False if the stack cannot take it.

        `flags`: SA_SIGINFO and SA_ONSTACK count. `fault` and `esr` are for the ucontext of a fault's signal, 0 else.
        """
    def pass_through(self, number: int, /, *arguments: int) -> int:
        """Make guest call `number` as its HOST or CORE row says.

        -errno, -512 (restart), or -4096 (the row needs Python); x0 as it is after rt_sigreturn(2).
        """
    def trace(self, on: bool, /) -> None:
        """Send every system call to Python."""
    def interrupt(self, on: bool, /) -> None:
        """Have run() return INTERRUPT at the next block's start, from any thread; with False, no longer."""
    def step(self, on: bool, /) -> None:
        """Have run() return STEP after one instruction; set anew for each. A system call is one, answered first."""
    def forked(self) -> None:
        """Tell the core that it is in the child of a fork: only this engine is left. fork() does so by itself."""
    def detach(self) -> None:
        """Take the engine from its thread, the calling one, as close() does, but keep what it has translated."""
    def attach(self) -> bool:
        """Make a detached engine the calling thread's, with signals, stacks and traces as new; False after a fork.

        The registers are to be set by restore(). RuntimeError if the engine is a thread's.
        """
    def close(self) -> None:
        """Free the engine; only by its own thread, outside run(). Signals that wait go to another thread."""

def read(address: int, size: int, /) -> bytes:
    """Read guest memory. OSError(EFAULT) if a byte is not readable, OSError(ENOMEM) for more than memory holds."""

def write(address: int, data: Buffer, /) -> None:
    """Write guest memory and drop stale translations. OSError(EFAULT) if a byte is not writable."""

def read_string(address: int, limit: int = ..., /) -> bytes:
    """Read up to a NUL, excluded. OSError(EFAULT), or OSError(ENAMETOOLONG) when `limit` bytes hold none."""

def protect(start: int, end: int, permission: int, /) -> None:
    """Set the guest's permission (1 read, 2 write, 4 execute) of whole pages; all engines heed it on return."""

def permission(address: int, /) -> int:
    """Return the guest's permission of the page of `address`."""

def stack_reserve(size: int, /) -> None:
    """Have the first thread's host stack reach `size` bytes further down, whatever RLIMIT_STACK is later."""

def host_call(number: int, /, *arguments: int | Buffer) -> int:
    """Make a host system call that does not block, without the GIL. Buffers go by address. -errno on errors."""

def host_wait(number: int, /, *arguments: int | Buffer) -> int:
    """Make a host system call that may block; -512 if a signal came before the kernel took it."""

def configure(rows: bytes, stat_copy: bytes, open_flags: bytes, sysroot: bool, /) -> None:
    """Hand over the tables of passed-through calls (formats: syscalls.compile)."""

def signal_catch(number: int, flags: int, /) -> None:
    """Catch host signal `number` for the guest with SA_RESTART, SA_NOCLDSTOP, SA_NOCLDWAIT as in `flags`.

    SIGSEGV and SIGBUS are always caught: for them this and signal_set() note what the guest wants.
    """

def signal_set(number: int, handler: int, flags: int, /) -> int:
    """Set SIG_DFL (0) or SIG_IGN (1), or only ask (2**64-1). Returns the handler before."""

def environment() -> list[bytes]:
    """Return the environment of this process as it is, NAME=value or not."""

def catch_faults() -> None:
    """Catch SIGSEGV and SIGBUS, as at start."""

def release_fault(number: int, /) -> None:
    """Give SIGSEGV or SIGBUS the host action that the guest has: ignored, or else the default."""

def auxv(key: int, /) -> int | None:
    """Return an entry of this process's auxiliary vector, None when absent (getauxval(3))."""

class ProcessGone(BaseException):
    """The child of vfork() has executed a program or ended: no host call can be made for it any more.

    Raised by Engine.run() and by whatever makes host calls between vfork() and vfork_end().
    """

def fork(request: bytes = ..., extended: bool = ..., /) -> int:
    """fork(2) with Python's locks and the core's whole in the child, where no signal caught before waits.

    `request` is a struct clone_args without CLONE_VM, a stack and a thread pointer: the host's clone(2) makes the
    process as it says, or clone3(2) if `extended`.
    """

def vfork(request: bytes, extended: bool, /) -> int:
    """Start a process that shares our memory; until vfork_end() this thread's host calls are made by that process.

    So are those that Python's posix module makes in this thread. `request` has CLONE_VM and no CLONE_VFORK. Signals
    must be blocked, and none may wait in the engine. NotImplementedError where libc's calls cannot be redirected: with
    a libc that is a shared object.
    """

def vfork_end() -> None:
    """Go back to the calls of the process that called vfork(); ends the child if it still runs here."""

def execute(
    dirfd: int,
    path: bytes,
    argv: list[bytes],
    envp: list[bytes],
    flags: int,
    limits: bytes = ...,
    /,
) -> None:
    """execveat(2) on the host: comes back only from AT_EXECVE_CHECK, or as OSError.

    `limits`: words (RLIMIT_*, soft, hard) of limits that are set for the program, and taken back if it does not come to
    run. OSError(EINTR): a signal was caught that must be delivered before. The GIL is kept.
    """

def show_guest(
    code: int,
    code_end: int,
    data: int,
    data_end: int,
    stack: int,
    arguments: int,
    environment: int,
    environment_end: int,
    auxv: int,
    auxv_size: int,
    /,
) -> int:
    """Let /proc/PID/{cmdline,environ,auxv,stat} show these addresses. 0, or -errno if the kernel does not allow it."""

def exit_thread() -> NoReturn:
    """End the calling host thread alone (exit(2), not exit_group(2)). Signals that wait go to another thread."""

def leave_on_host(signals: int, /) -> None:
    """From now on SIGSEGV and SIGBUS, if in the set `signals` and blocked, wait on the host, for signalfd(2)."""

def halt(timeout: int, /) -> bool:
    """Keep all other threads from guest code, for good, so that their snapshots are whole.

    False if one is still in guest code after `timeout` milliseconds. Threads in a host call stay in it until it ends.
    Does not return when another thread called it first.
    """

def set_breakpoint(address: int, on: bool, /) -> bool:
    """Have the translator see BRK at `address` in place of what is there, or no longer. False if there are too many."""

def set_watchpoint(address: int, size: int, permission: int, on: bool, /) -> bool:
    """Stop before accesses of a kind (1 read, 2 write) to a range. False if there are too many.

    This and set_breakpoint() only while no other thread runs guest code.
    """

def calls_passed() -> int:
    """Return how many calls the core handed to the host."""
