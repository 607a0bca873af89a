# SPDX-License-Identifier: GPL-2.0-or-later
"""The doctor: finds out why AArch64 programs do not start by their name, and mends what can be mended.

A check is a function that takes a `Case` and returns a `Finding`, or None when an earlier check said enough. A new one
needs a place in `CHECKS`, which is the order of the report: causes before consequences. Findings bear its name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from binfmt.doctor import process, programs, startup, table
from binfmt.doctor.finding import FAILURE, UNKNOWN, WARNING, Case, Finding
from binfmt.refusal import RegistryError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

HEALTHY, UNHEALTHY, NOT_CHECKED = 0, 1, 2

CHECKS: tuple[Callable[[Case], Finding | None], ...] = (
    table.kernel,
    process.place,
    process.executable_memory,
    process.confinement,
    process.layout,
    programs.interpreter,
    programs.emulation,
    table.mounted,
    table.writable,
    table.switched_on,
    table.present,
    table.enabled,
    table.magic,
    table.flags,
    table.interpreter_path,
    table.winner,
    programs.through_kernel,
    programs.pinned,
    startup.startup_file,
    startup.service,
    startup.rivals,
)


class Repair(NamedTuple):
    """What was mended: the finding, and "" or why it could not be."""

    finding: Finding
    problem: str


def examine(case: Case) -> list[Finding]:
    """Run all checks. One that cannot be made is a finding of its own."""
    findings = []
    for check in CHECKS:
        try:
            finding = check(case)
        except (OSError, RegistryError) as error:
            finding = Finding(check.__name__.replace("_", "-"), UNKNOWN, f"not checked: {error}")
        if finding:
            findings.append(finding)
    return findings


def repair(case: Case) -> tuple[list[Finding], list[Repair]]:
    """Mend what can be mended, one finding after another; return what is found then, and what was done.

    Each time all is looked at anew, as one mended cause may end other findings. What does not help is not tried twice.
    """
    repairs: list[Repair] = []
    while True:
        findings = examine(case.fresh())
        tried = {done.finding.check for done in repairs}
        ill = [f for f in findings if f.state in (FAILURE, WARNING) and f.mend]
        todo = next((finding for finding in ill if finding.check not in tried), None)
        if todo is None or todo.mend is None:
            return findings, repairs
        try:
            todo.mend()
            repairs.append(Repair(todo, ""))
        except RegistryError as error:
            repairs.append(Repair(todo, error.message))
        except OSError as error:
            repairs.append(Repair(todo, str(error)))


def status(findings: Sequence[Finding]) -> int:
    """Return the exit status: warnings are no illness."""
    states = {finding.state for finding in findings}
    if FAILURE in states:
        return UNHEALTHY
    return NOT_CHECKED if UNKNOWN in states else HEALTHY
