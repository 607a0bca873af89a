/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The Python type _usermode_core.Engine. What its methods mean is said in _usermode_core.pyi. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <errno.h>
#include <string.h>

#include "core.h"
#include "python_values.h"

#define DEFAULT_BUFFER (32 << 20)
#define LEAST_BUFFER (1 << 20)
#define MOST_BUFFER (1 << 30)

typedef struct {
    PyObject_HEAD struct engine engine;
    bool open;
} EngineObject;

/* The engine behind an Engine that is open; NULL with an exception set. */
static struct engine *opened(PyObject *self) {
    EngineObject *object = (EngineObject *)self;
    if (!object->open) {
        PyErr_SetString(PyExc_RuntimeError, "the engine is closed");
        return NULL;
    }
    return &object->engine;
}

/* As opened(), for what runs on the engine: only the thread that made it may. */
static struct engine *own(PyObject *self) {
    struct engine *e = opened(self);
    if (e && current_engine != e) {
        PyErr_SetString(PyExc_RuntimeError, "the engine is another thread's, or not its newest");
        return NULL;
    }
    return e;
}

static int engine_init(PyObject *self, PyObject *args, PyObject *kwargs) {
    EngineObject *object = (EngineObject *)self;
    Py_ssize_t buffer_size = DEFAULT_BUFFER;
    static char *names[] = {"buffer_size", NULL};
    if (!PyArg_ParseTupleAndKeywords(args, kwargs, "|n", names, &buffer_size)) {
        return -1;
    }
    if (object->open) {
        PyErr_SetString(PyExc_RuntimeError, "the engine is open already");
        return -1;
    }
    if (buffer_size < LEAST_BUFFER || buffer_size > MOST_BUFFER) {
        PyErr_SetString(PyExc_ValueError, "the buffer may have 1 MiB to 1 GiB");
        return -1;
    }
    const char *wrong = engine_open(&object->engine, (uint32_t)buffer_size);
    if (wrong) {
        PyErr_SetString(PyExc_RuntimeError, wrong);
        return -1;
    }
    object->open = true;
    return 0;
}

static PyObject *engine_close_method(PyObject *self, PyObject *unused) {
    EngineObject *object = (EngineObject *)self;
    (void)unused;
    if (object->open) {
        object->open = false;
        engine_close(&object->engine);
    }
    Py_RETURN_NONE;
}

static PyObject *engine_detach_method(PyObject *self, PyObject *unused) {
    struct engine *e = own(self);
    (void)unused;
    if (!e) {
        return NULL;
    }
    engine_detach(e);
    Py_RETURN_NONE;
}

static PyObject *engine_attach_method(PyObject *self, PyObject *unused) {
    struct engine *e = opened(self);
    (void)unused;
    if (!e) {
        return NULL;
    }
    if (!e->detached) {
        return PyErr_Format(PyExc_RuntimeError, "the engine is a thread's");
    }
    return PyBool_FromLong(engine_attach(e));
}

static void engine_dealloc(PyObject *self) {
    Py_XDECREF(engine_close_method(self, NULL));
    Py_TYPE(self)->tp_free(self);
}

static PyObject *call_tuple(const uint64_t *x) {
    PyObject *call = PyTuple_New(7);
    for (int i = 0; call && i < 7; i++) {
        PyObject *word = PyLong_FromUnsignedLongLong(i ? x[i - 1] : x[8] & UINT32_MAX);
        if (!word) {
            Py_CLEAR(call);
            break;
        }
        PyTuple_SET_ITEM(call, i, word);
    }
    return call;
}

/* Has the process whose code is run ended? Then with an exception set. */
static bool gone(const struct engine *e) {
    if (e->proxy && proxy_gone(e->proxy)) {
        PyErr_SetNone(process_gone);
        return true;
    }
    return false;
}

static PyObject *engine_run_method(PyObject *self, PyObject *const *args, Py_ssize_t count) {
    struct engine *e = own(self);
    if (!e || (count && args[0] != Py_None && as_word(args[0], &e->registers[0]))) {
        return NULL;
    }
    if (gone(e)) {
        return NULL; /* its code must not go on: execve(2) succeeded */
    }
    PyThreadState *state = PyEval_SaveThread();
    engine_run(e);
    PyEval_RestoreThread(state);
    if (gone(e)) {
        return NULL;
    }
    return e->stop == STOP_CALL ? call_tuple(e->registers) : PyLong_FromLong(e->stop);
}

static PyObject *engine_get(PyObject *self, PyObject *index) {
    struct engine *e = opened(self);
    long i = e ? PyLong_AsLong(index) : -1;
    if (i < 0 || i > REGISTER_PC) {
        return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_IndexError, "no register %ld", i);
    }
    return PyLong_FromUnsignedLongLong(e->registers[i]);
}

