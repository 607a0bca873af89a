# SPDX-License-Identifier: GPL-2.0-or-later
"""Which file a guest's path means: the sysroot and the guest's view of /proc.

Two things make a guest's path differ from the host's:

* **The sysroot**, a directory with the guest's libraries. An absolute path that exists inside it
  is taken from there, any other from the host. /proc, /dev and /sys are always the host's.
  Relative paths are the host's too: they start at a directory that was itself found here.
* **The view of /proc.** A few files of the guest's own /proc directory would show the emulator;
  what they show the guest comes from `proc_files.py`.

A path is only asked about here when the core thinks it may need it, and the answer is cheap to
give when it does not: the last component decides.
"""

from __future__ import annotations

import posix
from _struct import pack
from errno import EAGAIN, ENOENT, ENOTDIR

from usermode.kernel import proc_files

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from usermode.kernel.proc_files import Facts

AT_FDCWD = -100
O_DIRECTORY = posix.O_DIRECTORY
O_PATH_CLOEXEC = posix.O_PATH | posix.O_CLOEXEC

_OPENAT2 = 437
"""One number on every CPU (include/uapi/asm-generic/unistd.h: numbers from 424 on are common)."""

_RESOLVE_IN_ROOT = 0x10
"""include/uapi/linux/openat2.h: `/`, `..` and absolute symbolic links stay below the directory."""

_HOST_TREES = (b"proc", b"dev", b"sys")
_PROC_OWN = (b"/proc/self", b"/proc/thread-self")


