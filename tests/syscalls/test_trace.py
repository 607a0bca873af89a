# SPDX-License-Identifier: GPL-2.0-or-later
"""Traces in the form of strace(1), which the expected lines are taken from wherever it shows the same call."""

from __future__ import annotations

from collections.abc import Callable
from struct import pack

import pytest

from syscalls.arch.generic64.numbers import NUMBERS
from syscalls.errors import Restart
from syscalls.trace import Tracer
from syscalls.trace_values import quoted, signal_set
from tests.syscalls.fakes import MEMORY_START, FakeTask

A = MEMORY_START
B = MEMORY_START + 0x1000
MISSING = 0x10
STAT = pack("<QQIIIIQQqii", 1, 2, 0o100644, 1, 0, 0, 0, 0, 1221, 4096, 0).ljust(128, b"\0")
TEXT = b"hello\n\1world and a long string which is cut somewhere"


class Answers:
    """Stands for a dispatcher: the call's result, after doing what the kernel would."""

    def __init__(self, result: int | BaseException | None, then: Callable[[], None]) -> None:
        self.result = result
        self.then = then

    def call_any(self, _task: object, _number: int, _arguments: tuple[int, ...]) -> int | None:
        self.then()
        if isinstance(self.result, BaseException):
            raise self.result
        return self.result


def trace(
    name: str,
    *arguments: int,
    result: int | BaseException | None = 0,
    before: dict[int, bytes] | None = None,
    after: dict[int, bytes] | None = None,
    pid: bool = False,
) -> str:
    """The line of one call; `before` and `after` are what memory holds then."""
    task = FakeTask()
    lines: list[str] = []

    def store(content: dict[int, bytes] | None) -> None:
        for address, data in (content or {}).items():
            task.memory.write(address, data)

    store(before)
    answers = Answers(result, lambda: store(after))
    tracer = Tracer(answers, lines.append, with_pid=pid)  # type: ignore[arg-type]
    registers = tuple(a & (1 << 64) - 1 for a in arguments) + (0,) * (6 - len(arguments))
    number = NUMBERS.get(name, 999)
    try:
        tracer.call(task, number, registers)  # type: ignore[arg-type]
    finally:
        trace.line = "".join(lines)  # type: ignore[attr-defined]
    return "".join(lines)


PATH = {A: b"/etc/passwd\0"}
EPOLL = pack("<IIQ", 1, 0, 5)
TIME = pack("<qq", 0, 1000)
VECTOR = pack("<QQQQ", B, 2, B + 2, 2)
SIGACTION = pack("<QQQQ", 1, 0x14000000, 0x7F86A3E68050, 0)
LIMIT = pack("<QQ", 8192 * 1024, (1 << 64) - 1)


