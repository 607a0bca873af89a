# SPDX-License-Identifier: GPL-2.0-or-later
"""The table as a whole: every call has a row, and every row makes sense."""

from __future__ import annotations

import errno
import importlib
import inspect

import pytest

from syscalls import call as rows
from syscalls import kinds, trace_operations, trace_structs, trace_values
from syscalls.arch.generic64.numbers import NUMBERS
from syscalls.call import CORE, HOST, Call, Kind, call
from syscalls.table import TABLE
from syscalls.trace_names import CHOICES, FLAGS

KINDS = {name: kind for name, kind in vars(kinds).items() if isinstance(kind, Kind)}
ROWS = [pytest.param(row, id=row.name) for row in TABLE.values()]
SIZED = (rows.IOVEC, rows.MMSGHDR, rows.EPOLL_OUT)
NO_ARGUMENTS = {
    *("getegid", "geteuid", "getgid", "getpid", "getppid", "gettid", "getuid", "munlockall"),
    *("restart_syscall", "rt_sigreturn", "sched_yield", "setsid", "sync", "vhangup"),
}


def test_every_call_has_one_row() -> None:
    assert {row.name: number for number, row in TABLE.items()} == NUMBERS


@pytest.mark.parametrize("row", ROWS)
def test_row_is_whole(row: Call) -> None:
    assert row.kinds or row.name in NO_ARGUMENTS
    assert (row.run is None) == bool(row.refuse)
    if row.refuse:
        assert row.refuse in errno.errorcode
        assert len(row.because) > 10
    else:
        assert not row.because
    for text in (row.because, row.partly):
        assert text == text.strip().rstrip(".")


@pytest.mark.parametrize("row", ROWS)
def test_handler_takes_the_arguments(row: Call) -> None:
    for function in (row.run, row.special):
        if function is None or function is HOST or function is CORE:
            continue
        assert callable(function)
        module = importlib.import_module(function.__module__)
        assert module.__name__.startswith("syscalls.handlers.")
        assert getattr(module, row.name) is function, "a handler has its call's name"
        inspect.signature(function).bind(None, *row.kinds)


@pytest.mark.parametrize("row", ROWS)
def test_counted_arguments_are_followed_by_their_count(row: Call) -> None:
    for index, kind in enumerate(row.kinds):
        if kind.treatment in SIZED:
            assert row.kinds[index + 1].treatment == rows.VALUE
        if kind.name == "DIR_FD":
            follower = row.kinds[index + 1]
            assert follower.treatment == rows.PATH or follower.name.startswith("STRING")


@pytest.mark.parametrize("row", ROWS)
def test_only_one_copied_structure(row: Call) -> None:
    # The core has room for one vector and one stat in a call.
    treated = [kind.treatment for kind in row.kinds if kind.treatment in (*SIZED, rows.MSGHDR)]
    assert len(treated) <= 1


def test_kinds_have_their_own_name() -> None:
    assert {name: kind.name for name, kind in KINDS.items()} == {name: name for name in KINDS}


def test_every_kind_is_used() -> None:
    used = {kind.name for row in TABLE.values() for kind in row.kinds}
    assert sorted(KINDS.keys() - used) == []


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS.keys())
def test_kind_can_be_shown_and_decoded(kind: Kind) -> None:
    word, _, detail = kind.shown.partition(":")
    modules = (trace_values, trace_structs, trace_operations)
    assert sum(word in module.WORDS for module in modules) == 1
    assert (word, detail in FLAGS) != ("flags", False)
    assert (word, detail in CHOICES) != ("choice", False)
    if word == "struct":
        assert trace_structs.has_layout(detail)
    assert kind.decoder in "iulrpo"
    assert kind.when in ("in", "out", "both")


@pytest.mark.parametrize(
    "bad",
    [
        {},
        {"run": HOST, "refuse": 1, "because": "a reason that is long enough"},
        {"refuse": 1},
        {"run": HOST, "because": "a reason that is long enough"},
        {"run": len, "special": len},
    ],
)
def test_a_row_that_contradicts_itself_is_an_error(bad: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="read"):
        call("read", kinds.FD, **bad)  # type: ignore[arg-type]


def test_no_name_is_made_up() -> None:
    with pytest.raises(KeyError):
        call("open", kinds.PATH, run=HOST)
