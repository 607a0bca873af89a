# SPDX-License-Identifier: GPL-2.0-or-later
"""Core files read by pyelftools."""

from __future__ import annotations

from pathlib import Path
from struct import unpack_from
from typing import Any

from elftools.elf.elffile import ELFFile


class Dump:
    """A core file: its mappings, and of each thread the notes by name."""

    def __init__(self, path: Path) -> None:
        self.data = path.read_bytes()
        with path.open("rb") as file:
            elf = ELFFile(file)
            assert elf["e_type"] == "ET_CORE"
            assert elf.get_machine_arch() == "AArch64"
            segments = list(elf.iter_segments())
            self.loads = [segment.header for segment in segments if segment["p_type"] == "PT_LOAD"]
            notes = [
                note
                for segment in segments
                if segment["p_type"] == "PT_NOTE"
                for note in segment.iter_notes()
            ]
        self.threads: list[dict[str, Any]] = []
        for note in notes:
            kind = note["n_type"]
            if kind == "NT_PRSTATUS":
                self.threads.append({})
            self.threads[-1][str(kind)] = note
        self.symbols: dict[str, int] = {}

    def raw(self, kind: str, thread: int = 0) -> bytes:
        """The content of a note."""
        note = self.threads[thread][kind]
        start = note["n_offset"] + 12 + (note["n_namesz"] + 3 & -4)
        return self.data[start : start + note["n_descsz"]]

    def registers(self, thread: int = 0) -> tuple[int, ...]:
        """x0 … x30, sp, pc, pstate."""
        return unpack_from("<34Q", self.raw("NT_PRSTATUS", thread), 112)

    def load(self, address: int) -> Any:
        """The program header of the mapping at an address."""
        (found,) = (
            load
            for load in self.loads
            if load["p_vaddr"] <= address < load["p_vaddr"] + load["p_memsz"]
        )
        return found

    def text(self, address: int) -> bytes | None:
        """The string at an address, None if it is not dumped."""
        load = self.load(address)
        offset = address - load["p_vaddr"]
        if offset >= load["p_filesz"]:
            return None
        start = load["p_offset"] + offset
        return self.data[start : start + 100].split(b"\0")[0]
