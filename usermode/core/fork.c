/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * fork(2) with the flags of clone(2): namespaces, exit signals, CLONE_PARENT and so on.
 *
 * libc's fork() makes malloc and stdio whole in the child whatever the other threads do, but takes no flags. In the static
 * interpreter its step `_Fork`, which makes the process, is replaced here (`ld --wrap`), so that it does the rest for any flags.
 * Where libc is a shared object that cannot be done: forks with flags are then only sound without other threads.
 */
#define _GNU_SOURCE
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <errno.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "core.h"
#include "host_process.h"
#include "python_values.h"

#define LIBC_TID_OFFSET 0x2d0 /* struct pthread of glibc on x86_64: the field tid */

static const struct clone_request plain = {.exit_signal = SIGCHLD};
static __thread const struct clone_request *wanted; /* NULL: a plain fork */
static __thread bool wanted_extended;

pid_t __wrap__Fork(void);

/* Where libc keeps the calling thread's id, which is what it told set_tid_address(2) too; NULL if it is not there. */
pid_t *libc_tid(void) {
    pid_t *tid = (pid_t *)((char *)__builtin_thread_pointer() + LIBC_TID_OFFSET);
    return *tid == (pid_t)raw_call(SYS_gettid, 0, 0, 0, 0, 0, 0) ? tid : NULL;
}

/* Is libc linked in, so that its calls reach the replaced functions? A program without PT_INTERP has no AT_BASE. */
bool libc_is_ours(void) {
    return !getauxval(AT_BASE);
}

/* clone(2), or with `extended` clone3(2), on the caller's stack or the request's. The kernel's result. */
long raw_fork(const struct clone_request *request, bool extended) {
    if (extended) {
        return raw_call(SYS_clone3, word_of(request), sizeof *request, 0, 0, 0, 0);
    }
    /* CLONE_PIDFD of clone(2) goes where CLONE_PARENT_SETTID does. */
    return raw_call(SYS_clone, request->flags | request->exit_signal,
                    request->stack + request->stack_size, request->parent_tid, request->child_tid,
                    request->tls, 0);
}

static void become_process(pid_t *tid) {
    if (current_engine) {
        current_engine->proxy = NULL;
        fault_actions_adopt(current_engine);
    }
    if (tid) {
        *tid = (pid_t)raw_call(SYS_gettid, 0, 0, 0, 0, 0, 0);
        raw_call(SYS_set_tid_address, word_of(tid), 0, 0, 0, 0, 0);
    }
}

/* libc's fork() calls this with its locks taken. The robust list stays empty in the child: it is the guest's to set. */
pid_t __wrap__Fork(void) {
    const struct clone_request *request = wanted ? wanted : &plain;
    pid_t *tid = libc_tid();
    long pid = current_engine && current_engine->proxy
                   ? proxy_fork(current_engine, request, wanted_extended)
                   : raw_fork(request, wanted_extended);
    if (pid == 0) {
        become_process(tid);
    } else if (pid < 0) {
        errno = (int)-pid;
        return -1;
    }
    return (pid_t)pid;
}

static pid_t fork_as(const struct clone_request *request, bool extended) {
    bool plain_fork = !extended && !memcmp(request, &plain, sizeof plain);
    pid_t pid;
    wanted = request;
    wanted_extended = extended;
    pid = libc_is_ours() || plain_fork ? fork() : __wrap__Fork();
    wanted = NULL;
    wanted_extended = false;
    return pid;
}

static bool read_request(PyObject *args, struct clone_request *request, int *extended) {
    const char *data = (const char *)request;
    Py_ssize_t size = sizeof *request;
    if (!PyArg_ParseTuple(args, "|y#p", &data, &size, extended)) {
        return false;
    }
    if (size != sizeof *request) {
        PyErr_Format(PyExc_ValueError, "a request has %zu bytes", sizeof *request);
        return false;
    }
    memmove(request, data, sizeof *request);
    return true;
}

/* As Python and the core want it: their locks are whole in the child, and a signal caught before is not delivered twice. */
PyObject *module_fork(PyObject *module, PyObject *args) {
    struct clone_request request = plain;
    int extended = 0;
    (void)module;
    if (!read_request(args, &request, &extended)) {
        return NULL;
    }
    uint64_t mask =
        host_mask_change(UINT64_MAX); /* what is sent to the child is not to be forgotten */
    PyOS_BeforeFork();
    engines_before_fork();
    pid_t pid = fork_as(&request, extended);
    int saved = errno;
    engines_after_fork(pid == 0);
    if (pid == 0) {
        if (current_engine) {
            signals_forget(current_engine, &mask);
        }
        PyOS_AfterFork_Child();
    } else {
        PyOS_AfterFork_Parent();
    }
    host_mask_change(mask);
    errno = saved;
    return pid < 0 ? PyErr_SetFromErrno(PyExc_OSError) : PyLong_FromLong(pid);
}

/* Start a process that shares our memory: see proxy.c. */
PyObject *module_vfork(PyObject *module, PyObject *args) {
    struct clone_request request = plain;
    int extended = 0;
    (void)module;
    if (!read_request(args, &request, &extended)) {
        return NULL;
    }
    if (!current_engine || !libc_is_ours() || !libc_tid()) {
        return PyErr_Format(PyExc_NotImplementedError, "libc's calls cannot be redirected");
    }
    PyThreadState *state = PyEval_SaveThread();
    long pid = proxy_open(current_engine, &request, extended);
    PyEval_RestoreThread(state);
    if (pid < 0 && pid != RESULT_GONE) {
        errno = (int)-pid;
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    return call_result(pid);
}

PyObject *module_vfork_end(PyObject *module, PyObject *unused) {
    (void)module, (void)unused;
    if (!current_engine || !current_engine->proxy) {
        return PyErr_Format(PyExc_RuntimeError, "there is no such process");
    }
    PyThreadState *state = PyEval_SaveThread();
    proxy_close(current_engine);
    PyEval_RestoreThread(state);
    Py_RETURN_NONE;
}
