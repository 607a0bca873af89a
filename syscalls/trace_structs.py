# SPDX-License-Identifier: GPL-2.0-or-later
"""How a trace prints structures in memory; the layouts are those of `arch/generic64/structs.py`."""

from __future__ import annotations

from _struct import unpack_from

from syscalls import trace_values
from syscalls.arch.generic64.structs import DIFFERENT, SAME
from syscalls.trace_names import CHOICES, FLAGS
from syscalls.trace_values import (
    ARRAY_LIMIT,
    STRING_LIMIT,
    View,
    device,
    file_mode,
    named_flags,
    octal,
    open_flags,
    pointer,
    quoted,
    signal_name,
    signal_set,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Fields = dict[str, int]
    Text = dict[str, bytes]

_INFINITY = (1 << 64) - 1
_KIBIBYTE = 1024
_UTIME_NOW = 0x3FFFFFFF
_UTIME_OMIT = 0x3FFFFFFE
_SIGSET_SIZE = 8
_AF_UNIX, _AF_INET, _AF_INET6 = 1, 2, 10
_SIGCHLD = 17
_FAULTS = (4, 5, 7, 8, 11)  # SIGILL, SIGTRAP, SIGBUS, SIGFPE, SIGSEGV


def _layout(name: str) -> tuple[int, dict[str, tuple[int, str]]]:
    return DIFFERENT.get(name) or SAME[name]


def has_layout(name: str) -> bool:
    """Whether there is a layout of that name."""
    return name in DIFFERENT or name in SAME


def fields(name: str, data: bytes) -> Fields:
    """The numeric fields of a structure, in the guest's layout."""
    layout = _layout(name)[1].items()
    numbers = ((field, o, code) for field, (o, code) in layout if not code.endswith("s"))
    return {field: unpack_from(f"<{code}", data, offset)[0] for field, offset, code in numbers}


def texts(name: str, data: bytes) -> Text:
    """The fields of a structure that are byte arrays, each up to a NUL."""
    layout = _layout(name)[1].items()
    arrays = ((field, o, code) for field, (o, code) in layout if code.endswith("s"))
    return {field: unpack_from(code, data, o)[0].split(b"\0")[0] for field, o, code in arrays}


def show_struct(view: View, address: int, name: str) -> str:
    """A structure by name, or NULL. Raises OSError when it cannot be read."""
    if not address:
        return "NULL"
    data = view.memory.read(address, _layout(name)[0])
    if name == "utsname":
        return braces({field: quoted(text) for field, text in texts(name, data).items()})
    special = _SPECIAL.get(name)
    values = fields(name, data)
    return special(values) if special is not None else braces(values)


def braces(values: Mapping[str, int | str]) -> str:
    """{field=value, …}; a field named a.b is shown as b inside of a."""
    parts: list[str] = []
    outer = ""
    for field, value in values.items():
        group, _, inner = field.rpartition(".")
        if group and group == outer:
            parts[-1] = f"{parts[-1][:-1]}, {inner}={value}}}"
        else:
            parts.append(f"{group}={{{inner}={value}}}" if group else f"{inner}={value}")
        outer = group
    return f"{{{', '.join(parts)}}}"


def _stat(v: Fields) -> str:
    mode = v["st_mode"]
    if mode & 0o170000 in (0o020000, 0o060000):
        return f"{{st_mode={file_mode(mode)}, st_rdev={device(v['st_rdev'])}, ...}}"
    return f"{{st_mode={file_mode(mode)}, st_size={v['st_size']}, ...}}"


def _statx(v: Fields) -> str:
    mask = named_flags(v["stx_mask"], FLAGS["STATX_MASK"])
    mode = file_mode(v["stx_mode"])
    return f"{{stx_mask={mask}, stx_mode={mode}, stx_size={v['stx_size']}, ...}}"


def _statfs(v: Fields) -> str:
    shown = ("f_bsize", "f_blocks", "f_bfree", "f_bavail", "f_files", "f_ffree", "f_namelen")
    rest = ", ".join(f"{name}={v[name]}" for name in shown)
    return f"{{f_type={v['f_type']:#x}, {rest}, ...}}"


def _limit(value: int) -> str:
    if value == _INFINITY:
        return "RLIM64_INFINITY"
    if value > _KIBIBYTE and value % _KIBIBYTE == 0:
        return f"{value // _KIBIBYTE}*1024"
    return str(value)


def _rlimit(v: Fields) -> str:
    current, most = _limit(v["rlim_cur"]), _limit(v["rlim_max"])
    return f"{{rlim_cur={current}, rlim_max={most}}}"


def _rusage(v: Fields) -> str:
    times = {k: value for k, value in v.items() if "time" in k}
    return f"{braces(times)[:-1]}, ...}}"


def _sysinfo(v: Fields) -> str:
    shown = ("uptime", "totalram", "freeram", "procs", "mem_unit")
    return braces({name: v[name] for name in shown})


def _epoll_event(v: Fields) -> str:
    events = named_flags(v["events"], FLAGS["EPOLL_EVENTS"])
    data = v["data"]
    return f"{{events={events}, data={{u32={data & 0xFFFFFFFF}, u64={data}}}}}"


def _sigaction(v: Fields) -> str:
    handler = v["sa_handler"]
    shown = ("SIG_DFL", "SIG_IGN")[handler] if handler < 2 else f"{handler:#x}"
    flags = v["sa_flags"]
    text = (
        f"{{sa_handler={shown}, sa_mask={signal_set(v['sa_mask'])}, "
        f"sa_flags={named_flags(flags, FLAGS['SA_FLAGS'])}"
    )
    restorer = f", sa_restorer={v['sa_restorer']:#x}" if flags & 0x4000000 else ""
    return f"{text}{restorer}}}"


def show_siginfo(data: bytes) -> str:
    """What strace shows of a siginfo_t of 128 bytes."""
    return _siginfo(fields("siginfo", data))


def _siginfo(v: Fields) -> str:
    number, code = v["si_signo"], v["si_code"]
    name = signal_name(number)
    # Codes above 0, but for SI_KERNEL, are each signal's own.
    own = CHOICES.get(f"{name}_CODE", {}) if code > 0 else {}
    shown = own.get(code) or CHOICES["SI_CODE"].get(code) or str(code)
    text = f"{{si_signo={name}, si_code={shown}"
    if number in _FAULTS and code > 0:
        return f"{text}, si_addr={pointer(v['si_addr'])}}}"
    text = f"{text}, si_pid={v['si_pid']}, si_uid={v['si_uid']}"
    if number == _SIGCHLD and code > 0:
        text = f"{text}, si_status={v['si_status']}"
    return f"{text}}}"


def _stack(v: Fields) -> str:
    flags = named_flags(v["ss_flags"] & 0xFFFFFFFF, FLAGS["SS_FLAGS"])
    return f"{{ss_sp={pointer(v['ss_sp'])}, ss_flags={flags}, ss_size={v['ss_size']}}}"


def _sigevent(v: Fields) -> str:
    notify = CHOICES["SIGEV_NOTIFY"].get(v["sigev_notify"], str(v["sigev_notify"]))
    name = signal_name(v["sigev_signo"])
    return f"{{sigev_signo={name}, sigev_notify={notify}, ...}}"


def _open_how(v: Fields) -> str:
    resolve = named_flags(v["resolve"], FLAGS["RESOLVE_FLAGS"])
    mode = f", mode={octal(v['mode'])}" if v["mode"] else ""
    return f"{{flags={open_flags(v['flags'])}{mode}, resolve={resolve}}}"


def _clone_args(v: Fields) -> str:
    parts = [f"flags={named_flags(v['flags'], FLAGS['CLONE_FLAGS'])}"]
    for name, value in v.items():
        if name == "exit_signal":
            parts.append(f"exit_signal={signal_name(value) if value else 0}")
        elif name != "flags" and (value or name in ("stack", "stack_size")):
            parts.append(f"{name}={pointer(value)}")
    return f"{{{', '.join(parts)}}}"


def _struct(view: View, value: int, detail: str) -> str:
    return show_struct(view, value, detail)


def _epoll_events(view: View, value: int, _detail: str) -> str:
    count = view.result or 0
    data = view.memory.read(value, 16 * count) if count else b""
    parts = data[: 16 * ARRAY_LIMIT]
    shown = [_epoll_event(fields("epoll_event", parts[i:])) for i in range(0, len(parts), 16)]
    return f"[{', '.join(shown)}{', ...' if count > ARRAY_LIMIT else ''}]"


def _utimes(view: View, value: int, _detail: str) -> str:
    if not value:
        return "NULL"
    special = {_UTIME_NOW: "UTIME_NOW", _UTIME_OMIT: "UTIME_OMIT"}
    words = unpack_from("<qqqq", view.memory.read(value, 32))
    shown = [
        special.get(nsec, f"{{tv_sec={sec}, tv_nsec={nsec}}}")
        for sec, nsec in (words[:2], words[2:])
    ]
    return f"[{', '.join(shown)}]"


def _iovec(view: View, value: int, detail: str) -> str:
    return _vector(view, value, view.following, detail)


def _vector(view: View, address: int, count: int, detail: str) -> str:
    if not address or (detail == "out" and view.result is None):
        return pointer(address)
    left = view.result or 0
    shown = []
    for index in range(min(count, ARRAY_LIMIT)):
        base, length = unpack_from("<QQ", view.memory.read(address + 16 * index, 16))
        filled = min(length, left) if detail == "out" else length
        left -= filled
        data = view.memory.read(base, min(filled, STRING_LIMIT)) if filled else b""
        shown.append(f"{{iov_base={quoted(data, filled > STRING_LIMIT)}, iov_len={length}}}")
    return f"[{', '.join(shown)}{', ...' if count > ARRAY_LIMIT else ''}]"


def _msghdr(view: View, value: int, detail: str) -> str:
    if not value or (detail == "out" and view.result is None):
        return pointer(value)
    v = fields("msghdr", view.memory.read(value, 56))
    name = _socket_address(view, v["msg_name"], v["msg_namelen"])
    vector = _vector(view, v["msg_iov"], v["msg_iovlen"], detail)
    control = f"msg_control={pointer(v['msg_control'])}, " if v["msg_controllen"] else ""
    return (
        f"{{msg_name={name}, msg_namelen={v['msg_namelen']}, msg_iov={vector}, "
        f"msg_iovlen={v['msg_iovlen']}, {control}msg_controllen={v['msg_controllen']}, "
        f"msg_flags={named_flags(v['msg_flags'], FLAGS['MSG_FLAGS'])}}}"
    )


def _sockaddr(view: View, value: int, detail: str) -> str:
    if not value:
        return "NULL"
    size = view.following
    if detail == "out":
        size = unpack_from("<I", view.memory.read(view.following, 4))[0] if view.following else 0
    return _socket_address(view, value, size)


def _socket_address(view: View, address: int, size: int) -> str:
    if not address:
        return "NULL"
    if size < 2:
        return pointer(address)
    data = view.memory.read(address, min(size, 128))
    family = unpack_from("<H", data)[0]
    name = CHOICES["SOCKET_FAMILY"].get(family, str(family))
    if family == _AF_UNIX:
        path = data[2:]
        text = f"@{quoted(path[1:])}" if path[:1] == b"\0" else quoted(path.split(b"\0")[0])
        return f"{{sa_family=AF_UNIX, sun_path={text}}}" if path else "{sa_family=AF_UNIX}"
    if family == _AF_INET and len(data) >= 8:
        port, host = unpack_from(">H", data, 2)[0], ".".join(map(str, data[4:8]))
        return f'{{sa_family=AF_INET, sin_port=htons({port}), sin_addr=inet_addr("{host}")}}'
    if family == _AF_INET6 and len(data) >= 24:
        port = unpack_from(">H", data, 2)[0]
        groups = ":".join(f"{group:x}" for group in unpack_from(">8H", data, 8))
        return f'{{sa_family=AF_INET6, sin6_port=htons({port}), sin6_addr="{groups}"}}'
    return f"{{sa_family={name}, sa_data={quoted(data[2:])}}}"


def _pollfds(view: View, value: int, _detail: str) -> str:
    if not value:
        return "NULL"
    count = view.following & 0xFFFFFFFF
    key = "events" if view.result is None else "revents"
    shown = []
    for index in range(min(count, ARRAY_LIMIT)):
        fd, events, revents = unpack_from("<iHH", view.memory.read(value + 8 * index, 8))
        bits = events if view.result is None else revents
        if view.result is None or revents:
            shown.append(f"{{fd={fd}, {key}={named_flags(bits, FLAGS['POLL_EVENTS'])}}}")
    return f"[{', '.join(shown)}{', ...' if count > ARRAY_LIMIT else ''}]"


def _fdset(view: View, value: int, _detail: str) -> str:
    if not value:
        return "NULL"
    count = min(max(trace_values.signed(view.arguments[0]), 0), 1024)
    data = view.memory.read(value, (count + 63) // 64 * 8)
    members = [str(fd) for fd in range(count) if data[fd // 8] >> fd % 8 & 1]
    return f"[{' '.join(members)}]"


def _sigset_argument(view: View, value: int, _detail: str) -> str:
    """Shows the last argument of pselect6(2): {sigset_t *set; size_t size}."""
    if not value:
        return "NULL"
    address, size = unpack_from("<QQ", view.memory.read(value, 16))
    mask = "NULL"
    if address and size == _SIGSET_SIZE:
        mask = signal_set(unpack_from("<Q", view.memory.read(address, 8))[0])
    return f"{{sigmask={mask}, sigsetsize={size}}}"


_SPECIAL: dict[str, Callable[[Fields], str]] = {
    "clone_args": _clone_args,
    "epoll_event": _epoll_event,
    "open_how": _open_how,
    "rlimit": _rlimit,
    "rusage": _rusage,
    "sigaction": _sigaction,
    "sigevent": _sigevent,
    "siginfo": _siginfo,
    "stack": _stack,
    "stat": _stat,
    "statfs": _statfs,
    "statx": _statx,
    "sysinfo": _sysinfo,
}

WORDS: dict[str, Callable[[View, int, str], str | None]] = {
    "epoll_events": _epoll_events,
    "fdset": _fdset,
    "iovec": _iovec,
    "msghdr": _msghdr,
    "pollfds": _pollfds,
    "sigset_argument": _sigset_argument,
    "sockaddr": _sockaddr,
    "struct": _struct,
    "utimes": _utimes,
}
