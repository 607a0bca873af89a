# SPDX-License-Identifier: GPL-2.0-or-later
"""`usermode install` and `usermode uninstall`: the whole of usermode in a system, or out of it."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import click

from binfmt.entry import NAME
from binfmt.places import INTERPRETER, Places
from binfmt.refusal import RegistryError
from binfmt.registry import Registry
from usermode.cli.registration import say, told
from usermode.errors import UsermodeError

if TYPE_CHECKING:
    from usermode.installation.target import Target

root_option = click.option(
    "--root",
    default="/",
    metavar="DIR",
    type=click.Path(file_okay=False),
    help="The top of the system, where it is not the one that runs.",
)


@click.command()
@root_option
@click.option("--no-start", is_flag=True, help="Do not register, and start no service.")
@click.option("--for-package", is_flag=True, hidden=True, help="As a package's content.")
@click.pass_context
def install(ctx: click.Context, root: str, no_start: bool, for_package: bool) -> None:
    """Put usermode into this system: interpreter, command, service, manual pages.

    Done again it mends or upgrades; programs that run keep their interpreter. Needs root's rights.
    """
    from usermode.cli.completion import script
    from usermode.installation import owned
    from usermode.installation.install import install as put
    from usermode.installation.target import Target

    target = Target(root)
    scripts = {shell: script(ctx, shell) for shell in owned.COMPLETIONS}
    if not for_package:
        need_root(target)
    changed = put(target, scripts, for_package=for_package)
    click.echo(f"installed {len(changed)} files" if changed else "installed already")
    if target.is_this_system and not no_start:
        start()


def start() -> None:
    """Register, and start the service; where systemd does not run, say what is to be done."""
    from usermode.service.keeper import RIGHT, Keeper

    if not Places().systemd_runs:
        click.echo("systemd does not run here: 'usermode register' at each start of the machine")
        return
    # Not by a restart of systemd-binfmt.service, which would drop what others registered by hand.
    registry = Registry()
    with told():
        registry.mount()
    state = Keeper(registry, Places()).check(apply=True)
    systemctl("daemon-reload")
    systemctl("start", "usermode.socket")
    systemctl("restart", "usermode.service")
    say("started usermode.service")
    if state.kind == RIGHT:
        say("AArch64 programs start by their name")
    else:
        say(f"{state.kind}: {state.reason}; 'usermode doctor' says more")


@click.command()
@root_option
def uninstall(root: str) -> None:
    """Remove what `usermode install` put there; status 0 also when there is nothing.

    Ends the registration. Programs that run go on.
    """
    from usermode.installation import owned
    from usermode.installation.install import refuse_packaged, refuse_read_only
    from usermode.installation.install import uninstall as remove
    from usermode.installation.target import Target

    target = Target(root)
    need_root(target)
    if target.is_this_system:
        refuse_packaged(target, owned.file_targets())
        refuse_read_only(target)
        stop(target)
    gone = remove(target)
    if target.is_this_system and Places().systemd_runs:
        systemctl("daemon-reload")
    click.echo(f"removed {len(gone)} files and folders" if gone else "nothing is installed")


def stop(target: Target) -> None:
    """Stop the service first, as it would register again, and end the registration of the installed interpreter."""
    from usermode.installation import owned

    if Places().systemd_runs and target.path(f"{owned.UNITS}/{owned.SERVICE}").exists():
        systemctl("stop", owned.SOCKET, owned.SERVICE)
    registry = Registry()
    try:
        present = registry.find(NAME) if registry.mounted else None
        if present and present.interpreter == INTERPRETER:
            registry.unregister(NAME)
    except RegistryError as error:  # in a container: the entry may be that of the machine around it
        say(f"the registration stays: {error.message}")


def need_root(target: Target) -> None:
    """Raise UsermodeError when the system's files cannot be written."""
    if target.is_this_system and os.geteuid() != 0:
        raise UsermodeError(
            "only root may change this system", hint="sudo usermode …, or --root DIR"
        )


def systemctl(*arguments: str) -> None:
    """Run systemctl. UsermodeError with its words when that fails."""
    answer = subprocess.run(["systemctl", *arguments], capture_output=True, text=True)
    if answer.returncode != 0:
        words = (answer.stderr.strip().splitlines() or [f"status {answer.returncode}"])[0]
        raise UsermodeError(
            f"systemctl {' '.join(arguments)}: {words}", hint=f"systemctl status {arguments[-1]}"
        )
