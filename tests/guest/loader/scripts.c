// SPDX-License-Identifier: GPL-2.0-or-later
// Programs that begin with #!: which words their interpreter gets, chains of them, what is refused. execve(2).
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdarg.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../check.h"

static char *program;

static void script(const char *name, const char *format, ...) {
    char line[4096];
    va_list words;
    va_start(words, format);
    int size = vsnprintf(line, sizeof line, format, words);
    va_end(words);
    unlink(name);
    int file = open(name, O_CREAT | O_WRONLY, 0755);
    CHECK(file >= 0 && write(file, line, size) == size);
    close(file);
}

/* Starts `name` with two arguments and compares what this program says of its own, or the errno. */
static int expect(const char *name, const char *wanted) {
    char answer[4096] = "";
    int ends[2], error[2];
    CHECK(!pipe(ends) && !pipe2(error, O_CLOEXEC));
    pid_t child = fork();
    if (!child) {
        dup2(ends[1], 1);
        close(ends[0]);
        execl(name, "zero", "one", "two", NULL);
        int number = errno;
        _exit(write(error[1], &number, sizeof number) != sizeof number);
    }
    close(ends[1]);
    close(error[1]);
    for (ssize_t done = 0, n; (n = read(ends[0], answer + done, sizeof answer - 1 - done)) > 0;) {
        done += n;
    }
    int number = 0;
    CHECK(read(error[0], &number, sizeof number) >= 0);
    close(ends[0]);
    close(error[0]);
    CHECK(waitpid(child, NULL, 0) == child);
    if (!number && strcmp(answer, wanted)) {
        printf("%s\n  instead of\n%s\n", answer, wanted);
        return -1;
    }
    return number;
}

static void words(void) {
    char wanted[4096];
    static const char *const endings[][2] = {
        {"\n", ""},  {" -a\n", "[-a]"}, {" \t-a b \t\n", "[-a b]"},  {"", ""}, {" -a", "[-a]"},
        {" ", "[]"}, {"\t\n", ""},      {" a\tb\nrest\n", "[a\tb]"},
    };
    for (unsigned i = 0; i < sizeof endings / sizeof *endings; i++) {
        script("s", "#!%s%s", program, endings[i][0]);
        snprintf(wanted, sizeof wanted, "[%s]%s[./s][one][two] ./s", program, endings[i][1]);
        CHECK(expect("./s", wanted) == 0);
        script("s", "#! \t %s%s", program, endings[i][0]);
        CHECK(expect("./s", wanted) == 0);
    }
}

static void chains(void) {
    char wanted[4096];
    script("1", "#!%s last", program);
    for (int i = 2; i <= 6; i++) {
        char name[] = {'0' + i, 0};
        script(name, "#!./%d %d\n", i - 1, i);
    }
    snprintf(wanted, sizeof wanted, "[%s][last][./1][2][./2][3][./3][4][./4][5][5][one][two] 5",
             program);
    CHECK(expect("5", wanted) == 0);
    CHECK(expect("6", "") == ELOOP);
}

static void refused(void) {
    char blanks[300];
    memset(blanks, ' ', sizeof blanks - 1);
    blanks[sizeof blanks - 1] = 0;
    script("s", "#!\n");
    CHECK(expect("./s", "") == ENOEXEC);
    script("s", "#! \t\n");
    CHECK(expect("./s", "") == ENOEXEC);
    script("s", "#!%s%s\n", blanks, program);
    CHECK(expect("./s", "") == ENOEXEC);
    script("s", "#!/%0300d\n", 7);
    CHECK(expect("./s", "") == ENOEXEC);
    script("s", "no script\n");
    CHECK(expect("./s", "") == ENOEXEC);
    script("s", "#!/no/such/interpreter\n");
    CHECK(expect("./s", "") == ENOENT);
    script("s", "#!");
    CHECK(expect("./s", "") == EACCES);
    script("s", "#!./folder\n");
    CHECK(!mkdir("folder", 0755) && expect("./s", "") == EACCES);
    script("plain", "#!%s\n", program);
    CHECK(!chmod("plain", 0644) && expect("./plain", "") == EACCES);
    script("s", "#!./plain\n");
    CHECK(expect("./s", "") == EACCES);
}

int main(int argc, char **argv) {
    if (argc > 1) {
        for (int i = 0; i < argc; i++) {
            printf("[%s]", argv[i]);
        }
        printf(" %s", (const char *)getauxval(AT_EXECFN));
        return 0;
    }
    program = argv[0];
    CHECK(program[0] == '/');
    RUN(words);
    RUN(chains);
    RUN(refused);
}
