# SPDX-License-Identifier: GPL-2.0-or-later
"""What the interpreter contains: modules of libpython, of the standard library, and ours."""

from __future__ import annotations

# What every start imports: these, and what they import at their top. The last ones answer calls of every libc.
AT_START = (
    "usermode.launcher",
    "usermode.kernel.paths",
    "usermode.loader.vdso_image",
    "syscalls.compiled",
    "syscalls.handlers.files",
    "syscalls.handlers.memory",
    "syscalls.handlers.processes",
)

# Modules in C that libpython3.11-pic.a holds and we keep; the linker leaves the others out, with the libraries they
# need. The first group is what CPython itself imports while it starts or prints an exception.
BUILTINS = {
    "_abc": "PyInit__abc",
    "_codecs": "PyInit__codecs",
    "_imp": "PyInit__imp",
    "_io": "PyInit__io",
    "_signal": "PyInit__signal",
    "_string": "PyInit__string",
    "_thread": "PyInit__thread",
    "_tracemalloc": "PyInit__tracemalloc",
    "_warnings": "_PyWarnings_Init",
    "_weakref": "PyInit__weakref",
    "builtins": "NULL",
    "faulthandler": "PyInit_faulthandler",
    "gc": "PyInit_gc",
    "marshal": "PyMarshal_Init",
    "posix": "PyInit_posix",
    "sys": "NULL",
    "time": "PyInit_time",
    # for our own modules
    "_bisect": "PyInit__bisect",
    "_struct": "PyInit__struct",
    "errno": "PyInit_errno",
}

# Modules of the standard library in Python: the name to import, and the name of the source. The import system itself,
# and what CPython imports for an error handler like "backslashreplace".
BOOTSTRAP = {"_frozen_importlib": "importlib._bootstrap"}
STANDARD_LIBRARY = {
    "bisect": "bisect",
    "codecs": "codecs",
    "encodings": "encodings",
    "encodings.aliases": "encodings.aliases",
    "encodings.utf_8": "encodings.utf_8",
}

# Our packages, taken in as a whole, and the parts of them that only the build, the checks, the developer's
# interpreter or the command line need.
PACKAGES = ("syscalls", "usermode")
LEFT_OUT = (
    "syscalls.call",
    "syscalls.compatibility",
    "syscalls.compile",
    "syscalls.kinds",
    "syscalls.protocols",
    "syscalls.table",
    "usermode.cli",
    "usermode.container",
    "usermode.inspect",
    "usermode.installation",
    "usermode.loader.protocols",
    "usermode.service",
    "usermode.translate",
)

# Modules that functions of syscalls.compile write.
COMPILED = {"syscalls.compiled": "generate", "syscalls.compiled_trace": "generate_trace"}

# What our modules may import beside our own, and who may import a part that is left out because it does so only
# where the generated module is missing: checked when the interpreter is built.
MAY_IMPORT = {*BUILTINS, *STANDARD_LIBRARY, "_usermode_core"}
FALLBACKS = {("syscalls.dispatch", "syscalls.compile"), ("syscalls.trace", "syscalls.compile")}
