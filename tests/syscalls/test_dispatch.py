# SPDX-License-Identifier: GPL-2.0-or-later
"""Dispatch: decoding, errors, calls that are unknown or go to the host after all."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from errno import EFAULT, EINVAL, ENOENT, ENOSYS, EPERM
from types import ModuleType

import pytest

from syscalls.arch.generic64.numbers import NUMBERS
from syscalls.compile import build
from syscalls.dispatch import NEEDS_PYTHON, Dispatcher, tables
from syscalls.errors import Refused, Restart
from syscalls.host.x86_64 import NUMBERS as HOST
from tests.syscalls.fakes import MEMORY_START, FakeTask

PATH = MEMORY_START + 0x100
MINUS = (1 << 64) - 1


class Handlers(ModuleType):
    """A module of handlers for the tests, in place of a real one."""

    seen: tuple[object, ...]

    def note(self, _task: FakeTask, *values: object) -> int:
        self.seen = values
        return 5


@pytest.fixture
def handlers(monkeypatch: pytest.MonkeyPatch) -> Handlers:
    module = Handlers("syscalls.handlers.of_tests")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    return module


def dispatcher(function: Callable[..., object], handlers: Handlers, decoders: str) -> Dispatcher:
    handlers.function = function  # type: ignore[attr-defined]
    compiled = build()._replace(HANDLERS={25: (handlers.__name__, "function", decoders)})
    return Dispatcher(compiled)


@pytest.mark.parametrize(
    ("decoders", "arguments", "values"),
    [
        ("", (1, 2, 3, 4, 5, 6), ()),
        ("rr", (MINUS, 2, 3, 4, 5, 6), (MINUS, 2)),
        ("iiu", (MINUS, 0x1_0000_0003, MINUS, 0, 0, 0), (-1, 3, 0xFFFFFFFF)),
        ("i", (0x8000_0000, 0, 0, 0, 0, 0), (-0x8000_0000,)),
        ("llr", (MINUS, 7, 1 << 63, 0, 0, 0), (-1, 7, 1 << 63)),
        ("ipo", (0xFFFFFF9C, PATH, 0, 0, 0, 0), (-100, b"a file", None)),
        ("po", (PATH, PATH + 2, 0, 0, 0, 0), (b"a file", b"file")),
        ("iuiuiu", (1, 2, 3, 4, 5, 6), (1, 2, 3, 4, 5, 6)),
    ],
)
def test_decoding(
    handlers: Handlers, decoders: str, arguments: tuple[int, ...], values: tuple[object, ...]
) -> None:
    task = FakeTask()
    task.memory.write(PATH, b"a file\0")
    assert dispatcher(handlers.note, handlers, decoders).call(task, 25, arguments) == 5  # type: ignore[arg-type]
    assert handlers.seen == values


def test_null_path_is_efault(handlers: Handlers) -> None:
    answer = dispatcher(handlers.note, handlers, "p")
    assert answer.call(FakeTask(), 25, (0,) * 6) == -EFAULT  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("error", "value"), [(OSError(ENOENT, ""), -ENOENT), (Refused(EPERM, "no"), -EPERM)]
)
def test_errors_become_numbers(handlers: Handlers, error: OSError, value: int) -> None:
    def fail(_task: FakeTask) -> int:
        raise error

    assert dispatcher(fail, handlers, "").call(FakeTask(), 25, (0,) * 6) == value  # type: ignore[arg-type]


@pytest.mark.parametrize("error", [Restart(), KeyError("a bug"), OSError("without a number")])
def test_other_exceptions_pass(handlers: Handlers, error: Exception) -> None:
    def fail(_task: FakeTask) -> int:
        raise error

    with pytest.raises(type(error)):
        dispatcher(fail, handlers, "").call(FakeTask(), 25, (0,) * 6)  # type: ignore[arg-type]


def test_no_value_is_kept(handlers: Handlers) -> None:
    answer = dispatcher(lambda _task: None, handlers, "")
    assert answer.call(FakeTask(), 25, (0,) * 6) is None  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (244, "system call 244"),
        (511, "system call 511"),
        (512, "system call above 511"),
        (1 << 60, "system call above 511"),
    ],
)
def test_unknown_number(number: int, name: str) -> None:
    task = FakeTask()
    answer = Dispatcher(build())
    for _ in range(2):
        assert answer.call(task, number, (0,) * 6) == -ENOSYS  # type: ignore[arg-type]
    assert task.process.missing == [name] * 2


def test_refused_call() -> None:
    answer = Dispatcher(build())
    assert answer.call(FakeTask(), NUMBERS["kexec_load"], (0,) * 6) == -EPERM  # type: ignore[arg-type]
    assert answer.call_any(FakeTask(), NUMBERS["rseq"], (0,) * 6) == -ENOSYS  # type: ignore[arg-type]


def test_host_call_goes_to_the_core() -> None:
    task = FakeTask(result=-EINVAL)
    arguments = (1, 2, 3, 4, 5, 6)
    assert Dispatcher(build()).call_any(task, NUMBERS["read"], arguments) == -EINVAL  # type: ignore[arg-type]
    assert task.passed == [(NUMBERS["read"], arguments)]
    assert Dispatcher(build()).call(task, NUMBERS["read"], arguments) == -EINVAL  # type: ignore[arg-type]
    assert len(task.passed) == 2


def test_path_that_the_core_hands_back() -> None:
    task = FakeTask()
    task.memory.write(PATH, b"/etc/x\0")
    task.result = lambda: NEEDS_PYTHON if not task.made else 0
    arguments = (0xFFFFFF9C, PATH, 0o755, 0, 0, 0)
    assert Dispatcher(build()).call_any(task, NUMBERS["mkdirat"], arguments) is not None  # type: ignore[arg-type]
    assert task.passed == [(NUMBERS["mkdirat"], arguments)]
    assert task.made[0][0] == HOST["mkdirat"]
    assert task.made[0][2] == b"/root-nofollow/etc/x"


def test_tables_without_a_generated_module() -> None:
    assert tables().HOST_ROWS == build().HOST_ROWS


def test_what_a_running_interpreter_imports() -> None:
    """Dispatch with a generated table must not load the table, nor what is slow to import."""
    script = (
        "import sys, types\n"
        "compiled = types.ModuleType('syscalls.compiled')\n"
        "import syscalls.compile\n"
        "exec(syscalls.compile.generate(), vars(compiled))\n"
        "for name in list(sys.modules):\n"
        "    if name.startswith('syscalls'): del sys.modules[name]\n"
        "before = set(sys.modules)\n"
        "import syscalls\n"
        "sys.modules['syscalls.compiled'] = syscalls.compiled = compiled\n"
        "from syscalls.dispatch import Dispatcher, tables\n"
        "Dispatcher(tables()).call(None, 104, (0,) * 6)\n"
        "print(*sorted(set(sys.modules) - before))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["syscalls", "syscalls.compiled", "syscalls.dispatch"]
