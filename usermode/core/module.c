/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The Python module _usermode_core. What each function means is said in _usermode_core.pyi. */
#define _GNU_SOURCE
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <errno.h>
#include <linux/prctl.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core.h"
#include "python_values.h"

#define STRING_LIMIT 131072

PyObject *process_gone;

static PyObject *os_error(int number) {
    errno = number;
    return PyErr_SetFromErrno(PyExc_OSError);
}

/* ---- guest memory ---- */

static PyObject *memory_read(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    uint64_t address, size;
    (void)module;
    if (count != 2 || as_word(args[0], &address) || as_word(args[1], &size)) {
        return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_TypeError, "read(address, size)");
    }
    if (!guest_range(address & ADDRESS_MASK, size)) {
        return os_error(EFAULT);
    }
    PyObject *bytes = PyBytes_FromStringAndSize(NULL, (Py_ssize_t)size);
    if (!bytes) {
        PyErr_Clear();
        return os_error(ENOMEM); /* the guest asked for more than there is */
    }
    if (!guest_read(PyBytes_AS_STRING(bytes), address, size)) {
        Py_DECREF(bytes);
        return os_error(EFAULT);
    }
    return bytes;
}

static PyObject *memory_write(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    uint64_t address;
    Py_buffer data;
    (void)module;
    if (count != 2 || as_word(args[0], &address)) {
        return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_TypeError, "write(address, data)");
    }
    if (PyObject_GetBuffer(args[1], &data, PyBUF_SIMPLE)) {
        return NULL;
    }
    bool done = guest_write(address, data.buf, (size_t)data.len);
    PyBuffer_Release(&data);
    if (!done) {
        return os_error(EFAULT);
    }
    Py_RETURN_NONE;
}

static PyObject *memory_read_string(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    uint64_t address, limit = 4096;
    (void)module;
    if (count < 1 || as_word(args[0], &address) || (count > 1 && as_word(args[1], &limit))) {
        return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_TypeError, "read_string(address)");
    }
    if (limit > STRING_LIMIT) {
        limit = STRING_LIMIT;
    }
    char *buffer = PyMem_Malloc(limit);
    if (!buffer) {
        return PyErr_NoMemory();
    }
    long length = guest_string(buffer, address, limit);
    PyObject *bytes = length < 0 ? os_error(length == -1 ? EFAULT : ENAMETOOLONG)
                                 : PyBytes_FromStringAndSize(buffer, length);
    PyMem_Free(buffer);
    return bytes;
}

static PyObject *memory_protect(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    uint64_t start, end, permission;
    (void)module;
    if (count != 3 || as_word(args[0], &start) || as_word(args[1], &end) ||
        as_word(args[2], &permission)) {
        return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_TypeError, "protect(start, end, rwx)");
    }
    if (start >= end || end > GUEST_LIMIT || (start | end) % GUEST_PAGE || permission > 7) {
        return PyErr_Format(PyExc_ValueError, "no page range of the guest");
    }
    if (page_protect(start, end, (unsigned)permission)) {
        return os_error(ENOMEM);
    }
    Py_RETURN_NONE;
}

static PyObject *memory_permission(PyObject *module, PyObject *address) {
    uint64_t word;
    (void)module;
    return as_word(address, &word) ? NULL : PyLong_FromLong((long)page_permission(word));
}

/* ---- host calls ---- */

static PyObject *make_host_call(PyObject *const *args, Py_ssize_t count, bool may_wait) {
    uint64_t words[1 + CALL_ARGUMENTS] = {0};
    Py_buffer buffers[CALL_ARGUMENTS];
    int held = 0;
    PyObject *value = NULL;
    if (count < 1 || count > 1 + CALL_ARGUMENTS) {
        return PyErr_Format(PyExc_TypeError, "host_call(number, up to six arguments)");
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        if (PyLong_Check(args[i])) {
            if (as_word(args[i], &words[i])) {
                goto done;
            }
        } else {
            if (PyObject_GetBuffer(args[i], &buffers[held], PyBUF_SIMPLE)) {
                goto done;
            }
            words[i] = (uint64_t)(uintptr_t)buffers[held++].buf;
        }
    }
    PyThreadState *state = PyEval_SaveThread();
    long result = may_wait ? host_wait(current_engine, (long)words[0], words + 1)
                           : host_call((long)words[0], words + 1);
    PyEval_RestoreThread(state);
    value = call_result(result);
done:
    while (held) {
        PyBuffer_Release(&buffers[--held]);
    }
    return value;
}

static PyObject *module_host_call(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    (void)module;
    return make_host_call(args, count, false);
}

