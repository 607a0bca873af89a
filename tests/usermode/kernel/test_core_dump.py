# SPDX-License-Identifier: GPL-2.0-or-later
"""Core dumps of guests, read by pyelftools and by gdb."""

from __future__ import annotations

import os
import re
import resource
import shutil
import signal
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path
from struct import unpack, unpack_from
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from elftools.elf.elffile import ELFFile

from tests.support import GUEST_LIBRARIES
from tests.usermode.kernel.dump import Dump
from usermode.settings import Settings

SOURCE = Path(__file__).with_name("core_dump.c")
GDB = "gdb-multiarch"
NONE = "usermode: no core dump:"
PAGE = 4096
SP, PC, PSTATE = 31, 32, 33
ZERO_AND_CARRY = 0x60000000


Crash = Callable[..., tuple[Path, str]]


@pytest.fixture
def program(guest_cc: Callable[..., Path]) -> Path:
    return guest_cc(SOURCE, "-fno-omit-frame-pointer")


@pytest.fixture
def crash(interpreter: Path, program: Path, tmp_path: Path) -> Crash:
    """crash(way, *options, number=SIGABRT, limit=…): run the program; (its folder, what it wrote)."""

    def run(
        way: str,
        *options: str,
        number: int = signal.SIGABRT,
        limit: int = 0,
        program: Path = program,
        env: dict[str, str] | None = None,
        told: str = "",
    ) -> tuple[Path, str]:
        def prepare() -> None:
            resource.setrlimit(
                resource.RLIMIT_CORE, (limit, resource.getrlimit(resource.RLIMIT_CORE)[1])
            )

        done = subprocess.run(
            [interpreter, *options, program, way, "two  words"],
            cwd=tmp_path,
            env=env or {},
            preexec_fn=prepare,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (done.returncode, done.stderr) == (-number, told)
        return tmp_path, done.stdout

    return run


def gdb(program: Path, core: Path, *commands: str) -> str:
    """Let gdb open the dump and carry out commands."""
    if not shutil.which(GDB):
        pytest.skip(f"{GDB} is missing: run `make`")
    words = [word for command in commands for word in ("-ex", command)]
    settings = ("set confirm off", "set debuginfod enabled off", "set auto-load off")
    first = [word for command in settings for word in ("-iex", command)]
    done = subprocess.run(
        [GDB, "-q", "-nx", "-batch", *first, program, core, *words],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.stdout + done.stderr


def test_backtrace_and_memory_in_gdb(crash: Crash, program: Path) -> None:
    folder, _ = crash("abort", "--core=dump")
    told = gdb(program, folder / "dump", "bt", "print message", "print own")
    assert "Program terminated with signal SIGABRT" in told
    frames = [
        *(r"in abort \(", r"in innermost \(value=.*42\)", r"in middle \(value=.*41\)"),
        *(r"in die_by_abort \(", r"in main \(argc="),
    ]
    assert re.search(".*".join(frames), told, re.DOTALL), told
    assert '"text on the heap"' in told
    assert "$2 = 78" in told


def test_notes_of_a_fault(crash: Crash, program: Path) -> None:
    folder, _ = crash("fault", "--core=dump", number=signal.SIGSEGV)
    dump = Dump(folder / "dump")
    assert list(dump.threads[0]) == [
        *("NT_PRSTATUS", "NT_PRPSINFO", "NT_SIGINFO", "NT_AUXV", "NT_FILE"),
        *("NT_FPREGSET", "1025"),
    ]
    assert unpack_from("<iii4xQ", dump.raw("NT_SIGINFO")) == (11, 0, 1, 0x12344)
    assert len(dump.raw("NT_SIGINFO")) == 128
    status = dump.raw("NT_PRSTATUS")
    assert len(status) == 392
    assert unpack_from("<iiih", status) == (11, 0, 0, 11)
    pid, parent, group, session = unpack_from("<4i", status, 32)
    assert (parent, group, session) == (os.getpid(), os.getpgid(0), os.getsid(0))
    psinfo = dump.threads[0]["NT_PRPSINFO"]["n_desc"]
    assert (psinfo["pr_pid"], psinfo["pr_ppid"]) == (pid, parent)
    assert psinfo["pr_fname"].rstrip(b"\0") == program.name.encode()[:15]
    assert psinfo["pr_psargs"].rstrip(b"\0 ") == f"{program} fault two  words".encode()[:79]
    assert (psinfo["pr_uid"], psinfo["pr_gid"]) == (os.getuid(), os.getgid())
    entries = unpack(f"<{len(dump.raw('NT_AUXV')) // 8}Q", dump.raw("NT_AUXV"))
    auxv = dict(zip(entries[::2], entries[1::2], strict=True))
    assert auxv[6] == PAGE
    files = dump.threads[0]["NT_FILE"]["n_desc"]
    assert files["page_size"] == PAGE
    assert set(files["filename"]) == {bytes(program)}
    assert files["Elf_Nt_File_Entry"][0]["page_offset"] == 0


def test_program_headers(crash: Crash) -> None:
    folder, _ = crash("abort", "--core=dump")
    dump = Dump(folder / "dump")
    end = 0
    for load in dump.loads:
        assert load["p_vaddr"] >= end
        end = load["p_vaddr"] + load["p_memsz"]
        assert load["p_offset"] % PAGE == load["p_vaddr"] % PAGE == 0
    assert dump.load(dump.registers()[PC])["p_flags"] == 5
    assert dump.load(dump.registers()[SP])["p_flags"] == 6
    last = dump.loads[-1]
    assert len(dump.data) == last["p_offset"] + last["p_filesz"]
    about = (folder / "dump").stat()
    assert stat.S_IMODE(about.st_mode) == 0o600
    assert about.st_blocks * 512 < about.st_size / 4, "pages never touched are holes"


def test_registers_at_a_breakpoint(crash: Crash, program: Path) -> None:
    folder, _ = crash("breakpoint", "--core=dump", number=signal.SIGTRAP)
    dump = Dump(folder / "dump")
    registers = dump.registers()
    assert [registers[i] for i in (0, 7, 19, 28)] == [1000, 1007, 1019, 1028]
    assert registers[PSTATE] == ZERO_AND_CARRY
    with program.open("rb") as file:
        (symbol,) = ELFFile(file).get_section_by_name(".symtab").get_symbol_by_name("breakpoint")
    assert registers[PC] == symbol["st_value"]
    floating = dump.raw("NT_FPREGSET")
    assert floating[3 * 16 : 4 * 16] == b"\x33" * 16
    assert unpack_from("<IIQ", floating, 512) == (0, 0x1000000, 0)
    told = gdb(program, folder / "dump", "info registers x19 pc", "print $v3.b.u[15]")
    assert "1019" in told
    assert f"{registers[PC]:#x}" in told
    assert "$1 = 51" in told


def test_all_threads(crash: Crash, program: Path) -> None:
    folder, _ = crash("threads", "--core=dump")
    dump = Dump(folder / "dump")
    assert len(dump.threads) == 4
    pids = [unpack_from("<i", dump.raw("NT_PRSTATUS", i), 32)[0] for i in range(4)]
    assert len(set(pids)) == 4
    assert len({dump.raw("1025", i) for i in range(4)}) == 4, "each has its own TPIDR_EL0"
    told = gdb(program, folder / "dump", "thread apply all bt")
    stacks = {int(stack.split()[0]): stack for stack in told.split("\nThread ")[1:]}
    assert "innermost" in stacks[1]
    assert f"LWP {pids[0]}" in stacks[1]
    computing = [i for i in stacks if "compute (" in stacks[i]]
    assert len(computing) == 2
    assert sum("wait_forever (" in stack for stack in stacks.values()) == 1
    for i in computing:
        x0, x1 = dump.registers(i - 1)[:2]
        assert x1 in (3 * x0, 3 * (x0 - 1))


def test_threads_that_die_at_once_leave_one_dump(crash: Crash) -> None:
    folder, _ = crash("together", "--core=dump.%i.%p", number=signal.SIGSEGV)
    (file,) = folder.iterdir()
    dump = Dump(file)
    assert len(dump.threads) == 5
    pid = unpack_from("<i", dump.raw("NT_PRSTATUS"), 32)[0]
    assert file.name.startswith(f"dump.{pid}.")


def test_the_first_thread_may_have_ended(crash: Crash, program: Path) -> None:
    folder, _ = crash("orphaned", "--core=dump")
    assert len(Dump(folder / "dump").threads) == 1
    assert "innermost" in gdb(program, folder / "dump", "bt")


def test_which_memory_is_dumped(crash: Crash) -> None:
    folder, told = crash("mappings", "--core=dump", number=signal.SIGQUIT)
    words = told.split()
    at = {name: int(value, 16) for name, value in zip(words[::2], words[1::2], strict=True)}
    dump = Dump(folder / "dump")
    assert dump.text(at["private"]) == b"private"
    assert dump.text(at["private"] + PAGE) == b""
    assert dump.text(at["private"] + 2 * PAGE) == b"third page"
    assert dump.text(at["shared"]) == b"shared"
    assert dump.text(at["closed"]) == b"closed"
    assert dump.load(at["closed"])["p_flags"] == 0
    assert dump.text(at["changed"]) == b"in a file"
    assert dump.text(at["changed"] + PAGE) == b"changed"
    assert dump.text(at["far"]) == b"far away"
    for name in ("hidden", "file", "shared_file", "huge"):
        assert dump.text(at[name]) is None, name
    assert dump.load(at["huge"])["p_memsz"] == 7 * PAGE
    files = dump.threads[0]["NT_FILE"]["n_desc"]
    named = dict(
        zip((e["vm_start"] for e in files["Elf_Nt_File_Entry"]), files["filename"], strict=True)
    )
    for name in ("file", "changed", "shared_file"):
        assert named[at[name]] == bytes(folder / "file")


def test_coredump_filter(crash: Crash, interpreter: Path, program: Path, tmp_path: Path) -> None:
    script = (
        f"echo 0x8 >/proc/self/coredump_filter && exec {interpreter} --core=dump {program} mappings"
    )
    done = subprocess.run(
        ["sh", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == -signal.SIGQUIT
    words = done.stdout.split()
    at = {name: int(value, 16) for name, value in zip(words[::2], words[1::2], strict=True)}
    dump = Dump(tmp_path / "dump")
    assert dump.text(at["shared_file"] + PAGE) == b"in the file"
    for name in ("private", "shared", "changed", "file"):
        assert dump.text(at[name]) is None, name


def plain_pattern() -> bool:
    return (
        Path("/proc/sys/kernel/core_pattern").read_text() == "core\n"
        and Path("/proc/sys/kernel/core_uses_pid").read_text() == "0\n"
    )


def test_limit_of_zero_leaves_none(crash: Crash) -> None:
    folder, _ = crash("abort")
    assert list(folder.iterdir()) == []


@pytest.mark.skipif(not plain_pattern(), reason="kernel.core_pattern is not core")
def test_limit_permits_and_truncates(crash: Crash) -> None:
    folder, _ = crash("abort", limit=resource.RLIM_INFINITY)
    assert [file.name for file in folder.iterdir()] == ["core"]
    whole = Dump(folder / "core")
    for limit in (PAGE, 3 * PAGE, 5 * PAGE + 1):
        crash("abort", limit=limit)
        short = Dump(folder / "core")
        assert len(short.data) < len(whole.data)
        assert PAGE - 2048 < (folder / "core").stat().st_blocks * 512 <= limit + PAGE
        assert len(short.loads) == len(whole.loads)
    (folder / "core").unlink()
    crash("abort", limit=PAGE - 1)
    assert list(folder.iterdir()) == []


@pytest.mark.skipif(not plain_pattern(), reason="kernel.core_pattern is not core")
def test_option_without_a_name_and_variable(crash: Crash) -> None:
    for options, env in (
        (("--core",), {}),
        ((), {"USERMODE_CORE": "1"}),
        ((), {"USERMODE_CORE": ""}),
    ):
        folder, _ = crash("abort", *options, env=env)
        (folder / "core").unlink()
    folder, _ = crash("abort", env={"USERMODE_CORE": "%e.%s"})
    assert len(list(folder.glob("core_dump-aarch*.6"))) == 1


@pytest.mark.parametrize(
    ("option", "pattern", "place"),
    [
        (None, "core", b"core"),
        (None, "/d/%e.%p", b"/d/pro.12"),
        (None, "|/usr/bin/collect %P", None),
        (b"", "|/usr/bin/collect %P", b"core.12"),
        (b"", "core", b"core"),
        (b"/d/%f", "|/usr/bin/collect", b"/d/program"),
    ],
)
def test_place(
    core: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    option: bytes | None,
    pattern: str,
    place: bytes | None,
) -> None:
    from usermode.kernel import core_dump

    content = {"core_pattern": f"{pattern}\n", "core_uses_pid": "0\n", "comm": "pro\n"}
    monkeypatch.setattr(
        core_dump, "read_file", lambda path: content[path.rpartition("/")[2]].encode()
    )
    settings = Settings()
    settings.core = option
    process: Any = SimpleNamespace(settings=settings, pid=12, executable=b"/bin/program")
    assert core_dump._place(process, signal.SIGABRT, 1 << 20) == place


def test_only_regular_files_are_written(crash: Crash) -> None:
    folder, _ = crash("abort", "--core=/dev/null", told=f"{NONE} not a regular file\n")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
    (folder / "link").symlink_to("target")
    crash("abort", f"--core={folder}/link", told=f"{NONE} Too many levels of symbolic links\n")
    assert not (folder / "target").exists()
    os.mkfifo(folder / "fifo")
    crash("abort", f"--core={folder}/fifo", told=f"{NONE} No such device or address\n")


def test_who_asks_is_told_why_there_is_none(
    interpreter: Path, program: Path, tmp_path: Path
) -> None:
    done = subprocess.run(
        [interpreter, "--core=/", program, "abort"], cwd=tmp_path, capture_output=True, timeout=60
    )
    assert done.returncode == -signal.SIGABRT
    assert done.stderr.splitlines()[-1] == b"usermode: no core dump: Is a directory"


def test_debug_tells_where(interpreter: Path, program: Path, tmp_path: Path) -> None:
    for name, told in (
        ("dump", f"core dumped to {tmp_path}/dump"),
        ("no/dump", "no core dump: No such file or directory"),
    ):
        done = subprocess.run(
            [interpreter, f"--core={name}", program, "abort"],
            cwd=tmp_path,
            env={"USERMODE_DEBUG": "1"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == -signal.SIGABRT
        assert done.stderr.splitlines()[-1] == f"usermode: {told}"


def test_dynamic_program(crash: Crash, guest_cc: Callable[..., Path]) -> None:
    program = guest_cc(SOURCE, "-fno-omit-frame-pointer", dynamic=True)
    folder, _ = crash("abort", "--sysroot", str(GUEST_LIBRARIES), "--core=dump", program=program)
    told = gdb(
        program,
        folder / "dump",
        f"set sysroot {GUEST_LIBRARIES}",
        *("bt", "info sharedlibrary"),
    )
    assert re.search(r"in abort \(.*in innermost \(.*in main \(", told, re.DOTALL), told
    assert re.search(r"0x\w+ +0x\w+ +Yes.*/libc\.so\.6", told)
    names = Dump(folder / "dump").threads[0]["NT_FILE"]["n_desc"]["filename"]
    assert any(name.endswith(b"/libc.so.6") for name in names)


def test_readelf_finds_no_fault(crash: Crash) -> None:
    readelf = shutil.which("readelf")
    if readelf is None:
        pytest.skip("readelf is missing")
    folder, _ = crash("threads", "--core=dump")
    done = subprocess.run(
        [readelf, "-n", "-l", "-h", folder / "dump"], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    assert done.stdout.count("NT_PRSTATUS") == 4


def test_names_by_pattern(core: ModuleType) -> None:
    from usermode.kernel.core_dump import format_name

    values = {ord("p"): b"12", ord("e"): b"a!b", ord("%"): b"%"}
    for pattern, name in (
        (b"core", b"core"),
        (b"/d/core.%p-%e", b"/d/core.12-a!b"),
        (b"%%p%%%p", b"%p%12"),
        (b"core%z.%", b"core."),
    ):
        assert format_name(pattern, values) == name
    with pytest.raises(OSError, match="Invalid"):
        format_name(b"%", values)
