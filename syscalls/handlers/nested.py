# SPDX-License-Identifier: GPL-2.0-or-later
"""Calls whose structures hold pointers: made with a copy in which every pointer has been checked.

A copy, because another thread of the guest could change the structure after the check.
"""

from __future__ import annotations

from _struct import iter_unpack, unpack_from
from errno import E2BIG, EINVAL, EOPNOTSUPP

from syscalls.handlers.pointers import checked
from syscalls.host.x86_64 import NUMBERS as HOST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from syscalls.protocols import Task

UIO_MAXIOV = 1024
FUTEX_WAITV_MAX = 128
AT_SYMLINK_NOFOLLOW = 0x100

_PAGE = 4096
_XATTR_ARGS = 16
"""struct xattr_args {u64 value; u32 size, flags}: linux/xattr.h, XATTR_ARGS_SIZE_VER0."""

_SIGEVENT = 64
_SIGEV_THREAD = 2
_NOTIFY_COOKIE = 32

_KDF_PARAMS = 56
"""struct keyctl_kdf_params {char *hashname, *otherinfo; u32 otherinfolen, spare[8]}."""

_HASH_NAME = 128
"""CRYPTO_MAX_ALG_NAME: the longest name that is read."""

_INSTANTIATE_IOV = 20
_DH_COMPUTE = 23

_KEYCTL_POINTERS = (
    (),  # GET_KEYRING_ID
    (0,),  # JOIN_SESSION_KEYRING name
    (1,),  # UPDATE payload
    (),  # REVOKE
    (),  # CHOWN
    (),  # SETPERM
    (1,),  # DESCRIBE buffer
    (),  # CLEAR
    (),  # LINK
    (),  # UNLINK
    (1, 2),  # SEARCH type, description
    (1,),  # READ buffer
    (1,),  # INSTANTIATE payload
    (),  # NEGATE
    (),  # SET_REQKEY_KEYRING
    (),  # SET_TIMEOUT
    (),  # ASSUME_AUTHORITY
    (1,),  # GET_SECURITY buffer
    (),  # SESSION_TO_PARENT
    (),  # REJECT
    (),  # INSTANTIATE_IOV: copied
    (),  # INVALIDATE
    (),  # GET_PERSISTENT
    (0, 1),  # DH_COMPUTE parameters, buffer; the key derivation is copied
    (2, 3),  # PKEY_QUERY info, answer
    (0, 1, 2, 3),  # PKEY_ENCRYPT parameters, info, in, out
    (0, 1, 2, 3),  # PKEY_DECRYPT
    (0, 1, 2, 3),  # PKEY_SIGN
    (0, 1, 2, 3),  # PKEY_VERIFY
    (1, 2),  # RESTRICT_KEYRING type, restriction
    (),  # MOVE
    (0,),  # CAPABILITIES buffer
    (),  # WATCH_KEY
)
"""By KEYCTL_ operation (linux/keyctl.h): which of the four arguments after it are pointers."""


def process_vm_readv(
    task: Task, pid: int, local: int, local_count: int, remote: int, remote_count: int, flags: int
) -> int:
    """Read memory of another process, of which only what is its guest's can be named."""
    return _process_vm(
        task, "process_vm_readv", pid, local, local_count, remote, remote_count, flags
    )


def process_vm_writev(
    task: Task, pid: int, local: int, local_count: int, remote: int, remote_count: int, flags: int
) -> int:
    """Write memory of another process, of which only what is its guest's can be named."""
    return _process_vm(
        task, "process_vm_writev", pid, local, local_count, remote, remote_count, flags
    )


def futex_waitv(task: Task, waiters: int, count: int, flags: int, timeout: int, clock: int) -> int:
    """Wait on several futexes."""
    if not 0 < count <= FUTEX_WAITV_MAX:
        raise OSError(EINVAL, "number of futexes")
    copy = _futexes(task, waiters, count)
    return task.host(HOST["futex_waitv"], copy, count, flags, checked(timeout, 16), clock)


