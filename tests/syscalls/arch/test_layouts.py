# SPDX-License-Identifier: GPL-2.0-or-later
"""Every structure layout, against the guest's headers, and those said to be the same against the host's."""

from __future__ import annotations

from struct import calcsize

import pytest

from syscalls.arch.generic64 import structs
from syscalls.host import x86_64_structs
from tests.syscalls.probe import evaluate

# Name: headers, C type, C names of fields that are called otherwise here.
WHERE: dict[str, tuple[tuple[str, ...], str, dict[str, str]]] = {
    "stat": (("asm/stat.h",), "struct stat", {}),
    "epoll_event": (("linux/eventpoll.h",), "struct epoll_event", {}),
    "semid64_ds": (("linux/sem.h",), "struct semid64_ds", {}),
    "timespec": (("linux/time_types.h",), "struct __kernel_timespec", {}),
    "timeval": (("linux/time.h",), "struct timeval", {}),
    "itimerval": (("linux/time.h",), "struct itimerval", {}),
    "itimerspec": (("linux/time_types.h",), "struct __kernel_itimerspec", {}),
    "flock": (("linux/fcntl.h",), "struct flock", {}),
    "f_owner_ex": (("linux/fcntl.h",), "struct f_owner_ex", {}),
    "termios": (("asm/termbits.h",), "struct termios", {}),
    "winsize": (("asm/termios.h",), "struct winsize", {}),
    "statfs": (("asm/statfs.h",), "struct statfs", {}),
    "statx": (("linux/stat.h",), "struct statx", {}),
    "siginfo": (("linux/signal.h",), "siginfo_t", {"si_timerid": "si_tid"}),
    "sigaction": (("linux/signal.h",), "struct sigaction", {}),
    "stack": (("linux/signal.h",), "stack_t", {}),
    "sigevent": (
        ("linux/signal.h",),
        "struct sigevent",
        {"sigev_notify_thread_id": "_sigev_un._tid"},
    ),
    "signalfd_siginfo": (("linux/signalfd.h",), "struct signalfd_siginfo", {}),
    "shmid64_ds": (("linux/shm.h",), "struct shmid64_ds", {"perm": "shm_perm"}),
    "msqid64_ds": (("linux/msg.h",), "struct msqid64_ds", {"perm": "msg_perm"}),
    "sembuf": (("linux/sem.h",), "struct sembuf", {}),
    "rlimit": (("linux/resource.h",), "struct rlimit64", {}),
    "rusage": (("linux/time.h", "linux/resource.h"), "struct rusage", {}),
    "iovec": (("sys/uio.h",), "struct iovec", {}),
    "msghdr": (("sys/socket.h",), "struct msghdr", {}),
    "mmsghdr": (("sys/socket.h",), "struct mmsghdr", {}),
    "pollfd": (("asm/poll.h",), "struct pollfd", {}),
    "sysinfo": (("linux/sysinfo.h",), "struct sysinfo", {}),
    "utsname": (("linux/utsname.h",), "struct new_utsname", {}),
    "sched_param": (("sched.h",), "struct sched_param", {}),
    "timex": (("linux/timex.h",), "struct __kernel_timex", {}),
    "tms": (("linux/times.h",), "struct tms", {}),
    "robust_list_head": (("linux/futex.h",), "struct robust_list_head", {}),
    "clone_args": (("linux/types.h", "linux/sched.h"), "struct clone_args", {}),
    "open_how": (("linux/openat2.h",), "struct open_how", {}),
    "futex_waitv": (("linux/futex.h",), "struct futex_waitv", {}),
    "mq_attr": (("linux/types.h", "linux/mqueue.h"), "struct mq_attr", {}),
    "file_handle": (("fcntl.h",), "struct file_handle", {}),
}
PERMISSION_FIELDS = ("key", "uid", "gid", "cuid", "cgid", "mode", "seq")
PERMISSION = {"semid64_ds": "sem_perm", "shmid64_ds": "shm_perm", "msqid64_ds": "msg_perm"}


def c_name(struct: str, field: str) -> str:
    """The C name of a field of one of our layouts."""
    if struct in PERMISSION and field in PERMISSION_FIELDS:
        return f"{PERMISSION[struct]}.{field}"
    return WHERE[struct][2].get(field, field)


def compiled_layout(cpu: str, struct: str, fields: list[str]) -> structs.Layout:
    """The layout as the compiler for `cpu` sees it; the codes are sizes in digits."""
    headers, c_type, _ = WHERE[struct]
    expressions = [f"sizeof({c_type})"]
    for field in fields:
        name = c_name(struct, field)
        expressions += [f"offsetof({c_type}, {name})", f"sizeof((({c_type} *)0)->{name})"]
    size, *rest = evaluate(cpu, headers, expressions)
    pairs = zip(rest[::2], rest[1::2], strict=True)
    return size, {f: (o, str(s)) for f, (o, s) in zip(fields, pairs, strict=True)}


def sizes(layout: structs.Layout) -> structs.Layout:
    """A layout with each code replaced by its size."""
    size, fields = layout
    return size, {name: (at, str(calcsize(code))) for name, (at, code) in fields.items()}


@pytest.mark.parametrize("struct", sorted(structs.SAME))
@pytest.mark.parametrize("cpu", ["aarch64", "x86_64"])
def test_layout_is_the_same_on_both(cpu: str, struct: str) -> None:
    ours = structs.SAME[struct]
    assert compiled_layout(cpu, struct, list(ours[1])) == sizes(ours)


@pytest.mark.parametrize("struct", sorted(structs.DIFFERENT))
def test_layout_differs(struct: str) -> None:
    ours = structs.DIFFERENT[struct]
    fields = list(ours[1])
    assert compiled_layout("aarch64", struct, fields) == sizes(ours)
    assert compiled_layout("x86_64", struct, fields) != sizes(ours)


def test_every_layout_is_looked_up() -> None:
    assert set(WHERE) == set(structs.SAME) | set(structs.DIFFERENT)


@pytest.mark.parametrize(
    ("struct", "ours"),
    [("stat", x86_64_structs.STAT), ("epoll_event", x86_64_structs.EPOLL_EVENT)],
)
def test_host_layout(struct: str, ours: structs.Layout) -> None:
    assert compiled_layout("x86_64", struct, list(ours[1])) == sizes(ours)
