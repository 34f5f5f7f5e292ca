/* SPDX-License-Identifier: MIT */
/*
 * A growing octet buffer that has a maximum from its birth, so that nothing a server says can make
 * it larger. Octets are appended at the end and consumed at the front.
 */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include <stdarg.h>
#include <stddef.h>

#include "base/span.h"

struct buf {
	char *data;   /* the first unconsumed octet; NULL while nothing was ever appended */
	size_t len;   /* octets from data on */
	size_t max;   /* len never exceeds this */
	char *memory; /* the allocation, data lies in it */
	size_t cap;   /* of memory */
	bool secret;  /* memory is overwritten before it is freed */
};

/* Prepares an empty buffer of at most max octets. Allocates nothing. */
void buf_init(struct buf *b, size_t max);
/* The same for passwords and what is made of them: the memory is overwritten before it is freed. */
void buf_init_secret(struct buf *b, size_t max);
/* Frees the memory; the buffer is empty and usable afterwards. */
void buf_finish(struct buf *b);

/* Each appends and returns 0, ERR_LIMIT (max would be exceeded) or ERR_NOMEM; after an error the
 * buffer is as before. */
int buf_append(struct buf *b, const void *octets, size_t n);
int buf_append_span(struct buf *b, struct span s);
int buf_append_char(struct buf *b, char c);
int buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Makes room for n more octets and returns where they may be written, NULL when over max or out of
 * memory; buf_commit then says how many were written. */
char *buf_reserve(struct buf *b, size_t n);
void buf_commit(struct buf *b, size_t n);

/* Drops n octets (at most len) at the front. */
void buf_consume(struct buf *b, size_t n);
/* Drops what is behind the first len octets (len at most b->len). */
void buf_truncate(struct buf *b, size_t len);
/* Drops all octets, keeps the memory. */
void buf_clear(struct buf *b);
/* The contents as a C string (a NUL stands behind data[len], not counted). NULL: out of memory. */
const char *buf_cstr(struct buf *b);

static inline struct span buf_span(const struct buf *b)
{
	return (struct span){b->data, b->len};
}

#endif
