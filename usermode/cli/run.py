# SPDX-License-Identifier: GPL-2.0-or-later
"""`usermode run`: replace this process with the interpreter, and so with the program."""

from __future__ import annotations

import errno
import os
import signal
import stat
from typing import TYPE_CHECKING

import click

from usermode.cli.interpreter import CANNOT_START, find_interpreter
from usermode.errors import CANNOT_EXECUTE, NOT_FOUND, UsermodeError
from usermode.inspect.sysroot import find_file, resolve_in_root, roots
from usermode.settings import CPU_MODELS

if TYPE_CHECKING:
    from collections.abc import Iterator


OPTIONAL_FILES = ("--strace", "--core")


class RunCommand(click.Command):
    """A command whose options OPTIONAL_FILES may carry a value, but only as `--strace=FILE`.

    click's own optional values would take the program's name for the file in `--strace PROGRAM`.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Turn `--strace=FILE` into the hidden `--strace-file FILE`, up to the program's name; `--core` alike."""
        takes_value = {
            name
            for option in self.params
            if isinstance(option, click.Option) and not option.is_flag
            for name in option.opts
        }
        ours: list[str] = []
        rest = list(args)
        while rest and rest[0].startswith("-") and rest[0] not in ("-", "--"):
            word = rest.pop(0)
            name, equals, value = word.partition("=")
            if equals and name in OPTIONAL_FILES:
                ours += [f"{name}-file", value]
            else:
                ours.append(word)
                if word in takes_value and rest:
                    ours.append(rest.pop(0))
        return super().parse_args(ctx, ours + rest)


class OptionalFile(click.Option):
    """One of OPTIONAL_FILES as a flag, shown in the help with its optional value."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Write `--strace[=FILE]` where click would write `--strace`; `--core` alike."""
        record = super().get_help_record(ctx)
        return record and (f"{record[0]}[=FILE]", record[1])


