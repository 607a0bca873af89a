# SPDX-License-Identifier: GPL-2.0-or-later
"""Run a case under every engine, in turns, and compare what they wrote."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.bench.cases import GROUPS, Case
from tests.bench.measure import RunFailed, Runs, run
from tests.bench.prepare import NotHere, PrepareError
from tests.bench.results import Figures, Nothing, Result

if TYPE_CHECKING:
    from pathlib import Path

    from tests.bench.engines import Engine
    from tests.bench.prepare import Workplace

SCALES = {group.name: group.scale for group in GROUPS}
BASELINE_RUNS = 3


@dataclass
class Attempt:
    """A case under one engine: what its repetitions gave so far."""

    engine: Engine
    program: Path
    runs: list[Runs] = field(default_factory=list)
    baselines: list[Runs] = field(default_factory=list)

    def figures(self, case: Case, n: int) -> Figures:
        """Return the medians over all executions, in the unit of the case's group."""
        scale = SCALES[case.group] / (n if case.per_call else 1)

        def cost(value: str) -> float:
            return (median(self.runs, value) - median(self.baselines, value)) * scale

        return Figures(
            cpu=cost("cpu"),
            wall=cost("wall"),
            memory=round(median(self.runs, "memory")),
            repetitions=[
                (median([one], "cpu") - median(self.baselines, "cpu")) * scale for one in self.runs
            ],
        )


def median(runs: list[Runs], value: str) -> float:
    """Return the median of a value over all executions; 0 if there were none."""
    values = [float(getattr(sample, value)) for one in runs for sample in one.samples]
    return statistics.median(values) if values else 0.0


@dataclass(frozen=True)
class Session:
    """The settings of a run."""

    workplace: Workplace
    measure: Path
    engines: list[Engine]
    repetitions: int
    timeout: float

    def prepare(self, case: Case, result: Result) -> list[Attempt]:
        """Return the engines that can run the case; `result` gets why the others cannot."""
        attempts = []
        for engine in self.engines:
            if engine.absent:
                result.engines[engine.name] = Nothing(engine.absent, failed=False)
                continue
            try:
                attempts.append(Attempt(engine, self.workplace.program(case, engine)))
            except NotHere as reason:
                result.engines[engine.name] = Nothing(str(reason), failed=False)
            except PrepareError as reason:
                result.engines[engine.name] = Nothing(str(reason), failed=True)
        return attempts

    def execute(self, attempt: Attempt, case: Case, n: int, executions: int) -> Runs:
        """Run the case's program; raises RunFailed."""
        arguments = self.workplace.arguments(case, n)
        command = attempt.engine.command(attempt.program, self.workplace.sysroot(case), arguments)
        return run(self.measure, command, executions, self.workplace.data, self.timeout)

    def repeat(self, attempt: Attempt, case: Case, n: int) -> None:
        """Add one repetition to the attempt; raises RunFailed."""
        if (
            not attempt.runs
        ):  # a tenth of the work first: files get into memory, Python writes its bytecode
            self.execute(attempt, case, max(n // 10, 1), 1)
        if case.per_call:
            attempt.baselines.append(self.execute(attempt, case, 0, BASELINE_RUNS))
        attempt.runs.append(self.execute(attempt, case, n, case.executions))

    def run(self, case: Case, n: int) -> Result:
        """Run a case under every engine, with the order reversed from one repetition to the next."""
        result = Result(case, n)
        attempts = self.prepare(case, result)
        for repetition in range(self.repetitions):
            for attempt in attempts if repetition % 2 == 0 else attempts[::-1]:
                if attempt.engine.name in result.engines:
                    continue
                try:
                    self.repeat(attempt, case, n)
                except RunFailed as reason:
                    result.engines[attempt.engine.name] = Nothing(str(reason), failed=True)
        done = [attempt for attempt in attempts if attempt.engine.name not in result.engines]
        for attempt in done:
            result.engines[attempt.engine.name] = attempt.figures(case, n)
        for name, fault in differences(case, done).items():
            result.engines[name] = Nothing(fault, failed=True)
        result.engines = {engine.name: result.engines[engine.name] for engine in self.engines}
        return result


def differences(case: Case, attempts: list[Attempt]) -> dict[str, str]:
    """Return which engines wrote something wrong, and what is wrong about it.

    The native program is right, then qemu; the native one is not asked where versions may write different things.
    """
    wrong = {
        attempt.engine.name: "its output changes from run to run"
        for attempt in attempts
        if len({one.output for one in attempt.runs}) > 1
    }
    judged = [
        attempt
        for attempt in attempts
        if attempt.engine.name not in wrong and (case.same_natively or not attempt.engine.is_native)
    ]
    for attempt in judged[1:]:
        if attempt.runs[0].output != judged[0].runs[0].output:
            wrong[attempt.engine.name] = f"its output is not that of {judged[0].engine.title}"
    return wrong
