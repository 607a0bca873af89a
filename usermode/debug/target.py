# SPDX-License-Identifier: GPL-2.0-or-later
"""What the debugger reads of the guest: its memory, threads, auxiliary vector, files."""

from __future__ import annotations

import posix
from errno import EBADF, EFAULT, EINVAL, EISDIR, ENOENT

import _usermode_core as core

from syscalls.host.x86_64 import NUMBERS
from usermode.machine.regions import LIMIT

TYPE_CHECKING = False
if TYPE_CHECKING:
    from usermode.kernel.process import Process

AT_FDCWD = -100
PAGE = 4096
O_ACCMODE = 3
S_IFMT, S_IFDIR = 0o170000, 0o040000
STAT_FIELDS = ("st_dev", "st_ino", "st_mode", "st_nlink", "st_uid", "st_gid", "st_rdev")


class Memory:
    """The guest's memory as a debugger sees it: also what the guest itself may not read or write."""

    __slots__ = ("_process",)

    def __init__(self, process: Process) -> None:
        self._process = process

    def read(self, address: int, size: int) -> bytes:
        """Read what there is of a range, up to the first page that is not mapped. Raises OSError for nothing."""
        try:
            return core.read(address, size)
        except OSError:
            data = b""
            while size:
                piece = min(size, PAGE - address % PAGE)
                try:
                    data += self._read_page(address, piece)
                except OSError:
                    if data:
                        return data
                    raise
                address += piece
                size -= piece
            return data

    def _read_page(self, address: int, size: int) -> bytes:
        try:
            return core.read(address, size)
        except OSError:
            fd = self._open(address, size, posix.O_RDONLY)
        try:
            return posix.pread(fd, size, address)
        finally:
            posix.close(fd)

    def write(self, address: int, data: bytes) -> None:
        """Write, as ptrace(2) does also to pages that are not writable. Raises OSError."""
        try:
            core.write(address, data)
            return
        except OSError:
            fd = self._open(address, len(data), posix.O_RDWR)
        try:
            if posix.pwrite(fd, data, address) != len(data):
                raise OSError(EFAULT, "")
        finally:
            posix.close(fd)
        self._process.space.forget_code(address, len(data))

    def _open(self, address: int, size: int, flags: int) -> int:
        """Open our own memory, which is the guest's, for a range that is one mapping's of the guest."""
        region = self._process.space.region_at(address) if address < LIMIT else None
        last = self._process.space.region_at(address + size - 1) if region else None
        if region is None or last is None or address + size > LIMIT:
            raise OSError(EFAULT, "")
        return posix.open("/proc/self/mem", flags | posix.O_CLOEXEC)


class Files:
    """The files that the debugger opens, by the guest's paths: vFile packets, for reading only.

    A handle stands for a path, or for the text of the guest's view of /proc. A file is open only while it is read: a
    descriptor would be in the guest's way, and the guest's to close.
    """

    __slots__ = ("_open", "_process")

    def __init__(self, process: Process) -> None:
        self._process = process
        self._open: dict[int, _Path | bytes] = {}

    def open(self, path: bytes, flags: int) -> int:
        """Open a file for reading. Raises OSError."""
        if flags & O_ACCMODE:
            raise OSError(EINVAL, "")
        paths = self._process.paths
        file = _Path(paths.resolve(AT_FDCWD, path, True)[1])
        with file as fd:
            if posix.fstat(fd).st_mode & S_IFMT == S_IFDIR:
                raise OSError(EISDIR, "")
            view = paths.special(AT_FDCWD, path)
            text = None if view in (None, b"exe", b"mem") else _read_all(fd)
        handle = next(i for i in range(len(self._open) + 1) if i not in self._open)
        self._open[handle] = file if view is None or text is None else paths.content(view, text)
        return handle

    def state(self) -> list[tuple[int, bytes]]:
        """Return (handle, host path) of the open files, for the next program: debuggers keep them over execve(2)."""
        return [(i, file.path) for i, file in self._open.items() if isinstance(file, _Path)]

    def restore(self, handle: int, path: bytes) -> None:
        """Take over what state() returned."""
        self._open[handle] = _Path(path)

    def _get(self, handle: int) -> _Path | bytes:
        try:
            return self._open[handle]
        except KeyError:
            raise OSError(EBADF, "") from None

    def read(self, handle: int, size: int, offset: int) -> bytes:
        """pread(2). Raises OSError."""
        file = self._get(handle)
        if isinstance(file, bytes):
            return file[offset : offset + size]
        with file as fd:
            return posix.pread(fd, size, offset)

    def close(self, handle: int) -> None:
        """close(2). Raises OSError."""
        self._get(handle)
        del self._open[handle]

    def stat(self, handle: int) -> bytes:
        """fstat(2): a struct stat of the protocol, big-endian (gdb's manual, E.13.9). Raises OSError."""
        file = self._get(handle)
        if isinstance(file, bytes):
            return bytes(28) + len(file).to_bytes(8, "big") + bytes(28)
        with file as fd:
            found = posix.fstat(fd)
        words = b"".join(
            (getattr(found, name) & 0xFFFFFFFF).to_bytes(4, "big") for name in STAT_FIELDS
        )
        times = b"".join(
            (int(t) & 0xFFFFFFFF).to_bytes(4, "big")
            for t in (found.st_atime, found.st_mtime, found.st_ctime)
        )
        sizes = (found.st_size, found.st_blksize, found.st_blocks)
        return words + b"".join(size.to_bytes(8, "big") for size in sizes) + times

    def read_link(self, path: bytes) -> bytes:
        """readlink(2). Raises OSError."""
        paths = self._process.paths
        if paths.special(AT_FDCWD, path) == b"exe":
            return paths.guest_name(paths.executable)
        directory, name = paths.resolve(AT_FDCWD, path, False)
        return posix.readlink(name, dir_fd=directory if directory >= 0 else None)


class _Path:
    """A host file by its path: `with` opens it, and gives the descriptor."""

    __slots__ = ("_fd", "path")

    def __init__(self, path: bytes) -> None:
        self.path = path
        self._fd = -1

    def __enter__(self) -> int:
        self._fd = posix.open(self.path, posix.O_RDONLY | posix.O_CLOEXEC | posix.O_NONBLOCK)
        return self._fd

    def __exit__(self, *unused: object) -> None:
        posix.close(self._fd)


def _read_all(fd: int) -> bytes:
    text = b""
    while piece := posix.read(fd, 1 << 16):
        text += piece
    return text


def thread_name(pid: int, tid: int) -> bytes:
    """Return a thread's name, b"" where /proc does not tell."""
    try:
        fd = posix.open(f"/proc/{pid}/task/{tid}/comm", posix.O_RDONLY | posix.O_CLOEXEC)
    except OSError as error:
        if error.errno == ENOENT:
            return b""
        raise
    try:
        return posix.read(fd, 64).rstrip(b"\n")
    finally:
        posix.close(fd)


def kill(pid: int) -> None:
    """End the process, and so the caller."""
    core.host_call(NUMBERS["kill"], pid, 9)