static PyObject *module_host_wait(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    (void)module;
    return make_host_call(args, count, true);
}

static PyObject *module_configure(PyObject *module, PyObject *args) {
    const char *rows, *copies, *flags;
    Py_ssize_t rows_size, copies_size, flags_size;
    int sysroot;
    (void)module;
    if (!PyArg_ParseTuple(args, "y#y#y#p", &rows, &rows_size, &copies, &copies_size, &flags,
                          &flags_size, &sysroot)) {
        return NULL;
    }
    if (rows_size != sizeof call_rows || (size_t)copies_size >= sizeof stat_copy ||
        (size_t)flags_size >= sizeof open_flag_pairs) {
        return PyErr_Format(PyExc_ValueError, "tables of a wrong size");
    }
    memcpy(call_rows, rows, sizeof call_rows);
    memset(stat_copy, 0, sizeof stat_copy);
    memcpy(stat_copy, copies, (size_t)copies_size);
    memset(open_flag_pairs, 0, sizeof open_flag_pairs);
    memcpy(open_flag_pairs, flags, (size_t)flags_size);
    sysroot_active = sysroot;
    Py_RETURN_NONE;
}

static PyObject *action_result(int err, uint64_t value) {
    if (err == RESULT_GONE) {
        return call_result(err);
    }
    return err ? os_error(-err) : PyLong_FromUnsignedLongLong(value);
}

static PyObject *module_signal_catch(PyObject *module, PyObject *args) {
    int number;
    unsigned long long flags;
    (void)module;
    if (!PyArg_ParseTuple(args, "iK", &number, &flags)) {
        return NULL;
    }
    int err = signal_catch(number, flags);
    return err ? action_result(err, 0) : Py_NewRef(Py_None);
}

static PyObject *module_signal_set(PyObject *module, PyObject *args) {
    int number;
    unsigned long long handler, flags;
    uint64_t old;
    (void)module;
    if (!PyArg_ParseTuple(args, "iKK", &number, &handler, &flags)) {
        return NULL;
    }
    int err = signal_set(number, handler, flags, &old);
    return action_result(err, old);
}

static PyObject *module_environment(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    PyObject *list = PyList_New(0);
    for (char **entry = environ; list && *entry; entry++) {
        PyObject *text = PyBytes_FromString(*entry);
        if (!text || PyList_Append(list, text)) {
            Py_CLEAR(list);
        }
        Py_XDECREF(text);
    }
    return list;
}

static PyObject *module_catch_faults(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    int err = signal_faults_catch();
    return err ? action_result(err, 0) : Py_NewRef(Py_None);
}

static PyObject *module_release_fault(PyObject *module, PyObject *number) {
    long signal = PyLong_AsLong(number);
    (void)module;
    if (signal == -1 && PyErr_Occurred()) {
        return NULL;
    }
    int err = signal_fault_release((int)signal);
    return err ? os_error(-err) : Py_NewRef(Py_None);
}

static PyObject *module_auxv(PyObject *module, PyObject *type) {
    unsigned long key = PyLong_AsUnsignedLong(type);
    (void)module;
    if (key == (unsigned long)-1 && PyErr_Occurred()) {
        return NULL;
    }
    errno = 0;
    unsigned long value = getauxval(key);
    return errno ? Py_NewRef(Py_None) : PyLong_FromUnsignedLong(value);
}

static PyObject *module_show_guest(PyObject *module, PyObject *args) {
    struct prctl_mm_map map = {0};
    unsigned long long code, code_end, data, data_end, stack, argv, envp, envp_end, auxv;
    (void)module;
    if (!PyArg_ParseTuple(args, "KKKKKKKKKI", &code, &code_end, &data, &data_end, &stack, &argv,
                          &envp, &envp_end, &auxv, &map.auxv_size)) {
        return NULL;
    }
    map.start_code = code, map.end_code = code_end;
    map.start_data = data, map.end_data = data_end;
    map.start_stack = stack;
    map.arg_start = argv, map.arg_end = map.env_start = envp, map.env_end = envp_end;
    map.auxv = (void *)(uintptr_t)auxv;
    return PyLong_FromLong(show_guest(&map));
}

/* Ends the calling host thread and nothing else; the other threads get the GIL. */
static PyObject *module_exit_thread(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    if (current_engine) {
        signals_release(current_engine);
    }
    PyEval_SaveThread();
    syscall(SYS_exit, 0);
    Py_UNREACHABLE();
}

static PyObject *module_leave_on_host(PyObject *module, PyObject *signals) {
    uint64_t set;
    (void)module;
    if (as_word(signals, &set)) {
        return NULL;
    }
    if (current_engine) {
        signals_leave_on_host(current_engine, set);
    }
    Py_RETURN_NONE;
}

