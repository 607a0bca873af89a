# SPDX-License-Identifier: GPL-2.0-or-later
"""What the arguments of system calls are: the words that the table is written in.

Adding one: a line here, and if a trace should show it in a way of its own, a function or a list of
names in one of the `trace_*.py`.
"""

from __future__ import annotations

from syscalls import call as treat
from syscalls.call import Kind


def _int(name: str, shown: str = "int") -> Kind:
    return Kind(name, treat.VALUE, "i", shown)


def _flags(name: str, follow: tuple[int, ...] = (), nofollow: tuple[int, ...] = ()) -> Kind:
    return Kind(name, treat.VALUE, "u", f"flags:{name}", follow=follow, nofollow=nofollow)


def _choice(name: str) -> Kind:
    return Kind(name, treat.VALUE, "i", f"choice:{name}")


def _in(struct: str) -> Kind:
    return Kind(f"IN_{struct.upper()}", treat.POINTER, "r", f"struct:{struct}")


def _out(struct: str, treatment: int = treat.POINTER) -> Kind:
    return Kind(f"OUT_{struct.upper()}", treatment, "r", f"struct:{struct}", when="out")


# Plain values
INT = _int("INT")
UINT = Kind("UINT", treat.VALUE, "u", "uint")
LONG = Kind("LONG", treat.VALUE, "l", "long")
ULONG = Kind("ULONG", treat.VALUE, "r", "uint")
HEX = Kind("HEX", treat.VALUE, "r", "hex")
SIZE = Kind("SIZE", treat.VALUE, "r", "uint")
COUNT = Kind("COUNT", treat.VALUE, "r", "uint")
OFFSET = Kind("OFFSET", treat.VALUE, "l", "long")
UNUSED = Kind("UNUSED", treat.VALUE, "r", "hidden")
FD = _int("FD", "fd")
DIR_FD = _int("DIR_FD", "dirfd")
PID = _int("PID")
UID = Kind("UID", treat.VALUE, "u", "id")
GID = Kind("GID", treat.VALUE, "u", "id")
MODE = Kind("MODE", treat.VALUE, "u", "mode")
OPEN_MODE = Kind("OPEN_MODE", treat.VALUE, "u", "open_mode")
DEVICE = Kind("DEVICE", treat.VALUE, "u", "device")
SIGNAL = _int("SIGNAL", "signal")
STATUS = _int("STATUS")
KEY = _int("KEY", "key")
CLOCK = _choice("CLOCK")
TIMER = _int("TIMER")

# Addresses
ADDRESS = Kind("ADDRESS", treat.POINTER, "r", "address")
POINTER = Kind("POINTER", treat.POINTER, "r", "address")
OUT_POINTER = Kind("OUT_POINTER", treat.POINTER, "r", "address", when="out")
POINTER_IF_USED = Kind("POINTER_IF_USED", treat.POINTER_IF_USED, "r", "address")
FUTEX_SECOND = Kind("FUTEX_SECOND", treat.POINTER_IF_USED, "r", "futex_second")
FUTEX_VALUE = Kind("FUTEX_VALUE", treat.VALUE, "u", "futex_value")
FCNTL_ARGUMENT = Kind("FCNTL_ARGUMENT", treat.POINTER_IF_USED, "r", "fcntl_argument")
IOCTL_ARGUMENT = Kind("IOCTL_ARGUMENT", treat.POINTER_IF_USED, "r", "ioctl_argument", when="out")
FUTEX_TIMEOUT = Kind("FUTEX_TIMEOUT", treat.POINTER_IF_USED, "r", "futex_timeout")
ACCEPT_LENGTH = Kind("ACCEPT_LENGTH", treat.POINTER_IF_USED, "r", "pointed_int", when="out")
IN_BUFFER = Kind("IN_BUFFER", treat.POINTER, "r", "bytes:next")
OUT_BUFFER = Kind("OUT_BUFFER", treat.POINTER, "r", "bytes:result", when="out", bulk=True)
OUT_FILLED = Kind("OUT_FILLED", treat.POINTER, "r", "address", when="out", bulk=True)
OUT_LINK = Kind("OUT_LINK", treat.POINTER, "r", "bytes:result", when="out")

