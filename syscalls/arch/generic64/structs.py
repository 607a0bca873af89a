# SPDX-License-Identifier: GPL-2.0-or-later
"""Layouts of the structures that a guest and its kernel exchange.

`name: (size, {field: (offset, code)})`, in bytes; the code is one of `struct`: b h i q signed of 1,
2, 4, 8 bytes, capitals unsigned, `Ns` N bytes. Padding is left out. The tests compare all of it with
the compiler's layouts, and those marked below with the host's too.
"""

from __future__ import annotations

Layout = tuple[int, dict[str, tuple[int, str]]]

_IPC_PERM = {
    "key": (0, "i"),
    "uid": (4, "I"),
    "gid": (8, "I"),
    "cuid": (12, "I"),
    "cgid": (16, "I"),
    "mode": (20, "I"),
    "seq": (24, "H"),
}
"""struct ipc64_perm, the first 48 bytes of the System V structures."""

STAT: Layout = (
    128,
    {
        "st_dev": (0, "Q"),
        "st_ino": (8, "Q"),
        "st_mode": (16, "I"),
        "st_nlink": (20, "I"),
        "st_uid": (24, "I"),
        "st_gid": (28, "I"),
        "st_rdev": (32, "Q"),
        "st_size": (48, "q"),
        "st_blksize": (56, "i"),
        "st_blocks": (64, "q"),
        "st_atime": (72, "q"),
        "st_atime_nsec": (80, "Q"),
        "st_mtime": (88, "q"),
        "st_mtime_nsec": (96, "Q"),
        "st_ctime": (104, "q"),
        "st_ctime_nsec": (112, "Q"),
    },
)
"""asm-generic/stat.h. Differs from the host's."""

EPOLL_EVENT: Layout = (16, {"events": (0, "I"), "data": (8, "Q")})
"""linux/eventpoll.h. Packed into 12 bytes on the host only."""

SEMID_DS: Layout = (
    88,
    {**_IPC_PERM, "sem_otime": (48, "q"), "sem_ctime": (56, "q"), "sem_nsems": (64, "Q")},
)
"""asm-generic/sembuf.h, struct semid64_ds. Differs from the host's."""

DIFFERENT: dict[str, Layout] = {"stat": STAT, "epoll_event": EPOLL_EVENT, "semid64_ds": SEMID_DS}
"""The structures whose layout is another one on the host."""

