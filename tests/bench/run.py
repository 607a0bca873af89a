# SPDX-License-Identifier: GPL-2.0-or-later
"""Measure the machine itself, qemu-aarch64 and usermode side by side and write what came out.

A whole run goes to docs/benchmarks; one with --quick, --only or --no-native to build/bench/results. The exit status is
1 if a case failed.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from pathlib import Path

from tests.bench import chart, report
from tests.bench.cases import CASES, GROUPS, Case, Compiled, Debian
from tests.bench.engines import ROOT, Engine, find_engines
from tests.bench.prepare import PrepareError, Workplace
from tests.bench.results import Figures, Report, Result, describe_machine
from tests.bench.session import Session

FOLDER = ROOT / "build" / "bench"
PUBLISHED = ROOT / "docs" / "benchmarks"
REPETITIONS = 5
TIMEOUT = 120.0
QUICK = 10
UNITS = {group.name: group.unit for group in GROUPS}


def parse_arguments(arguments: list[str] | None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.bench.run", description=(__doc__ or "").partition("\n")[0]
    )
    parser.add_argument(
        "--quick", action="store_true", help="a tenth of the work, once: is everything in order?"
    )
    parser.add_argument(
        "--only", type=re.compile, metavar="REGEX", help="cases whose name or group matches"
    )
    parser.add_argument(
        "--repeat", type=int, metavar="N", help=f"repetitions (default: {REPETITIONS}, quick: 1)"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help="folder for the results")
    parser.add_argument("--no-native", action="store_true", help="compare the emulators only")
    parser.add_argument(
        "--timeout", type=float, default=TIMEOUT, metavar="SECONDS", help="per run (default: 120)"
    )
    parser.add_argument("--list", action="store_true", help="name the cases and stop")
    options = parser.parse_args(arguments)
    if options.repeat is not None and options.repeat < 1:
        parser.error("--repeat takes a number from 1")
    return options


def choose(only: re.Pattern[str] | None) -> list[Case]:
    """Return the cases whose name or group matches."""
    return [
        case
        for case in CASES
        if only is None or only.search(case.name) or only.fullmatch(case.group)
    ]


def progress(result: Result, engines: list[Engine]) -> str:
    """Return the line shown when a case is done: CPU time by engine and the ratio to qemu."""
    words = [f"{result.case.name:14}"]
    for engine in engines:
        made = result.engines[engine.name]
        words.append(
            f"{engine.name} {made.cpu:.4g}"
            if isinstance(made, Figures)
            else f"{engine.name} {made}"
        )
    ratio = result.ratio("usermode", "qemu")
    return "  ".join(
        [*words, UNITS[result.case.group], f"{ratio:.2f}x qemu" if ratio else ""]
    ).rstrip()


def measure_all(cases: list[Case], session: Session, quick: bool) -> Report:
    """Run the cases, one after the other, and say on standard error how it goes."""
    for engine in session.engines:
        if engine.absent:
            sys.stderr.write(f"bench: {engine.title}: {engine.absent}\n")
    load = os.getloadavg()[0]
    made = Report(
        describe_machine(),
        {engine.name: engine.version() for engine in session.engines},
        session.repetitions,
        quick,
    )
    for case in cases:
        n = max(case.n // QUICK, 1) if quick else case.n
        result = session.run(case, n)
        made.results.append(result)
        sys.stderr.write(progress(result, session.engines) + "\n")
    made.machine["load"] = f"{load:.1f} before, {os.getloadavg()[0]:.1f} after"
    return made


def write(made: Report, folder: Path) -> None:
    """Write results.json, results.md and results.png into the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(
        json.dumps(made.as_json(), indent=1, ensure_ascii=False) + "\n"
    )
    pictured = chart.draw(made, folder / "results.png")
    (folder / "results.md").write_text(report.markdown(made, pictured))


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmarks that the command line asks for."""
    options = parse_arguments(arguments)
    cases = choose(options.only)
    if not cases:
        sys.stderr.write("bench: no case of that name; --list names them\n")
        return 2
    if options.list:
        sys.stdout.writelines(f"{case.group:10} {case.name:14} {case.title}\n" for case in cases)
        return 0

    packages = frozenset(case.program.package for case in cases if isinstance(case.program, Debian))
    workplace = Workplace(FOLDER, packages)
    workplace.open()
    try:
        measure = workplace.compile(Compiled("measure"), native=True)
    except PrepareError as error:
        sys.stderr.write(f"bench: {error}\n")
        return 2
    repetitions = options.repeat or (1 if options.quick else REPETITIONS)
    engines = find_engines(native=not options.no_native)
    session = Session(workplace, measure, engines, repetitions, options.timeout)

    made = measure_all(cases, session, options.quick)
    whole = not (options.quick or options.only or options.no_native)
    folder = options.out or (PUBLISHED if whole else FOLDER / "results")
    write(made, folder)
    sys.stderr.write(f"bench: {folder / 'results.md'}\n")
    failures = made.failures()
    if failures:
        for (engine, reason), names in failures.items():
            sys.stderr.write(f"bench: failed: {engine}: {reason}: {' '.join(names)}\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