static PyObject *module_halt(PyObject *module, PyObject *timeout) {
    uint64_t milliseconds;
    (void)module;
    if (as_word(timeout, &milliseconds)) {
        return NULL;
    }
    PyThreadState *state = PyEval_SaveThread();
    bool all = engines_halt(milliseconds);
    PyEval_RestoreThread(state);
    return PyBool_FromLong(all);
}

static PyObject *module_breakpoint(PyObject *module, PyObject *args) {
    unsigned long long address;
    int set;
    (void)module;
    if (!PyArg_ParseTuple(args, "Kp", &address, &set)) {
        return NULL;
    }
    return PyBool_FromLong(breakpoint_change(address, set));
}

static PyObject *module_watchpoint(PyObject *module, PyObject *args) {
    unsigned long long address, size;
    unsigned permission;
    int set;
    (void)module;
    if (!PyArg_ParseTuple(args, "KKIp", &address, &size, &permission, &set)) {
        return NULL;
    }
    return PyBool_FromLong(watchpoint_change(address, size, permission, set));
}

static PyObject *module_calls_passed(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    return PyLong_FromUnsignedLongLong(calls_passed);
}

static PyObject *module_stack_reserve(PyObject *module, PyObject *argument) {
    (void)module;
    size_t size = PyLong_AsSize_t(argument);
    if (size == (size_t)-1 && PyErr_Occurred()) {
        return NULL;
    }
    stack_reserve(size);
    Py_RETURN_NONE;
}

static PyMethodDef module_methods[] = {
    {"read", (PyCFunction)(void (*)(void))memory_read, METH_FASTCALL, NULL},
    {"write", (PyCFunction)(void (*)(void))memory_write, METH_FASTCALL, NULL},
    {"read_string", (PyCFunction)(void (*)(void))memory_read_string, METH_FASTCALL, NULL},
    {"protect", (PyCFunction)(void (*)(void))memory_protect, METH_FASTCALL, NULL},
    {"permission", memory_permission, METH_O, NULL},
    {"stack_reserve", module_stack_reserve, METH_O, NULL},
    {"host_call", (PyCFunction)(void (*)(void))module_host_call, METH_FASTCALL, NULL},
    {"host_wait", (PyCFunction)(void (*)(void))module_host_wait, METH_FASTCALL, NULL},
    {"configure", module_configure, METH_VARARGS, NULL},
    {"signal_catch", module_signal_catch, METH_VARARGS, NULL},
    {"signal_set", module_signal_set, METH_VARARGS, NULL},
    {"environment", module_environment, METH_NOARGS, NULL},
    {"catch_faults", module_catch_faults, METH_NOARGS, NULL},
    {"release_fault", module_release_fault, METH_O, NULL},
    {"auxv", module_auxv, METH_O, NULL},
    {"fork", module_fork, METH_VARARGS, NULL},
    {"vfork", module_vfork, METH_VARARGS, NULL},
    {"vfork_end", module_vfork_end, METH_NOARGS, NULL},
    {"execute", module_execute, METH_VARARGS, NULL},
    {"show_guest", module_show_guest, METH_VARARGS, NULL},
    {"exit_thread", module_exit_thread, METH_NOARGS, NULL},
    {"leave_on_host", module_leave_on_host, METH_O, NULL},
    {"halt", module_halt, METH_O, NULL},
    {"set_breakpoint", module_breakpoint, METH_VARARGS, NULL},
    {"set_watchpoint", module_watchpoint, METH_VARARGS, NULL},
    {"calls_passed", module_calls_passed, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL}};

static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, .m_name = "_usermode_core",
                                        .m_size = -1, .m_methods = module_methods};

PyMODINIT_FUNC PyInit__usermode_core(void);

PyMODINIT_FUNC PyInit__usermode_core(void) {
    const char *wrong = unicorn_check();
    if (wrong) {
        PyErr_SetString(PyExc_ImportError, wrong);
        return NULL;
    }
    int err = signal_faults_catch();
    if (err) {
        return os_error(-err);
    }
    PyObject *module = PyModule_Create(&definition);
    if (!module || PyType_Ready(&engine_type) ||
        PyModule_AddObjectRef(module, "Engine", (PyObject *)&engine_type) ||
        !(process_gone =
              PyErr_NewException("_usermode_core.ProcessGone", PyExc_BaseException, NULL)) ||
        PyModule_AddObjectRef(module, "ProcessGone", process_gone)) {
        Py_XDECREF(module);
        return NULL;
    }
    return module;
}
