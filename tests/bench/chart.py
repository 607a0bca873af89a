# SPDX-License-Identifier: GPL-2.0-or-later
"""Draw a run: how long each case takes relative to qemu-aarch64."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.bench.results import Report, Result

if TYPE_CHECKING:
    from pathlib import Path

    from matplotlib.axes import Axes

OURS = "#2f6db5"
NATIVE = "#8a8a8a"
ROW = 0.215  # inches
GAP = 0.9  # rows between groups


def positions(report: Report) -> tuple[list[tuple[float, Result]], list[tuple[float, str]]]:
    """Return where each case and each group's title stands, from the top down, in rows."""
    at = 0.0
    cases: list[tuple[float, Result]] = []
    titles: list[tuple[float, str]] = []
    for group, results in report.by_group():
        titles.append((at, group.title))
        at += 1
        for result in results:
            cases.append((at, result))
            at += 1
        at += GAP - 0.5
    return cases, titles


def bars(axes: Axes, cases: list[tuple[float, Result]]) -> list[float]:
    """Draw usermode's bars and the native marks; returns all ratios drawn."""
    ours = [(at, ratio) for at, result in cases if (ratio := result.ratio("usermode", "qemu"))]
    native = [(at, ratio) for at, result in cases if (ratio := result.ratio("native", "qemu"))]
    # On a logarithmic axis a bar starts at 1, qemu's time.
    for at, ratio in ours:
        axes.barh(at, ratio - 1, left=1, height=0.72, color=OURS)
        # To the right of the axis in any case: left of it are the native marks.
        axes.annotate(
            f"{ratio:.2f}",
            (max(ratio, 1), at),
            xytext=(3, 0),
            textcoords="offset points",
            va="center",
            fontsize=7,
        )
    axes.plot(
        [ratio for _, ratio in native], [at for at, _ in native], "D", color=NATIVE, markersize=4
    )
    return [ratio for _, ratio in ours + native]


def draw(report: Report, file: Path) -> bool:
    """Write the chart as PNG; returns False, and writes none, if nothing can be compared with qemu."""
    import matplotlib as mpl
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    cases, titles = positions(report)
    figure, axes = plt.subplots(figsize=(7.5, 1.1 + ROW * (cases[-1][0] + 1)), layout="constrained")
    ratios = bars(axes, cases)
    if not ratios:
        plt.close(figure)
        return False
    axes.set_xscale("log")
    axes.set_xlim(min(*ratios, 0.5) / 1.5, max(*ratios, 2.0) * 1.6)
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_ylim(cases[-1][0] + 0.8, -0.8)
    axes.set_yticks([at for at, _ in cases], [result.case.name for _, result in cases], fontsize=7)
    for at, title in titles:
        axes.text(
            0.005,
            at,
            title,
            transform=axes.get_yaxis_transform(),
            fontsize=7.5,
            fontweight="bold",
            va="center",
        )
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
    axes.grid(axis="x", color="#dddddd", linewidth=0.5)
    axes.set_axisbelow(True)
    axes.tick_params(axis="x", labelsize=7)
    axes.tick_params(axis="y", length=0)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.set_xlabel("user + system time relative to qemu-aarch64 (= 1); left is faster", fontsize=8)
    axes.set_title(f"{report.machine['cpu']}, {report.machine['date']}", fontsize=8, loc="left")
    handles = [
        Patch(color=OURS, label="usermode"),
        Line2D([], [], marker="D", linestyle="", color=NATIVE, markersize=4, label="native x86_64"),
    ]
    figure.legend(handles=handles, loc="outside upper right", ncols=2, fontsize=8, frameon=False)
    figure.savefig(file, dpi=90)
    plt.close(figure)
    return True
