# SPDX-License-Identifier: GPL-2.0-or-later
"""Caught signals wait for Python, none is lost, and the kernel keeps those that Python has no place for."""

from __future__ import annotations

import os
import signal
import struct
import threading
from errno import EINTR
from types import ModuleType
from typing import Any

import pytest

from syscalls.host.x86_64 import NUMBERS
from tests.usermode.core.machine import PAGE, READ, WRITE, Space, Thread, opened, run, set_mask
from usermode.machine import stops

FIRST, SECOND = int(signal.SIGRTMIN) + 6, int(signal.SIGRTMIN) + 7
SI_TKILL, SI_QUEUE = -6, -1
RESTART = -512
FAULTS = (int(signal.SIGBUS), int(signal.SIGSEGV))
ALL_BUT_FAULTS = ~sum(1 << n - 1 for n in (7, 11)) & (1 << 64) - 1


def number(taken: bytes | None) -> int | None:
    return struct.unpack_from("<i", taken)[0] if taken else None


class Guest:
    """An engine in a thread of its own, to which signals are sent."""

    def __init__(self, core: ModuleType, engine: Any) -> None:
        self.core, self.engine = core, engine
        self.tid = threading.get_native_id()

    def send(self, signal_number: int) -> None:
        self.core.host_call(NUMBERS["tgkill"], os.getpid(), self.tid, signal_number)

    def take(self) -> int | None:
        return number(self.engine.take_signal(0))

    def blocked(self) -> int:
        mask = bytearray(8)
        self.core.host_call(NUMBERS["rt_sigprocmask"], 0, 0, mask, 8)
        return int.from_bytes(mask, "little")


def in_guest(core: ModuleType, body: Any) -> None:
    """Call body(guest) in a thread with an engine and with FIRST, SECOND, SIGSEGV and SIGBUS caught."""

    def thread() -> None:
        for engine in opened(core):
            for caught in (FIRST, SECOND, *FAULTS):
                core.signal_catch(caught, 0)
            try:
                body(Guest(core, engine))
            finally:
                for caught in (FIRST, SECOND, *FAULTS):
                    core.signal_set(caught, 0, 0)

    Thread(thread).join()


@pytest.fixture(autouse=True)
def faults(core: ModuleType) -> None:
    core.catch_faults()


def test_siginfo(core: ModuleType) -> None:
    def body(guest: Guest) -> None:
        guest.send(FIRST)
        info = guest.engine.take_signal(0)
        assert len(info) == 128
        sent, error, code, pid = struct.unpack_from("<iii4xi", info)
        assert (sent, error, code, pid) == (FIRST, 0, SI_TKILL, os.getpid())
        assert guest.blocked() == ALL_BUT_FAULTS & ~(1 << 8 | 1 << 18)  # SIGKILL, SIGSTOP
        assert guest.take() is None

    in_guest(core, body)


def test_second_signal_waits_in_the_kernel(core: ModuleType) -> None:
    def body(guest: Guest) -> None:
        guest.send(FIRST)
        guest.send(SECOND)
        guest.send(FIRST)
        order = []
        for _ in range(3):
            order.append(guest.take())
            set_mask(core, 0)
        assert sorted(order) == sorted([FIRST, SECOND, FIRST])
        assert guest.take() is None

    in_guest(core, body)


def test_mask_opened_too_early(core: ModuleType) -> None:
    """Python sets a mask while a signal waits here: what comes then goes back, and comes again."""

    def body(guest: Guest) -> None:
        guest.send(FIRST)
        for _ in range(20):
            set_mask(core, 0)
            guest.send(SECOND)
        order = [guest.take()]
        set_mask(core, 0)
        while (taken := guest.take()) is not None:
            order.append(taken)
            set_mask(core, 0)
        assert order == [FIRST, *[SECOND] * 20]

    in_guest(core, body)


def test_sent_faults_do_not_overwrite(core: ModuleType) -> None:
    """SIGSEGV and SIGBUS are never blocked on the host: sent while another signal waits, each waits too, once."""

    def body(guest: Guest) -> None:
        guest.send(FIRST)
        for _ in range(3):
            guest.send(signal.SIGSEGV)
            guest.send(signal.SIGBUS)
        order = [guest.take() for _ in range(4)]
        assert order == [signal.SIGBUS, signal.SIGSEGV, FIRST, None]

    in_guest(core, body)


def test_each_waiting_signal_stops(core: ModuleType, space: Space) -> None:
    code = space.code("1: b 1b")

    def body(guest: Guest) -> None:
        guest.send(FIRST)
        guest.send(signal.SIGSEGV)
        assert run(guest.engine, code) == stops.SIGNAL
        assert guest.take() == signal.SIGSEGV
        assert guest.engine.run() == stops.SIGNAL
        assert guest.take() == FIRST

    in_guest(core, body)


def test_blocked_faults_wait(core: ModuleType) -> None:
    """Blocked by the guest, SIGSEGV waits in the core until the mask, or a wait's mask, lets it through."""

    def body(guest: Guest) -> None:
        engine = guest.engine
        engine.set_blocked(1 << signal.SIGSEGV - 1 | 1 << SECOND - 1)
        assert guest.blocked() == 1 << SECOND - 1
        guest.send(signal.SIGSEGV)
        assert engine.waiting_signals() == 1 << signal.SIGSEGV - 1
        assert engine.take_signal(engine.blocked) is None
        assert core.host_wait(NUMBERS["getppid"]) == os.getppid()
        assert engine.take_blocked_signal(1 << signal.SIGBUS - 1) is None
        engine.set_blocked(0)
        assert core.host_wait(NUMBERS["getppid"]) == RESTART
        assert guest.take() == signal.SIGSEGV
        assert engine.end_wait() == engine.blocked == 0

    in_guest(core, body)