SAME: dict[str, Layout] = {
    "timespec": (16, {"tv_sec": (0, "q"), "tv_nsec": (8, "q")}),
    "timeval": (16, {"tv_sec": (0, "q"), "tv_usec": (8, "q")}),
    "itimerval": (
        32,
        {
            "it_interval.tv_sec": (0, "q"),
            "it_interval.tv_usec": (8, "q"),
            "it_value.tv_sec": (16, "q"),
            "it_value.tv_usec": (24, "q"),
        },
    ),
    "itimerspec": (
        32,
        {
            "it_interval.tv_sec": (0, "q"),
            "it_interval.tv_nsec": (8, "q"),
            "it_value.tv_sec": (16, "q"),
            "it_value.tv_nsec": (24, "q"),
        },
    ),
    "flock": (
        32,
        {
            "l_type": (0, "h"),
            "l_whence": (2, "h"),
            "l_start": (8, "q"),
            "l_len": (16, "q"),
            "l_pid": (24, "i"),
        },
    ),
    "f_owner_ex": (8, {"type": (0, "i"), "pid": (4, "i")}),
    "termios": (
        36,
        {
            "c_iflag": (0, "I"),
            "c_oflag": (4, "I"),
            "c_cflag": (8, "I"),
            "c_lflag": (12, "I"),
            "c_line": (16, "B"),
            "c_cc": (17, "19s"),
        },
    ),
    "winsize": (
        8,
        {"ws_row": (0, "H"), "ws_col": (2, "H"), "ws_xpixel": (4, "H"), "ws_ypixel": (6, "H")},
    ),
    "statfs": (
        120,
        {
            "f_type": (0, "q"),
            "f_bsize": (8, "q"),
            "f_blocks": (16, "q"),
            "f_bfree": (24, "q"),
            "f_bavail": (32, "q"),
            "f_files": (40, "q"),
            "f_ffree": (48, "q"),
            "f_fsid": (56, "8s"),
            "f_namelen": (64, "q"),
            "f_frsize": (72, "q"),
            "f_flags": (80, "q"),
        },
    ),
    "statx": (
        256,
        {
            "stx_mask": (0, "I"),
            "stx_blksize": (4, "I"),
            "stx_attributes": (8, "Q"),
            "stx_nlink": (16, "I"),
            "stx_uid": (20, "I"),
            "stx_gid": (24, "I"),
            "stx_mode": (28, "H"),
            "stx_ino": (32, "Q"),
            "stx_size": (40, "Q"),
            "stx_blocks": (48, "Q"),
        },
    ),
    "siginfo": (
        128,
        {
            "si_signo": (0, "i"),
            "si_errno": (4, "i"),
            "si_code": (8, "i"),
            "si_pid": (16, "i"),
            "si_uid": (20, "I"),
            "si_status": (24, "i"),
            "si_value": (24, "Q"),
            "si_addr": (16, "Q"),
            "si_timerid": (16, "i"),
            "si_band": (16, "q"),
            "si_call_addr": (16, "Q"),
        },
    ),
    "sigaction": (
        32,
        {
            "sa_handler": (0, "Q"),
            "sa_flags": (8, "Q"),
            "sa_restorer": (16, "Q"),
            "sa_mask": (24, "Q"),
        },
    ),
    "stack": (24, {"ss_sp": (0, "Q"), "ss_flags": (8, "i"), "ss_size": (16, "Q")}),
    "sigevent": (
        64,
        {
            "sigev_value": (0, "Q"),
            "sigev_signo": (8, "i"),
            "sigev_notify": (12, "i"),
            "sigev_notify_thread_id": (16, "i"),
        },
    ),
    "signalfd_siginfo": (
        128,
        {
            "ssi_signo": (0, "I"),
            "ssi_errno": (4, "i"),
            "ssi_code": (8, "i"),
            "ssi_pid": (12, "I"),
            "ssi_uid": (16, "I"),
            "ssi_status": (40, "i"),
        },
    ),
    "shmid64_ds": (
        112,
        {
            **_IPC_PERM,
            "shm_segsz": (48, "Q"),
            "shm_atime": (56, "q"),
            "shm_dtime": (64, "q"),
            "shm_ctime": (72, "q"),
            "shm_cpid": (80, "i"),
            "shm_lpid": (84, "i"),
            "shm_nattch": (88, "Q"),
        },
    ),
    "msqid64_ds": (
        120,
        {
            **_IPC_PERM,
            "msg_stime": (48, "q"),
            "msg_rtime": (56, "q"),
            "msg_ctime": (64, "q"),
            "msg_cbytes": (72, "Q"),
            "msg_qnum": (80, "Q"),
            "msg_qbytes": (88, "Q"),
            "msg_lspid": (96, "i"),
            "msg_lrpid": (100, "i"),
        },
    ),
    "sembuf": (6, {"sem_num": (0, "H"), "sem_op": (2, "h"), "sem_flg": (4, "h")}),
    "rlimit": (16, {"rlim_cur": (0, "Q"), "rlim_max": (8, "Q")}),
    "rusage": (
        144,
        {
            "ru_utime.tv_sec": (0, "q"),
            "ru_utime.tv_usec": (8, "q"),
            "ru_stime.tv_sec": (16, "q"),
            "ru_stime.tv_usec": (24, "q"),
            "ru_maxrss": (32, "q"),
            "ru_nivcsw": (136, "q"),
        },
    ),
    "iovec": (16, {"iov_base": (0, "Q"), "iov_len": (8, "Q")}),
    "msghdr": (
        56,
        {
            "msg_name": (0, "Q"),
            "msg_namelen": (8, "i"),
            "msg_iov": (16, "Q"),
            "msg_iovlen": (24, "Q"),
            "msg_control": (32, "Q"),
            "msg_controllen": (40, "Q"),
            "msg_flags": (48, "I"),
        },
    ),
    "mmsghdr": (64, {"msg_hdr": (0, "56s"), "msg_len": (56, "I")}),
    "pollfd": (8, {"fd": (0, "i"), "events": (4, "h"), "revents": (6, "h")}),
    "sysinfo": (
        112,
        {
            "uptime": (0, "q"),
            "loads": (8, "24s"),
            "totalram": (32, "Q"),
            "freeram": (40, "Q"),
            "procs": (80, "H"),
            "mem_unit": (104, "I"),
        },
    ),
    "utsname": (
        390,
        {
            "sysname": (0, "65s"),
            "nodename": (65, "65s"),
            "release": (130, "65s"),
            "version": (195, "65s"),
            "machine": (260, "65s"),
            "domainname": (325, "65s"),
        },
    ),
    "sched_param": (4, {"sched_priority": (0, "i")}),
    "timex": (208, {"modes": (0, "I"), "offset": (8, "q"), "freq": (16, "q"), "tai": (160, "i")}),
    "tms": (
        32,
        {
            "tms_utime": (0, "q"),
            "tms_stime": (8, "q"),
            "tms_cutime": (16, "q"),
            "tms_cstime": (24, "q"),
        },
    ),
    "robust_list_head": (
        24,
        {"list": (0, "Q"), "futex_offset": (8, "q"), "list_op_pending": (16, "Q")},
    ),
    "clone_args": (
        88,
        {
            "flags": (0, "Q"),
            "pidfd": (8, "Q"),
            "child_tid": (16, "Q"),
            "parent_tid": (24, "Q"),
            "exit_signal": (32, "Q"),
            "stack": (40, "Q"),
            "stack_size": (48, "Q"),
            "tls": (56, "Q"),
            "set_tid": (64, "Q"),
            "set_tid_size": (72, "Q"),
            "cgroup": (80, "Q"),
        },
    ),
    "open_how": (24, {"flags": (0, "Q"), "mode": (8, "Q"), "resolve": (16, "Q")}),
    "futex_waitv": (24, {"val": (0, "Q"), "uaddr": (8, "Q"), "flags": (16, "I")}),
    "mq_attr": (
        64,
        {
            "mq_flags": (0, "q"),
            "mq_maxmsg": (8, "q"),
            "mq_msgsize": (16, "q"),
            "mq_curmsgs": (24, "q"),
        },
    ),
    "file_handle": (8, {"handle_bytes": (0, "I"), "handle_type": (4, "i")}),
}
"""The structures that are the same on the host, so that a pointer to one may go to the host."""
