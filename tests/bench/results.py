# SPDX-License-Identifier: GPL-2.0-or-later
"""What was measured, in a form that tables, charts and JSON are made from."""

from __future__ import annotations

import datetime as dt
import math
import platform
import statistics
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from tests.bench.cases import GROUPS, Case, Group

if TYPE_CHECKING:
    from collections.abc import Iterable

# numerator, denominator
RATIOS = (("usermode", "qemu"), ("usermode", "native"), ("qemu", "native"))


@dataclass(frozen=True)
class Figures:
    """Medians in the group's unit, peak memory in KiB (median), and the CPU time of each repetition."""

    cpu: float
    wall: float
    memory: int
    repetitions: list[float]


@dataclass(frozen=True)
class Nothing:
    """No figures: the engine or program is absent, or it failed."""

    reason: str
    failed: bool

    def __str__(self) -> str:
        return f"failed: {self.reason}" if self.failed else "absent"


@dataclass
class Result:
    """A case and what each engine made of it."""

    case: Case
    n: int
    engines: dict[str, Figures | Nothing] = field(default_factory=dict)

    def ratio(self, over: str, under: str, value: str = "cpu") -> float | None:
        """Return the quotient of two engines' figures; None if one has none."""
        first, second = self.engines.get(over), self.engines.get(under)
        if not isinstance(first, Figures) or not isinstance(second, Figures):
            return None
        divisor = float(getattr(second, value))
        return float(getattr(first, value)) / divisor if divisor > 0 else None


@dataclass
class Report:
    """A whole run."""

    machine: dict[str, str]
    versions: dict[str, str | None]
    repetitions: int
    quick: bool
    results: list[Result] = field(default_factory=list)

    def failures(self) -> dict[tuple[str, str], list[str]]:
        """Return the names of the cases that failed, by engine and reason."""
        found: dict[tuple[str, str], list[str]] = {}
        for result in self.results:
            for name, made in result.engines.items():
                if isinstance(made, Nothing) and made.failed:
                    found.setdefault((name, made.reason), []).append(result.case.name)
        return found

    def spread(self) -> float | None:
        """Return how far apart repetitions lie, largest less smallest over their median: the median of all figures."""
        spreads = [
            (max(made.repetitions) - min(made.repetitions)) / statistics.median(made.repetitions)
            for result in self.results
            for made in result.engines.values()
            if isinstance(made, Figures)
            and len(made.repetitions) > 1
            and statistics.median(made.repetitions) > 0
        ]
        return statistics.median(spreads) if spreads else None

    def by_group(self) -> Iterable[tuple[Group, list[Result]]]:
        """Yield each group that has results, with them."""
        for group in GROUPS:
            members = [result for result in self.results if result.case.group == group.name]
            if members:
                yield group, members

    def as_json(self) -> dict[str, Any]:
        """Return the run as JSON's types; a figure that does not exist is null."""
        data = {
            "machine": self.machine,
            "versions": self.versions,
            "repetitions": self.repetitions,
            "spread": self.spread(),
            "quick": self.quick,
            "groups": {
                group.name: {
                    "title": group.title,
                    "unit": group.unit,
                    "geometric_means": {f"{a}/{b}": mean_ratio(members, a, b) for a, b in RATIOS},
                }
                for group, members in self.by_group()
            },
            "cases": [
                {
                    "name": result.case.name,
                    "group": result.case.group,
                    "title": result.case.title,
                    "n": result.n,
                    "engines": {name: asdict(made) for name, made in result.engines.items()},
                    "ratios": {f"{a}/{b}": result.ratio(a, b) for a, b in RATIOS},
                }
                for result in self.results
            ],
        }
        return cast("dict[str, Any]", rounded(data))


def rounded(value: Any) -> Any:
    """Return JSON data with six significant digits in every float."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {name: rounded(member) for name, member in value.items()}
    return [rounded(member) for member in value] if isinstance(value, list) else value


def mean_ratio(results: Iterable[Result], over: str, under: str) -> float | None:
    """Return the geometric mean of the ratios that exist, None if none does."""
    ratios = [ratio for result in results if (ratio := result.ratio(over, under))]
    return math.exp(statistics.fmean(math.log(ratio) for ratio in ratios)) if ratios else None


def describe_machine() -> dict[str, str]:
    """Return the date and what is known of the machine: proc_cpuinfo(5), uname(2), os-release(5)."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    memory = Path("/proc/meminfo").read_text().split()[1]
    return {
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "cpu": f"{models[0] if models else platform.machine()}, {len(models)} CPUs",
        "memory": f"{int(memory) / (1 << 20):.0f} GiB",
        "kernel": platform.release(),
        "system": platform.freedesktop_os_release().get("PRETTY_NAME", ""),
    }
