# SPDX-License-Identifier: GPL-2.0-or-later
"""Processes and threads: starting, replacing and ending them. What they are is `usermode.kernel`'s."""

from __future__ import annotations

from _struct import pack, unpack, unpack_from
from errno import E2BIG, EFAULT, EINVAL, EPERM

from syscalls.errors import Refused
from syscalls.handlers.pointers import checked
from syscalls.host.x86_64 import NUMBERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from syscalls.protocols import Task

CSIGNAL, CLONE_DETACHED = 0xFF, 0x400000
POINTERS_AT_ONCE = 512
STRING_LIMIT = 32 * 4096  # MAX_ARG_STRLEN
STRINGS_LIMIT = 6 << 20  # bprm_stack_limits(): three quarters of the default 8 MiB stack
AT_FDCWD = -100

RLIMIT_CORE = 4
OWN_LIMITS, RLIM_NLIMITS = (2, 3, 9), 16  # RLIMIT_DATA, RLIMIT_STACK, RLIMIT_AS

CLONE_ARGS_MIN, CLONE_ARGS_KNOWN = 64, 88

# <linux/prctl.h>
PR_GET_PDEATHSIG, PR_SET_NAME, PR_GET_NAME, PR_GET_CHILD_SUBREAPER = 2, 15, 16, 37
PR_GET_TID_ADDRESS, PR_SET_VMA = 40, 0x53564D41
PRCTL_ON_HOST = frozenset(
    (
        *(1, PR_GET_PDEATHSIG),  # and PR_SET_PDEATHSIG
        *(3, 4, 7, 8),  # DUMPABLE, KEEPCAPS
        *(13, 14, PR_SET_NAME, PR_GET_NAME),  # and TIMING
        *(23, 24, 27, 28, 47),  # CAPBSET, SECUREBITS, CAP_AMBIENT
        *(29, 30, 31, 32, 33, 34),  # TIMERSLACK, performance events, MCE_KILL
        *(36, PR_GET_CHILD_SUBREAPER, 38, 39),  # and NO_NEW_PRIVS
        *(41, 42, 52, 53, 57, 58),  # THP_DISABLE, SPECULATION_CTRL, IO_FLUSHER
        *(0x59616D61, PR_SET_VMA),  # and PTRACER
    )
)
"""Options that mean on the host what they mean to the guest: attributes of the process, no CPU features."""

PRCTL_POINTERS = {
    PR_GET_PDEATHSIG: (2,),
    PR_SET_NAME: (2,),
    PR_GET_NAME: (2,),
    PR_GET_CHILD_SUBREAPER: (2,),
    PR_SET_VMA: (3, 5),
}
"""Which of the options' arguments, counted from 1, are addresses."""


def _strings(task: Task, address: int) -> list[bytes]:
    """Read a NULL-terminated array of strings; NULL itself is an empty one. Raises OSError(E2BIG)."""
    strings: list[bytes] = []
    total = 0
    while address:
        page_left = (4096 - address % 4096) // 8 or 1
        count = min(page_left, POINTERS_AT_ONCE)
        for pointer in unpack(f"<{count}Q", task.memory.read(address, 8 * count)):
            if not pointer:
                return strings
            try:
                text = task.memory.read_string(pointer, STRING_LIMIT)
            except OSError as error:
                raise OSError(E2BIG if error.errno == 36 else error.errno or EINVAL, "") from None
            strings.append(text)
            total += len(text) + 9
            if total > STRINGS_LIMIT:
                raise OSError(E2BIG, "")
        address += 8 * count
    return strings


def clone(task: Task, flags: int, stack: int, parent_tid: int, tls: int, child_tid: int) -> int:
    """clone(2) with the order of arguments of CONFIG_CLONE_BACKWARDS."""
    signal = flags & CSIGNAL
    words = flags & ~CSIGNAL & 0xFFFFFFFF, 0, child_tid, parent_tid, signal, stack, 0, tls, 0, 0, 0
    return task.clone(words, False)


