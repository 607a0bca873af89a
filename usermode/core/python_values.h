/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Conversions that the parts of the Python module share. */
#ifndef USERMODE_PYTHON_VALUES_H
#define USERMODE_PYTHON_VALUES_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>

extern PyTypeObject engine_type;

/* Any Python int as a 64-bit word, as registers hold them. 0, or -1 with an exception set. */
static inline int as_word(PyObject *value, uint64_t *word) {
    *word = PyLong_AsUnsignedLongLongMask(value);
    return *word == UINT64_MAX && PyErr_Occurred() ? -1 : 0;
}

/* execute.c */
PyObject *module_execute(PyObject *module, PyObject *args);

#endif
