# SPDX-License-Identifier: GPL-2.0-or-later
"""From a guest's system call to its handler, and back to -errno.

Calls that the host kernel can simply be handed never come here: the core makes them itself, as the
same table says. Nor do refused ones.

Decoders, one letter for each argument of a handler:
i  signed 32 bits       u  unsigned 32 bits      l  signed 64 bits      r  the register
p  the string there, OSError(EFAULT) for NULL    o  the same, None for NULL
"""

from __future__ import annotations

from errno import ENOSYS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from syscalls.compile import Compiled, PathCall
    from syscalls.protocols import Task

    Arguments = tuple[int, ...]
    Answer = Callable[[Task, int, Arguments], int | None]

NEEDS_PYTHON = -4096
"""RESULT_TO_PYTHON in usermode/core/core.h: the core cannot make this call of a HOST row itself."""

_ROWS = 512
_PASSED = 1
_REFUSED = 3
_BY_CORE = 4


def tables() -> Compiled | ModuleType:
    """The compiled table: frozen into the interpreter, or else compiled now."""
    try:
        from syscalls import compiled
    except ImportError:
        from syscalls.compile import build

        return build()
    return compiled


class Dispatcher:
    """Answers system calls. One serves all threads of a process."""

    __slots__ = ("_answers", "_handlers", "_path_calls", "_rows")

    def __init__(self, compiled: Compiled | ModuleType) -> None:
        self._rows: bytes = compiled.HOST_ROWS
        self._handlers: dict[int, tuple[str, str, str]] = compiled.HANDLERS
        self._path_calls: dict[int, PathCall] = compiled.PATH_CALLS
        self._answers: dict[int, Answer] = {}

    def call(self, task: Task, number: int, arguments: Arguments) -> int | None:
        """Answer a call that the core sent: the value for x0, or None when registers are set already.

        `arguments`: x0 to x5, unsigned. Errors are -errno. Raises Restart, and what ends a thread.
        """
        answer = self._answers.get(number)
        if answer is None:
            answer = self._find(number)
        try:
            return answer(task, number, arguments)
        except OSError as error:
            if error.errno is None:
                raise
            return -error.errno

    def call_any(self, task: Task, number: int, arguments: Arguments) -> int | None:
        """Answer a call that has not been through the core, as when every call is traced."""
        if self.mode(number) in (_PASSED, _BY_CORE):
            result = task.pass_through(number, arguments)
            if result != NEEDS_PYTHON:
                return result
        return self.call(task, number, arguments)

    def mode(self, number: int) -> int:
        """What the table does with a call: enum row_mode in usermode/core/core.h."""
        return self._rows[16 * number] if 0 <= number < _ROWS else 0

    def _find(self, number: int) -> Answer:
        """Make the function that answers `number`; the handler's module is imported only now."""
        entry = self._handlers.get(number)
        path_call = self._path_calls.get(number)
        if entry is not None:
            module_name, name, decoders = entry
            module = __import__(module_name, None, None, (name,))
            answer = _answer(getattr(module, name), decoders)
        elif path_call is not None:
            answer = _path_answer(path_call)
        elif self.mode(number) in (_PASSED, _BY_CORE):
            answer = _pass
        elif self.mode(number) == _REFUSED:
            record = self._rows[16 * number + 2 : 16 * number + 4]
            answer = _refusal(int.from_bytes(record, "little"))
        else:
            return _unknown  # not kept: there are 2**64 numbers
        self._answers[number] = answer
        return answer


def _path_answer(path_call: PathCall) -> Answer:
    from syscalls.handlers.paths import host_with_paths

    return lambda task, _number, arguments: host_with_paths(task, arguments, path_call)


def _answer(function: Callable[..., int | None], decoders: str) -> Answer:
    if not decoders.strip("r"):
        count = len(decoders)
        return lambda task, _number, arguments: function(task, *arguments[:count])

    def answer(task: Task, _number: int, arguments: Arguments) -> int | None:
        values: list[int | bytes | None] = []
        index = 0
        for letter in decoders:
            value = arguments[index]
            index += 1
            if letter == "r":
                values.append(value)
            elif letter == "i":
                values.append((value & 0xFFFFFFFF ^ 0x80000000) - 0x80000000)
            elif letter == "u":
                values.append(value & 0xFFFFFFFF)
            elif letter == "l":
                values.append((value ^ 1 << 63) - (1 << 63))
            elif value or letter == "p":
                values.append(task.memory.read_string(value))
            else:
                values.append(None)
        return function(task, *values)

    return answer


def _pass(task: Task, number: int, arguments: Arguments) -> int:
    return task.pass_through(number, arguments)


def _refusal(errno: int) -> Answer:
    return lambda _task, _number, _arguments: -errno


def _unknown(task: Task, number: int, _arguments: Arguments) -> int:
    # Numbers above the table share one count: the guest may choose any.
    name = str(number) if 0 <= number < _ROWS else f"above {_ROWS - 1}"
    task.process.unsupported(f"system call {name}")
    return -ENOSYS
