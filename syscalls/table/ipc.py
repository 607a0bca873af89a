# SPDX-License-Identifier: GPL-2.0-or-later
"""System V and POSIX message queues, semaphores, shared memory (mapping it: `memory.py`), and keys."""

from __future__ import annotations

from syscalls.call import HOST, call
from syscalls.handlers import ipc, nested
from syscalls.kinds import (
    HEX,
    IN_BUFFER,
    IN_MQ_ATTR,
    IN_SIGEVENT,
    IN_TIMESPEC,
    INT,
    IPC_COMMAND,
    IPC_FLAGS,
    KEY,
    KEYCTL_OPERATION,
    LONG,
    MODE,
    OPEN_FLAGS,
    OUT_BUFFER,
    OUT_FILLED,
    OUT_INT,
    OUT_MQ_ATTR,
    POINTER,
    POINTER_IF_USED,
    SIZE,
    STRING,
    STRING_OR_NULL,
    UINT,
)

CALLS = (
    call("msgget", KEY, IPC_FLAGS, run=HOST),
    call("msgsnd", INT, POINTER, SIZE, IPC_FLAGS, run=HOST),
    call("msgrcv", INT, OUT_FILLED, SIZE, LONG, IPC_FLAGS, run=HOST),
    call("msgctl", INT, IPC_COMMAND, POINTER_IF_USED, run=HOST),
    call("semget", KEY, INT, IPC_FLAGS, run=HOST),
    call("semop", INT, POINTER, SIZE, run=HOST),
    call("semtimedop", INT, POINTER, SIZE, IN_TIMESPEC, run=HOST),
    call("semctl", INT, INT, IPC_COMMAND, HEX, run=ipc.semctl),
    call("shmget", KEY, SIZE, IPC_FLAGS, run=HOST),
    call("shmctl", INT, IPC_COMMAND, POINTER_IF_USED, run=HOST),
    call("mq_open", STRING, OPEN_FLAGS, MODE, IN_MQ_ATTR, run=HOST),
    call("mq_unlink", STRING, run=HOST),
    call("mq_timedsend", INT, IN_BUFFER, SIZE, UINT, IN_TIMESPEC, run=HOST),
    call("mq_timedreceive", INT, OUT_BUFFER, SIZE, OUT_INT, IN_TIMESPEC, run=HOST),
    call("mq_notify", INT, IN_SIGEVENT, run=nested.mq_notify),
    call("mq_getsetattr", INT, IN_MQ_ATTR, OUT_MQ_ATTR, run=HOST),
    call("add_key", STRING, STRING, IN_BUFFER, SIZE, INT, run=HOST),
    call("request_key", STRING, STRING, STRING_OR_NULL, INT, run=HOST),
    call("keyctl", KEYCTL_OPERATION, HEX, HEX, HEX, HEX, run=nested.keyctl),
)