class Paths:
    """The path rules of one process.

    `host` is the raw system call function: it returns the kernel's value, negative errno included.
    The sysroot is kept by name, not by descriptor: a descriptor would be the guest's to close.
    """

    __slots__ = ("_facts", "_host", "sysroot")

    def __init__(
        self, facts: Facts, host: Callable[..., int], sysroot: bytes | None = None
    ) -> None:
        """Check that the sysroot, if there is one, can be used: OSError when not.

        A sysroot needs openat2(2), which is ENOSYS before Linux 5.6.
        """
        self._facts = facts
        self._host = host
        self.sysroot: bytes | None = None
        if sysroot is not None:
            self.sysroot = sysroot if sysroot[:1] == b"/" else posix.getcwdb() + b"/" + sysroot
            posix.close(self._open_in_sysroot(self.sysroot, b"/", 0))

    def of(self, facts: Facts) -> Paths:
        """Return the same rules for another process, whose facts about itself are `facts`."""
        other = Paths(facts, self._host)
        other.sysroot = self.sysroot
        return other

    def leave_sysroot(self) -> None:
        """Use the host's files alone from now on: chroot(2) made the sysroot unreachable."""
        self.sysroot = None

    def resolve(self, dirfd: int, path: bytes, follow: bool) -> tuple[int, bytes]:
        """The host's (directory descriptor, path) of the file that the guest's `path` names.

        `follow` says whether the call follows a symbolic link in the last component. Raises OSError
        for a path in the sysroot that exists but may not be reached (EACCES, ELOOP, ENAMETOOLONG).
        """
        if follow and path.endswith(b"exe"):
            if self.special(dirfd, path) == b"exe":
                return AT_FDCWD, self._facts.executable_file
            other = self.other_program(dirfd, path)
            if other is not None:
                return AT_FDCWD, other
        sysroot = self.sysroot
        if sysroot is not None and path[:1] == b"/" and not _is_host_tree(path):
            found = self._in_sysroot(sysroot, path, follow)
            if found is not None:
                return AT_FDCWD, found
        return dirfd, path

    def guest_name(self, path: bytes) -> bytes:
        """The guest's name of a directory that the kernel names absolutely: without the sysroot."""
        if self.sysroot is None:
            return path
        root = posix.open(self.sysroot, O_PATH_CLOEXEC | O_DIRECTORY)
        try:
            prefix = posix.readlink(b"/proc/thread-self/fd/%d" % root)
        finally:
            posix.close(root)
        if path == prefix:
            return b"/"
        return path[len(prefix) :] if path.startswith(prefix + b"/") else path

    def special(self, dirfd: int, path: bytes) -> bytes | None:
        """Which file of the guest's /proc view the path names: b"exe", b"maps", …, else None."""
        slash = path.rfind(b"/")
        name = path[slash + 1 :]
        if name not in proc_files.VIEWS:
            return None
        directory = path[:slash] if slash > 0 else path[: slash + 1] or b"."
        if name == b"cpuinfo":
            own = directory == b"/proc" or _proc_parts(dirfd, directory) == []
        elif directory in _PROC_OWN:
            own = directory != _PROC_OWN[0] or not self._facts.first_thread_ended
        else:
            parts = _proc_parts(dirfd, directory)
            own = _is_own(parts) and not self._of_ended_thread(parts)
        return name if own else None

    def _of_ended_thread(self, parts: list[bytes] | None) -> bool:
        """Whether the directory is the first thread's, and that has ended: the host's files say so best."""
        return (
            self._facts.first_thread_ended
            and parts is not None
            and parts[-1] == posix.readlink(b"/proc/self")
        )

    def content(self, name: bytes, host_text: bytes) -> bytes:
        """What the view's file `name` shows; `host_text` is what the host's file of that name says.

        `exe` and `mem` have no content here.
        """
        return proc_files.content(name, self._facts, host_text)

    @property
    def executable(self) -> bytes:
        """The absolute path of the program the guest runs: the target of /proc/self/exe."""
        return self._facts.executable

    @property
    def executable_file(self) -> bytes:
        """A path that opens the program the guest runs."""
        return self._facts.executable_file

    def other_program(self, dirfd: int, path: bytes) -> bytes | None:
        """The target of `path` if that is the `exe` link of another guest's directory in /proc."""
        directory, slash, name = path.rpartition(b"/")
        if name != b"exe":
            return None
        parts = _proc_parts(dirfd, directory + slash or b".")
        if not parts or not parts[0].isdigit():
            return None
        from usermode.kernel.other_guests import program_of

        return program_of(parts[0])

    def _in_sysroot(self, sysroot: bytes, path: bytes, follow: bool) -> bytes | None:
        try:
            descriptor = self._open_in_sysroot(sysroot, path, 0 if follow else posix.O_NOFOLLOW)
        except OSError as error:
            if error.errno in (ENOENT, ENOTDIR):
                return None
            raise
        try:
            found = posix.readlink(b"/proc/thread-self/fd/%d" % descriptor)
        finally:
            posix.close(descriptor)
        # A trailing slash asks for a directory; the link's text has lost it.
        return found + b"/" if path.endswith(b"/") and path.strip(b"/") else found

    def _open_in_sysroot(self, sysroot: bytes, path: bytes, flags: int) -> int:
        how = pack("<QQQ", O_PATH_CLOEXEC | flags, 0, _RESOLVE_IN_ROOT)
        root = posix.open(sysroot, O_PATH_CLOEXEC | O_DIRECTORY)
        try:
            # openat2(2): EAGAIN when a rename elsewhere might have led a `..` out of the root.
            value = -EAGAIN
            while value == -EAGAIN:
                value = self._host(_OPENAT2, root, path, how, len(how))
        finally:
            posix.close(root)
        if value < 0:
            raise OSError(-value, posix.strerror(-value))
        return value


def _is_host_tree(path: bytes) -> bool:
    return path.lstrip(b"/").partition(b"/")[0] in _HOST_TREES


def _proc_parts(dirfd: int, directory: bytes) -> list[bytes] | None:
    """The components of a directory's name below /proc, or None when it is not in /proc's file system."""
    try:
        descriptor = posix.open(directory, O_PATH_CLOEXEC | O_DIRECTORY, dir_fd=dirfd)
    except OSError:
        return None  # the host call that follows meets the same error and reports it
    try:
        if posix.fstat(descriptor).st_dev != posix.stat(b"/proc/self").st_dev:
            return None
        name = posix.readlink(b"/proc/thread-self/fd/%d" % descriptor)
    except OSError:
        return None  # no /proc here, so no file of it either
    finally:
        posix.close(descriptor)
    parts = name.split(b"/")[1:]
    return parts[1:] if parts[0] == b"proc" else None


def _is_own(parts: list[bytes] | None) -> bool:
    """Whether /proc/<parts> is this process's directory or that of one of its threads."""
    if parts is None or not parts or not parts[0].isdigit():
        return False
    if len(parts) != 1 and (len(parts) != 3 or parts[1] != b"task"):
        return False
    if parts[0] == posix.readlink(b"/proc/self"):
        return True
    # /proc/TID is found by name although it is not listed: proc(5).
    try:
        posix.stat(b"/proc/self/task/" + parts[0])
    except OSError:
        return False
    return True
