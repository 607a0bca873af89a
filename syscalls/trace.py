# SPDX-License-Identifier: GPL-2.0-or-later
"""Traces of system calls in the form of strace(1).

What the call reads is shown as it was before the call, what it wrote as it is afterwards.
"""

from __future__ import annotations

import posix

from syscalls import trace_structs, trace_values
from syscalls.errors import Restart, error_name
from syscalls.trace_values import View, open_flags, pointer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from syscalls.compile import TracedCall
    from syscalls.dispatch import Dispatcher
    from syscalls.protocols import Task

    Arguments = tuple[int, ...]

_COLUMN = 40
"""strace -a: results are aligned here."""

_ADDRESSES = ("brk", "mmap", "mremap", "shmat")
_FIRST_ERROR = -4095
_F_GETFL = 3


def traced_calls() -> dict[int, TracedCall]:
    """The names and argument words of all calls: frozen into the interpreter, or compiled now."""
    try:
        from syscalls import compiled_trace
    except ImportError:
        from syscalls.compile import build_trace

        return build_trace()
    return compiled_trace.CALLS


class Tracer:
    """Has a dispatcher answer calls, and shows each. The core must send every call here.

    `write` gets one line, with its newline. `with_pid`: begin lines with [pid N].
    """

    __slots__ = ("_answer", "_calls", "_with_pid", "_write")

    def __init__(
        self, dispatcher: Dispatcher, write: Callable[[str], object], with_pid: bool = False
    ) -> None:
        self._answer = dispatcher.call_any
        self._calls = traced_calls()
        self._write = write
        self._with_pid = with_pid

    def call(self, task: Task, number: int, arguments: Arguments) -> int | None:
        """Answer a call and show it; one that does not come back, or is made again, ends in ?."""
        name, words = self._calls.get(number, (f"syscall_{number:#x}", ("hex:in",) * 6))
        view = View(task.memory, arguments)
        shown = [_shown(view, index, word, "in") for index, word in enumerate(words)]
        if name in ("exit", "exit_group"):
            self._line(task, name, shown, "?")
            self._put(task, f"+++ exited with {arguments[0] & 0xFF} +++")
            return self._answer(task, number, arguments)
        try:
            result = self._answer(task, number, arguments)
        except Restart:
            self._fill(view, words, shown, None)
            self._line(task, name, shown, "? ERESTARTSYS (To be restarted)")
            raise
        except BaseException:
            self._fill(view, words, shown, None)
            self._line(task, name, shown, "?")
            raise
        self._fill(view, words, shown, result)
        self._line(task, name, shown, self._result(view, name, words, result))
        return result

    def signal(self, task: Task, siginfo: bytes) -> None:
        """Show that a signal is delivered; `siginfo` of 128 bytes."""
        name = trace_values.signal_name(int.from_bytes(siginfo[:4], "little"))
        self._put(task, f"--- {name} {trace_structs.show_siginfo(siginfo)} ---")

    def killed(self, task: Task, number: int) -> None:
        """Show that a signal ended the process."""
        self._put(task, f"+++ killed by {trace_values.signal_name(number)} +++")

    def _fill(
        self, view: View, words: tuple[str, ...], shown: list[str | None], result: int | None
    ) -> None:
        """Show the arguments that were left for after the call."""
        view.result = result
        succeeded = result is None or result >= 0
        for index, word in enumerate(words):
            if not word.endswith(":in") and shown[index] is None:
                if succeeded and result is not None:
                    shown[index] = _shown(view, index, word, "out")
                else:
                    shown[index] = pointer(view.arguments[index])

    def _result(self, view: View, name: str, words: tuple[str, ...], result: int | None) -> str:
        if result is None:
            return "?"
        if _FIRST_ERROR <= result < 0:
            return f"-1 {error_name(-result)} ({posix.strerror(-result)})"
        if name in _ADDRESSES:
            return pointer(result)
        if name == "umask":
            return trace_values.octal(result)
        if name == "fcntl" and view.arguments[1] == _F_GETFL:
            return f"{result:#x} (flags {open_flags(result)})"
        if name in ("ppoll", "pselect6"):
            return self._polled(view, words, result)
        return str(result)

    def _polled(self, view: View, words: tuple[str, ...], result: int) -> str:
        if not result:
            return "0 (Timeout)"
        parts = []
        for index, word in enumerate(words):
            if word.endswith(":both") and view.arguments[index]:
                text = _shown(view, index, word, "both") or ""
                label = ("", "in ", "out ", "except ")[index] if "fdset" in word else ""
                if text != "[]":
                    parts.append(f"{label}{text}")
        return f"{result} ({', '.join(parts)})"

    def _line(self, task: Task, name: str, shown: list[str | None], result: str) -> None:
        call = f"{name}({', '.join(text for text in shown if text)})"
        self._put(task, f"{call:<{_COLUMN - 1}} = {result}")

    def _put(self, task: Task, text: str) -> None:
        prefix = f"[pid {task.tid:5}] " if self._with_pid else ""
        self._write(f"{prefix}{text}\n")


def _shown(view: View, index: int, word: str, now: str) -> str | None:
    """The text of one argument, None when it is not shown, or not yet.

    `word` is "name:detail:when" or "name:when".
    """
    name, *detail, when = word.split(":")
    if when != now and (when, now) != ("both", "in"):
        return None
    function = trace_values.WORDS.get(name) or trace_structs.WORDS.get(name)
    if function is None:
        from syscalls.trace_operations import WORDS

        function = WORDS[name]
    view.index = index
    try:
        # An argument that is never shown is "" from now on: None would be asked for again.
        return function(view, view.arguments[index], detail[0] if detail else "") or ""
    except OSError:
        return pointer(view.arguments[index])
