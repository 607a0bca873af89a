# SPDX-License-Identifier: GPL-2.0-or-later
"""How a trace prints the values of arguments: one function for each `shown` word of `kinds.py`.

Each takes the call being shown, the register's value and the word's detail, and returns text in the
form of strace(1). Memory that cannot be read is shown as its address.
"""

from __future__ import annotations

from _struct import unpack, unpack_from

from syscalls.trace_names import CHOICES, FLAGS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from syscalls.protocols import Memory

STRING_LIMIT = 32
"""strace -s: so much of a string is shown."""

ARRAY_LIMIT = 32

_ESCAPES = {9: "\\t", 10: "\\n", 11: "\\v", 12: "\\f", 13: "\\r", 34: '\\"', 92: "\\\\"}
_STANDARD_SIGNALS = 31
_O_MAKES = 0o20000100
"""O_CREAT and O_TMPFILE."""


class View:
    """The call being shown. `result` is None before it is made; `index` is the argument shown."""

    __slots__ = ("arguments", "index", "memory", "result")

    def __init__(self, memory: Memory, arguments: tuple[int, ...]) -> None:
        self.memory = memory
        self.arguments = arguments
        self.index = 0
        self.result: int | None = None

    @property
    def following(self) -> int:
        """The value of the next argument, mostly a size or a count."""
        return self.arguments[self.index + 1]


def signed(value: int, bits: int = 32) -> int:
    """The value of the low `bits` bits as a signed number."""
    sign = 1 << bits - 1
    return (value & (sign << 1) - 1 ^ sign) - sign


def quoted(data: bytes, more: bool = False) -> str:
    """Text in quotes, escaped as strace does: octal, of one digit where no digit follows."""
    shown = data[:STRING_LIMIT]
    parts = []
    for position, byte in enumerate(shown):
        if byte in _ESCAPES:
            parts.append(_ESCAPES[byte])
        elif 32 <= byte < 127:
            parts.append(chr(byte))
        else:
            digit_follows = shown[position + 1 : position + 2].isdigit()
            parts.append(f"\\{byte:03o}" if digit_follows else f"\\{byte:o}")
    dots = "..." if more or len(data) > STRING_LIMIT else ""
    return f'"{"".join(parts)}"{dots}'


def named_flags(value: int, names: dict[int, str]) -> str:
    """Flags joined by |, with what has no name in hexadecimal."""
    if not value:
        return names.get(0, "0")
    parts = []
    for bits, name in names.items():
        if bits and value & bits == bits:
            parts.append(name)
            value &= ~bits
    if value:
        parts.append(f"{value:#x}")
    return "|".join(parts)


def signal_name(number: int) -> str:
    """SIGINT, or SIGRT_3 for a real-time signal."""
    if number > _STANDARD_SIGNALS:
        return f"SIGRT_{number - _STANDARD_SIGNALS - 1}"
    return CHOICES["SIGNAL"].get(number, str(number))


def signal_set(mask: int) -> str:
    """[INT CHLD]; ~[…] when most signals are in the set."""
    members = [n for n in range(1, 65) if mask >> n - 1 & 1]
    sign = ""
    if len(members) > _STANDARD_SIGNALS + 1:
        members = [n for n in range(1, 65) if not mask >> n - 1 & 1]
        sign = "~"
    names = (signal_name(n).removeprefix("SIG") for n in members)
    return f"{sign}[{' '.join(names)}]"


def open_flags(value: int) -> str:
    """O_ flags with the access mode first."""
    rest = named_flags(value & ~3, FLAGS["OPEN_FLAGS"])
    access = ("O_RDONLY", "O_WRONLY", "O_RDWR", "O_ACCMODE")[value & 3]
    return access if rest == "0" else f"{access}|{rest}"


def file_mode(value: int) -> str:
    """S_IFREG|0644."""
    kind = CHOICES["FILE_TYPE"].get(value & 0o170000, "")
    return f"{kind}|{octal(value & 0o7777)}" if kind else octal(value)


