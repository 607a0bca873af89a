# SPDX-License-Identifier: GPL-2.0-or-later
"""Turn a run into Markdown tables."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.bench.results import RATIOS, Figures, Nothing, Report, Result, mean_ratio

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.bench.cases import Group

ENGINES = ("native", "qemu", "usermode")
REASON = 60  # characters of a failure shown in a table; the list of failures has all
NOTE = """\
Times are medians of user and system time together, unless the column says wall; ratios are of those, below 1 means
faster. Machines are noisy, shared and virtual ones above all: figures of one run compare with each other, not with
those of another day or machine, and a difference much smaller than that between the repetitions means nothing.
How to read them: docs/benchmarks/README.md.
"""


def number(value: float) -> str:
    """Return a figure with three significant digits."""
    if value >= 99.95:
        return f"{value:,.0f}"
    if value >= 9.995:
        return f"{value:.1f}"
    return f"{value:.2f}" if value >= 0.9995 else f"{value:.3g}"


def ratio_text(value: float | None) -> str:
    """Return a ratio for a table."""
    return "-" if value is None else f"{value:.2f}"


def row(cells: Sequence[str]) -> str:
    """Return a line of a table."""
    return f"| {' | '.join(cells)} |"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Return a table whose first column is text and whose others are figures."""
    return [row(header), row(["---", *["---:"] * (len(header) - 1)]), *map(row, rows), ""]


def cell(made: Figures | Nothing) -> str:
    """Return CPU time, or in short why there is none."""
    if isinstance(made, Nothing):
        text = str(made).replace("|", "\\|")
        return text if len(text) <= REASON else f"{text[:REASON]}…"
    return number(made.cpu)


def wall_cell(made: Figures | Nothing) -> str:
    """Return wall time; the reason for its absence stands in the CPU column."""
    return number(made.wall) if isinstance(made, Figures) else "-"


def group_table(group: Group, results: list[Result]) -> list[str]:
    """Return a group's table with its geometric means."""
    header = [
        group.title,
        *ENGINES,
        *(f"{name}, wall" for name in ENGINES),
        *(f"{over} / {under}" for over, under in RATIOS),
    ]
    rows = [
        [
            f"{result.case.name}: {result.case.title}",
            *(cell(result.engines[name]) for name in ENGINES),
            *(wall_cell(result.engines[name]) for name in ENGINES),
            *(ratio_text(result.ratio(over, under)) for over, under in RATIOS),
        ]
        for result in results
    ]
    means = [mean_ratio(results, over, under) for over, under in RATIOS]
    rows.append(["**geometric mean**", *[""] * 6, *(f"**{ratio_text(mean)}**" for mean in means)])
    return [f"## {group.title} ({group.unit})", "", *table(header, rows)]


def summary(report: Report) -> list[str]:
    """Return the table of geometric means."""
    rows = [
        [
            group.title,
            str(len(results)),
            *(ratio_text(mean_ratio(results, over, under)) for over, under in RATIOS),
        ]
        for group, results in report.by_group()
    ]
    return [
        "## Summary",
        "",
        *table(
            ["geometric means", "cases", *(f"{over} / {under}" for over, under in RATIOS)], rows
        ),
    ]


def memory(report: Report) -> list[str]:
    """Return the table of peak memory of the programs that only start."""
    results = [result for result in report.results if result.case.group == "startup"]
    if not results:
        return []
    rows = [
        [
            result.case.title,
            *(memory_cell(result.engines[name]) for name in ENGINES),
            ratio_text(result.ratio("usermode", "qemu", "memory")),
        ]
        for result in results
    ]
    return ["## Peak memory (MiB)", "", *table(["program", *ENGINES, "usermode / qemu"], rows)]


def memory_cell(made: Figures | Nothing) -> str:
    """Return peak memory in MiB."""
    return number(made.memory / 1024) if isinstance(made, Figures) else "-"


def heading(report: Report) -> list[str]:
    """Return where, when and with what the run was made."""
    machine = report.machine
    versions = [f"{name}: {version}" for name, version in report.versions.items() if version]
    effort = f"{report.repetitions} repetition{'s' if report.repetitions > 1 else ''}"
    if report.quick:
        effort += ", a tenth of the work: for a check, not for figures"
    spread = report.spread()
    if spread is not None:
        effort += (
            f", whose fastest and slowest differ by {100 * spread:.0f} % (median of all figures)"
        )
    return [
        "# Benchmark results",
        "",
        f"{machine['date']}; {machine['cpu']}, {machine['memory']}; {effort}.",
        f"Linux {machine['kernel']}, {machine['system']}; load average {machine['load']}.",
        *(f"{version}." for version in versions),
        "",
        NOTE,
    ]


def markdown(report: Report, pictured: bool) -> str:
    """Return the whole report; `pictured` says whether results.png was drawn."""
    lines = heading(report)
    failures = report.failures()
    if failures:
        lines += ["## Failures", ""]
        lines += [
            f"- {engine}: {reason}: {', '.join(names)}"
            for (engine, reason), names in failures.items()
        ]
        lines.append("")
    lines += summary(report)
    if pictured:
        lines += ["![CPU time relative to qemu-aarch64](results.png)", ""]
    for group, results in report.by_group():
        lines += group_table(group, results)
    lines += memory(report)
    return "\n".join(lines)
