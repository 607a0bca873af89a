/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Conversions that the parts of the Python module share. */
#ifndef USERMODE_PYTHON_VALUES_H
#define USERMODE_PYTHON_VALUES_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>

#include "core.h"

extern PyTypeObject engine_type;
extern PyObject *process_gone; /* ProcessGone */

/* fork.c */
PyObject *module_fork(PyObject *module, PyObject *args);
PyObject *module_vfork(PyObject *module, PyObject *args);
PyObject *module_vfork_end(PyObject *module, PyObject *unused);

/* Any Python int as a 64-bit word, as registers hold them. 0, or -1 with an exception set. */
static inline int as_word(PyObject *value, uint64_t *word) {
    *word = PyLong_AsUnsignedLongLongMask(value);
    return *word == UINT64_MAX && PyErr_Occurred() ? -1 : 0;
}

/* execute.c */
PyObject *module_execute(PyObject *module, PyObject *args);

/* What a host call says, or ProcessGone. */
static inline PyObject *call_result(long result) {
    if (result == RESULT_GONE) {
        PyErr_SetNone(process_gone);
        return NULL;
    }
    return PyLong_FromLong(result);
}

#endif