@pytest.mark.parametrize(
    ("line", "got"),
    [
        (
            'openat(AT_FDCWD, "/etc/passwd", O_RDONLY|O_CLOEXEC) = 3',
            lambda: trace("openat", -100, A, 0o2000000, 0o777, result=3, before=PATH),
        ),
        (
            'openat(AT_FDCWD, "/etc/passwd", O_WRONLY|O_CREAT|O_DIRECTORY, 0644) = -1 EINVAL (Invalid argument)',
            lambda: trace("openat", -100, A, 0o40101, 0o644, result=-22, before=PATH),
        ),
        (
            'newfstatat(AT_FDCWD, "/etc/passwd", {st_mode=S_IFREG|0644, st_size=1221, ...}, 0) = 0',
            lambda: trace("newfstatat", -100, A, B, 0, before=PATH, after={B: STAT}),
        ),
        (
            f'newfstatat(AT_FDCWD, "/etc/passwd", {B:#x}, AT_SYMLINK_NOFOLLOW) = -1 ENOENT (No such file or directory)',
            lambda: trace("newfstatat", -100, A, B, 0x100, result=-2, before=PATH),
        ),
        (
            'write(4, "hello\\n\\1world and a long string w"..., 50) = 50',
            lambda: trace("write", 4, A, 50, result=50, before={A: TEXT}),
        ),
        (
            'read(3, "hello", 100)                   = 5',
            lambda: trace("read", 3, A, 100, result=5, after={A: TEXT}),
        ),
        ('read(3, "", 100)                        = 0', lambda: trace("read", 3, A, 100)),
        (
            "pipe2([3, 4], O_DIRECT|O_CLOEXEC)       = 0",
            lambda: trace("pipe2", A, 0o2200000, after={A: pack("<ii", 3, 4)}),
        ),
        (
            "ppoll([{fd=3, events=POLLIN}], 1, NULL, NULL, 0) = 0 (Timeout)",
            lambda: trace("ppoll", A, 1, 0, 0, 0, before={A: pack("<ihh", 3, 1, 0)}),
        ),
        (
            "ppoll([{fd=4, events=POLLOUT}], 1, NULL, NULL, 0) = 1 ([{fd=4, revents=POLLOUT}])",
            lambda: trace(
                "ppoll",
                A,
                1,
                0,
                0,
                0,
                result=1,
                before={A: pack("<ihh", 4, 4, 0)},
                after={A: pack("<ihh", 4, 4, 4)},
            ),
        ),
        (
            "pselect6(4, [3], NULL, NULL, {tv_sec=0, tv_nsec=1000}, NULL) = 1 (in [3])",
            lambda: trace("pselect6", 4, A, 0, 0, B, 0, result=1, before={A: b"\x08", B: TIME}),
        ),
        (
            (
                "rt_sigaction(SIGUSR1, {sa_handler=SIG_IGN, sa_mask=[], sa_flags=SA_RESTORER|SA_RESTART, "
                "sa_restorer=0x7f86a3e68050}, NULL, 8) = 0"
            ),
            lambda: trace("rt_sigaction", 10, A, 0, 8, before={A: SIGACTION}),
        ),
        (
            "rt_sigprocmask(SIG_BLOCK, [INT CHLD], NULL, 8) = 0",
            lambda: trace("rt_sigprocmask", 0, A, 0, 8, before={A: pack("<Q", 0x10002)}),
        ),
        (
            "wait4(-1, [{WIFEXITED(s) && WEXITSTATUS(s) == 3}], 0, NULL) = 32151",
            lambda: trace("wait4", -1, A, 0, 0, result=32151, after={A: pack("<I", 0x300)}),
        ),
        (
            "wait4(-1, [{WIFSIGNALED(s) && WTERMSIG(s) == SIGSEGV && WCOREDUMP(s)}], WNOHANG, NULL) = 5",
            lambda: trace("wait4", -1, A, 1, 0, result=5, after={A: pack("<I", 0x8B)}),
        ),
        (
            "prlimit64(0, RLIMIT_STACK, NULL, {rlim_cur=8192*1024, rlim_max=RLIM64_INFINITY}) = 0",
            lambda: trace("prlimit64", 0, 3, 0, A, after={A: LIMIT}),
        ),
        (
            "socket(AF_UNIX, SOCK_STREAM|SOCK_CLOEXEC, 0) = 5",
            lambda: trace("socket", 1, 0o2000001, 0, result=5),
        ),
        (
            'connect(5, {sa_family=AF_UNIX, sun_path="/tmp/x"}, 110) = -1 ENOENT (No such file or directory)',
            lambda: trace("connect", 5, A, 110, result=-2, before={A: b"\1\0/tmp/x\0"}),
        ),
        (
            'connect(5, {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("127.0.0.1")}, 16) = 0',
            lambda: trace("connect", 5, A, 16, before={A: b"\2\0\0\x50\x7f\0\0\1"}),
        ),
        (
            'writev(4, [{iov_base="ab", iov_len=2}, {iov_base="cd", iov_len=2}], 2) = 4',
            lambda: trace("writev", 4, A, 2, result=4, before={A: VECTOR, B: b"abcd"}),
        ),
        (
            'readv(3, [{iov_base="ab", iov_len=2}, {iov_base="c", iov_len=2}], 2) = 3',
            lambda: trace("readv", 3, A, 2, result=3, before={A: VECTOR}, after={B: b"abcd"}),
        ),
        (
            "epoll_ctl(6, EPOLL_CTL_ADD, 3, {events=EPOLLIN, data={u32=5, u64=5}}) = 0",
            lambda: trace("epoll_ctl", 6, 1, 3, A, before={A: EPOLL}),
        ),
        (
            "epoll_pwait(6, [{events=EPOLLIN, data={u32=5, u64=5}}], 1, 0, NULL, 8) = 1",
            lambda: trace("epoll_pwait", 6, A, 1, 0, 0, 8, result=1, after={A: EPOLL}),
        ),
        (
            "mmap(NULL, 4096, PROT_READ|PROT_WRITE, MAP_PRIVATE|MAP_ANONYMOUS, -1, 0) = 0x7f86a4016000",
            lambda: trace("mmap", 0, 4096, 3, 0x22, -1, 0, result=0x7F86A4016000),
        ),
        (
            "mprotect(0x7f86a4016000, 4096, PROT_NONE) = 0",
            lambda: trace("mprotect", 0x7F86A4016000, 4096, 0),
        ),
        (
            "ioctl(0, TCGETS, 0x7ffdafb85d80)        = -1 ENOTTY (Inappropriate ioctl for device)",
            lambda: trace("ioctl", 0, 0x5401, 0x7FFDAFB85D80, result=-25),
        ),
        (
            "ioctl(3, FIONREAD, [1])                 = 0",
            lambda: trace("ioctl", 3, 0x541B, A, after={A: b"\1"}),
        ),
        ("fcntl(3, F_SETFL, O_RDONLY|O_NONBLOCK)  = 0", lambda: trace("fcntl", 3, 4, 0o4000)),
        (
            "fcntl(3, F_GETFL)                       = 0x800 (flags O_RDONLY|O_NONBLOCK)",
            lambda: trace("fcntl", 3, 3, 12345, result=0o4000),
        ),
        (
            "futex(0x10, FUTEX_WAKE_PRIVATE, 1)      = 1",
            lambda: trace("futex", 16, 129, 1, -1, -1, -1, result=1),
        ),
        (
            "futex(0x10, FUTEX_WAIT_PRIVATE, 2, {tv_sec=0, tv_nsec=1000}) = -1 ETIMEDOUT (Connection timed out)",
            lambda: trace("futex", 16, 128, 2, A, -1, -1, result=-110, before={A: TIME}),
        ),
        (
            "lseek(3, -1, SEEK_CUR)                  = -1 ESPIPE (Illegal seek)",
            lambda: trace("lseek", 3, -1, 1, result=-29),
        ),
        ("kill(32150, 0)                          = 0", lambda: trace("kill", 32150, 0)),
        (
            "umask(022)                              = 022",
            lambda: trace("umask", 0o22, result=0o22),
        ),
        (
            "exit_group(-1)                          = ?\n+++ exited with 255 +++",
            lambda: trace("exit_group", -1),
        ),
        ("rt_sigreturn()                          = ?", lambda: trace("rt_sigreturn", result=None)),
        (
            "clock_nanosleep(CLOCK_MONOTONIC, 0, {tv_sec=0, tv_nsec=1000}, NULL) = 0",
            lambda: trace("clock_nanosleep", 1, 0, A, 0, before={A: TIME}),
        ),
        (
            'execve("/etc/passwd", ["/etc/passwd"], 0x11000 /* 1 vars */) = -1 EACCES (Permission denied)',
            lambda: trace(
                "execve",
                A,
                A + 0x800,
                B,
                result=-13,
                before={**PATH, A + 0x800: pack("<QQ", A, 0), B: pack("<QQ", A, 0)},
            ),
        ),
        (
            "uname(0x10)                             = -1 EFAULT (Bad address)",
            lambda: trace("uname", MISSING, result=-14),
        ),
        (
            "chdir(0x10)                             = -1 EFAULT (Bad address)",
            lambda: trace("chdir", MISSING, result=-14),
        ),
        (
            "mq_unlink(NULL)                         = -1 EFAULT (Bad address)",
            lambda: trace("mq_unlink", 0, result=-14),
        ),
        (
            "syscall_0x3e7(0, 0x1, 0, 0, 0, 0)       = -1 ENOSYS (Function not implemented)",
            lambda: trace("no_call", 0, 1, result=-38),
        ),
        (
            "[pid    77] getpid()                                = 7",
            lambda: trace("getpid", result=7, pid=True),
        ),
    ],
)
def test_line(line: str, got: Callable[[], str]) -> None:
    assert got() == f"{line}\n"