def octal(value: int) -> str:
    """At least three digits with a zero before them, as modes are shown."""
    return f"0{value:03o}" if value > 0o77 else f"{value:03o}"


def pointer(value: int) -> str:
    """NULL or a hexadecimal address."""
    return f"{value:#x}" if value else "NULL"


def device(value: int) -> str:
    """A device number as sys/sysmacros.h takes it apart."""
    major = value >> 8 & 0xFFF | value >> 32 & ~0xFFF
    minor = value & 0xFF | value >> 12 & ~0xFF
    return f"makedev({major:#x}, {minor:#x})"


# From here on: the words.


def _int(_view: View, value: int, _detail: str) -> str:
    return str(signed(value))


def _long(_view: View, value: int, _detail: str) -> str:
    return str(signed(value, 64))


def _uint(_view: View, value: int, _detail: str) -> str:
    return str(value)


def _hex(_view: View, value: int, _detail: str) -> str:
    return f"{value:#x}" if value else "0"


def _id(_view: View, value: int, _detail: str) -> str:
    return str(value & 0xFFFFFFFF) if value & 0xFFFFFFFF != 0xFFFFFFFF else "-1"


def _dirfd(_view: View, value: int, _detail: str) -> str:
    return "AT_FDCWD" if signed(value) == -100 else str(signed(value))


def _mode(_view: View, value: int, _detail: str) -> str:
    return file_mode(value & 0xFFFFFFFF)


def _open_mode(view: View, value: int, _detail: str) -> str | None:
    flags = view.arguments[view.index - 1]
    return file_mode(value & 0xFFFFFFFF) if flags & _O_MAKES else None


def _device(_view: View, value: int, _detail: str) -> str:
    return device(value & 0xFFFFFFFF)


def _signal(_view: View, value: int, _detail: str) -> str:
    number = signed(value)
    return signal_name(number) if 0 < number <= 64 else str(number)


def _key(_view: View, value: int, _detail: str) -> str:
    return f"{value & 0xFFFFFFFF:#x}" if value & 0xFFFFFFFF else "IPC_PRIVATE"


def _address(_view: View, value: int, _detail: str) -> str:
    return pointer(value)


def _flags(_view: View, value: int, detail: str) -> str:
    return named_flags(value, FLAGS[detail])


def _choice(_view: View, value: int, detail: str) -> str:
    number = signed(value)
    return CHOICES[detail].get(number, str(number) if abs(number) < 1024 else f"{number:#x}")


def _open_flags(_view: View, value: int, _detail: str) -> str:
    return open_flags(value & 0xFFFFFFFF)


def _descriptor_flags(_view: View, value: int, _detail: str) -> str:
    return named_flags(value & 0xFFFFFFFF, FLAGS["OPEN_FLAGS"])


def _clone_flags(_view: View, value: int, _detail: str) -> str:
    names = named_flags(value & ~0xFF, FLAGS["CLONE_FLAGS"])
    signal = value & 0xFF
    if not signal:
        return names
    return signal_name(signal) if names == "0" else f"{names}|{signal_name(signal)}"


def _socket_type(_view: View, value: int, _detail: str) -> str:
    kind = CHOICES["SOCKET_TYPE"].get(value & 0xF, str(value & 0xF))
    rest = named_flags(value & ~0xF & 0xFFFFFFFF, FLAGS["SOCKET_FLAGS"])
    return kind if rest == "0" else f"{kind}|{rest}"


def _ipc_flags(_view: View, value: int, _detail: str) -> str:
    names = named_flags(value & 0xFFFFFE00, FLAGS["IPC_FLAGS"])
    mode = value & 0o777
    if names == "0":
        return octal(mode) if mode else "0"
    return f"{names}|{octal(mode)}" if mode else names


