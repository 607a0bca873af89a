# SPDX-License-Identifier: GPL-2.0-or-later
"""Rules for sources that no tool knows: size, licence line, where a CPU may be named."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from tests.house.sources import CODE, exceptions, files, text

FILE_LINES = 400
FUNCTION_LINES = 60
SPDX = "SPDX-License-Identifier: GPL-2.0-or-later"

CPU = re.compile(r"aarch64|arm64|x86_64|amd64", re.IGNORECASE)
# The one host, the program's own name, and citations of the kernel's sources.
CPU_NAMES_MEANT = re.compile(r"syscalls\.host\.x86_64|usermode-aarch64|arch/(arm64|x86)/[\w/.]+")
# Folders and files whose business is a CPU, beside documents and what builds the project.
CPU_PLACES = (
    "syscalls/arch/aarch64/",
    "syscalls/host/",
    "binfmt/",
    "usermode/cli/",
    "usermode/core/",
    "usermode/inspect/",
    "usermode/service/",
    "packaging/",
    "tests/",
    "tools/",
    "Makefile",
)
BANNER = re.compile(r"[-=*#~/]{8}|\u2014|\u2500")
# The right-hand side is split so that this file passes.
PRIVATE = re.compile(r"/wo" + r"rk/|/tm" + r"p/(brief|infra)")


def compare(rule: str, found: dict[str, str]) -> None:
    """Fail with what breaks a rule beyond its exceptions, and with exceptions that nothing needs."""
    allowed = exceptions(rule)
    broken = [f"{place}: {why}" for place, why in found.items() if place not in allowed]
    broken += [f"{place}: no longer needed in exceptions.toml" for place in allowed.keys() - found]
    assert not broken, "\n".join(sorted(broken))


def test_files_are_short() -> None:
    lengths = {str(path): text(path).count("\n") for path in files(*CODE)}
    compare(
        "long_files",
        {name: f"{lines} lines" for name, lines in lengths.items() if lines > FILE_LINES},
    )


def python_functions(path: Path) -> Iterator[tuple[str, int]]:
    for node in ast.walk(ast.parse(text(path))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1


def c_functions(path: Path) -> Iterator[tuple[str, int]]:
    """In clang-format's layout a function's body starts at column 0's definition and ends with a `}` there."""
    name, start = "", 0
    for number, line in enumerate(text(path).splitlines(), 1):
        head = re.match(r"(?!typedef|struct|enum|union)[A-Za-z_].*?(\w+)\(", line)
        if head:
            name, start = head[1], number
        elif line.startswith("}") and name:
            yield name, number - start + 1
            name = ""


def test_functions_are_short() -> None:
    lengths = {
        f"{path}:{name}": lines
        for suffix, functions in ((".py", python_functions), (".c", c_functions))
        for path in files(suffix)
        for name, lines in functions(path)
    }
    compare(
        "long_functions",
        {name: f"{lines} lines" for name, lines in lengths.items() if lines > FUNCTION_LINES},
    )


def test_c_functions_are_measured(tmp_path: Path) -> None:
    source = tmp_path / "a.c"
    source.write_text("struct a {\n};\n\nstatic int f(int a,\n             int b) {\n    g();\n}\n")
    assert list(c_functions(source)) == [("f", 4)]


def test_cpus_are_named_in_their_places_only() -> None:
    found = {}
    for path in files(*CODE):
        if not str(path).startswith(CPU_PLACES):
            source = CPU_NAMES_MEANT.sub("", text(path))
            lines = [i for i, line in enumerate(source.splitlines(), 1) if CPU.search(line)]
            if lines:
                found[str(path)] = f"names a CPU in line {lines[0]}"
    compare("cpu_names", found)


def test_licence_line() -> None:
    bare = [
        str(path)
        for path in files(*CODE, ".toml", ".service", ".socket", ".timer")
        if text(path) and SPDX not in "\n".join(text(path).splitlines()[:3])
    ]
    assert not bare, f"no line `{SPDX}` at the top of: {' '.join(bare)}"


def test_no_banners() -> None:
    found = [
        f"{path}:{number}: {line.strip()}"
        for path in files(*CODE)
        for number, line in enumerate(text(path).splitlines(), 1)
        if re.match(r"\s*(#|//|/\*|\*)", line) and BANNER.search(line)
    ]
    assert not found, "\n".join(found)


def test_no_paths_of_one_machine() -> None:
    found = [str(path) for path in files() if PRIVATE.search(text(path))]
    assert not found, f"a path of one machine in: {' '.join(found)}"
