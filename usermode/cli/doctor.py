# SPDX-License-Identifier: GPL-2.0-or-later
"""`usermode doctor`: why programs do not start by their name, and what mends it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from binfmt import doctor as checks
from binfmt import probe
from binfmt.doctor.finding import OK, Case, Finding
from binfmt.entry import CREDENTIALS, FLAGS, TRANSPARENT, TRANSPARENT_FLAGS
from binfmt.places import Places
from binfmt.registry import Registry
from usermode.cli.registration import (
    best_flags,
    directory_option,
    expected_interpreter,
    interpreter_option,
    make_entry,
    name_option,
    root_option,
    say,
    told,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from binfmt.doctor import Repair


@click.command()
@click.option("--fix", is_flag=True, help="Mend what can be mended, and look again.")
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
@name_option
@interpreter_option
@directory_option
@root_option
def doctor(
    fix: bool, as_json: bool, name: str, interpreter: str | None, directory: str, root: str
) -> int:
    """Find out whether AArch64 programs start by their name here, and if not, why.

    Runs a small AArch64 program through the kernel. Works without root's rights, --fix mostly does not.
    Status 0: they do; 1: they do not; 2: that could not be found out.
    """
    with told():
        case = make_case(Registry(directory), Places(root), name, interpreter)
    repairs: list[Repair] = []
    if fix:
        findings, repairs = checks.repair(case)
    else:
        findings = checks.examine(case)
    if as_json:
        import json

        done = [repair.finding.as_dict() | {"problem": repair.problem} for repair in repairs]
        facts = [finding.as_dict() for finding in findings]
        report = {"status": checks.status(findings), "findings": facts, "repairs": done}
        click.echo(json.dumps(report, indent=2))
    else:
        show(findings, repairs)
    return checks.status(findings)


def make_case(registry: Registry, places: Places, name: str, interpreter: str | None) -> Case:
    """Return what is to be examined: an entry that is ours keeps its interpreter, flags C and T, and AppImages.

    Its interpreter only if that is still there and no other was asked for.
    """
    present = registry.find(name) if registry.mounted else None
    kernel = probe.ask(registry)
    if present is None or not present.ours:
        path = expected_interpreter(interpreter, places)
        entry = make_entry(path, name, best_flags(kernel, path))
        return Case(registry, entry, places, kernel)
    asked = interpreter is not None or places.root != "/"
    if asked or not os.path.exists(present.interpreter):
        path = expected_interpreter(interpreter, places)
    else:
        path = present.interpreter
    flags = TRANSPARENT_FLAGS if TRANSPARENT in present.flags else FLAGS
    flags += CREDENTIALS if CREDENTIALS in present.flags else ""
    return Case(registry, make_entry(path, name, flags, appimage=present.appimage), places, kernel)


def show(findings: Sequence[Finding], repairs: Sequence[Repair]) -> None:
    """Print one line per repair and per finding."""
    for done, problem in repairs:
        result = f"could not be mended: {problem}" if problem else "mended"
        say(f"{result}: {done.what}")
    for finding in findings:
        line = f"{finding.state:<8} {finding.what}"
        if finding.cause:
            line += f" ({finding.cause})"
        if finding.state != OK and finding.command:
            line += f"; to mend it: {finding.command}"
        say(line)
    bad = [finding for finding in findings if finding.state != OK]
    if not bad:
        say("all is well")
    elif any(finding.mend for finding in bad) and not repairs:
        say("usermode doctor --fix mends what can be mended")