def test_call_that_is_made_again() -> None:
    with pytest.raises(Restart):
        trace("read", 0, A, 1, result=Restart())
    expected = f"read(0, {A:#x}, 1)                     = ? ERESTARTSYS (To be restarted)\n"
    assert trace.line == expected  # type: ignore[attr-defined]


def test_call_that_does_not_come_back() -> None:
    with pytest.raises(SystemExit):
        trace("execve", MISSING, 0, 0, result=SystemExit())
    assert trace.line == "execve(0x10, NULL, NULL)                = ?\n"  # type: ignore[attr-defined]


def test_every_call_can_be_shown() -> None:
    """Whatever the registers hold, a trace neither fails nor hides a call."""
    for name in NUMBERS:
        for value in (0, MISSING, A, (1 << 64) - 1):
            for result in (1, -1):
                line = trace(name, *[value] * 6, result=result)
                assert line.startswith(f"{name}(")
                assert line.endswith("\n")


def test_signals_and_ends() -> None:
    lines: list[str] = []
    task = FakeTask()
    tracer = Tracer(Answers(0, lambda: None), lines.append)  # type: ignore[arg-type]
    tracer.signal(task, pack("<iii4xiI", 10, 0, -6, 32150, 0).ljust(128, b"\0"))  # type: ignore[arg-type]
    tracer.signal(task, pack("<iii4xQ", 11, 0, 1, 0).ljust(128, b"\0"))  # type: ignore[arg-type]
    tracer.signal(task, pack("<iii4xiIi", 17, 0, 1, 5, 0, 3).ljust(128, b"\0"))  # type: ignore[arg-type]
    tracer.killed(task, 15)  # type: ignore[arg-type]
    assert lines == [
        "--- SIGUSR1 {si_signo=SIGUSR1, si_code=SI_TKILL, si_pid=32150, si_uid=0} ---\n",
        "--- SIGSEGV {si_signo=SIGSEGV, si_code=SEGV_MAPERR, si_addr=NULL} ---\n",
        "--- SIGCHLD {si_signo=SIGCHLD, si_code=CLD_EXITED, si_pid=5, si_uid=0, si_status=3} ---\n",
        "+++ killed by SIGTERM +++\n",
    ]


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b'a\tb"\\', r'"a\tb\"\\"'),
        (b"\x001\x00a\xff", r'"\0001\0a\377"'),
        (b"x" * 33, f'"{"x" * 32}"...'),
        (b"x" * 32, f'"{"x" * 32}"'),
    ],
)
def test_quoting(data: bytes, text: str) -> None:
    assert quoted(data) == text


def test_signal_sets() -> None:
    assert signal_set(0) == "[]"
    assert signal_set((1 << 64) - 1) == "~[]"
    assert signal_set((1 << 64) - 1 & ~(1 << 8 | 1 << 18)) == "~[KILL STOP]"
    assert signal_set(1 << 33 | 1) == "[HUP RT_2]"
