# SPDX-License-Identifier: GPL-2.0-or-later
"""The registry against the kernel's real binfmt_misc, in user namespaces."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from binfmt.configuration import render
from binfmt.entry import Entry
from binfmt.listing import PROGRAMS, Registered, parse
from binfmt.magic import MAGIC, mask
from binfmt.refusal import RegistryError, cannot_mount, cannot_write, kernel_version, refused
from binfmt.registry import REGISTERED, REMOVE, REPLACED, UNCHANGED, Registry, flags_text
from tests.binfmt.namespace import LIBC, check, isolated, mount_table

RIVAL = "/usr/bin/qemu-aarch64-static"
MS_REMOUNT_RDONLY = 32 | 1


def put(table: Path, file: str, text: str) -> None:
    """Write as a shell would, without this project's code."""
    descriptor = os.open(table / file, os.O_WRONLY)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def rival(name: str = "qemu-aarch64", interpreter: str = RIVAL) -> str:
    """Return another tool's line for guest programs."""
    return Entry(interpreter, name=name, flags="").line()


class TestParse:
    def test_entry(self) -> None:
        text = "enabled\ninterpreter /a b\nflags: POF\noffset 2\nmagic 7f45\nmask ff0f\n"
        assert parse("x", text) == Registered(
            "x", True, "/a b", "POF", 2, b"\x7fE", b"\xff\x0f", None
        )

    def test_extension_and_a_newer_kernel_s_lines(self) -> None:
        text = "disabled\ninterpreter /a\nflags: \nextension .exe\nhandler something new\n"
        assert parse("x", text) == Registered("x", False, "/a", "", extension=".exe")
        assert not parse("x", text).matches(MAGIC)

    def test_no_entry(self) -> None:
        with pytest.raises(ValueError, match="no entry"):
            parse("x", "something else\n")

    def test_mask_and_offset_are_applied(self) -> None:
        entry = Registered("x", True, "/a", "", 2, b"\x10\x20", b"\xf0\xff")
        assert entry.matches(b"..\x1f\x20")
        assert not entry.matches(b"..\x2f\x20")
        assert not entry.matches(b"..\x1f")
        assert Registered("x", True, "/a", "", 1, b"A\0").matches(b".A")  # the kernel reads zeros

    def test_unmatched_kinds_are_named(self) -> None:
        whole = Registered("x", True, "/a", "", 0, MAGIC, None)
        assert whole.unmatched() == [
            "position-independent programs",
            "programs with GNU extensions",
        ]
        assert Registered("x", True, "/a", "", 0, MAGIC, mask()).unmatched() == []


@isolated
def test_register_and_look(folder, interpreter) -> None:
    registry = Registry(str(mount_table(folder)))
    assert registry.mounted
    assert registry.enabled
    assert registry.entries() == []
    for appimage, flags in ((False, "POF"), (True, "POCF")):
        entry = Entry(str(interpreter), flags=flags, appimage=appimage)
        registry.register(entry)
        found = registry.find("usermode-aarch64")
        assert found is not None
        assert found.same(entry)
        assert (found.flags, found.appimage, found.ours) == (flags, appimage, True)
        assert all(found.matches(head) for head in PROGRAMS.values())


@isolated
def test_registering_twice_changes_nothing(folder, interpreter) -> None:
    registry = Registry(str(mount_table(folder)))
    entry = Entry(str(interpreter))
    assert registry.register(entry) == REGISTERED
    assert registry.register(entry) == UNCHANGED
    assert registry.switch(entry.name, False)
    assert registry.register(entry) == REPLACED
    assert [found.name for found in registry.entries()] == [entry.name]
    assert registry.entries()[0].enabled


@isolated
def test_other_flags_replace_the_entry(folder, interpreter) -> None:
    registry = Registry(str(mount_table(folder)))
    registry.register(Entry(str(interpreter)))
    assert registry.register(Entry(str(interpreter), flags="PO")) == REPLACED
    assert [(found.name, found.flags) for found in registry.entries()] == [
        ("usermode-aarch64", "PO")
    ]


@isolated
def test_order_is_the_kernel_s(folder, interpreter, sample) -> None:
    """The newest entry runs the program; that is the first one that we list, also after replacements."""
    table = mount_table(folder)
    registry = Registry(str(table))
    for name in ("one", "two", "three"):
        (folder / name).write_text(f"#!/bin/sh\necho {name}\n")
        (folder / name).chmod(0o755)
        (table / name).exists()  # a look at a name before it is there leaves no trace
        put(table, "register", rival(name, str(folder / name)))

    def runs() -> str:
        return subprocess.run([sample], capture_output=True, text=True).stdout.strip()

    assert runs() == registry.matching()[0].name == "three"
    put(table, "one", "-1")
    put(table, "register", rival("one", str(folder / "one")))
    assert runs() == registry.matching()[0].name == "one"
    put(table, "one", "0")
    assert runs() == registry.matching()[0].name == "three"
    registry.register(Entry(str(interpreter)))
    assert runs().splitlines()[0] == str(sample)
    assert [entry.name for entry in registry.matching()] == ["usermode-aarch64", "three", "two"]


