# SPDX-License-Identifier: GPL-2.0-or-later
"""`usermode bootstrap`: make an AArch64 root tree from Debian's packages."""

from __future__ import annotations

import sys

import click

from usermode.cli.interpreter import find_interpreter

WIDTH = 78


@click.command()
@click.option("--suite", default="bookworm", show_default=True, help="The release.")
@click.option("--variant", default="minbase", show_default=True, help="As for debootstrap(8).")
@click.option("--include", default="", metavar="PACKAGE,…", help="Packages to install as well.")
@click.option("--components", default="", metavar="NAME,…", help="Parts of the archive (main).")
@click.option("--mirror", default="", metavar="URL", help="The archive (debootstrap's own choice).")
@click.option("--keyring", default="", metavar="FILE", help="The keys that sign the release.")
@click.option(
    "--interpreter", metavar="FILE", help="Use this interpreter instead of the installed one."
)
@click.argument("directory", metavar="DIR")
def bootstrap(
    suite: str,
    variant: str,
    include: str,
    components: str,
    mirror: str,
    keyring: str,
    interpreter: str | None,
    directory: str,
) -> None:
    """Make an AArch64 root tree in DIR, for `usermode shell DIR`, chroots and images.

    Needs debootstrap(8). As root the files get their real owners; as an ordinary user, in a user namespace, those of
    your range in /etc/subuid.
    """
    from usermode.container import bootstrap as stages

    plan = stages.Plan(directory, suite, mirror, variant, include, components, keyring)
    progress = Progress()
    try:
        stages.bootstrap(plan, find_interpreter(interpreter), progress.show)
    finally:
        progress.end()
    click.echo(f"{directory} is ready: usermode shell {directory}")


class Progress:
    """One line on a terminal that is written over; elsewhere one line for each kind of step."""

    def __init__(self) -> None:
        self.terminal = sys.stderr.isatty()
        self.told: set[str] = set()

    def show(self, text: str, done: int, total: int) -> None:
        """Tell of a step: `done` packages are through it, of at least `total`."""
        if self.terminal:
            bar = "#" * (20 * done // total)
            line = f"[{bar:20}] {done:3}/{total} {text}"
            click.echo(f"\r{line[:WIDTH]:{WIDTH}}", err=True, nl=False)
        else:
            kind = text.rpartition(" ")[0]
            if kind not in self.told:
                click.echo(f"{kind} packages", err=True)
            self.told.add(kind)

    def end(self) -> None:
        """Leave the line."""
        if self.terminal:
            click.echo(err=True)
