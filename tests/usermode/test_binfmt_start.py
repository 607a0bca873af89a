# SPDX-License-Identifier: GPL-2.0-or-later
"""Started by the kernel through binfmt_misc: what the guest sees as its own start. In a user namespace of its own.

Flag T is newer (Linux 7.3) than most kernels, so transparent.c does what such a kernel would.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from binfmt.entry import Entry
from tests.support import transparent

SHOW = r"""
#include <stdio.h>
#include <sys/auxv.h>
int main(int count, char **words) {
    for (int i = 0; i < count; i++) printf("%s|", words[i]);
    printf("%s\n", (char *)getauxval(AT_EXECFN));
    return 0;
}
"""

EXECUTE = r"""
#include <stdio.h>
#include <unistd.h>
int main(int count, char **words) {
    execv(words[1], words + 1);
    perror(words[1]);
    return count;
}
"""

# What a program sees of itself; with a first argument "exec" it executes the rest.
IDENTITY = r"""
#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <unistd.h>
extern char **environ;
static void file(const char *path) {
    char text[4096];
    FILE *stream = fopen(path, "r");
    size_t size = fread(text, 1, sizeof text, stream);
    for (size_t i = 0; i < size; i++) putchar(text[i] ? text[i] : '|');
    putchar('\n');
    fclose(stream);
}
int main(int count, char **words) {
    char path[4096] = {0};
    struct rlimit limit = {3l << 30, 3l << 30};
    if (count > 2 && !strcmp(words[1], "exec")) {
        setrlimit(RLIMIT_AS, &limit);
        execve(words[2], words + 2, (char *[]){"A=b", NULL});
        perror(words[2]);
        return 1;
    }
    for (int i = 0; i < count; i++) printf("%s|", words[i]);
    printf("%s\n", (char *)getauxval(AT_EXECFN));
    for (char **entry = environ; *entry; entry++) printf("%s|", *entry);
    printf("%ld\n", (long)getrlimit(RLIMIT_AS, &limit) ?: (long)limit.rlim_cur);
    file("/proc/self/comm");
    file("/proc/self/cmdline");
    file("/proc/self/environ");
    readlink("/proc/self/exe", path, sizeof path);
    puts(path);
    int files = 0;
    DIR *folder = opendir("/proc/self/fd");
    while (readdir(folder)) files++;
    printf("%d\n", files);
    return 0;
}
"""

SETUP = """
set -e
mount -t binfmt_misc none "$1"
cat line > "$1/register"
"""


@pytest.fixture(params=["P", "T"])
def started(
    request: pytest.FixtureRequest,
    interpreter: Path,
    guest_cc: Callable[..., Path],
    tmp_path: Path,
) -> Callable[[str], list[str]]:
    """Run a shell command where the kernel knows the interpreter, by either flag; its lines."""
    for name, text in (("show", SHOW), ("identity", IDENTITY), ("execute", EXECUTE)):
        source = tmp_path / f"{name}.c"
        source.write_text(text)
        shutil.copy(guest_cc(source), tmp_path / name)
    for name in ("show", "identity"):
        (tmp_path / f"{name}-script").write_text(f"#!./{name} word\n")
        (tmp_path / f"{name}-script").chmod(0o755)
    (tmp_path / "mount").mkdir()
    file = interpreter if request.param == "P" else transparent(interpreter)
    (tmp_path / "line").write_text(Entry(str(file)).line())

    def run(command: str) -> list[str]:
        done = subprocess.run(
            ["unshare", "-Urm", "sh", "-c", SETUP + command, "sh", tmp_path / "mount"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
        )
        if "unshare" in done.stderr or "mount" in done.stderr:
            pytest.skip(f"no binfmt_misc in a user namespace here: {done.stderr.strip()}")
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.splitlines()

    return run


def test_program(started: Callable[[str], list[str]]) -> None:
    assert started("./show one 'two three'") == ["./show|one|two three|./show"]


def test_script(started: Callable[[str], list[str]]) -> None:
    """AT_EXECFN is the script that was asked for, argv[0] what stands in its first line."""
    assert started("./show-script one") == ["./show|word|./show-script|one|./show-script"]


def test_unlimited_stack(started: Callable[[str], list[str]]) -> None:
    """The interpreter starts again, and the guest sees the same."""
    command = "ulimit -s unlimited || exit 0\n./show one; ./show-script two"
    assert started(command) in (
        ["./show|one|./show", "./show|word|./show-script|two|./show-script"],
        [],
    )


def test_program_that_cannot_be_read(started: Callable[[str], list[str]], tmp_path: Path) -> None:
    """The kernel opens it for the interpreter (flag O), whoever executes it."""
    (tmp_path / "show").chmod(0o111)
    without_capabilities = "setpriv --bounding-set -all --inh-caps -all"
    if not shutil.which("setpriv"):
        pytest.skip("setpriv is missing")
    expected = ["./show|one|./show"]
    assert started(f"{without_capabilities} ./show one") == expected
    assert started(f"{without_capabilities} ./execute ./show one") == expected


CLEAN = "exec env -i A=b "


def identity(tmp_path: Path, words: str, execfn: str, limit: str = "-1") -> list[str]:
    """What a program called `identity` prints; "-1" is RLIM_INFINITY."""
    comm = execfn.rpartition("/")[2]
    own = str(tmp_path / "identity")
    return [f"{words}|{execfn}", f"A=b|{limit}", comm, "", f"{words}|", "A=b|", own, "6"]


def test_identity(started: Callable[[str], list[str]], tmp_path: Path) -> None:
    lines = started(f"{CLEAN} ./identity x")
    assert lines == identity(tmp_path, "./identity|x", "./identity")


def test_script_s_identity(started: Callable[[str], list[str]], tmp_path: Path) -> None:
    lines = started(f"{CLEAN} ./identity-script x")
    words = "./identity|word|./identity-script|x"
    assert lines == identity(tmp_path, words, "./identity-script")


@pytest.mark.parametrize("how", ["./identity exec", "./identity exec ./execute", "./execute"])
def test_executed_by_a_guest(started: Callable[[str], list[str]], tmp_path: Path, how: str) -> None:
    """Nothing is added to what the caller gave, no descriptor stays open, and limits go on."""
    limit = str(3 << 30) if "identity exec" in how else "-1"
    lines = started(f"{CLEAN} {how} ./identity x")
    assert lines == identity(tmp_path, "./identity|x", "./identity", limit)
    lines = started(f"{CLEAN} {how} ./identity-script x")
    words = "./identity|word|./identity-script|x"
    assert lines == identity(tmp_path, words, "./identity-script", limit)


def test_a_guest_s_own_program_again(started: Callable[[str], list[str]], tmp_path: Path) -> None:
    lines = started(f"{CLEAN} ./identity exec /proc/self/exe x")
    expected = identity(tmp_path, "/proc/self/exe|x", "/proc/self/exe", str(3 << 30))
    assert lines == expected


def test_unlimited_stack_and_a_program_executed(
    started: Callable[[str], list[str]], tmp_path: Path
) -> None:
    lines = started(f"ulimit -s unlimited || exit 0\n{CLEAN} ./identity exec ./identity x")
    expected = identity(tmp_path, "./identity|x", "./identity", str(3 << 30))
    assert lines in ([], expected)


def test_settings_go_on(started: Callable[[str], list[str]], tmp_path: Path) -> None:
    """Also to a program that gets another environment."""
    *lines, _ = started("USERMODE_STRACE=trace ./identity exec ./identity x")
    assert lines == identity(tmp_path, "./identity|x", "./identity", str(3 << 30))[:-1]
    assert (tmp_path / "trace").read_text().count("+++ exited with 0 +++") == 1


def test_what_is_missing(started: Callable[[str], list[str]], tmp_path: Path) -> None:
    (tmp_path / "junk").write_bytes(b"\x7fELF junk")
    (tmp_path / "junk").chmod(0o755)
    command = "for name in ./none ./junk /; do ./execute $name 2>&1 || true; done"
    assert started(command) == [
        "./none: No such file or directory",
        "./junk: Exec format error",
        "/: Permission denied",
    ]


@pytest.mark.parametrize("started", ["T"], indirect=True)
@pytest.mark.parametrize("value", ["x", "-1:", "5:abc", "12:--program-fd2:99", "6:--what"])
def test_a_damaged_handover(started: Callable[[str], list[str]], value: str) -> None:
    """Anybody may set the variable, and harms only the program that he starts."""
    lines = started(f"USERMODE_HANDOVER={value} ./show 2>&1 || echo $?")
    assert lines[-1] == "2"
    assert "is damaged" in lines[0] or "unknown option --what" in lines[0]


@pytest.mark.parametrize("started", ["P"], indirect=True)
def test_the_handover_is_for_flag_t_only(started: Callable[[str], list[str]]) -> None:
    assert "USERMODE_HANDOVER=x|-1" in started("exec env -i USERMODE_HANDOVER=x ./identity")
