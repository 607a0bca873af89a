# SPDX-License-Identifier: GPL-2.0-or-later
"""The interpreter's options and environment."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from tests.support import ROOT
from usermode.errors import UsermodeError
from usermode.settings import OPTIONS, Information, Settings
from usermode.version import UNICORN


def read(*arguments: str) -> tuple[Settings, list[bytes]]:
    settings = Settings()
    return settings, settings.read_options([argument.encode() for argument in arguments])


def test_options_end_at_the_program() -> None:
    settings, rest = read("--argv0", "name", "program", "--strace")
    assert (settings.argv0, settings.strace, rest) == (b"name", None, [b"program", b"--strace"])


def test_two_dashes_end_the_options() -> None:
    assert read("--strace", "--", "--program", "x")[1] == [b"--program", b"x"]


def test_a_value_follows_or_is_joined() -> None:
    assert read("--sysroot=/a=b", "p")[0].sysroot == b"/a=b"
    assert read("--sysroot", "--odd", "p")[0].sysroot == b"--odd"
    assert read("--argv0=", "p")[0].argv0 == b""


def test_strace_needs_no_value() -> None:
    assert read("--strace", "p")[0].strace == b""
    assert read("--strace=file", "p")[0].strace == b"file"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--unknown"], "unknown option --unknown"),
        (["-x", "p"], "unknown option -x"),
        (["--argv0"], "--argv0 needs a value"),
        (["--help=x"], "--help takes no value"),
        (["--cpu", "host", "p"], "no CPU model host"),
        (["--program-fd", "x", "p"], "--program-fd needs a number"),
        (["--=x"], "unknown option --"),
    ],
)
def test_wrong_use(arguments: list[str], said: str) -> None:
    with pytest.raises(UsermodeError, match=said) as caught:
        read(*arguments)
    assert caught.value.status == 2


def test_settings_pass_to_the_next_program() -> None:
    settings, _ = read("--sysroot", "/root", "--strace=log", "--argv0", "own", "p")
    again = Settings()
    assert again.read_options([*settings.as_options(), b"p"]) == [b"p"]
    assert (again.sysroot, again.strace, again.argv0) == (b"/root", b"log", None)
    plain = Settings()
    plain.strace = b""
    assert plain.as_options() == [b"--strace"]
    assert Settings().as_options() == []


def test_core_needs_no_value_and_is_handed_on() -> None:
    assert read("p")[0].core is None
    for option, value in (("--core", b""), ("--core=/dumps/%e", b"/dumps/%e")):
        settings, rest = read(option, "p")
        assert (settings.core, rest) == (value, [b"p"])
        assert settings.as_options() == [option.encode()]


def test_core_file_is_where_we_were_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    settings, _ = read("--core=dump", "p")
    settings.check()
    assert settings.core == bytes(tmp_path) + b"/dump"


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_lists_the_options(option: str) -> None:
    with pytest.raises(Information) as told:
        read(option)
    for name, _, _, description in OPTIONS:
        assert (name.decode() in told.value.text) == bool(description)


def test_the_manual_page_has_the_same_options() -> None:
    page = (ROOT / "packaging/man/usermode-aarch64.1").read_text().replace("\\-", "-")
    for name, _, metavar, description in OPTIONS:
        assert (name.decode() in page) == bool(description), name
        if description and metavar:
            assert metavar in page


def test_version_of_unicorn_is_the_pinned_one() -> None:
    with pytest.raises(Information, match=f"Unicorn {UNICORN}"):
        read("--version")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"unicorn=={UNICORN}" in project["optional-dependencies"]["build"]


def test_a_relative_sysroot_becomes_absolute(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "root").mkdir()
    monkeypatch.chdir(tmp_path)
    settings, _ = read("--sysroot", "root", "p")
    settings.check()
    assert settings.sysroot == bytes(tmp_path / "root")
    settings.sysroot = b"missing"
    with pytest.raises(UsermodeError, match="sysroot missing"):
        settings.check()