# Paths and strings: PATH follows a symbolic link in the last component, ENTRY does not, and for
# PATH_BY_FLAGS a flag argument says it.
PATH = Kind("PATH", treat.PATH, "p", "string")
ENTRY = Kind("ENTRY", treat.PATH, "p", "string")
PATH_BY_FLAGS = Kind("PATH_BY_FLAGS", treat.PATH, "p", "string")
PATH_OR_NULL = Kind("PATH_OR_NULL", treat.PATH, "o", "string")
PATH_BY_FLAGS_OR_NULL = Kind("PATH_BY_FLAGS_OR_NULL", treat.PATH, "o", "string")
STRING = Kind("STRING", treat.POINTER, "p", "string")
STRING_OR_NULL = Kind("STRING_OR_NULL", treat.POINTER, "o", "string")
STRING_ARRAY = Kind("STRING_ARRAY", treat.POINTER, "r", "strings")
ENVIRONMENT = Kind("ENVIRONMENT", treat.POINTER, "r", "environment")

# Vectors and messages
IN_IOVEC = Kind("IN_IOVEC", treat.IOVEC, "r", "iovec:in")
OUT_IOVEC = Kind("OUT_IOVEC", treat.IOVEC, "r", "iovec:out", when="out", bulk=True)
IN_MSGHDR = Kind("IN_MSGHDR", treat.MSGHDR, "r", "msghdr:in")
OUT_MSGHDR = Kind("OUT_MSGHDR", treat.MSGHDR, "r", "msghdr:out", when="out", bulk=True)
IN_MMSGHDR = Kind("IN_MMSGHDR", treat.MMSGHDR, "r", "address")
OUT_MMSGHDR = Kind("OUT_MMSGHDR", treat.MMSGHDR, "r", "address", when="out", bulk=True)
IN_SOCKADDR = Kind("IN_SOCKADDR", treat.POINTER, "r", "sockaddr:in")
OUT_SOCKADDR = Kind("OUT_SOCKADDR", treat.POINTER, "r", "sockaddr:out", when="out")
INOUT_LENGTH = Kind("INOUT_LENGTH", treat.POINTER, "r", "pointed_int", when="out")

