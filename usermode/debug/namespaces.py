# SPDX-License-Identifier: GPL-2.0-or-later
"""unshare(2) and setns(2) of a debugged process.

The kernel refuses some namespaces to a process with threads, and the one that serves the debugger is a thread. So it
ends before the call, and is started anew after it, where it then shares with the guest what the call has unshared.

In the thread's way are those namespaces that are entered by children only: once one is asked for, no thread can be
started. They are asked for by a second call, after the thread was started.
"""

from __future__ import annotations

import _usermode_core as core

from syscalls.arch.generic64.numbers import NUMBERS
from syscalls.host.x86_64 import NUMBERS as HOST_NUMBERS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from usermode.debug.server import Server
    from usermode.kernel.task import Task
    from usermode.run import Answer

UNSHARE, SETNS = NUMBERS["unshare"], NUMBERS["setns"]
CLONE_NEWTIME, CLONE_NEWPID = 0x80, 0x20000000
NS_GET_NSTYPE = 0xB703
_OF_CHILDREN = {UNSHARE: CLONE_NEWTIME | CLONE_NEWPID, SETNS: CLONE_NEWPID}
_INT = 0xFFFFFFFF


def enter_namespaces(
    server: Server, answer: Answer, task: Task, call: tuple[int, ...]
) -> int | None:
    """Make the call, from the guest's only thread; returns its result."""
    number, *arguments = call
    place = 0 if number == UNSHARE else 1  # of the flags
    flags = arguments[place] & _INT
    if number == SETNS:
        kind = core.host_call(HOST_NUMBERS["ioctl"], arguments[0] & _INT, NS_GET_NSTYPE)
        flags = kind if kind > 0 else flags  # else it is a pidfd
    later = flags & _OF_CHILDREN[number]
    if flags == later:
        return answer(task, number, call[1:])
    if later:
        arguments[place] = flags & ~later
    server.suspend()
    try:
        result = answer(task, number, tuple(arguments))
    finally:
        server.resume()
    if later and result == 0:
        arguments[place] = later
        return answer(task, number, tuple(arguments))
    return result
