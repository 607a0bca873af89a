/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The C core: one engine per guest thread, the page-permission table, calls passed to the host. */
#ifndef USERMODE_CORE_H
#define USERMODE_CORE_H

#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <unicorn/unicorn.h>

#define GUEST_LIMIT (UINT64_C(1) << 46) /* guest addresses are [GUEST_FLOOR, GUEST_LIMIT) */
#define GUEST_FLOOR UINT64_C(0x10000)
#define GUEST_PAGE UINT64_C(4096)
#define REGION_START GUEST_PAGE                   /* uc_mem_map_ptr refuses a NULL host pointer */
#define ADDRESS_MASK UINT64_C(0x00ffffffffffffff) /* the tag byte is ignored for data (TBI) */

enum permission { PERMIT_READ = 1, PERMIT_WRITE = 2, PERMIT_EXECUTE = 4 };

/* Why engine_run() came back. */
enum stop {
    STOP_NONE = 0,
    STOP_CALL = 1,      /* a system call that Python answers */
    STOP_FAULT = 2,     /* no permission for an access: fault_address, fault_access */
    STOP_UNDEFINED = 3, /* undefined or privileged instruction at PC */
    STOP_ALIGNMENT = 4, /* misaligned exclusive, acquire, release or atomic access */
    STOP_BREAKPOINT = 5,
    STOP_SIGNAL = 6,     /* a caught host signal waits in `caught` */
    STOP_PC_ALIGN = 7,   /* branch to an address that is no multiple of 4 */
    STOP_BUS = 8,        /* host SIGBUS behind a permitted access: fault_address, fault_access */
    STOP_ENGINE = 9,     /* Unicorn itself failed: engine.error */
    STOP_GONE = 10,      /* the process whose code ran here has ended: see proxy.c */
    STOP_INTERRUPT = 11, /* another thread asked for it: ATTEND_STOP */
    STOP_STEP = 12,      /* the single step is done */
    STOP_WATCH = 13,     /* an access that a watchpoint waits for: fault_address, fault_access */
};

enum access { ACCESS_READ = 0, ACCESS_WRITE = 1, ACCESS_EXECUTE = 2 };

/* Bits of engine.attention: what must be looked at before guest code goes on. */
enum attention { ATTEND_SIGNAL = 1, ATTEND_FLUSH = 2, ATTEND_STOP = 4 };

/* How one argument of a passed-through call is treated; syscalls.call names the same values. */
enum treatment {
    TREAT_VALUE = 0,
    TREAT_POINTER = 1,
    TREAT_PATH = 2,
    TREAT_IOVEC = 3,
    TREAT_MSGHDR = 4,
    TREAT_MMSGHDR = 5,
    TREAT_OPEN_FLAGS = 6,
    TREAT_STAT_OUT = 7,
    TREAT_EPOLL_IN = 8,
    TREAT_EPOLL_OUT = 9,
    TREAT_POINTER_IF_USED = 10,
    TREAT_WAIT_MASK = 11,
    TREAT_WAIT_MASK_PAIR = 12,
};

enum row_mode { ROW_UNKNOWN = 0, ROW_HOST = 1, ROW_PYTHON = 2, ROW_REFUSE = 3, ROW_CORE = 4 };
enum core_call { CORE_RT_SIGPROCMASK = 0, CORE_RT_SIGRETURN = 1 };
enum row_flag { ROW_WRITES_MEMORY = 1 };

#define CALL_ROWS 512
#define CALL_ARGUMENTS 6

struct call_row {
    uint8_t mode;
    uint8_t flags;
    int16_t host; /* ROW_HOST: host number; ROW_REFUSE: errno; ROW_CORE: enum core_call */
    uint8_t treatment[CALL_ARGUMENTS];
    uint8_t reserved[6];
};

struct field_copy {
    uint16_t from, to, size;
};