def clone3(task: Task, arguments: int, size: int) -> int:
    """clone3(2): struct clone_args grows, and bytes that are not known here must be zero."""
    if size > 4096:
        raise OSError(E2BIG, "")
    if size < CLONE_ARGS_MIN:
        raise OSError(EINVAL, "")
    content = task.memory.read(arguments, size)
    if content[CLONE_ARGS_KNOWN:].strip(b"\0"):
        raise OSError(E2BIG, "")
    words = unpack_from("<11Q", content.ljust(CLONE_ARGS_KNOWN, b"\0"))
    flags, _, _, _, signal, stack, stack_size, *_ = words
    if flags & (CSIGNAL | CLONE_DETACHED) or bool(stack) != bool(stack_size) or signal > 64:
        raise OSError(EINVAL, "")
    return task.clone(words, True)


def execve(task: Task, path: bytes, argv: int, envp: int) -> int:
    """execve(2)."""
    return task.execute(AT_FDCWD, path, _strings(task, argv), _strings(task, envp), 0)


def execveat(task: Task, dirfd: int, path: bytes, argv: int, envp: int, flags: int) -> int:
    """execveat(2)."""
    return task.execute(dirfd, path, _strings(task, argv), _strings(task, envp), flags)


def exit(task: Task, status: int) -> int:
    """_exit(2) of one thread."""
    return task.exit(status & 0xFF)


def exit_group(task: Task, status: int) -> int:
    """exit_group(2)."""
    return task.exit_group(status & 0xFF)


def set_tid_address(task: Task, address: int) -> int:
    """set_tid_address(2): the word is cleared by us, since the host thread's own belongs to its libc."""
    task.clear_child_tid = address
    return task.tid


def prctl(task: Task, option: int, second: int, third: int, fourth: int, fifth: int) -> int:
    """prctl(2): attributes of the process go to the host; what concerns the CPU or the memory map does not."""
    if option == PR_GET_TID_ADDRESS:
        task.memory.write(second, task.clear_child_tid.to_bytes(8, "little"))
        return 0
    if option not in PRCTL_ON_HOST:
        task.process.unsupported(f"prctl {option}")
        raise OSError(EINVAL, "")
    arguments = option, second, third, fourth, fifth
    for position in PRCTL_POINTERS.get(option, ()):
        checked(arguments[position - 1])
    return task.host_now(NUMBERS["prctl"], *arguments)


def personality(task: Task, persona: int) -> int:
    """personality(2)."""
    return task.host_now(NUMBERS["personality"], persona & 0xFFFFFFFF)


def _own_limit(task: Task, resource: int, pid: int) -> bool:
    return resource in OWN_LIMITS and (pid == 0 or task.process.has_thread(pid))


def getrlimit(task: Task, resource: int, limit: int) -> int:
    """getrlimit(2)."""
    if not limit:
        raise OSError(EINVAL if resource not in range(RLIM_NLIMITS) else EFAULT, "")
    return prlimit64(task, 0, resource, 0, limit)


def setrlimit(task: Task, resource: int, limit: int) -> int:
    """setrlimit(2)."""
    if not limit:
        raise OSError(EFAULT, "")
    return prlimit64(task, 0, resource, limit, 0)


def prlimit64(task: Task, pid: int, resource: int, new: int, old: int) -> int:
    """prlimit64(2): the limits that would bind the emulator too are kept apart from the host's."""
    if not _own_limit(task, resource, pid):
        if new and resource in OWN_LIMITS and task.process.is_guest(pid):
            raise Refused(EPERM, "the host's limit would bind the other guest's emulator")
        result = task.host_now(NUMBERS["prlimit64"], pid, resource, checked(new), checked(old))
        if new and resource == RLIMIT_CORE and (pid == 0 or task.process.has_thread(pid)):
            task.process.prepare_core_dumps()
        return result
    wanted = unpack("<2Q", task.memory.read(new, 16)) if new else None
    before = task.process.limit(resource)
    if wanted:
        task.process.set_limit(resource, *wanted)
    if old:
        task.memory.write(old, pack("<2Q", *before))
    return 0