@isolated
def test_again_comes_before_newer_entries(folder, interpreter) -> None:
    table = mount_table(folder)
    registry = Registry(str(table))
    entry = Entry(str(interpreter))
    registry.register(entry)
    put(table, "register", rival())
    assert registry.register(entry) == UNCHANGED
    assert registry.matching()[0].name == "qemu-aarch64"
    assert registry.register(entry, again=True) == REPLACED
    assert [found.name for found in registry.entries()] == ["usermode-aarch64", "qemu-aarch64"]


@isolated
def test_again_opens_the_new_file(folder, interpreter, sample) -> None:
    """After an upgrade by rename the kernel runs the old file until it is told."""
    table = mount_table(folder)
    installed = folder / "usermode-aarch64"
    shutil.copy(interpreter, installed)
    registry = Registry(str(table))
    registry.register(Entry(str(installed)))

    def runs() -> str:
        with subprocess.Popen([sample], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
            assert process.stdout
            process.stdout.readline()
            return os.readlink(f"/proc/{process.pid}/exe")

    shutil.copy(interpreter, folder / "new")
    os.replace(folder / "new", installed)
    assert runs() == f"{installed} (deleted)"
    registry.register(Entry(str(installed)), again=True)
    assert runs() == str(installed)


@isolated
def test_a_refused_replacement_leaves_the_old_entry(folder, interpreter) -> None:
    registry = Registry(str(mount_table(folder)))
    registry.register(Entry(str(interpreter)))
    with pytest.raises(RegistryError, match="cannot open the interpreter"):
        registry.register(Entry("/nonexistent/usermode-aarch64"))
    assert [found.interpreter for found in registry.entries()] == [str(interpreter)]


@isolated
def test_an_interrupted_replacement_is_cleaned_up(folder, interpreter) -> None:
    registry = Registry(str(mount_table(folder)))
    entry = Entry(str(interpreter))
    registry.register(entry)
    registry.register(Entry(str(interpreter), name="usermode-aarch64.new"))
    registry.register(entry, again=True)
    assert [found.name for found in registry.entries()] == ["usermode-aarch64"]


@isolated
def test_what_a_killed_replacement_left_does_not_stay(folder, interpreter) -> None:
    """The stand-in alone, or beside the entry: programs would go on to be served by it."""
    registry = Registry(str(mount_table(folder)))
    entry, stand_in = Entry(str(interpreter)), Entry(str(interpreter), name="usermode-aarch64.new")
    for before in ([stand_in], [entry, stand_in]):
        for left in before:
            registry.register(left)
        registry.register(entry)
        assert [found.name for found in registry.entries()] == [entry.name]
        registry.register(stand_in)
        if len(before) == 1:
            put(Path(registry.directory), entry.name, "-1")
        assert registry.unregister(entry.name)
        assert registry.entries() == []


@isolated
def test_programs_start_while_the_entry_is_replaced(folder, interpreter, sample) -> None:
    registry = Registry(str(mount_table(folder)))
    entry = Entry(str(interpreter))
    registry.register(entry)
    loop = f"for i in 1 2 3 4 5 6 7 8 9 10; do {sample} </dev/null >/dev/null; echo $?; done"
    with subprocess.Popen(["sh", "-c", loop], stdout=subprocess.PIPE, text=True) as process:
        while process.poll() is None:
            registry.register(entry, again=True)
        assert process.stdout
        assert process.stdout.read().split() == ["23"] * 10


@isolated
def test_two_at_once(folder, interpreter) -> None:
    """Replacements do not get into each other's way."""
    registry = Registry(str(mount_table(folder)))
    entry = Entry(str(interpreter))
    children = []
    for _ in range(4):
        child = os.fork()
        if child == 0:
            try:
                for _ in range(25):
                    registry.register(entry, again=True)
                os._exit(0)
            finally:
                os._exit(1)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0] * 4
    assert [found.name for found in registry.entries()] == ["usermode-aarch64"]


@isolated
def test_systemd_reads_what_we_write(folder, interpreter) -> None:
    """systemd-binfmt itself, on the file that the package will contain."""
    tool = Path("/usr/lib/systemd/systemd-binfmt")
    if not tool.exists():
        pytest.skip("systemd-binfmt is not installed")
    registry = Registry()
    try:
        check(LIBC.mount(b"none", os.fsencode(registry.directory), b"binfmt_misc", 0, None))
    except OSError as error:
        pytest.skip(f"no binfmt_misc of our own here: {error}")
    entry = Entry(str(interpreter), appimage=True)
    (folder / "usermode-aarch64.conf").write_text(render(entry))
    subprocess.run([tool, folder / "usermode-aarch64.conf"], check=True)
    found = registry.find(entry.name)
    assert found is not None
    assert found.same(entry)


@isolated
def test_entries_of_others_are_left_alone(folder, interpreter) -> None:
    table = mount_table(folder)
    registry = Registry(str(table))
    put(table, "register", rival("usermode-aarch64"))
    put(table, "register", rival())
    before = registry.entries()
    for action in (
        lambda: registry.register(Entry(str(interpreter)), again=True),
        lambda: registry.unregister("usermode-aarch64"),
        lambda: registry.switch("usermode-aarch64", False),
        lambda: registry.unregister("qemu-aarch64"),
    ):
        with pytest.raises(RegistryError, match=f"belongs to another interpreter, {RIVAL}"):
            action()
    assert registry.entries() == before


