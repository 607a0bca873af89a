/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The program usermode-aarch64: starts an isolated Python and hands over to usermode.launcher.main().
 *
 * Python is configured so that nothing of the host machine has a say: no environment variable, no site directory, no path
 * search, no user's locale. In the static build every module is frozen into the executable (packaging/static/freeze.py), so
 * it runs in an empty chroot; the developer's build (SOURCE_TREE defined) reads ours from the source tree and has a whole
 * Python with the standard library, so that a debugging line may use print().
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define EXIT_OURS 70 /* EX_SOFTWARE of sysexits.h: the fault is in the emulator, not in the guest */
#define EXIT_LIMITS 1

PyMODINIT_FUNC PyInit__usermode_core(void);

#ifdef SOURCE_TREE
extern const struct _frozen usermode_frozen[];
#endif

static void require(PyStatus status) {
    if (!PyStatus_Exception(status))
        return;
    fprintf(stderr, "usermode-aarch64: Python cannot start: %s\n",
            status.err_msg ? status.err_msg : "no reason given");
    _exit(EXIT_OURS);
}

/* Settings that Python would otherwise work out by searching the file system. */
static void set_paths(PyConfig *config) {
    wchar_t **unused[] = {&config->program_name,     &config->executable,  &config->base_executable,
                          &config->prefix,           &config->base_prefix, &config->exec_prefix,
                          &config->base_exec_prefix, &config->stdlib_dir,  &config->home};
    for (size_t i = 0; i < sizeof unused / sizeof *unused; i++)
        require(PyConfig_SetString(config, unused[i], L""));
    config->module_search_paths_set = 1;
#ifdef SOURCE_TREE
    require(PyConfig_SetString(config, &config->pycache_prefix, SOURCE_TREE L"/build/pycache"));
    require(PyWideStringList_Append(&config->module_search_paths, SOURCE_TREE));
    require(PyWideStringList_Append(&config->module_search_paths, L"/usr/lib/python3.11"));
    require(
        PyWideStringList_Append(&config->module_search_paths, L"/usr/lib/python3.11/lib-dynload"));
#endif
}

/*
 * Limits that the process was started with and that would leave us too little: they become the guest's, which
 * usermode/kernel/limits.py keeps for it, and ours are made as wide as they may be. Before anything else, as nothing may
 * work with them.
 */
#define LEAST_SPACE                                                                                \
    (160ul << 20) /* the translation buffer of 64 MiB, the interpreter, its tables */
#define LEAST_DATA (110ul << 20)
#define LEAST_STACK (128ul << 10)
#define ENOUGH_STACK (8ul << 20)

static struct { uint64_t resource, soft, hard; } first_limits[3];
static int first_limits_count;

static void widen(int resource, const char *name, rlim_t enough, rlim_t least) {
    struct rlimit first, wide = {enough, enough};
    if (getrlimit(resource, &first) || first.rlim_cur >= enough)
        return;
    first_limits[first_limits_count].resource = (uint64_t)resource;
    first_limits[first_limits_count].soft = first.rlim_cur;
    first_limits[first_limits_count++].hard = first.rlim_max;
    if (first.rlim_max >= enough || setrlimit(resource, &wide)) {
        wide.rlim_max = first.rlim_max;
        wide.rlim_cur = enough < wide.rlim_max ? enough : wide.rlim_max;
        if (setrlimit(resource, &wide))
            wide = first;
    }
    if (wide.rlim_cur >= least)
        return;
    dprintf(STDERR_FILENO, "usermode: %s is %lu KiB here, and the emulator itself needs %lu KiB\n",
            name, (unsigned long)wide.rlim_cur >> 10, (unsigned long)least >> 10);
    _exit(EXIT_LIMITS);
}

static void widen_limits(void) {
    widen(RLIMIT_AS, "RLIMIT_AS (ulimit -v)", RLIM_INFINITY, LEAST_SPACE);
    widen(RLIMIT_DATA, "RLIMIT_DATA (ulimit -d)", RLIM_INFINITY, LEAST_DATA);
    widen(RLIMIT_STACK, "RLIMIT_STACK (ulimit -s)", ENOUGH_STACK, LEAST_STACK);
}

/* Sets sys.usermode_limits: words (resource, soft, hard). */
static int set_first_limits(void) {
    PyObject *words = PyBytes_FromStringAndSize(
        (const char *)first_limits, (Py_ssize_t)sizeof *first_limits * first_limits_count);
    int failed = words ? PySys_SetObject("usermode_limits", words) : -1;
    Py_XDECREF(words);
    return failed;
}