/* Results of pass_through() and safe_syscall() beside the kernel's own. */
#define RESULT_RESTART (-512) /* a signal came before the call began (the kernel's ERESTARTSYS) */
#define RESULT_TO_PYTHON (-4096)    /* this call needs Python after all */
#define RESULT_GONE (-4097)         /* the process that was to make the call has ended */
#define RESULT_IN_REGISTERS (-4098) /* the call has set all registers itself */
#define RESULT_UNNOTICED (-4099)    /* interrupted by a signal that the guest does not notice */

#define REGISTER_SP 31
#define REGISTER_PC 32

struct flush_request {
    bool everything;     /* drop every cached page permission */
    uint64_t start, end; /* and the translated code in this range, if not empty */
};

/* What may wait in an engine at the same time, first what is delivered first: see signals.c. */
enum caught { CAUGHT_BUS, CAUGHT_SEGV, CAUGHT_OTHER, CAUGHT_KINDS };

/* sigaltstack(2) of a guest thread */
struct altstack {
    uint64_t start, size;
    uint32_t flags;
};

/* What the guest wants done with SIGSEGV and SIGBUS: SIG_DFL, SIG_IGN or an address of ours; SA_RESTART if handled so. */
struct fault_actions {
    uint64_t handlers[CAUGHT_OTHER], flags[CAUGHT_OTHER];
};

/* The signal state of a thread while its engine runs a vfork(2) child. */
struct signal_state {
    uint64_t blocked;
    struct altstack altstack;
    struct fault_actions *fault_actions;
    _Atomic uint32_t caught_set;
    siginfo_t caught[CAUGHT_KINDS];
};

struct proxy;
struct clone_request;

enum watched_atomic { ATOMIC_NONE = 0, ATOMIC_AGAIN, ATOMIC_DONE };

struct engine {
    _Atomic uint32_t attention;
    _Atomic uint32_t in_guest; /* translated code may be running and using cached permissions */
    uc_engine *uc;
    void *cpu;
    uint64_t *registers; /* live x0..x30, sp, pc of the CPU state */
    uint64_t *exclusive_address;
    enum stop stop;
    uc_err error;
    uint64_t fault_address;
    enum access fault_access;
    volatile bool translating;          /* guest code is being read, PC is that of the block */
    bool tracing;                       /* every call goes to Python */
    bool stepping;                      /* stop after one instruction */
    bool detached;                      /* no thread's: see engine_detach() */
    enum watched_atomic watched_atomic; /* see debug.c */
    bool keep_exclusive;                /* the last stop leaves the exclusive monitor as it is */
    uintptr_t loop_frame;               /* stack frame of the run loop: see unicorn_blocks.c */
    unsigned tlb_fills, tlb_doublings;
    uint64_t *tlb;                /* the TLB in use: mask, address of the table */
    uint64_t code_pages[1 << 10]; /* a hash set of pages with translated code */
    uint64_t indirect[1 << 6];    /* and one of instructions that need the TLB */
    unsigned generation;          /* fork generation of the process that opened it */
    struct engine *next;          /* list of all engines, under the lock of shootdown.c */
    _Atomic uint32_t flush_lock;
    struct flush_request flush;
    sigjmp_buf *recovery;
    struct proxy *proxy; /* the process that makes the host calls, if it is not ours */
    struct proxy *spare_proxy;
    struct fault_actions *fault_actions; /* of the proxy; NULL: the process's */
    siginfo_t caught[CAUGHT_KINDS];      /* written by handlers, read by Python */
    _Atomic uint32_t caught_set;         /* which of them wait: 1 << enum caught */
    _Atomic uint64_t blocked;            /* the guest's signal mask */
    _Atomic uint64_t held; /* SIGSEGV and SIGBUS, if blocked on the host for signalfd(2) */
    uint64_t
        wait_mask; /* what holds instead in a call as ppoll(2), and until its signals are delivered */
    volatile bool waiting;
    struct altstack altstack;
};

extern __thread struct engine *current_engine;

/* unicorn_fixes.c */
const char *unicorn_check(void);
bool tlb_check(const struct engine *e);

/* unicorn_accesses.c */
void accesses_begin(void);