@isolated
def test_switching_and_unregistering(folder, interpreter) -> None:
    registry = Registry(str(mount_table(folder)))
    name = "usermode-aarch64"
    with pytest.raises(RegistryError, match="no entry usermode-aarch64 is registered"):
        registry.switch(name, True)
    assert registry.unregister(name) is False
    registry.register(Entry(str(interpreter)))
    assert registry.switch(name, True) is False
    assert registry.switch(name, False) is True
    assert registry.matching() == []
    assert registry.switch(name, True) is True
    assert [entry.name for entry in registry.matching()] == [name]
    registry.switch_all(False)
    assert not registry.enabled
    assert registry.unregister(name) is True
    assert registry.entries() == []


@isolated
def test_removing_what_is_gone(folder, interpreter) -> None:
    """systemd-binfmt.service flushes the table, perhaps in the middle of a replacement."""
    registry = Registry(str(mount_table(folder)))
    registry.write("gone", REMOVE)
    with pytest.raises(RegistryError, match="is not there"):
        registry.write("gone", b"1")


@isolated
def test_mounting(folder) -> None:
    table = folder / "own"
    table.mkdir()
    registry = Registry(str(table))
    with pytest.raises(RegistryError, match=f"not mounted at {table}"):
        registry.entries()
    try:
        registry.mount()
    except RegistryError as error:
        pytest.skip(error.message)
    assert registry.mounted
    registry.mount()
    with pytest.raises(RegistryError, match="cannot be: No such file or directory"):
        Registry(str(folder / "none")).mount()


@isolated
def test_read_only(folder, interpreter) -> None:
    table = mount_table(folder)
    check(LIBC.mount(b"none", os.fsencode(table), None, MS_REMOUNT_RDONLY, None))
    registry = Registry(str(table))
    assert registry.read_only
    with pytest.raises(RegistryError, match="is read-only here") as caught:
        registry.register(Entry(str(interpreter)))
    assert "on the machine that runs the container" in (caught.value.hint or "")


@isolated
def test_path_with_the_delimiter(folder, interpreter, sample) -> None:
    table = mount_table(folder)
    odd = folder / "a:b|c d"
    odd.mkdir()
    shutil.copy(interpreter, odd / "usermode-aarch64")
    Registry(str(table)).register(Entry(str(odd / "usermode-aarch64")))
    done = subprocess.run([sample], input="", capture_output=True, text=True)
    assert done.returncode == 23


class TestReasons:
    entry = Entry("/usr/libexec/usermode/usermode-aarch64")

    @pytest.mark.parametrize(
        ("number", "message"),
        [
            (errno.EACCES, "no right to write /x"),
            (errno.EPERM, "no right to write /x"),
            (errno.EROFS, "read-only here"),
            (errno.ENOENT, "not there"),
            (errno.EIO, "/x: Input/output error"),
        ],
    )
    def test_writing(self, number, message) -> None:
        error = cannot_write("/x", OSError(number, os.strerror(number)))
        assert message in error.message

    @pytest.mark.parametrize("number", [errno.ENODEV, errno.ENOENT, errno.EPERM, errno.EBUSY])
    def test_mounting(self, number) -> None:
        error = cannot_mount("/x", OSError(number, os.strerror(number)))
        assert error.message.startswith("binfmt_misc is not mounted at /x and cannot be: ")

    @pytest.mark.parametrize(
        ("number", "message"),
        [
            (errno.EEXIST, "was taken"),
            (errno.ENOENT, "cannot open the interpreter"),
            (errno.EACCES, "cannot open the interpreter"),
            (errno.EINVAL, "takes no such entry"),
            (errno.ENOMEM, "refuses usermode-aarch64"),
        ],
    )
    def test_registering(self, number, message) -> None:
        assert message in refused(self.entry, OSError(number, os.strerror(number))).message

    def test_flag_t(self) -> None:
        entry = Entry("/a", flags="OFT")
        error = refused(entry, OSError(errno.EINVAL, "Invalid argument"))
        assert (error.hint, "does not know flag T" in error.message) == ("--flags POF", True)

    def test_old_kernel(self, monkeypatch) -> None:
        monkeypatch.setattr("binfmt.refusal.kernel_version", lambda: (4, 7))
        error = refused(self.entry, OSError(errno.EINVAL, "Invalid argument"))
        assert "too old for flag F" in error.message

    def test_versions(self) -> None:
        assert kernel_version("6.18.44-fc-v657") == (6, 18)
        assert kernel_version("4.4-rc1+") == (4, 4)
        assert kernel_version("5.10-rc1") == (5, 10)


def test_flags_in_words() -> None:
    assert flags_text("POF").startswith("P keeps argv[0], O ")
    assert flags_text("OFT").endswith("T looks like the program itself")
    assert flags_text("X") == "X ?"
    assert flags_text("") == "none"
