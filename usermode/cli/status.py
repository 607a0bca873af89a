# SPDX-License-Identifier: GPL-2.0-or-later
"""`usermode status`: who runs the guest's programs on this machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from binfmt import probe
from binfmt.configuration import files
from binfmt.entry import NAME
from binfmt.places import BINFMT_MISC, Places
from binfmt.registry import Registry, flags_text
from usermode.cli.interpreter import describe_version
from usermode.cli.registration import directory_option, root_option, say, told
from usermode.errors import UsermodeError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from binfmt.listing import Registered


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Write JSON.")
@directory_option
@root_option
def status(as_json: bool, directory: str, root: str) -> int:
    """Show what is registered for AArch64 programs and who wins, without changing anything.

    Status 0 when the kernel starts our interpreter for them, 1 when it does not.
    """
    with told():
        facts = collect(Registry(directory), Places(root))
    if (directory, root) == (BINFMT_MISC, "/"):
        facts["service"] = service()
    if as_json:
        import json

        click.echo(json.dumps(facts, indent=2))
    else:
        for line in lines(facts):
            say(line)
    return 0 if facts["works"] else 1


def collect(registry: Registry, places: Places) -> dict[str, Any]:
    """Return the facts, as they are written for JSON."""
    mounted = registry.mounted
    entries = registry.entries() if mounted else []
    matching = registry.matching() if mounted else []
    on = registry.enabled if mounted else None
    file = next(
        (file for file in files(places.binfmt_d_folders()) if registers_us(file.path)), None
    )
    return {
        "works": bool(on and matching and matching[0].ours),
        "binfmt_misc": {
            "directory": registry.directory,
            "mounted": mounted,
            "enabled": on,
            "read_only": registry.read_only if mounted else None,
            "kernel": probe.ask(registry)._asdict(),
        },
        "entries": [describe(entry) for entry in entries if entry.ours],
        "winner": named(matching[0]) if matching else None,
        "behind": [named(entry) for entry in matching[1:]],
        "binfmt_d": file
        and {"file": file.path, "masked": file.masked, "problem": file.problem or None},
        "systemd": places.systemd_runs,
    }


def service() -> dict[str, Any] | None:
    """Return what the service says, None where there is none."""
    from usermode.service.asking import ask

    try:
        return ask({"ask": "status"})
    except UsermodeError as error:
        return {"error": error.message}


def registers_us(path: str) -> bool:
    """Tell whether that is the file of binfmt.d for our entry; a mask has no content, so its name decides."""
    return path.endswith(f"/{NAME}.conf")


def named(entry: Registered) -> dict[str, str]:
    """Return an entry in short."""
    return {"name": entry.name, "interpreter": entry.interpreter}


def describe(entry: Registered) -> dict[str, Any]:
    """Return one of our entries in full."""
    return {
        "name": entry.name,
        "enabled": entry.enabled,
        "interpreter": entry.interpreter,
        "version": describe_version(entry.interpreter),
        "flags": entry.flags,
        "appimage": entry.appimage,
    }


def lines(facts: dict[str, Any]) -> Iterator[str]:
    """Yield the facts for people, one a line."""
    table = facts["binfmt_misc"]
    if table["mounted"]:
        how = "on" if table["enabled"] else "switched off"
        read_only = ", read-only" if table["read_only"] else ""
        yield f"binfmt_misc: {how}, mounted at {table['directory']}{read_only}"
    else:
        yield f"binfmt_misc: not mounted at {table['directory']}"
    yield f"kernel: {probe.Kernel(**table['kernel']).words}"
    for entry in facts["entries"]:
        state = "enabled" if entry["enabled"] else "disabled"
        more = ", AppImages too" if entry["appimage"] else ""
        yield f"entry: {entry['name']}, {state}, flags {entry['flags'] or 'none'}{more}"
        yield f"flags: {flags_text(entry['flags'])}"
        yield f"interpreter: {entry['interpreter']} ({entry['version']})"
    if not facts["entries"]:
        yield "entry: none of ours"
    winner = facts["winner"]
    told_winner = f"{winner['name']} ({winner['interpreter']})" if winner else "nobody"
    yield f"AArch64 programs go to: {told_winner}"
    for other in facts["behind"]:
        yield f"behind it: {other['name']} ({other['interpreter']})"
    file = facts["binfmt_d"]
    if file is None:
        yield f"binfmt.d: no {NAME}.conf"
    else:
        note = " (masked)" if file["masked"] else f" ({file['problem']})" if file["problem"] else ""
        yield f"binfmt.d: {file['file']}{note}"
    if "service" in facts:
        yield f"service: {describe_service(facts['service'])}"


def describe_service(answer: dict[str, Any] | None) -> str:
    """Return the service's word in one line."""
    if answer is None:
        return "not running; programs start without it"
    if "error" in answer:
        return str(answer["error"])
    word = "all is right" if answer["right"] else f"{answer['state']}, {answer['reason']}"
    return f"runs as process {answer['pid']}, version {answer['version']}: {word}"
