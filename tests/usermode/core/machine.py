# SPDX-License-Identifier: GPL-2.0-or-later
"""Small guests for tests of the C core: a few instructions in a page, run on an engine of the calling thread."""

from __future__ import annotations

import hashlib
import mmap
import os
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

import pytest

from syscalls.host.x86_64 import NUMBERS
from tests.support import BUILD

PAGE = 4096
READ, WRITE, EXECUTE = 1, 2, 4
SP, PC = 31, 32
FREE = 1 << 45
"""Where the guests of these tests live: free in any Python, also under AddressSanitizer, whose shadow lies below."""

SIG_SETMASK = 2
ASSEMBLER = "aarch64-linux-gnu-as"

_next_address = FREE


def assemble(source: str) -> bytes:
    """Return the machine code of AArch64 assembly; kept in build/guest under a hash of the source."""
    text = f".arch armv8.5-a+lse+crypto\n{source}\n"
    cached = BUILD / "guest" / f"asm-{hashlib.sha256(text.encode()).hexdigest()[:16]}.bin"
    if not cached.exists():
        if not shutil.which(ASSEMBLER):
            pytest.skip(f"{ASSEMBLER} is missing: run `make`")
        cached.parent.mkdir(parents=True, exist_ok=True)
        unlinked = cached.with_suffix(f".{os.getpid()}.{threading.get_ident()}.o")
        new = unlinked.with_suffix(".new")
        done = subprocess.run(
            [ASSEMBLER, "-o", unlinked, "-"], input=text, capture_output=True, text=True
        )
        assert done.returncode == 0, f"{source}\n{done.stderr}"
        subprocess.run(
            [ASSEMBLER.replace("-as", "-objcopy"), "-O", "binary", unlinked, new], check=True
        )
        unlinked.unlink()
        new.rename(cached)
    return cached.read_bytes()


class Space:
    """Guest memory of one test. The host's rights are read and write, but for protect_host()."""

    def __init__(self, core: ModuleType) -> None:
        self.core = core
        self._mapped: list[tuple[int, int]] = []

    def map(self, size: int, permission: int, fd: int = -1, offset: int = 0) -> int:
        """Map fresh memory, or a file shared, with a hole behind it. Returns the address."""
        global _next_address
        address = _next_address
        pages = -(-size // PAGE)
        _next_address += (pages + 16) * PAGE
        flags = (mmap.MAP_SHARED if fd >= 0 else mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) | 0x10
        rights = mmap.PROT_READ | mmap.PROT_WRITE
        got = self.core.host_call(NUMBERS["mmap"], address, pages * PAGE, rights, flags, fd, offset)
        assert got == address, got
        self._mapped.append((address, pages * PAGE))
        self.protect(address, pages * PAGE, permission)
        return address

    def protect(self, address: int, size: int, permission: int) -> None:
        self.core.protect(address, address + -(-size // PAGE) * PAGE, permission)

    def protect_host(self, address: int, size: int, permission: int) -> None:
        """Change the host's rights as well, as the address space does: the guest's own accesses heed those."""
        pages = -(-size // PAGE) * PAGE
        self.protect(address, size, permission)
        assert not self.core.host_call(NUMBERS["mprotect"], address, pages, permission & 3)

    def peek(self, address: int, size: int) -> bytes:
        """Return the contents of pages, whatever their rights."""
        with open("/proc/self/mem", "rb", buffering=0) as memory:
            memory.seek(address)
            return memory.read(size)

    def poke(self, address: int, value: int) -> None:
        """Set a 64-bit word, whatever its page's rights."""
        with open("/proc/self/mem", "r+b", buffering=0) as memory:
            memory.seek(address)
            memory.write(value.to_bytes(8, "little"))

    def code(self, source: str, permission: int = READ | EXECUTE) -> int:
        """Map assembled code. Returns its address."""
        code = assemble(source)
        address = self.map(len(code), permission)
        self.core.write(address, code)
        return address

    def word(self, address: int, value: int | None = None) -> int:
        """Return the 64-bit word at an address, or set it."""
        if value is not None:
            self.core.write(address, value.to_bytes(8, "little"))
        return int.from_bytes(self.core.read(address, 8), "little")

    def close(self) -> None:
        for address, size in self._mapped:
            self.core.protect(address, address + size, 0)
            self.core.host_call(NUMBERS["munmap"], address, size)


def run(engine: Any, pc: int, **registers: int) -> Any:
    """Set registers (x0=…, sp=…), run from `pc`; returns what Engine.run() does."""
    for name, value in registers.items():
        engine.set(SP if name == "sp" else int(name[1:]), value)
    engine.set(PC, pc)
    return engine.run()


def set_mask(core: ModuleType, mask: int) -> None:
    """Set the calling thread's host signal mask."""
    core.host_call(NUMBERS["rt_sigprocmask"], SIG_SETMASK, mask.to_bytes(8, "little"), 0, 8)


class Thread(threading.Thread):
    """A thread whose exception, if any, is raised by join(); an assertion fails when it does not end in time."""

    def __init__(self, body: Callable[[], object]) -> None:
        super().__init__(daemon=True)
        self._body = body
        self._error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self._body()
        except BaseException as error:  # noqa: BLE001
            self._error = error

    def join(self, timeout: float | None = 100) -> None:
        super().join(timeout)
        assert not self.is_alive(), "a guest thread does not end"
        if self._error:
            raise self._error


def together(*bodies: Callable[[], object]) -> None:
    """Run functions in threads of their own, all at once, and wait for them."""
    threads = [Thread(body) for body in bodies]
    for thread in threads:
        thread.join()


def opened(core: ModuleType) -> Iterator[Any]:
    """Yield an engine of the calling thread and close it."""
    engine = core.Engine()
    try:
        yield engine
    finally:
        engine.close()