# Structures
OUT_STAT = _out("stat", treat.STAT_OUT)
OUT_STATX = _out("statx")
OUT_STATFS = _out("statfs")
IN_EPOLL_EVENT = Kind("IN_EPOLL_EVENT", treat.EPOLL_IN, "r", "struct:epoll_event")
OUT_EPOLL_EVENTS = Kind("OUT_EPOLL_EVENTS", treat.EPOLL_OUT, "r", "epoll_events", when="out")
IN_TIMESPEC = _in("timespec")
OUT_TIMESPEC = _out("timespec")
IN_TIMESPECS = Kind("IN_TIMESPECS", treat.POINTER, "r", "utimes")
IN_TIMEVAL = _in("timeval")
OUT_TIMEVAL = _out("timeval")
IN_ITIMERVAL = _in("itimerval")
OUT_ITIMERVAL = _out("itimerval")
IN_ITIMERSPEC = _in("itimerspec")
OUT_ITIMERSPEC = _out("itimerspec")
IN_RLIMIT = _in("rlimit")
OUT_RLIMIT = _out("rlimit")
OUT_RUSAGE = _out("rusage", treat.POINTER_IF_USED)
OUT_UTSNAME = _out("utsname")
OUT_SYSINFO = _out("sysinfo")
OUT_TMS = _out("tms")
INOUT_TIMEX = Kind("INOUT_TIMEX", treat.POINTER, "r", "address", when="out")
IN_SIGACTION = _in("sigaction")
OUT_SIGACTION = _out("sigaction")
IN_SIGINFO = _in("siginfo")
OUT_SIGINFO = _out("siginfo", treat.POINTER_IF_USED)
IN_STACK = _in("stack")
OUT_STACK = _out("stack")
IN_SIGSET = Kind("IN_SIGSET", treat.POINTER, "r", "sigset")
WAIT_MASK = Kind("WAIT_MASK", treat.WAIT_MASK, "r", "sigset")
OUT_SIGSET = Kind("OUT_SIGSET", treat.POINTER, "r", "sigset", when="out")
IN_SIGEVENT = _in("sigevent")
IN_SCHED_PARAM = _in("sched_param")
OUT_SCHED_PARAM = _out("sched_param")
IN_CPUSET = Kind("IN_CPUSET", treat.POINTER, "r", "address")
OUT_CPUSET = Kind("OUT_CPUSET", treat.POINTER, "r", "address", when="out")
INOUT_POLLFDS = Kind("INOUT_POLLFDS", treat.POINTER, "r", "pollfds", when="both")
INOUT_FDSET = Kind("INOUT_FDSET", treat.POINTER, "r", "fdset", when="both")
PSELECT_MASK = Kind("PSELECT_MASK", treat.WAIT_MASK_PAIR, "r", "sigset_argument")
OUT_FD_PAIR = Kind("OUT_FD_PAIR", treat.POINTER, "r", "fd_pair", when="out")
IN_OPEN_HOW = _in("open_how")
IN_CLONE_ARGS = _in("clone_args")
OUT_INT = Kind("OUT_INT", treat.POINTER, "r", "pointed_int", when="out")
OUT_STATUS = Kind("OUT_STATUS", treat.POINTER_IF_USED, "r", "wait_status", when="out")
OUT_TIMER = Kind("OUT_TIMER", treat.POINTER, "r", "pointed_int", when="out")
OUT_ID = Kind("OUT_ID", treat.POINTER, "r", "pointed_int", when="out")
INOUT_OFFSET = Kind("INOUT_OFFSET", treat.POINTER, "r", "pointed_long", when="both")
IN_MQ_ATTR = _in("mq_attr")
OUT_MQ_ATTR = _out("mq_attr")

