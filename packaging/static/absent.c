/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Functions that libpython names and the interpreter never calls. In a static program they would load shared objects of
 * the machine (Python extensions, NSS modules), which may be missing or of another version: here they just fail.
 */
#include <Python.h>

#include <errno.h>
#include <grp.h>
#include <unistd.h>

typedef void (*initialiser)(void);

/* Suffixes of extension modules: none. They and the next function stand in for CPython's dynload_shlib.c. */
extern const char *_PyImport_DynLoadFiletab[];
const char *_PyImport_DynLoadFiletab[] = {NULL};

extern initialiser _PyImport_FindSharedFuncptr(const char *, const char *, const char *, FILE *);
initialiser _PyImport_FindSharedFuncptr(const char *prefix, const char *name, const char *path,
                                        FILE *file) {
    (void)prefix, (void)name, (void)path, (void)file;
    return NULL;
}

int getgrouplist(const char *user, gid_t group, gid_t *groups, int *count) {
    (void)user, (void)group, (void)groups, (void)count;
    errno = ENOSYS;
    return -1;
}

char *getlogin(void) {
    errno = ENOSYS;
    return NULL;
}

int initgroups(const char *user, gid_t group) {
    (void)user, (void)group;
    errno = ENOSYS;
    return -1;
}