def _string(view: View, value: int, _detail: str) -> str:
    if not value:
        return "NULL"
    return quoted(view.memory.read_string(value, 1 << 20))


def _bytes(view: View, value: int, detail: str) -> str:
    size = view.following if detail == "next" else view.result
    if not value or size is None:
        return pointer(value)
    if not size:
        return '""'
    return quoted(view.memory.read(value, min(size, STRING_LIMIT)), size > STRING_LIMIT)


def pointers(memory: Memory, address: int) -> list[int]:
    """The addresses in an array that a NULL ends."""
    found = []
    while word := int.from_bytes(memory.read(address, 8), "little"):
        found.append(word)
        address += 8
    return found


def _strings(view: View, value: int, _detail: str) -> str:
    if not value:
        return "NULL"
    addresses = pointers(view.memory, value)
    shown = [quoted(view.memory.read_string(a, 1 << 20)) for a in addresses[:ARRAY_LIMIT]]
    return f"[{', '.join(shown)}{', ...' if len(addresses) > ARRAY_LIMIT else ''}]"


def _environment(view: View, value: int, _detail: str) -> str:
    count = len(pointers(view.memory, value)) if value else 0
    return f"{pointer(value)} /* {count} vars */" if value else "NULL"


def pointed_int(view: View, value: int, _detail: str = "") -> str:
    """[5], the number at an address, or NULL."""
    return f"[{unpack('<i', view.memory.read(value, 4))[0]}]" if value else "NULL"


def _pointed_long(view: View, value: int, _detail: str) -> str:
    return f"[{unpack('<q', view.memory.read(value, 8))[0]}]" if value else "NULL"


def _fd_pair(view: View, value: int, _detail: str) -> str:
    first, second = unpack("<ii", view.memory.read(value, 8))
    return f"[{first}, {second}]"


def _sigset(view: View, value: int, _detail: str) -> str:
    return signal_set(unpack("<Q", view.memory.read(value, 8))[0]) if value else "NULL"


def _wait_status(view: View, value: int, _detail: str) -> str:
    if not value or not view.result:
        return pointer(value)
    status = unpack_from("<I", view.memory.read(value, 4))[0]
    low = status & 0x7F
    if status == 0xFFFF:
        return "[{WIFCONTINUED(s)}]"
    if not low:
        return f"[{{WIFEXITED(s) && WEXITSTATUS(s) == {status >> 8 & 0xFF}}}]"
    if low == 0x7F:
        return f"[{{WIFSTOPPED(s) && WSTOPSIG(s) == {signal_name(status >> 8 & 0xFF)}}}]"
    core = " && WCOREDUMP(s)" if status & 0x80 else ""
    return f"[{{WIFSIGNALED(s) && WTERMSIG(s) == {signal_name(low)}{core}}}]"


def _hidden(_view: View, _value: int, _detail: str) -> None:
    return None


WORDS: dict[str, Callable[[View, int, str], str | None]] = {
    "address": _address,
    "bytes": _bytes,
    "choice": _choice,
    "clone_flags": _clone_flags,
    "descriptor_flags": _descriptor_flags,
    "device": _device,
    "dirfd": _dirfd,
    "environment": _environment,
    "fd": _int,
    "fd_pair": _fd_pair,
    "flags": _flags,
    "hex": _hex,
    "hidden": _hidden,
    "id": _id,
    "int": _int,
    "ipc_flags": _ipc_flags,
    "key": _key,
    "long": _long,
    "mode": _mode,
    "open_flags": _open_flags,
    "open_mode": _open_mode,
    "pointed_int": pointed_int,
    "pointed_long": _pointed_long,
    "signal": _signal,
    "sigset": _sigset,
    "socket_type": _socket_type,
    "string": _string,
    "strings": _strings,
    "uint": _uint,
    "wait_status": _wait_status,
}
"""The words that need nothing else; `trace_structs.py` and `trace_operations.py` have the others.

None: the argument is not shown.
"""
