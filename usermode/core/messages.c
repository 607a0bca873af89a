/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * iovec, msghdr and mmsghdr: copied first, so that no other thread can change them after the check, then checked in the
 * order of the kernel's import_iovec() (lib/iov_iter.c) and __copy_msghdr() (net/socket.c).
 */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "core.h"

#define MAX_RW_COUNT (INT_MAX & -(int)GUEST_PAGE) /* include/linux/fs.h of the kernel */

static int check_vector(struct iovec *vector, uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
        if (vector[i].iov_len > SSIZE_MAX) {
            return -EINVAL;
        }
    }
    if (count == 1 && vector->iov_len > MAX_RW_COUNT) {
        vector->iov_len = MAX_RW_COUNT; /* import_ubuf() shortens first and checks then */
    }
    for (uint64_t i = 0; i < count; i++) {
        uint64_t base = (uint64_t)(uintptr_t)vector[i].iov_base;
        if (base > GUEST_LIMIT || vector[i].iov_len > GUEST_LIMIT - base) {
            return -EFAULT;
        }
    }
    return 0;
}

/* Copies count iovecs, every part of which lies inside the guest, to *to, which the caller frees. 0, or -errno: too_many
 * for more than the kernel takes. */
long vector_copy(struct iovec **to, uint64_t address, uint64_t count, long too_many) {
    if (count > UIO_MAXIOV) {
        return too_many;
    }
    *to = malloc((count + 1) * sizeof **to);
    if (!*to) {
        return -ENOMEM;
    }
    if (!count) {
        return 0;
    }
    return guest_read(*to, address, count * sizeof **to) ? check_vector(*to, count) : -EFAULT;
}

static void *pointer_if_used(void *pointer) {
    return (uint64_t)(uintptr_t)pointer >= GUEST_LIMIT ? (void *)NEVER_MAPPED : pointer;
}

/* Reads one guest msghdr; *vector is its copied iovec, to be freed by the caller. 0 or -errno. The kernel itself judges
 * whether it uses the name and the control data. */
long message_copy(struct msghdr *message, uint64_t address, struct iovec **vector) {
    if (!guest_read(message, address, sizeof *message)) {
        return -EFAULT;
    }
    message->msg_name = pointer_if_used(message->msg_name);
    message->msg_control = pointer_if_used(message->msg_control);
    long err =
        vector_copy(vector, (uint64_t)(uintptr_t)message->msg_iov, message->msg_iovlen, -EMSGSIZE);
    message->msg_iov = *vector;
    return err;
}

/* What recvmsg(2) writes to the caller's msghdr. */
bool message_return(uint64_t address, const struct msghdr *message) {
    return guest_write(address + offsetof(struct msghdr, msg_namelen), &message->msg_namelen,
                       sizeof message->msg_namelen) &&
           guest_write(address + offsetof(struct msghdr, msg_controllen), &message->msg_controllen,
                       sizeof message->msg_controllen) &&
           guest_write(address + offsetof(struct msghdr, msg_flags), &message->msg_flags,
                       sizeof message->msg_flags);
}

/* The kernel may have stored into the parts. */
void vector_written(const struct iovec *vector, uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
        invalidate_written((uint64_t)(uintptr_t)vector[i].iov_base, vector[i].iov_len);
    }
}

/* ---- sendmmsg and recvmmsg ---- */

struct batch {
    struct mmsghdr *messages;
    struct iovec **vectors;
    unsigned count;
};

/* Reads up to `count` messages. The error of a later one is left for the next call, as the kernel does. */
static long batch_copy(struct batch *batch, uint64_t address, unsigned count) {
    batch->messages = calloc(count + 1, sizeof *batch->messages);
    batch->vectors = calloc(count + 1, sizeof *batch->vectors);
    if (!batch->messages || !batch->vectors) {
        return -ENOMEM;
    }
    for (; batch->count < count; batch->count++) {
        struct mmsghdr *message = &batch->messages[batch->count];
        long err = message_copy(&message->msg_hdr, address + batch->count * sizeof *message,
                                &batch->vectors[batch->count]);
        if (err) {
            return batch->count ? 0 : err;
        }
    }
    return 0;
}

/* Hands the first `done` messages back. How many the guest could be told of, or -EFAULT. */
static long batch_return(const struct batch *batch, uint64_t address, long done, bool received) {
    for (long i = 0; i < done; i++) {
        const struct mmsghdr *message = &batch->messages[i];
        uint64_t at = address + (uint64_t)i * sizeof *message;
        bool kept = guest_write(at + offsetof(struct mmsghdr, msg_len), &message->msg_len,
                                sizeof message->msg_len);
        if (received) {
            kept = kept && message_return(at, &message->msg_hdr);
            vector_written(batch->vectors[i], message->msg_hdr.msg_iovlen);
        }
        if (!kept) {
            return i ? i : -EFAULT;
        }
    }
    return done;
}

/* Makes a call whose argument `index` is an array of mmsghdr, its count behind it; the others are treated already. */
long pass_messages(struct engine *e, const struct call_row *row, int index,
                   const uint64_t *arguments) {
    struct batch batch = {0};
    uint64_t host[CALL_ARGUMENTS];
    unsigned count = (unsigned)arguments[index + 1];
    unsigned asked = count > UIO_MAXIOV ? UIO_MAXIOV : count; /* more are not taken at a time */
    long result = batch_copy(&batch, arguments[index], asked);
    if (!result) {
        memcpy(host, arguments, sizeof host);
        host[index] = (uint64_t)(uintptr_t)batch.messages;
        host[index + 1] = batch.count;
        result = host_wait(e, row->host, host);
        result = batch_return(&batch, arguments[index], result, row->flags & ROW_WRITES_MEMORY);
    }
    for (unsigned i = 0; batch.vectors && i < asked; i++) {
        free(batch.vectors[i]);
    }
    free(batch.vectors);
    free(batch.messages);
    return result;
}
