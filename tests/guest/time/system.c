/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What the system says of itself: uname, limits, sysinfo, identity, random numbers, semaphores' times. */
#define _GNU_SOURCE
#include <sched.h>
#include <sys/auxv.h>
#include <sys/ipc.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "../check.h"

static void names(void) {
    struct utsname name;
    char host[sizeof name.nodename];
    memset(&name, '#', sizeof name);
    CHECK(uname(&name) == 0 && !strcmp(name.sysname, "Linux"));
#ifdef __aarch64__
    CHECK(!strcmp(name.machine, "aarch64") && !strcmp((char *)getauxval(AT_PLATFORM), "aarch64"));
#endif
    CHECK(gethostname(host, sizeof host) == 0 && !strcmp(host, name.nodename));
    CHECK(name.release[0] >= '3' && name.release[0] <= '9' && name.version[0] == '#');
    FAILS(EFAULT, syscall(SYS_uname, WILD));
}

static void limits(void) {
    struct rlimit limit, back, old;
    CHECK(getrlimit(RLIMIT_NOFILE, &old) == 0 && old.rlim_cur >= 20);
    limit = (struct rlimit){15, old.rlim_max};
    CHECK(setrlimit(RLIMIT_NOFILE, &limit) == 0);
    CHECK(prlimit(0, RLIMIT_NOFILE, NULL, &back) == 0 && back.rlim_cur == 15);
    int fds[20], count = 0;
    while (count < 20 && (fds[count] = dup(0)) >= 0) {
        count++;
    }
    int error = errno;
    CHECK(count < 15 && error == EMFILE);
    while (count) {
        CHECK(close(fds[--count]) == 0);
    }
    CHECK(setrlimit(RLIMIT_NOFILE, &old) == 0);
    limit = (struct rlimit){10, 5};
    FAILS(EINVAL, setrlimit(RLIMIT_CORE, &limit));
    FAILS(EINVAL, getrlimit(99, &limit));
    FAILS(EFAULT, syscall(SYS_prlimit64, 0, RLIMIT_CORE, NULL, WILD));
    FAILS(EFAULT, syscall(SYS_prlimit64, 0, RLIMIT_CORE, WILD, NULL));
}

static void machine(void) {
    struct sysinfo info;
    cpu_set_t cpus;
    unsigned cpu = 9999, node = 9999;
    CHECK(sysinfo(&info) == 0 && info.uptime > 0 && info.totalram > 0 && info.mem_unit >= 1);
    CHECK(sysconf(_SC_PAGESIZE) == 4096 && getauxval(AT_PAGESZ) == 4096);
    CHECK(sched_getaffinity(0, sizeof cpus, &cpus) == 0 && CPU_COUNT(&cpus) >= 1);
    CHECK(syscall(SYS_getcpu, &cpu, &node, NULL) == 0 && CPU_ISSET(cpu, &cpus) && node < 9999);
    CHECK(sched_yield() == 0 && sysconf(_SC_NPROCESSORS_ONLN) >= 1);
    FAILS(EFAULT, syscall(SYS_sysinfo, WILD));
    FAILS(EFAULT, syscall(SYS_getcpu, WILD, NULL, NULL));
}

static void identity(void) {
    uid_t real, effective, saved;
    gid_t groups[256];
    CHECK(getresuid(&real, &effective, &saved) == 0 && real == getuid() && effective == geteuid());
    CHECK(getgroups(0, NULL) >= 0 && getgroups(256, groups) == getgroups(0, NULL));
    CHECK(setuid(getuid()) == 0 && setresgid((gid_t)-1, (gid_t)-1, (gid_t)-1) == 0);
    CHECK(getpid() == getpgid(0) || getpgid(0) > 0);
    CHECK(getsid(0) == getsid(getpid()) && getppid() > 0 && gettid() == getpid());
    CHECK(umask(0123) == 022 && umask(022) == 0123);
    FAILS(EFAULT, syscall(SYS_getresuid, WILD, &effective, &saved));
    FAILS(EINVAL, getgroups(-1, groups));
}

static void random_numbers(void) {
    unsigned char a[64] = {0}, b[64] = {0};
    CHECK(getrandom(a, sizeof a, 0) == sizeof a &&
          getrandom(b, sizeof b, GRND_NONBLOCK) == sizeof b);
    CHECK(memcmp(a, b, sizeof a) != 0 && getrandom(a, 0, 0) == 0);
    FAILS(EINVAL, getrandom(a, 1, 0x1000));
    FAILS(EFAULT, getrandom(WILD, 16, 0));
}

static void semaphores(void) {
    union {
        int value;
        struct semid_ds *status;
        unsigned short *all;
    } argument;
    struct semid_ds status;
    unsigned short values[3] = {4, 5, 6}, back[3] = {0};
    struct sembuf step = {1, -3, IPC_NOWAIT};
    time_t before = time(NULL);
    int id = semget(IPC_PRIVATE, 3, 0600);
    CHECK(id >= 0);
    argument.all = values;
    CHECK(semctl(id, 0, SETALL, argument) == 0 && semop(id, &step, 1) == 0);
    argument.all = back;
    CHECK(semctl(id, 0, GETALL, argument) == 0 && back[0] == 4 && back[1] == 2 && back[2] == 6);
    FAILS(EAGAIN, semop(id, &step, 1));
    memset(&status, 0x5a, sizeof status);
    argument.status = &status;
    CHECK(semctl(id, 0, IPC_STAT, argument) == 0 && status.sem_nsems == 3);
    CHECK(status.sem_otime >= before && status.sem_ctime >= before &&
          status.sem_ctime < before + 100);
    CHECK(status.sem_perm.uid == geteuid() && (status.sem_perm.mode & 0777) == 0600);
    status.sem_perm.mode = 0640;
    CHECK(semctl(id, 0, IPC_SET, argument) == 0 && semctl(id, 0, IPC_STAT, argument) == 0);
    CHECK((status.sem_perm.mode & 0777) == 0640);
    argument.value = 77;
    CHECK(semctl(id, 2, SETVAL, argument) == 0 && semctl(id, 2, GETVAL) == 77);
    argument.status = WILD;
    FAILS(EFAULT, semctl(id, 0, IPC_STAT, argument));
    FAILS(EFAULT, semctl(id, 0, IPC_SET, argument));
    FAILS(EFAULT, semctl(id, 0, GETALL, argument));
    CHECK(semctl(id, 0, IPC_RMID) == 0);
    FAILS(EINVAL, semctl(id, 0, GETVAL));
}

int main(void) {
    RUN(names);
    RUN(limits);
    RUN(machine);
    RUN(identity);
    RUN(random_numbers);
    RUN(semaphores);
    return 0;
}
