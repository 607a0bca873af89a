# SPDX-License-Identifier: GPL-2.0-or-later
"""The benchmarks: one table of groups and one of cases."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Group:
    """Cases that are reported together, in one unit."""

    name: str
    title: str
    unit: str = "s"
    scale: float = 1.0  # seconds to units


@dataclass(frozen=True)
class Compiled:
    """A program of tests/bench/programs, compiled for both CPUs with `flags`, for the host with `host_flags` too."""

    source: str
    flags: tuple[str, ...] = ()
    host_flags: tuple[str, ...] = ()
    static: bool = True

    @property
    def name(self) -> str:
        """The name of the compiled file."""
        return self.source if self.static else f"{self.source}-dynamic"


@dataclass(frozen=True)
class Debian:
    """A program of a Debian package for arm64, and the host's own program of the same name."""

    command: str
    package: str


@dataclass(frozen=True)
class Case:
    """One benchmark. In `arguments`, {n} stands for the amount of work and {input} for a file of n bytes of text.

    `executions` counts the runs per repetition. With `per_call` the figures are those of one of the n rounds: the time
    with n = 0 is measured too and taken off. With `same_natively` the native output has to be the emulators' too.
    """

    name: str
    group: str
    title: str
    program: Compiled | Debian
    n: int = 1
    arguments: tuple[str, ...] = ("{n}",)
    executions: int = 1
    per_call: bool = False
    same_natively: bool = True


GROUPS = (
    Group("integer", "Integers"),
    Group("float", "Floating point"),
    Group("simd", "Vectors"),
    Group("memory", "Memory"),
    Group("calls", "Calls and branches"),
    Group("library", "The C library"),
    Group("threads", "Threads"),
    Group("programs", "Programs of Debian"),
    Group("syscalls", "System calls", "ns per call", 1e9),
    Group("processes", "Processes and threads", "µs each", 1e6),
    Group("startup", "Start-up", "ms per exec", 1e3),
)

SQL = (
    "create table t(a integer primary key, b text); "
    "with recursive n(i) as (select 1 union all select i + 1 from n where i < {n}) "
    "insert into t select i, 'row ' || (i * 7919 % 10007) from n; "
    "create index x on t(b); "
    "select count(distinct b), sum(a * length(b)), max(b) from t; "
    "select count(*) from t a join t c on a.b = c.b;"
)

STARTS = 10


def compiled(name: str, group: str, title: str, n: int, program: Compiled | None = None) -> Case:
    """Return the case of a C program that takes the amount of work as its argument."""
    return Case(name, group, title, program or Compiled(name), n)


def debian(command: str, package: str, title: str, n: int, *arguments: str) -> Case:
    """Return the case of a Debian program; its output may vary with its version, so the native one may differ."""
    return Case(
        command, "programs", title, Debian(command, package), n, arguments, same_natively=False
    )


def call(name: str, group: str, title: str, n: int) -> Case:
    """Return the case of a system call."""
    return Case(name, group, title, Compiled("calls"), n, (name, "{n}"), per_call=True)


def start(name: str, title: str, program: Compiled | Debian, *arguments: str) -> Case:
    """Return the case of a program that ends as soon as it has started."""
    return Case(name, "startup", title, program, arguments=arguments, executions=STARTS)


CASES = (
    compiled("sieve", "integer", "sieve of Eratosthenes", 60),
    compiled("crc", "integer", "CRC-32 with a table", 1000),
    compiled("mix", "integer", "64-bit multiply, shift, rotate, divide", 60_000_000),
    compiled(
        "dgemm", "float", "scalar matrix product", 30, Compiled("dgemm", ("-fno-tree-vectorize",))
    ),
    compiled(
        "nbody",
        "float",
        "square roots and divisions",
        100_000,
        Compiled("nbody", ("-ffp-contract=off",)),
    ),
    compiled("fma", "simd", "multiply and add, 4 floats", 1_500_000),
    compiled(
        "shuffle",
        "simd",
        "byte shuffle, 16 bytes",
        10_000_000,
        Compiled("shuffle", (), ("-mssse3",)),
    ),
    compiled("chacha", "simd", "ChaCha20, 4 words", 400_000, Compiled("chacha", (), ("-mssse3",))),
    compiled("stream", "memory", "stores, copies, memcpy, memset over 4 MiB", 60),
    compiled("chase", "memory", "pointer chasing over 2 MiB", 25_000_000),
    compiled("fib", "calls", "recursion", 400),
    compiled("indirect", "calls", "calls through function pointers", 10_000_000),
    compiled("bytecode", "calls", "bytecode interpreter with a switch", 20_000),
    compiled("sort", "library", "qsort of strings and numbers", 120_000),
    compiled("strings", "library", "string functions", 80_000),
    compiled("parallel", "threads", "two threads, nothing shared", 60_000_000),
    compiled("atomic", "threads", "two threads, one counter and a mutex", 2_000_000),
    debian("sha256sum", "coreutils", "32 MiB", 32 << 20, "{input}"),
    debian("gzip", "gzip", "compress 4 MiB", 4 << 20, "-6", "-n", "-c", "{input}"),
    debian("xz", "xz-utils", "compress 1 MiB", 1 << 20, "-1", "-T1", "-c", "{input}"),
    debian(
        "python3", "python3-minimal", "dictionaries, strings, integers", 40_000, "work.py", "{n}"
    ),
    debian("perl", "perl-base", "hashes and regular expressions", 60_000, "work.pl", "{n}"),
    debian("sqlite3", "sqlite3", "insert, index, join", 20_000, ":memory:", SQL),
    debian("bash", "bash", "loop with arithmetic and expansions", 2_500, "work.sh", "{n}"),
    call("getppid", "syscalls", "getppid", 1_000_000),
    call("read", "syscalls", "read of 1 byte from /dev/zero", 500_000),
    call("write", "syscalls", "write of 1 byte to /dev/null", 500_000),
    call("open", "syscalls", "openat and close", 150_000),
    call("stat", "syscalls", "newfstatat", 300_000),
    call("mmap", "syscalls", "mmap of 64 KiB, first use, munmap", 40_000),
    call("signal", "syscalls", "tgkill to itself, handler, rt_sigreturn", 80_000),
    call("fork", "processes", "fork, _exit, wait", 300),
    call("thread", "processes", "pthread_create, pthread_join", 500),
    start("hello", "static program", Compiled("hello")),
    start("hello-dynamic", "dynamic program", Compiled("hello", static=False)),
    start("bash-start", "bash -c :", Debian("bash", "bash"), "-c", ":"),
    start("python3-start", "python3 -c pass", Debian("python3", "python3-minimal"), "-c", "pass"),
)
