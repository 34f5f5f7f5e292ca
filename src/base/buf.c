/* SPDX-License-Identifier: MIT */
#include "base/buf.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/error.h"

void buf_init(struct buf *b, size_t max)
{
	*b = (struct buf){.max = max};
}

void buf_init_secret(struct buf *b, size_t max)
{
	*b = (struct buf){.max = max, .secret = true};
}

static void free_memory(struct buf *b)
{
	if (b->secret && b->memory)
		explicit_bzero(b->memory, b->cap);
	free(b->memory);
}

void buf_finish(struct buf *b)
{
	free_memory(b);
	*b = (struct buf){.max = b->max, .secret = b->secret};
}

/* What is large need not be there twice then; but a copy of a secret would be left behind. */
static bool may_resize(const struct buf *b)
{
	return !b->secret && b->data == b->memory;
}

/* Doubling, so that appending stays linear; one octet more than asked for buf_cstr's NUL. */
static int grow_memory(struct buf *b, size_t need)
{
	size_t cap = need < SIZE_MAX ? array_room(b->cap, need + 1, 1) : 0;
	bool resizes = may_resize(b);
	char *memory = !cap ? NULL : resizes ? realloc(b->memory, cap) : malloc(cap);

	if (!memory)
		return ERR_NOMEM;
	if (resizes) {
		b->memory = b->data = memory;
		b->cap = cap;
		return 0;
	}
	if (b->len)
		memcpy(memory, b->data, b->len);
	free_memory(b);
	b->memory = b->data = memory;
	b->cap = cap;
	return 0;
}

static int make_room_for(struct buf *b, size_t n)
{
	if (n > b->max - b->len)
		return ERR_LIMIT;
	size_t head = (size_t)(b->data - b->memory);
	if (b->memory && head + b->len + n < b->cap)
		return 0;
	/* Moving down pays for itself when at least half of the memory was consumed. */
	if (b->memory && head >= b->cap / 2 && b->len + n < b->cap) {
		memmove(b->memory, b->data, b->len);
		b->data = b->memory;
		return 0;
	}
	return grow_memory(b, b->len + n);
}

char *buf_reserve(struct buf *b, size_t n)
{
	if (make_room_for(b, n) < 0)
		return NULL;
	return b->data + b->len;
}

void buf_commit(struct buf *b, size_t n)
{
	b->len += n;
}

int buf_append(struct buf *b, const void *octets, size_t n)
{
	if (n == 0)
		return 0;
	int err = make_room_for(b, n);
	if (err < 0)
		return err;
	memcpy(b->data + b->len, octets, n);
	b->len += n;
	return 0;
}

int buf_append_span(struct buf *b, struct span s)
{
	return buf_append(b, s.p, s.n);
}

int buf_append_char(struct buf *b, char c)
{
	return buf_append(b, &c, 1);
}

int buf_printf(struct buf *b, const char *format, ...)
{
	va_list args, again;

	va_start(args, format);
	va_copy(again, args);
	int n = vsnprintf(NULL, 0, format, args);
	va_end(args);
	int err = n < 0 ? ERR_NOMEM : make_room_for(b, (size_t)n);
	if (err == 0) {
		/* make_room left one octet for the NUL that vsnprintf writes. */
		vsnprintf(b->data + b->len, (size_t)n + 1, format, again);
		b->len += (size_t)n;
	}
	va_end(again);
	return err;
}

void buf_consume(struct buf *b, size_t n)
{
	if (n == 0)
		return;
	b->data += n;
	b->len -= n;
	if (b->len == 0)
		b->data = b->memory;
}

void buf_truncate(struct buf *b, size_t len)
{
	b->len = len;
}

void buf_clear(struct buf *b)
{
	b->len = 0;
	b->data = b->memory;
}

const char *buf_cstr(struct buf *b)
{
	if (!b->memory && grow_memory(b, 0) < 0)
		return NULL;
	b->data[b->len] = '\0';
	return b->data;
}