def futex_requeue(task: Task, waiters: int, flags: int, wake: int, requeue: int) -> int:
    """Wake waiters of the first of two futexes and move others to the second."""
    return task.host(HOST["futex_requeue"], _futexes(task, waiters, 2), flags, wake, requeue)


def setxattrat(
    task: Task, dirfd: int, path: bytes | None, flags: int, name: bytes, arguments: int, size: int
) -> int:
    """Set an extended attribute; value, size and flags are in a struct xattr_args."""
    copy = _xattr_args(task, arguments, size)
    place, found = _resolve(task, dirfd, path, flags)
    return task.host(HOST["setxattrat"], place, found, flags, name, copy, size)


def getxattrat(
    task: Task, dirfd: int, path: bytes | None, flags: int, name: bytes, arguments: int, size: int
) -> int:
    """Read an extended attribute into the buffer of a struct xattr_args."""
    copy = _xattr_args(task, arguments, size)
    place, found = _resolve(task, dirfd, path, flags)
    return task.host(HOST["getxattrat"], place, found, flags, name, copy, size)


def mq_notify(task: Task, queue: int, event: int) -> int:
    """Ask to be told of a message; with SIGEV_THREAD the event holds a pointer to a cookie."""
    if not event:
        return task.host(HOST["mq_notify"], queue, 0)
    copy = task.memory.read(event, _SIGEVENT)
    value, _signal, notify = unpack_from("<Qii", copy)
    if notify == _SIGEV_THREAD:
        checked(value, _NOTIFY_COOKIE)
    return task.host(HOST["mq_notify"], queue, copy)


def keyctl(task: Task, operation: int, *arguments: int) -> int:
    """Do an operation on the kernel's keys."""
    if not 0 <= operation < len(_KEYCTL_POINTERS):
        raise OSError(EOPNOTSUPP, "keyctl operation")
    for index in _KEYCTL_POINTERS[operation]:
        checked(arguments[index])
    passed: list[int | bytes | bytearray] = list(arguments)
    if operation == _INSTANTIATE_IOV and arguments[1]:
        passed[1] = _vector(task, arguments[1], arguments[2])
    elif operation == _DH_COMPUTE and arguments[3]:
        copy = task.memory.read(arguments[3], _KDF_PARAMS)
        hash_name, information, length = unpack_from("<QQI", copy)
        checked(hash_name, _HASH_NAME)
        checked(information, length)
        passed[3] = copy
    return task.host(HOST["keyctl"], operation, *passed)


def _process_vm(
    task: Task,
    name: str,
    pid: int,
    local: int,
    local_count: int,
    remote: int,
    remote_count: int,
    flags: int,
) -> int:
    here = _vector(task, local, local_count)
    there = _vector(task, remote, remote_count)
    return task.host(HOST[name], pid, here, local_count, there, remote_count, flags)


def _vector(task: Task, address: int, count: int) -> bytes:
    """Copy an array of struct iovec {void *base; size_t length}."""
    if count > UIO_MAXIOV:
        raise OSError(EINVAL, "too many parts")
    copy = task.memory.read(address, 16 * count) if count else b""
    for base, length in iter_unpack("<QQ", copy):
        checked(base, length)
    return copy


def _futexes(task: Task, address: int, count: int) -> bytes:
    """Copy an array of struct futex_waitv {u64 val, uaddr; u32 flags, reserved}."""
    copy = task.memory.read(address, 24 * count)
    for _value, futex, _flags in iter_unpack("<QQQ", copy):
        checked(futex, 8)
    return copy


def _xattr_args(task: Task, address: int, size: int) -> bytes:
    if size < _XATTR_ARGS:
        raise OSError(EINVAL, "xattr_args is too small")
    if size > _PAGE:
        raise OSError(E2BIG, "xattr_args is too large")
    copy = task.memory.read(address, size)
    value, length = unpack_from("<QI", copy)
    checked(value, length)
    return copy


def _resolve(task: Task, dirfd: int, path: bytes | None, flags: int) -> tuple[int, bytes | int]:
    if path is None:
        return dirfd, 0
    return task.paths.resolve(dirfd, path, not flags & AT_SYMLINK_NOFOLLOW)
