# SPDX-License-Identifier: GPL-2.0-or-later
"""semctl(2): the one System V call whose structure differs between the CPUs.

The guest's asm-generic/sembuf.h has no padding after the times of struct semid64_ds on 64-bit CPUs,
the host's asm/sembuf.h has 8 bytes after each. struct shmid64_ds and msqid64_ds are the same on both.
"""

from __future__ import annotations

from syscalls.handlers.pointers import checked
from syscalls.host.x86_64 import NUMBERS as HOST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from syscalls.protocols import Task

# linux/ipc.h and linux/sem.h. 64-bit kernels know no IPC_64 flag in the command.
IPC_SET = 1
IPC_STAT = 2
IPC_INFO = 3
GETALL = 13
SETALL = 17
SEM_STAT = 18
SEM_INFO = 19
SEM_STAT_ANY = 20

HOST_SEMID_SIZE = 104
GUEST_SEMID_SIZE = 88
SEMID_FIELDS = (
    (0, 0, 56),  # sem_perm, sem_otime
    (64, 56, 8),  # sem_ctime
    (80, 64, 8),  # sem_nsems
)
"""(host offset, guest offset, size)"""


def semctl(task: Task, identifier: int, index: int, command: int, argument: int) -> int:
    """Do a control operation on a semaphore set."""
    number = HOST["semctl"]
    if command in (IPC_STAT, SEM_STAT, SEM_STAT_ANY):
        structure = bytearray(HOST_SEMID_SIZE)
        result = task.host(number, identifier, index, command, structure)
        task.memory.write(argument, guest_semid(structure))
        return result
    if command == IPC_SET:
        structure = host_semid(task.memory.read(argument, GUEST_SEMID_SIZE))
        return task.host(number, identifier, index, command, structure)
    if command in (GETALL, SETALL, IPC_INFO, SEM_INFO):
        checked(argument)
    return task.host(number, identifier, index, command, argument)


def guest_semid(host: bytearray) -> bytearray:
    """A struct semid64_ds of the host in the guest's layout."""
    guest = bytearray(GUEST_SEMID_SIZE)
    for source, target, size in SEMID_FIELDS:
        guest[target : target + size] = host[source : source + size]
    return guest


def host_semid(guest: bytes) -> bytearray:
    """A struct semid64_ds of the guest in the host's layout."""
    host = bytearray(HOST_SEMID_SIZE)
    for target, source, size in SEMID_FIELDS:
        host[target : target + size] = guest[source : source + size]
    return host
