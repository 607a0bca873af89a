# SPDX-License-Identifier: GPL-2.0-or-later
"""The runner: one small case under the machine itself and qemu, and how failures are told. No time is judged."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.bench.cases import CASES, GROUPS, Case, Compiled
from tests.bench.engines import Engine, find_engines
from tests.bench.prepare import GUEST_COMPILER, Workplace
from tests.bench.results import Figures, Nothing, Report, Result, describe_machine, mean_ratio
from tests.bench.run import write
from tests.bench.session import Session

if TYPE_CHECKING:
    from pathlib import Path

NATIVE = Engine("native", "native")
HELLO = next(case for case in CASES if case.name == "hello")


@pytest.fixture
def workplace(tmp_path: Path) -> Workplace:
    if not shutil.which(GUEST_COMPILER):
        pytest.skip(f"{GUEST_COMPILER} is not installed")
    place = Workplace(tmp_path / "bench")
    place.open()
    return place


def session(workplace: Workplace, *engines: Engine, timeout: float = 60.0) -> Session:
    measure = workplace.compile(Compiled("measure"), native=True)
    return Session(workplace, measure, list(engines), repetitions=2, timeout=timeout)


def failure(result: Result, engine: str) -> str:
    made = result.engines[engine]
    assert isinstance(made, Nothing)
    assert made.failed
    return made.reason


def test_native_and_qemu_are_measured_and_reported(workplace: Workplace, tmp_path: Path) -> None:
    native, qemu, ours = find_engines(interpreter=tmp_path / "nowhere")
    if qemu.absent:
        pytest.skip(qemu.absent)
    getppid = next(case for case in CASES if case.name == "getppid")
    results = [
        session(workplace, native, qemu, ours).run(case, n)
        for case, n in ((HELLO, 1), (getppid, 20_000))
    ]
    for result in results:
        for name in ("native", "qemu"):
            made = result.engines[name]
            assert isinstance(made, Figures), made
            assert made.memory > 0
            assert len(made.repetitions) == 2
        assert result.engines["usermode"] == Nothing("nowhere has not been built", failed=False)

    report = Report(
        describe_machine() | {"load": "0.0"}, {"qemu": qemu.version()}, 2, True, results
    )
    write(report, tmp_path / "out")
    stored = json.loads((tmp_path / "out" / "results.json").read_text())
    assert [case["name"] for case in stored["cases"]] == ["hello", "getppid"]
    assert stored["cases"][0]["ratios"]["usermode/qemu"] is None
    text = (tmp_path / "out" / "results.md").read_text()
    assert "getppid: getppid | " in text
    assert "absent" in text
    assert (tmp_path / "out" / "results.png").read_bytes().startswith(b"\x89PNG")


def test_a_program_that_fails_is_told(workplace: Workplace) -> None:
    case = Case("nosuch", "syscalls", "", Compiled("calls"), 1, ("nosuch", "{n}"))
    result = session(workplace, NATIVE).run(case, 1)
    assert failure(result, "native") == "exit status 2"


def test_a_program_ended_by_a_signal_is_told(workplace: Workplace) -> None:
    fake = Engine("usermode", "usermode", ("/bin/sh", "-c", "kill -SEGV $$"))
    result = session(workplace, NATIVE, fake).run(HELLO, 1)
    assert isinstance(result.engines["native"], Figures)
    assert failure(result, "usermode") == "ended by SIGSEGV"


def test_wrong_output_is_told(workplace: Workplace) -> None:
    fake = Engine("usermode", "usermode", ("/bin/echo",))
    result = session(workplace, NATIVE, fake).run(HELLO, 1)
    assert failure(result, "usermode") == "its output is not that of native"


def test_a_program_that_hangs_is_ended(workplace: Workplace) -> None:
    fake = Engine("usermode", "usermode", ("/bin/sh", "-c", "sleep 60; :"))
    result = session(workplace, fake, timeout=0.3).run(HELLO, 1)
    assert failure(result, "usermode") == "not done after 0.3 s"


def test_geometric_mean_leaves_out_what_failed() -> None:
    results = [
        Result(HELLO, 1, {"native": Figures(1.0, 1.0, 1, []), "qemu": Figures(ratio, 1.0, 1, [])})
        for ratio in (2.0, 8.0)
    ]
    results.append(
        Result(
            HELLO, 1, {"native": Figures(1.0, 1.0, 1, []), "qemu": Nothing("broken", failed=True)}
        )
    )
    assert mean_ratio(results, "qemu", "native") == pytest.approx(4.0)
    assert mean_ratio(results, "usermode", "native") is None


def test_every_case_is_in_a_group_and_has_its_own_name() -> None:
    assert {case.group for case in CASES} == {group.name for group in GROUPS}
    assert len({case.name for case in CASES}) == len(CASES)