/* direct_accesses.c */
void access_indirect(struct engine *e, uint64_t pc);

/* unicorn_blocks.c */
bool blocks_check(const struct engine *e);
bool block_restore(struct engine *e, uintptr_t host_pc);
bool call_site_restore(struct engine *e, uintptr_t host_pc);

/* engine.c */
const char *engine_open(struct engine *e, uint32_t buffer_size);
void engine_close(struct engine *e);
void engine_detach(struct engine *e);
bool engine_attach(struct engine *e);
void engine_run(struct engine *e);
void engine_attend(struct engine *e, uint32_t bits);

/* snapshot.c */
#define SNAPSHOT_WORDS 34 /* x0..x30, sp, pc, pstate */
#define VECTOR_REGISTERS 32
struct snapshot {
    uint64_t words[SNAPSHOT_WORDS];
    uint32_t fpsr, fpcr;
    uint8_t vectors[VECTOR_REGISTERS * 16];
    uint64_t tpidr;
};
void snapshot_take(struct engine *e, struct snapshot *to);
void snapshot_restore(struct engine *e, struct snapshot *from);

/* shootdown.c */
void engines_add(struct engine *e);
void engines_remove(struct engine *e);
void engines_shoot_down(uint64_t start, uint64_t end, bool permissions, bool wait);
bool engines_halt(uint64_t milliseconds);
void engines_before_fork(void);
void engines_after_fork(bool child);
void engine_forked(struct engine *e);
bool engine_inherited(const struct engine *e);
void engines_drop_caught(enum caught kind);
void engine_enter_guest(struct engine *e);
void engine_leave_guest(struct engine *e);
void engine_return_to_block(struct engine *e);

/* debug.c */
#define BREAKPOINTS 1024
#define WATCHPOINTS 64
enum watch { WATCH_NONE = 0, WATCH_PAGE_WRITES = 1, WATCH_PAGE_ALL = 2, WATCH_HIT = 4 };
extern _Atomic unsigned watchpoint_count;
uint32_t debug_instruction(uint64_t address, uint32_t instruction);
bool breakpoint_change(uint64_t address, bool set);
bool watchpoint_change(uint64_t start, uint64_t size, unsigned permission, bool set);
enum watch watch_access(uint64_t address, uint64_t size, unsigned needed);
unsigned watched_fill(struct engine *e, unsigned permission, enum access access, enum watch watch,
                      uint64_t *size);
void watch_atomic_over(struct engine *e);
bool step_done(struct engine *e);
bool stopped_for_debugger(struct engine *e);
void engine_single_step(struct engine *e, bool on);

/* tlb.c */
unsigned page_permission(uint64_t address);
int page_protect(uint64_t start, uint64_t end, unsigned permission);
void invalidate_written(uint64_t address, uint64_t size);
void flush_permissions(struct engine *e);
void flush_local(struct engine *e, const struct flush_request *request);

/* guest_memory.c: copies that end with false instead of a host fault */
bool guest_read(void *to, uint64_t address, size_t size);
bool guest_write(uint64_t address, const void *from, size_t size);
long guest_string(char *to, uint64_t address, size_t limit);
bool guest_range(uint64_t address, uint64_t size);

/* hostcalls.c */
extern struct call_row call_rows[CALL_ROWS];
extern struct field_copy stat_copy[32];
extern uint32_t open_flag_pairs[8][2];
extern bool sysroot_active;
extern _Atomic uint64_t calls_passed;
long pass_through(struct engine *e, unsigned number, const uint64_t *arguments);
long host_call(long number, const uint64_t *arguments);
long host_wait(struct engine *e, long number, const uint64_t *arguments);
long safe_syscall(long number, const uint64_t *arguments, _Atomic uint32_t *attention);
extern const char safe_syscall_begin[], safe_syscall_end[], safe_syscall_interrupted[];

/* waits.c */
long whole_call(long number, const uint64_t *arguments, _Atomic uint32_t *attention);