def check_cpu(ctx: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """Accept the CPU models that exist."""
    models = [os.fsdecode(model) for model in CPU_MODELS]
    if value is not None and value not in models:
        offered = " and ".join(map(repr, models))
        raise click.BadParameter(f"there is no model {value!r}, only {offered}", ctx, parameter)
    return value


def check_assignment(
    ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> tuple[str, ...]:
    """Accept NAME=VALUE with a name."""
    for value in values:
        if value.find("=") < 1:
            raise click.BadParameter(f"{value!r} is not NAME=VALUE", ctx, parameter)
    return values


def check_name(
    ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]
) -> tuple[str, ...]:
    """Accept what can be the name of an environment variable."""
    for value in values:
        if not value or "=" in value:
            raise click.BadParameter(f"{value!r} is not a variable's name", ctx, parameter)
    return values


@click.command(cls=RunCommand, context_settings={"allow_interspersed_args": False})
@click.option(
    "--sysroot",
    type=click.Path(exists=True, file_okay=False),
    envvar="USERMODE_SYSROOT",
    help="Look for the program's files under DIR first.",
    metavar="DIR",
)
@click.option(
    "--env",
    "assignments",
    multiple=True,
    callback=check_assignment,
    metavar="NAME=VALUE",
    help="Set a variable in the program's environment.",
)
@click.option(
    "--unset",
    "removed",
    multiple=True,
    callback=check_name,
    metavar="NAME",
    help="Remove a variable from the program's environment.",
)
@click.option("--argv0", metavar="NAME", help="Give the program NAME as its argv[0].")
@click.option(
    "--strace",
    "trace",
    is_flag=True,
    cls=OptionalFile,
    help="Show the program's system calls on standard error, or write them to FILE.",
)
@click.option("--strace-file", "trace_file", hidden=True)
@click.option(
    "--core",
    "dump",
    is_flag=True,
    cls=OptionalFile,
    help="Dump core when a signal ends the program, whatever RLIMIT_CORE says, to FILE if given.",
)
@click.option("--core-file", "dump_file", hidden=True)
@click.option(
    "--cpu", callback=check_cpu, metavar="MODEL", help="CPU model; 'max' is the only one."
)
@click.option(
    "--gdb", metavar="WHERE", help="Wait for gdb at PORT, ADDRESS:PORT or the path of a socket."
)
@click.option("--interpreter", hidden=True, metavar="PATH")
@click.argument("program", type=click.Path())
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def run(
    sysroot: str | None,
    assignments: tuple[str, ...],
    removed: tuple[str, ...],
    argv0: str | None,
    trace: bool,
    trace_file: str | None,
    dump: bool,
    dump_file: str | None,
    cpu: str | None,
    gdb: str | None,
    interpreter: str | None,
    program: str,
    arguments: tuple[str, ...],
) -> None:
    """Run an AArch64 PROGRAM with its ARGUMENTS.

    PROGRAM is found as a shell finds it, with the sysroot before the host. Its exit status, or
    its death by a signal, is that of this command; 126 says that it cannot be executed, 127 that
    it was not found.
    """
    environment = guest_environment(assignments, removed)
    path = find_program(program, environment.get("PATH", os.defpath), sysroot)
    command = [find_interpreter(interpreter)]
    if sysroot is not None:
        command += ["--sysroot", sysroot]
    if argv0 is not None or path != program:
        command += ["--argv0", program if argv0 is None else argv0]
    if trace_file is not None:
        command += [f"--strace={trace_file}"]
    elif trace:
        command += ["--strace"]
    if dump_file is not None:
        command += [f"--core={dump_file}"]
    elif dump:
        command += ["--core"]
    if cpu is not None:
        command += ["--cpu", cpu]
    if gdb is not None:
        command += ["--gdb", gdb]
    replace_process([*command, "--", path, *arguments], environment)


def guest_environment(assignments: tuple[str, ...], removed: tuple[str, ...]) -> dict[str, str]:
    """Return the environment as we got it, without `removed` and then with `assignments`."""
    environment = dict(os.environ)
    if environment.get("LC_CTYPE") == "C.UTF-8" and not was_inherited("LC_CTYPE"):
        # Python sets it in a C locale (PEP 538) and would hand it on to the guest.
        del environment["LC_CTYPE"]
    for name in removed:
        environment.pop(name, None)
    for assignment in assignments:
        name, _, value = assignment.partition("=")
        environment[name] = value
    return environment


def was_inherited(name: str) -> bool:
    """Tell whether a variable was in the environment that this process was started with."""
    try:
        with open("/proc/self/environ", "rb") as file:
            initial = file.read()
    except OSError:
        return True  # no /proc: keep what is there
    return any(entry.startswith(name.encode() + b"=") for entry in initial.split(b"\0"))


def find_program(program: str, search_path: str, sysroot: str | None) -> str:
    """Return the path to hand to the interpreter, which applies the sysroot to it once more.

    A name with a slash stays as it is; any other is looked for in `search_path`, under the
    sysroot first. Raises UsermodeError with status 126 or 127 and the reason.
    """
    if not program:
        raise UsermodeError("cannot run '': the program's name is empty", status=NOT_FOUND)
    if "/" in program:
        reason = why_not_executable(find_file(program, sysroot) or program)
        if reason is None:
            return program
        status = NOT_FOUND if reason in (errno.ENOENT, errno.ENOTDIR) else CANNOT_EXECUTE
        raise UsermodeError(f"cannot run {program!r}: {describe(reason)}", status=status)
    refused = None
    for candidate, file in candidates(program, search_path, sysroot):
        reason = why_not_executable(file)
        if reason is None:
            return candidate
        if reason == errno.EACCES:
            refused = file
    if refused is not None:
        raise UsermodeError(
            f"cannot run {program!r}: {refused} is not executable", status=CANNOT_EXECUTE
        )
    where = f"PATH, neither under {sysroot} nor on the host" if sysroot else "PATH"
    hint = (
        f"a program in the current directory is run as './{program}'"
        if os.path.exists(program)
        else None
    )
    raise UsermodeError(f"cannot find {program!r} in {where}", status=NOT_FOUND, hint=hint)


def candidates(program: str, search_path: str, sysroot: str | None) -> Iterator[tuple[str, str]]:
    """Yield (the guest's path, the host's path) of the places where a program may be.

    An empty component of PATH is the current directory, as POSIX has it; a relative one is the
    host's.
    """
    places = [os.path.join(folder or ".", program) for folder in search_path.split(":")]
    for root in roots(sysroot):
        for place in places:
            if place.startswith("/"):
                file = resolve_in_root(root, place)
                if file is not None:
                    yield place, file
            elif root == "/":
                yield place, place


def why_not_executable(file: str) -> int | None:
    """Return the errno that says why a file of the host cannot be executed, None when it can."""
    try:
        mode = os.stat(file).st_mode
    except OSError as error:
        return error.errno
    if stat.S_ISDIR(mode):
        return errno.EISDIR
    return None if stat.S_ISREG(mode) and os.access(file, os.X_OK) else errno.EACCES


def describe(reason: int) -> str:
    """Word an errno as a shell does."""
    if reason == errno.EACCES:
        return "permission denied (is it executable?)"
    return os.strerror(reason).lower()


def replace_process(command: list[str], environment: dict[str, str]) -> None:
    """Exec the interpreter; does not return. Raises UsermodeError when the kernel refuses."""
    # Python ignores these two, and an ignored signal stays ignored over execve(2).
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)
    try:
        os.execve(command[0], command, environment)
    except OSError as error:
        raise UsermodeError(
            f"cannot start the interpreter {command[0]}: {error.strerror}", status=CANNOT_START
        ) from error
    except ValueError as error:  # a NUL byte in an argument or a variable
        raise UsermodeError(f"cannot start the program: {error}", status=CANNOT_START) from error