static PyObject *engine_set(PyObject *self, PyObject *const *args, Py_ssize_t count) {
    struct engine *e = opened(self);
    uint64_t value;
    long i = e && count == 2 ? PyLong_AsLong(args[0]) : -1;
    if (i < 0 || i > REGISTER_PC) {
        return PyErr_Occurred() ? NULL : PyErr_Format(PyExc_IndexError, "no register %ld", i);
    }
    if (as_word(args[1], &value)) {
        return NULL;
    }
    e->registers[i] = value;
    Py_RETURN_NONE;
}

static PyObject *engine_snapshot(PyObject *self, PyObject *unused) {
    struct engine *e = opened(self);
    struct snapshot s = {0};
    (void)unused;
    if (!e) {
        return NULL;
    }
    snapshot_take(e, &s);
    return PyBytes_FromStringAndSize((const char *)&s, sizeof s);
}

static PyObject *engine_restore(PyObject *self, PyObject *data) {
    struct engine *e = opened(self);
    struct snapshot s;
    if (!e) {
        return NULL;
    }
    if (!PyBytes_Check(data) || PyBytes_GET_SIZE(data) != sizeof s) {
        return PyErr_Format(PyExc_ValueError, "a snapshot has %zu bytes", sizeof s);
    }
    memcpy(&s, PyBytes_AS_STRING(data), sizeof s);
    snapshot_restore(e, &s);
    Py_RETURN_NONE;
}

static PyObject *engine_fault(PyObject *self, PyObject *unused) {
    struct engine *e = &((EngineObject *)self)->engine;
    (void)unused;
    return Py_BuildValue("(Ki)", (unsigned long long)e->fault_address, (int)e->fault_access);
}

/* ---- signals ---- */

static PyObject *information(bool taken, const siginfo_t *info) {
    return taken ? PyBytes_FromStringAndSize((const char *)info, sizeof *info) : Py_NewRef(Py_None);
}

static PyObject *engine_take_signal(PyObject *self, PyObject *blocked) {
    uint64_t mask;
    siginfo_t info;
    if (as_word(blocked, &mask)) {
        return NULL;
    }
    return information(signal_take(&((EngineObject *)self)->engine, mask, &info), &info);
}

static PyObject *engine_take_blocked_signal(PyObject *self, PyObject *wanted) {
    uint64_t set;
    siginfo_t info;
    if (as_word(wanted, &set)) {
        return NULL;
    }
    return information(signal_take_blocked(&((EngineObject *)self)->engine, set, &info), &info);
}

static PyObject *engine_waiting_signals(PyObject *self, PyObject *Py_UNUSED(unused)) {
    return PyLong_FromUnsignedLongLong(signals_waiting(&((EngineObject *)self)->engine));
}

static PyObject *engine_enter_handler(PyObject *self, PyObject *const *args, Py_ssize_t count) {
    struct engine *e = own(self);
    uint64_t words[6];
    siginfo_t info = {0};
    if (!e) {
        return NULL;
    }
    if (count != 7 || !PyBytes_Check(args[0]) ||
        PyBytes_GET_SIZE(args[0]) > (Py_ssize_t)sizeof info) {
        return PyErr_Format(PyExc_TypeError, "enter_handler(siginfo, six numbers)");
    }
    for (int i = 0; i < 6; i++) {
        if (as_word(args[1 + i], &words[i])) {
            return NULL;
        }
    }
    memcpy(&info, PyBytes_AS_STRING(args[0]), (size_t)PyBytes_GET_SIZE(args[0]));
    struct handler handler = {words[0], words[1], words[2], words[3], words[4], words[5]};
    bool entered = frame_push(e, &info, &handler);
    if (entered) {
        mask_set(e, handler.mask);
    }
    return PyBool_FromLong(entered);
}

static PyObject *engine_set_blocked(PyObject *self, PyObject *blocked) {
    struct engine *e = own(self);
    uint64_t mask;
    if (!e || as_word(blocked, &mask)) {
        return NULL;
    }
    mask_set(e, mask);
    Py_RETURN_NONE;
}

static PyObject *engine_end_wait(PyObject *self, PyObject *Py_UNUSED(unused)) {
    return PyLong_FromUnsignedLongLong(wait_end(&((EngineObject *)self)->engine));
}

static PyObject *engine_get_blocked(PyObject *self, void *unused) {
    (void)unused;
    return PyLong_FromUnsignedLongLong(((EngineObject *)self)->engine.blocked);
}

static int engine_put_blocked(PyObject *self, PyObject *value, void *unused) {
    uint64_t mask;
    (void)unused;
    if (!value || as_word(value, &mask)) {
        return -1;
    }
    ((EngineObject *)self)->engine.blocked = mask;
    return 0;
}

static PyObject *engine_get_altstack(PyObject *self, void *unused) {
    const struct altstack *stack = &((EngineObject *)self)->engine.altstack;
    (void)unused;
    return Py_BuildValue("(KIK)", (unsigned long long)stack->start, stack->flags,
                         (unsigned long long)stack->size);
}

