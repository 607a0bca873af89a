/* SPDX-License-Identifier: GPL-2.0-or-later */
/* execute() of the Python module: see _usermode_core.pyi. */
#define _GNU_SOURCE
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <errno.h>
#include <string.h>
#include <sys/syscall.h>

#include "core.h"
#include "python_values.h"

static PyObject *os_error(int number) {
    errno = number;
    return PyErr_SetFromErrno(PyExc_OSError);
}

/* A NULL-terminated array of the strings of a list of bytes objects; NULL with an exception set. */
static char **string_array(PyObject *list) {
    if (!PyList_Check(list)) {
        PyErr_SetString(PyExc_TypeError, "no list of bytes");
        return NULL;
    }
    Py_ssize_t count = PyList_GET_SIZE(list);
    char **array = PyMem_Calloc((size_t)count + 1, sizeof *array);
    if (!array) {
        PyErr_NoMemory();
        return NULL;
    }
    for (Py_ssize_t i = 0; i < count; i++) {
        array[i] = PyBytes_AsString(PyList_GET_ITEM(list, i));
        if (!array[i]) {
            PyMem_Free(array);
            return NULL;
        }
    }
    return array;
}

/*
 * execveat(2), with the strings as they are: os.execve() wants the environment as a mapping. None when the kernel only checked
 * (AT_EXECVE_CHECK); EINTR when a caught signal must be delivered first.
 */
PyObject *module_execute(PyObject *module, PyObject *args) {
    int directory, flags;
    const char *path, *words = NULL;
    PyObject *arguments, *environment;
    Py_ssize_t size = 0;
    struct limit limits[LIMITS_AT_ONCE];
    (void)module;
    if (!PyArg_ParseTuple(args, "iyOOi|y#", &directory, &path, &arguments, &environment, &flags,
                          &words, &size)) {
        return NULL;
    }
    if (size % (Py_ssize_t)sizeof *limits || (size_t)size > sizeof limits) {
        return PyErr_Format(PyExc_ValueError, "no limits");
    }
    if (size) {
        memcpy(limits, words, (size_t)size);
    }
    Py_ssize_t count = size / (Py_ssize_t)sizeof *limits;
    char **argv = string_array(arguments);
    char **envp = argv ? string_array(environment) : NULL;
    long result = 0;
    if (envp) {
        const uint64_t call[CALL_ARGUMENTS] = {(uint64_t)directory, (uintptr_t)path,
                                               (uintptr_t)argv, (uintptr_t)envp, (uint64_t)flags};
        if (current_engine && atomic_load(&current_engine->attention) & ATTEND_SIGNAL) {
            result = RESULT_RESTART; /* seen before the limits are touched */
        } else {
            limits_exchange(limits, count); /* last: with them there may be no memory to get */
            result = host_wait(current_engine, SYS_execveat, call);
            limits_exchange(limits, count);
        }
    }
    PyMem_Free(argv);
    PyMem_Free(envp);
    if (!envp) {
        return NULL;
    }
    if (result == RESULT_GONE) { /* the child of a vfork(2): it runs another program now */
        return call_result(result);
    }
    return result < 0 ? os_error(result == RESULT_RESTART ? EINTR : (int)-result)
                      : Py_NewRef(Py_None);
}