/* limits.c */
#define LIMITS_AT_ONCE 16
struct limit {
    uint64_t resource, soft, hard;
};
void limits_exchange(struct limit *limits, long count);
void stack_reserve(size_t size);

/* messages.c */
#define NEVER_MAPPED                                                                               \
    GUEST_PAGE /* stands for a guest's pointer above GUEST_LIMIT: the kernel says EFAULT if it looks */
struct iovec;
struct msghdr;
long vector_copy(struct iovec **to, uint64_t address, uint64_t count, long too_many);
long message_copy(struct msghdr *message, uint64_t address, struct iovec **vector);
bool message_return(uint64_t address, const struct msghdr *message);
void vector_written(const struct iovec *vector, uint64_t count);
long pass_messages(struct engine *e, const struct call_row *row, int index,
                   const uint64_t *arguments);

/* signals.c */
int signal_catch(int number, uint64_t flags);
int signal_set(int number, uint64_t handler, uint64_t flags, uint64_t *old_handler);
void signals_release(struct engine *e);
void signal_put_back(int number, siginfo_t *info);
void signal_sent(int number, siginfo_t *info, void *context);

/* shown.c */
struct prctl_mm_map;
int show_guest(struct prctl_mm_map *map);

/* proxy.c */
long proxy_open(struct engine *e, const struct clone_request *request, bool extended);
void proxy_close(struct engine *e);
long proxy_call(struct proxy *p, long number, const uint64_t *arguments, bool waits);
bool proxy_gone(const struct proxy *p);
struct signal_state *proxy_state_aside(const struct engine *e);
void proxies_free(struct engine *e);

/* ticks.c */
void ticks_start(struct engine *e);
void ticks_stop(void);
void tick(struct engine *e);

/* signal_masks.c */
enum caught caught_kind(int number);
bool caught_deliverable(struct engine *e, uint64_t blocked);
bool signal_take(struct engine *e, uint64_t blocked, siginfo_t *taken);
bool signal_take_blocked(struct engine *e, uint64_t wanted, siginfo_t *taken);
bool signal_held(struct engine *e, int number);
bool signal_left_on_host(int number);
void signals_let_go(struct engine *e);
void signals_leave_on_host(struct engine *e, uint64_t set);
void signals_forget(struct engine *e, uint64_t *mask);
uint64_t signals_waiting(struct engine *e);
uint64_t mask_in_effect(const struct engine *e);
uint64_t host_mask_change(uint64_t mask);
uint64_t signals_hold(void);
void mask_set(struct engine *e, uint64_t mask);
long mask_change(struct engine *e, uint64_t mask);
long core_call(struct engine *e, enum core_call call, const uint64_t *arguments);
struct mask_pair { /* the last argument of pselect6(2): struct sigset_argpack of fs/select.c */
    uint64_t address, size;
};
uint64_t wait_mask(struct engine *e, uint64_t address, uint64_t size, uint64_t *host);
long wait_mask_pair(struct engine *e, uint64_t *argument, struct mask_pair *pair, uint64_t *host);
void wait_over(struct engine *e, long result);
uint64_t wait_end(struct engine *e);
void signals_set_aside(struct engine *e, struct signal_state *state);
void signals_bring_back(struct engine *e, struct signal_state *state);

/* signal_frame.c */
bool vectors_check(const struct engine *e);
struct handler {
    uint64_t address, flags, restorer;
    uint64_t mask;       /* the signal mask while it runs */
    uint64_t fault, esr; /* of a fault's signal, for the ucontext */
};
bool frame_push(struct engine *e, const siginfo_t *info, const struct handler *handler);
long core_sigreturn(struct engine *e);

/* faults.c */
int signal_faults_catch(void);
void signal_own_fault(int number);
int signal_fault_release(int number);
int fault_action(enum caught kind, uint64_t handler, uint64_t flags, uint64_t *old_handler);
bool fault_ignored(enum caught kind);
void fault_actions_copy(struct fault_actions *to);
void fault_actions_adopt(struct engine *e);

#endif
