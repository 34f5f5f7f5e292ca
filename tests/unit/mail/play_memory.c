/* SPDX-License-Identifier: MIT */
/*
 * Where memory is lacking, mail/, link/ and cache/ end the process (base/mem.h), as they do when there
 * is none for a session or a mailbox's name; a session under way and other buffers say so. Only the latter is of interest to a
 * play: the test is linked with -Wl,--wrap for the former, which never fail.
 */
#include <stddef.h>

#include "imap/session.h"
#include "mail/model/names.h"

#include "../support/oom.h"

void *__real_mem_alloc(size_t n);
void *__real_mem_zalloc(size_t n);
void *__real_mem_resize(void *p, size_t count, size_t size);
char *__real_mem_copy(const void *p, size_t n);
char *__real_mem_strdup(const char *s);
void *__real_array_grow(void *p, size_t *cap, size_t need, size_t size);
struct imap_session *__real_imap_session_create(const struct imap_session_options *options,
	const struct imap_session_events *events, void *ctx, uint64_t now);
int __real_names_component(struct span level, bool utf8, struct buf *out);
void *__wrap_mem_alloc(size_t n);
void *__wrap_mem_zalloc(size_t n);
void *__wrap_mem_resize(void *p, size_t count, size_t size);
char *__wrap_mem_copy(const void *p, size_t n);
char *__wrap_mem_strdup(const char *s);
void *__wrap_array_grow(void *p, size_t *cap, size_t need, size_t size);
struct imap_session *__wrap_imap_session_create(const struct imap_session_options *options,
	const struct imap_session_events *events, void *ctx, uint64_t now);
int __wrap_names_component(struct span level, bool utf8, struct buf *out);

void *__wrap_mem_alloc(size_t n)
{
	oom_pause();
	void *p = __real_mem_alloc(n);
	oom_resume();
	return p;
}

void *__wrap_mem_zalloc(size_t n)
{
	oom_pause();
	void *p = __real_mem_zalloc(n);
	oom_resume();
	return p;
}

void *__wrap_mem_resize(void *p, size_t count, size_t size)
{
	oom_pause();
	void *grown = __real_mem_resize(p, count, size);
	oom_resume();
	return grown;
}

char *__wrap_mem_copy(const void *p, size_t n)
{
	oom_pause();
	char *copy = __real_mem_copy(p, n);
	oom_resume();
	return copy;
}

char *__wrap_mem_strdup(const char *s)
{
	oom_pause();
	char *copy = __real_mem_strdup(s);
	oom_resume();
	return copy;
}

void *__wrap_array_grow(void *p, size_t *cap, size_t need, size_t size)
{
	oom_pause();
	void *grown = __real_array_grow(p, cap, need, size);
	oom_resume();
	return grown;
}

struct imap_session *__wrap_imap_session_create(const struct imap_session_options *options,
	const struct imap_session_events *events, void *ctx, uint64_t now)
{
	oom_pause();
	struct imap_session *s = __real_imap_session_create(options, events, ctx, now);
	oom_resume();
	return s;
}

int __wrap_names_component(struct span level, bool utf8, struct buf *out)
{
	oom_pause();
	int err = __real_names_component(level, utf8, out);
	oom_resume();
	return err;
}