static int engine_put_altstack(PyObject *self, PyObject *value, void *unused) {
    unsigned long long start, size;
    unsigned flags;
    (void)unused;
    if (!value || !PyArg_ParseTuple(value, "KIK", &start, &flags, &size)) {
        return -1;
    }
    ((EngineObject *)self)->engine.altstack = (struct altstack){start, size, flags};
    return 0;
}

/* ---- calls ---- */

static PyObject *engine_pass_through(PyObject *self, PyObject *const *args, Py_ssize_t count) {
    struct engine *e = own(self);
    uint64_t words[1 + CALL_ARGUMENTS] = {0};
    if (!e) {
        return NULL;
    }
    for (Py_ssize_t i = 0; i < count && i < 1 + CALL_ARGUMENTS; i++) {
        if (as_word(args[i], &words[i])) {
            return NULL;
        }
    }
    if (words[0] >= CALL_ROWS) {
        return PyLong_FromLong(-ENOSYS);
    }
    PyThreadState *state = PyEval_SaveThread();
    long result = pass_through(e, (unsigned)words[0], words + 1);
    PyEval_RestoreThread(state);
    return result == RESULT_IN_REGISTERS ? PyLong_FromUnsignedLongLong(e->registers[0])
                                         : call_result(result);
}

static PyObject *engine_trace(PyObject *self, PyObject *on) {
    int truth = PyObject_IsTrue(on);
    if (truth < 0) {
        return NULL;
    }
    ((EngineObject *)self)->engine.tracing = truth;
    Py_RETURN_NONE;
}

static PyObject *engine_interrupt(PyObject *self, PyObject *on) {
    struct engine *e = opened(self);
    int truth = e ? PyObject_IsTrue(on) : -1;
    if (truth < 0) {
        return NULL;
    }
    if (truth) {
        engine_attend(e, ATTEND_STOP);
    } else {
        atomic_fetch_and(&e->attention, ~(uint32_t)ATTEND_STOP);
    }
    Py_RETURN_NONE;
}

static PyObject *engine_step(PyObject *self, PyObject *on) {
    struct engine *e = own(self);
    int truth = e ? PyObject_IsTrue(on) : -1;
    if (truth < 0) {
        return NULL;
    }
    engine_single_step(e, truth);
    Py_RETURN_NONE;
}

static PyObject *engine_forked_method(PyObject *self, PyObject *unused) {
    struct engine *e = own(self);
    (void)unused;
    if (!e) {
        return NULL;
    }
    engine_forked(e);
    Py_RETURN_NONE;
}

static PyMethodDef engine_methods[] = {
    {"run", (PyCFunction)(void (*)(void))engine_run_method, METH_FASTCALL, NULL},
    {"get", engine_get, METH_O, NULL},
    {"set", (PyCFunction)(void (*)(void))engine_set, METH_FASTCALL, NULL},
    {"snapshot", engine_snapshot, METH_NOARGS, NULL},
    {"restore", engine_restore, METH_O, NULL},
    {"fault", engine_fault, METH_NOARGS, NULL},
    {"take_signal", engine_take_signal, METH_O, NULL},
    {"take_blocked_signal", engine_take_blocked_signal, METH_O, NULL},
    {"waiting_signals", engine_waiting_signals, METH_NOARGS, NULL},
    {"enter_handler", (PyCFunction)(void (*)(void))engine_enter_handler, METH_FASTCALL, NULL},
    {"set_blocked", engine_set_blocked, METH_O, NULL},
    {"end_wait", engine_end_wait, METH_NOARGS, NULL},
    {"pass_through", (PyCFunction)(void (*)(void))engine_pass_through, METH_FASTCALL, NULL},
    {"trace", engine_trace, METH_O, NULL},
    {"interrupt", engine_interrupt, METH_O, NULL},
    {"step", engine_step, METH_O, NULL},
    {"forked", engine_forked_method, METH_NOARGS, NULL},
    {"detach", engine_detach_method, METH_NOARGS, NULL},
    {"attach", engine_attach_method, METH_NOARGS, NULL},
    {"close", engine_close_method, METH_NOARGS, NULL},
    {NULL, NULL, 0, NULL}};

static PyGetSetDef engine_attributes[] = {
    {"blocked", engine_get_blocked, engine_put_blocked, NULL, NULL},
    {"altstack", engine_get_altstack, engine_put_altstack, NULL, NULL},
    {NULL, NULL, NULL, NULL, NULL}};

PyTypeObject engine_type = {
    PyVarObject_HEAD_INIT(NULL, 0).tp_name = "_usermode_core.Engine",
    .tp_basicsize = sizeof(EngineObject),
    .tp_flags = Py_TPFLAGS_DEFAULT,
    .tp_new = PyType_GenericNew,
    .tp_init = engine_init,
    .tp_dealloc = engine_dealloc,
    .tp_methods = engine_methods,
    .tp_getset = engine_attributes,
};