def test_unnoticed_faults_end_no_call(core: ModuleType) -> None:
    """SIGSEGV that the guest ignores or blocks: what the host interrupted for it goes on."""

    def body(guest: Guest) -> None:
        for ignored in (False, True):
            if ignored:
                core.signal_set(signal.SIGSEGV, 1, 0)
                guest.engine.set_blocked(0)
            else:
                guest.engine.set_blocked(1 << signal.SIGSEGV - 1)
            out, into = os.pipe()
            timers = [threading.Timer(0.01 * i, guest.send, (signal.SIGSEGV,)) for i in range(1, 5)]
            timers.append(threading.Timer(0.07, os.write, (into, b"x")))
            for timer in timers:
                timer.start()
            pollfd = struct.pack("<ihh", out, 1, 0)
            assert core.host_wait(NUMBERS["poll"], pollfd, 1, -1) == 1
            assert core.host_wait(NUMBERS["read"], out, bytearray(1), 1) == 1
            for timer in timers:
                timer.join()
            assert guest.engine.waiting_signals() == (0 if ignored else 1 << signal.SIGSEGV - 1)
            os.close(out)
            os.close(into)

    in_guest(core, body)


def test_ignoring_drops_what_waits(core: ModuleType) -> None:
    def body(guest: Guest) -> None:
        guest.engine.set_blocked(1 << signal.SIGBUS - 1)
        guest.send(signal.SIGBUS)
        core.signal_set(signal.SIGBUS, 1, 0)
        assert not guest.engine.waiting_signals()

    in_guest(core, body)


def test_sent_fault_during_a_copy(core: ModuleType, space: Space) -> None:
    """SIGSEGV by kill(2) is no fault of the copy that it interrupts."""
    page = space.map(PAGE, READ | WRITE)

    def body(guest: Guest) -> None:
        done = threading.Event()

        def sender() -> None:
            while not done.is_set():
                guest.send(signal.SIGSEGV)

        thread = Thread(sender)
        for _ in range(20_000):
            assert core.read(page, PAGE) == bytes(PAGE)
            guest.take()
        done.set()
        thread.join()

    in_guest(core, body)


def test_waiting_calls(core: ModuleType) -> None:
    """A signal before the call: it has not begun. During it: EINTR, or with SA_RESTART not begun either."""

    def body(guest: Guest) -> None:
        out, into = os.pipe()
        guest.send(FIRST)
        assert core.host_wait(NUMBERS["read"], out, bytearray(1), 1) == RESTART
        assert core.host_call(NUMBERS["getppid"]) == os.getppid()  # made all the same
        assert guest.take() == FIRST
        set_mask(core, 0)
        for flags, want in ((0, -EINTR), (0x1000_0000, RESTART)):
            core.signal_catch(FIRST, flags)
            timer = threading.Timer(0.02, guest.send, (FIRST,))
            timer.start()
            assert core.host_wait(NUMBERS["read"], out, bytearray(1), 1) == want
            timer.join()
            assert guest.take() == FIRST
            set_mask(core, 0)
        os.close(out)
        os.close(into)

    in_guest(core, body)


def test_signal_of_a_closing_engine_goes_to_another_thread(core: ModuleType) -> None:
    """A signal sent to the process is not lost with the thread that happened to catch it."""
    ready, closed = threading.Event(), threading.Event()
    got = []

    def survivor() -> None:
        def body(guest: Guest) -> None:
            set_mask(core, 1 << FIRST - 1)
            ready.set()
            assert closed.wait(60)
            set_mask(core, 0)
            got.append(guest.take())

        in_guest(core, body)

    def dying() -> None:
        for engine in opened(core):
            set_mask(core, 0)
            tid = threading.get_native_id()
            info = struct.pack("<iii4xiiQ", FIRST, 0, SI_QUEUE, os.getpid(), 0, 0).ljust(128, b"\0")
            assert core.host_call(NUMBERS["rt_tgsigqueueinfo"], os.getpid(), tid, FIRST, info) == 0
            del engine

    old = signal.pthread_sigmask(signal.SIG_BLOCK, {FIRST})
    thread = Thread(survivor)
    assert ready.wait(60)
    Thread(dying).join()
    closed.set()
    thread.join()
    signal.pthread_sigmask(signal.SIG_SETMASK, old)
    assert got == [FIRST]


def test_child_does_not_inherit_waiting_signals(core: ModuleType) -> None:
    """fork(2): the signals that wait are the parent's alone."""

    def body(guest: Guest) -> None:
        guest.send(FIRST)
        pid = core.fork()
        if not pid:
            os._exit(0 if guest.take() is None and not guest.blocked() else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert guest.take() == FIRST

    in_guest(core, body)


def test_actions(core: ModuleType) -> None:
    ask = (1 << 64) - 1
    assert core.signal_set(FIRST, ask, 0) in (0, 1)
    core.signal_catch(FIRST, 0)
    assert core.signal_set(FIRST, 1, 0) > 1  # a handler of the core's
    assert core.signal_set(FIRST, ask, 0) == 1
    assert core.signal_set(FIRST, 0, 0) == 1
    for wrong in (0, 65, 9, 19, -1):
        with pytest.raises(OSError, match="Invalid argument"):
            core.signal_catch(wrong, 0)