static void start_python(void) {
    PyPreConfig before;
    PyPreConfig_InitIsolatedConfig(&before);
    before.utf8_mode = 1; /* an empty chroot has no locale data */
    require(Py_PreInitialize(&before));

#ifdef SOURCE_TREE
    PyImport_FrozenModules = usermode_frozen; /* in the static build frozen.c sets it */
#endif
    if (PyImport_AppendInittab("_usermode_core", PyInit__usermode_core) < 0)
        require(PyStatus_NoMemory());

    PyConfig config;
    PyConfig_InitIsolatedConfig(&config);
    config.parse_argv = 0;
    config.site_import = 0;
    config.pathconfig_warnings = 0;
    config.install_signal_handlers = 0; /* signals are the guest's; Python would ignore SIGPIPE */
    config.use_frozen_modules = 1;
    config.buffered_stdio = 0; /* the process ends by _exit() or by a signal */
    set_paths(&config);
#ifndef SOURCE_TREE
    /*
     * Stop after the core phase ("Multi-Phase Initialization Private Provisional API" in CPython's documentation), which
     * takes half the time: there is no sys.path, sys.stdout, open() or path importer, and none is needed.
     * It also spares us a check of CPython's that stdin is no directory.
     */
    config._init_main = 0;
#endif
    require(Py_InitializeFromConfig(&config));
    PyConfig_Clear(&config);
}

#ifndef SOURCE_TREE
extern const char *const modules_at_start[]; /* frozen.c: each behind those that it imports */

/* Makes `module` an attribute of its package, as the import system does. */
static int add_to_package(PyObject *modules, const char *name) {
    char package[128];
    const char *dot = strrchr(name, '.');
    if (!dot || (size_t)(dot - name) >= sizeof package)
        return 0;
    memcpy(package, name, (size_t)(dot - name));
    package[dot - name] = 0;
    PyObject *parent = PyDict_GetItemString(modules, package);
    PyObject *module = PyDict_GetItemString(modules, name);
    return parent && module ? PyObject_SetAttrString(parent, dot + 1, module) : 0;
}

/* Imports what every start imports without the import system, whose Python code takes longer than the modules themselves. */
static int import_modules(void) {
    PyObject *modules = PyImport_GetModuleDict();
    for (int i = 0; modules_at_start[i]; i++) {
        const char *name = modules_at_start[i];
        if (PyDict_GetItemString(modules, name))
            continue;
        if (PyImport_ImportFrozenModule(name) < 0 || add_to_package(modules, name) < 0)
            return -1;
    }
    return 0;
}
#else
static int import_modules(void) {
    return 0;
}
#endif

/* Sets sys.argv, as Python does in the phase that is left out: UTF-8 with the "surrogateescape" error handler. */
static int set_arguments(int count, char **strings) {
    PyObject *list = PyList_New(count);
    for (int i = 0; list && i < count; i++) {
        PyObject *item =
            PyUnicode_DecodeUTF8(strings[i], (Py_ssize_t)strlen(strings[i]), "surrogateescape");
        if (item)
            PyList_SET_ITEM(list, i, item);
        else
            Py_CLEAR(list);
    }
    int failed = list ? PySys_SetObject("argv", list) : -1;
    Py_XDECREF(list);
    return failed;
}

/* The exit status that usermode.launcher.main() returns, or -1 with a Python exception set. */
static int run_main(void) {
    PyGC_Disable(); /* the launcher turns it on: what is made until then stays */
    PyObject *module = import_modules() < 0 ? NULL : PyImport_ImportModule("usermode.launcher");
    PyObject *status = module ? PyObject_CallMethod(module, "main", NULL) : NULL;
    long number = status ? PyLong_AsLong(status) : -1;
    Py_XDECREF(status);
    Py_XDECREF(module);
    return PyErr_Occurred() ? -1 : (int)(number & 0xff);
}

int main(int argc, char **argv) {
    widen_limits();
    start_python();
    int status = set_arguments(argc, argv) < 0 || set_first_limits() < 0 ? -1 : run_main();
    if (status < 0) {
        PyErr_Print();
        status = EXIT_OURS;
    }
    /* No Py_FinalizeEx(): it takes a millisecond and other guest threads may still be running. */
    _exit(status);
}