# Flags. The bit that decides whether a symbolic link is followed: <linux/fcntl.h> AT_SYMLINK_*,
# <linux/mount.h>, <linux/inotify.h>, <linux/fanotify.h>.
OPEN_FLAGS = Kind("OPEN_FLAGS", treat.OPEN_FLAGS, "u", "open_flags")
AT_FLAGS = _flags("AT_FLAGS", nofollow=(0x100,))
LINK_FLAGS = Kind("LINK_FLAGS", treat.VALUE, "u", "flags:AT_FLAGS", follow=(0x400,))
UMOUNT_FLAGS = _flags("UMOUNT_FLAGS", nofollow=(0x8,))
FSPICK_FLAGS = _flags("FSPICK_FLAGS", nofollow=(0x2,))
MOVE_MOUNT_FLAGS = _flags("MOVE_MOUNT_FLAGS", follow=(0x1, 0x10))
INOTIFY_MASK = _flags("INOTIFY_MASK", nofollow=(0x02000000,))
FANOTIFY_MARK_FLAGS = _flags("FANOTIFY_MARK_FLAGS", nofollow=(0x4,))
ACCESS_MODE = _flags("ACCESS_MODE")
PROT = _flags("PROT")
MAP_FLAGS = _flags("MAP_FLAGS")
MREMAP_FLAGS = _flags("MREMAP_FLAGS")
MSYNC_FLAGS = _flags("MSYNC_FLAGS")
MLOCK_FLAGS = _flags("MLOCK_FLAGS")
MLOCKALL_FLAGS = _flags("MLOCKALL_FLAGS")
CLONE_FLAGS = Kind("CLONE_FLAGS", treat.VALUE, "u", "clone_flags")
UNSHARE_FLAGS = Kind("UNSHARE_FLAGS", treat.VALUE, "u", "flags:CLONE_FLAGS")
WAIT_FLAGS = _flags("WAIT_FLAGS")
EVENTFD_FLAGS = _flags("EVENTFD_FLAGS")
EPOLL_FLAGS = _flags("EPOLL_FLAGS")
INOTIFY_FLAGS = _flags("INOTIFY_FLAGS")
SIGNALFD_FLAGS = _flags("SIGNALFD_FLAGS")
TIMERFD_FLAGS = _flags("TIMERFD_FLAGS")
TIMER_FLAGS = _flags("TIMER_FLAGS")
LOCK_OPERATION = _flags("LOCK_OPERATION")
FALLOCATE_MODE = _flags("FALLOCATE_MODE")
SPLICE_FLAGS = _flags("SPLICE_FLAGS")
RWF_FLAGS = _flags("RWF_FLAGS")
RENAME_FLAGS = _flags("RENAME_FLAGS")
XATTR_FLAGS = _flags("XATTR_FLAGS")
MOUNT_FLAGS = Kind("MOUNT_FLAGS", treat.VALUE, "r", "flags:MOUNT_FLAGS")
MSG_FLAGS = _flags("MSG_FLAGS")
SOCKET_FLAGS = _flags("SOCKET_FLAGS")
SOCKET_TYPE = Kind("SOCKET_TYPE", treat.VALUE, "i", "socket_type")
GETRANDOM_FLAGS = _flags("GETRANDOM_FLAGS")
MEMFD_FLAGS = _flags("MEMFD_FLAGS")
CLOSE_RANGE_FLAGS = _flags("CLOSE_RANGE_FLAGS")
STATX_MASK = _flags("STATX_MASK")
FUTEX2_FLAGS = _flags("FUTEX2_FLAGS")
SYNC_RANGE_FLAGS = _flags("SYNC_RANGE_FLAGS")
IPC_FLAGS = Kind("IPC_FLAGS", treat.VALUE, "i", "ipc_flags")
DESCRIPTOR_FLAGS = Kind("DESCRIPTOR_FLAGS", treat.OPEN_FLAGS, "u", "descriptor_flags")
FLAGS = Kind("FLAGS", treat.VALUE, "u", "hex")

# Operations and other choices
WHENCE = _choice("WHENCE")
ADVICE = _choice("ADVICE")
FADVICE = _choice("FADVICE")
FCNTL_COMMAND = _choice("FCNTL_COMMAND")
IOCTL_REQUEST = Kind("IOCTL_REQUEST", treat.VALUE, "u", "ioctl")
EPOLL_OPERATION = _choice("EPOLL_OPERATION")
FUTEX_OPERATION = Kind("FUTEX_OPERATION", treat.VALUE, "i", "futex_operation")
SIGMASK_HOW = _choice("SIGMASK_HOW")
RESOURCE = _choice("RESOURCE")
RUSAGE_WHO = _choice("RUSAGE_WHO")
ITIMER = _choice("ITIMER")
WAIT_ID = _choice("WAIT_ID")
PRCTL_OPTION = _choice("PRCTL_OPTION")
PRIORITY_WHICH = _choice("PRIORITY_WHICH")
SCHEDULER = _choice("SCHEDULER")
SOCKET_FAMILY = _choice("SOCKET_FAMILY")
SOCKET_LEVEL = _choice("SOCKET_LEVEL")
SOCKET_OPTION = _choice("SOCKET_OPTION")
SHUTDOWN_HOW = _choice("SHUTDOWN_HOW")
IPC_COMMAND = _choice("IPC_COMMAND")
MEMBARRIER_COMMAND = _choice("MEMBARRIER_COMMAND")
PTRACE_REQUEST = _choice("PTRACE_REQUEST")
SECCOMP_OPERATION = _choice("SECCOMP_OPERATION")
KEYCTL_OPERATION = _choice("KEYCTL_OPERATION")
FSCONFIG_COMMAND = _choice("FSCONFIG_COMMAND")
