/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Guest loads and stores as plain host accesses: a pass over Unicorn's intermediate code, by way of a link-time override.
 *
 * Guest and host addresses are the same and the host's pages are readable and writable as the guest's are, so most accesses need no
 * software TLB. What tcg_optimize() leaves as qemu_ld_i64 and qemu_st_i64 becomes ld and st, which also keep no register from
 * being used across them. Left as they are: ordered and exclusive accesses (they check alignment), those of helpers, and all
 * while there are watchpoints.
 *
 * Addresses of ours. The bits from 2^46 on are joined once more 47 bits up, which gives no user address of the host if there are
 * any. Such an access, and one with a tag (TBI), ends in a host fault; its instruction is translated again with the
 * software TLB (faults.c), which tells what it is. An address near one that the block has used since (a structure's
 * members, a frame's slots) is not checked again: the guard above the guest is wider than the distance.
 *
 * State. The registers must be in memory at each access that may fault. `mb` with no kind, which no instruction comes of, gets the
 * flag that says so. A second one before the next guest instruction keeps loads alive whose result is overwritten: Go
 * looks for nil by such loads. One into no register at all, as HotSpot polls, keeps the software TLB.
 */
#include <stdlib.h>
#include <string.h>

#include "core.h"
#include "host_process.h"

/* TCGContext, TCGTemp, TCGOp, TCGOpDef of include/tcg/tcg.h; MemOp of include/exec/memop.h */
#define CONTEXT_TEMPORARIES 0x388
#define CONTEXT_FIRST_OPERATION 0x7388
#define CONTEXT_DEFINITIONS 0xa968
#define CONTEXT_TEMPORARY_COUNT 0x30
#define TEMPORARIES 512 /* TCG_MAX_TEMPS */
#define TEMPORARY_GLOBAL 0x20
#define TEMPORARY_ALLOCATED 0x80
#define FLAG_BLOCK_END 0x02
#define FLAG_SIDE_EFFECTS 0x08
#define TCG_TYPE_I64 1
#define INDEX_BITS 4 /* of the MMU index, below the MemOp */
#define MEMOP_SIZE 0x03
#define MEMOP_SIGN 0x04
#define MEMOP_PLAIN 0x07 /* size and sign: no other byte order, no alignment */

#define GUEST_BITS 46
#define NEAR (INT64_C(1) << 20) /* far less than the guard */
#define CHECKED 8

enum code {
    CODE_CALL = 2,
    CODE_MB = 4,
    CODE_MOV = 63,
    CODE_MOVI = 64,
    CODE_LD8U = 67,
    CODE_ST8 = 74,
    CODE_ADD = 78,
    CODE_OR = 88,
    CODE_SHL = 90,
    CODE_SHR = 91,
    CODE_INSTRUCTION = 129,
    CODE_GUEST_LD = 135,
    CODE_GUEST_ST = 136,
};

struct temporary {
    uint8_t reg, value_type, base_type, type, flags, padding[3];
    uint64_t rest[6];
};

struct operation {
    uint8_t code, counts; /* of a call: inputs, outputs */
    uint16_t life;
    struct operation *next, **previous;
    uint64_t arguments[10];
    uint32_t preferences[2];
};

struct definition {
    const char *name;
    uint8_t outputs, inputs, constants, arguments, flags;
    void *constraints;
    int *sorted;
};

/* A value: the one with this number, and a distance from it. Number 0 is 0. */
struct value {
    uint64_t number;
    int64_t offset;
};

static __thread struct pass {
    uint64_t numbers, epoch; /* the last number given; counts the basic blocks */
    struct {
        uint64_t epoch;
        struct value value;
    } known[TEMPORARIES];
    struct value checked[CHECKED];
    unsigned next_checked;
    char *context;
    uint64_t joined, low, high; /* temporaries */
} pass;

extern struct operation *tcg_op_insert_before_aarch64(void *context, struct operation *op,
                                                      int code);
extern void tb_invalidate_phys_range_aarch64(void *uc, uint64_t start, uint64_t end);

void __real_tcg_optimize_aarch64(void *context);
void __wrap_tcg_optimize_aarch64(void *context);

static struct definition *definitions(char *context) {
    return *(struct definition **)(context + CONTEXT_DEFINITIONS);
}

/* ---- instructions that need the software TLB ---- */

static uint64_t *indirect_word(struct engine *e, uint64_t pc, uint64_t *bit) {
    uint64_t hash = (pc >> 2) * UINT64_C(0x9e3779b97f4a7c15) >> 52;
    *bit = UINT64_C(1) << (hash & 63);
    return &e->indirect[hash >> 6];
}

/* Has the instruction at PC translated with the software TLB from now on. Called when its block will not go on. */
void access_indirect(struct engine *e, uint64_t pc) {
    uint64_t bit, *word = indirect_word(e, pc, &bit);
    *word |= bit;
    tb_invalidate_phys_range_aarch64(e->uc, pc - REGION_START, pc + 4 - REGION_START);
}

static bool indirect(uint64_t pc) {
    uint64_t bit, *word = indirect_word(current_engine, pc, &bit);
    return *word & bit;
}

/* ---- what is known of values ---- */

static size_t index_of(uint64_t temporary) {
    return (temporary - word_of(pass.context) - CONTEXT_TEMPORARIES) / sizeof(struct temporary);
}

static void set(uint64_t temporary, struct value value) {
    size_t i = index_of(temporary);
    pass.known[i].epoch = pass.epoch;
    pass.known[i].value = value;
}

static void set_unknown(uint64_t temporary) {
    set(temporary, (struct value){++pass.numbers, 0});
}

static struct value value_of(uint64_t temporary) {
    size_t i = index_of(temporary);
    if (pass.known[i].epoch != pass.epoch) {
        set_unknown(temporary);
    }
    return pass.known[i].value;
}

static void forget_all(void) {
    pass.epoch++;
}

static void note_results(const struct operation *op, const struct definition *definition) {
    struct value a, b;
    switch (op->code) {
    case CODE_MOV:
        set(op->arguments[0], value_of(op->arguments[1]));
        return;
    case CODE_MOVI:
        set(op->arguments[0], (struct value){0, (int64_t)op->arguments[1]});
        return;
    case CODE_ADD:
        a = value_of(op->arguments[1]);
        b = value_of(op->arguments[2]);
        if (!b.number) {
            a.offset = (int64_t)((uint64_t)a.offset + (uint64_t)b.offset);
            set(op->arguments[0], a);
            return;
        }
        break;
    case CODE_CALL:
        forget_all();
        return;
    }
    if (definition->flags & FLAG_BLOCK_END) {
        forget_all();
    }
    for (int i = 0; i < definition->outputs; i++) {
        set_unknown(op->arguments[i]);
    }
}

/* Is an access there sure to be no access to ours, as the block has made one near by? Else the next will be. */
static bool checked(struct value value) {
    if (!value.number) {
        return (uint64_t)value.offset < GUEST_LIMIT;
    }
    for (int i = 0; i < CHECKED; i++) {
        const struct value *c = &pass.checked[i];
        uint64_t distance = (uint64_t)value.offset - (uint64_t)c->offset + (uint64_t)NEAR;
        if (c->number == value.number && distance < 2 * NEAR) {
            return true;
        }
    }
    pass.checked[pass.next_checked++ % CHECKED] = value;
    return false;
}

/* ---- the pass ---- */

/* The build made sure that the library is the one whose numbers these are; a mistake in them would go unnoticed for long. */
static void check(void) {
    static const struct {
        enum code code;
        const char *name;
    } rows[] = {
        {CODE_CALL, "call"},
        {CODE_MB, "mb"},
        {CODE_MOV, "mov_i64"},
        {CODE_MOVI, "movi_i64"},
        {CODE_LD8U, "ld8u_i64"},
        {CODE_LD8U + 6, "ld_i64"},
        {CODE_ST8, "st8_i64"},
        {CODE_ST8 + 3, "st_i64"},
        {CODE_ADD, "add_i64"},
        {CODE_OR, "or_i64"},
        {CODE_SHL, "shl_i64"},
        {CODE_SHR, "shr_i64"},
        {CODE_INSTRUCTION, "insn_start"},
        {CODE_GUEST_LD, "qemu_ld_i64"},
        {CODE_GUEST_ST, "qemu_st_i64"},
    };
    static _Atomic bool done;
    for (size_t i = 0; !atomic_load(&done) && i < sizeof rows / sizeof *rows; i++) {
        if (strcmp(definitions(pass.context)[rows[i].code].name, rows[i].name) != 0) {
            abort();
        }
    }
    atomic_store(&done, true);
}

static struct operation *insert(struct operation *before, enum code code, uint64_t a, uint64_t b,
                                uint64_t c) {
    struct operation *op = tcg_op_insert_before_aarch64(pass.context, before, code);
    op->arguments[0] = a;
    op->arguments[1] = b;
    op->arguments[2] = c;
    return op;
}

static void sync_before(struct operation *op) {
    insert(op, CODE_MB, 0, 0, 0);
}

/* Is the result of a load that goes to no register used by its instruction? */
static bool used(const struct operation *load) {
    const struct definition *table = definitions(pass.context);
    for (const struct operation *op = load->next; op && op->code != CODE_INSTRUCTION;
         op = op->next) {
        int outputs = op->code == CODE_CALL ? op->counts >> 4 : table[op->code].outputs;
        int inputs = op->code == CODE_CALL ? op->counts & 15 : table[op->code].inputs;
        for (int i = outputs; i < outputs + inputs; i++) {
            if (op->arguments[i] == load->arguments[0]) {
                return true;
            }
        }
    }
    return false;
}

static bool global(uint64_t temporary) {
    return ((const struct temporary *)(uintptr_t)temporary)->flags & TEMPORARY_GLOBAL;
}

/* One that has not been used by the block, as those have that tcg_temp_new() would give. */
static uint64_t new_temporary(void) {
    int *count = (int *)(pass.context + CONTEXT_TEMPORARY_COUNT);
    struct temporary *temporary = (struct temporary *)(pass.context + CONTEXT_TEMPORARIES) + *count;
    if (*count == TEMPORARIES) {
        abort(); /* as Unicorn itself does */
    }
    ++*count;
    *temporary = (struct temporary){
        .base_type = TCG_TYPE_I64, .type = TCG_TYPE_I64, .flags = TEMPORARY_ALLOCATED};
    return word_of(temporary);
}

static void make_direct(struct operation *op) {
    uint64_t address = op->arguments[1], memop = op->arguments[2] >> INDEX_BITS;
    unsigned size = memop & MEMOP_SIZE;
    if (!checked(value_of(address))) {
        if (!pass.joined) {
            pass.joined = new_temporary();
            pass.low = new_temporary();
            pass.high = new_temporary();
        }
        insert(op, CODE_MOVI, pass.low, GUEST_BITS, 0);
        insert(op, CODE_SHR, pass.joined, address, pass.low);
        insert(op, CODE_MOVI, pass.high, GUEST_BITS + 1, 0);
        insert(op, CODE_SHL, pass.joined, pass.joined, pass.high);
        insert(op, CODE_OR, pass.joined, pass.joined, address);
        address = pass.joined;
    }
    sync_before(op);
    bool sign = size < MEMOP_SIZE && (memop & MEMOP_SIGN);
    op->code = (uint8_t)(op->code == CODE_GUEST_LD ? CODE_LD8U + 2 * size + sign : CODE_ST8 + size);
    op->arguments[1] = address;
    op->arguments[2] = 0;
}

static bool can_be_direct(const struct operation *op) {
    if (op->code == CODE_GUEST_LD && !global(op->arguments[0]) && !used(op)) {
        return false;
    }
    return (op->code == CODE_GUEST_LD || op->code == CODE_GUEST_ST) &&
           !(op->arguments[2] >> INDEX_BITS & ~(uint64_t)MEMOP_PLAIN);
}

void __wrap_tcg_optimize_aarch64(void *context) {
    __real_tcg_optimize_aarch64(context);
    if (watchpoint_count) {
        return;
    }
    struct definition *table = definitions(context);
    bool direct = false, loaded = false;
    pass.context = context;
    pass.joined = 0;
    check();
    table[CODE_MB].flags |= FLAG_SIDE_EFFECTS;
    forget_all();
    for (struct operation *op = *(struct operation **)((char *)context + CONTEXT_FIRST_OPERATION);
         op; op = op->next) {
        if (op->code == CODE_INSTRUCTION) {
            direct = !indirect(op->arguments[0]);
            if (loaded) {
                sync_before(op);
                loaded = false;
            }
        } else if (direct && can_be_direct(op)) {
            loaded |= op->code == CODE_GUEST_LD;
            make_direct(op);
        }
        note_results(op, &table[op->code]);
    }
}
