/* SPDX-License-Identifier: MIT */
#include "fs/view/lines.h"

#include <stdlib.h>

#include "base/array.h"
#include "mail/model/flags.h"

/* What is done at once: lines that were there before cost 1. */
#define STEP_COST 20000u
#define NEW_COST 10u

void lines_init(struct lines *l)
{
	*l = (struct lines){0};
	buf_init(&l->text, LINES_MAX);
}

void lines_finish(struct lines *l)
{
	buf_finish(&l->text);
	free(l->at);
}

static int put_head(const struct lines_format *format, struct mailbox *mb,
	const struct cache_message *m, struct buf *out)
{
	struct flags_value flags = {0};

	flags_get(mb, m, &flags);
	const struct row_head head = {.uid = m->uid,
		.has_date = !(m->flags & CACHE_DATE_UNKNOWN),
		.has_size = !(m->flags & CACHE_SIZE_UNKNOWN),
		.date = m->date,
		.size = m->size,
		.system = flags.system,
		.keywords = flags.keywords};
	return format->head(&head, out);
}

/* old: the line that the message had before, or NULL. */
static int add_line(struct lines *new, const struct lines *before, const struct line *old,
	const struct lines_format *format, struct mailbox *mb, const struct cache_message *m)
{
	int err = put_head(format, mb, m, &new->text);
	size_t tail = new->text.len;
	bool lacking = false;

	if (err == 0 && old)
		err = buf_append(&new->text, before->text.data + old->tail, old->end - old->tail);
	else if (err == 0)
		err = format->tail(mb, m->uid, &new->text);
	if (err > 0) {
		lacking = true;
		err = 0;
	}
	new->at = array_grow(new->at, &new->cap, new->count + 1, sizeof(*new->at));
	new->at[new->count++] = (struct line){m->uid, lacking, tail, new->text.len};
	return err;
}

/* The whole line that the message had before, or NULL. */
static const struct line *find_old(struct lines_making *making, const struct lines *before)
{
	while (making->at < before->count && before->at[making->at].uid < making->uid)
		making->at++;
	if (making->at == before->count || before->at[making->at].uid != making->uid ||
		before->at[making->at].lacking)
		return NULL;
	return &before->at[making->at];
}

/* 1: all are there; 0: not yet. */
static int add_some(struct lines_making *making, const struct lines *before,
	const struct lines_format *format, struct mailbox *mb)
{
	unsigned cost = 0;
	int err = 0;

	while (err == 0 && cost < STEP_COST) {
		const struct cache_message *m = making->uid < UINT32_MAX
							? mailbox_after(mb, making->uid)
							: NULL;
		if (!m)
			return 1;
		making->uid = m->uid;
		if (mailbox_hidden(mb, m->uid))
			continue;
		const struct line *old = find_old(making, before);
		err = add_line(&making->lines, before, old, format, mb, m);
		cost += old ? 1 : NEW_COST;
	}
	return err;
}

void lines_making_finish(struct lines_making *making)
{
	if (making->begun)
		lines_finish(&making->lines);
	*making = (struct lines_making){0};
}

int lines_make(struct lines *l, struct lines_making *making, struct mailbox *mb,
	const struct lines_format *format, bool *same)
{
	if (!making->begun)
		lines_init(&making->lines);
	making->begun = true;
	int err = add_some(making, l, format, mb);
	if (err < 0)
		lines_making_finish(making);
	if (err <= 0)
		return err;
	*same = l->made && span_equal(buf_span(&l->text), buf_span(&making->lines.text));
	making->lines.made = true;
	lines_finish(l);
	*l = making->lines;
	*making = (struct lines_making){0};
	return 1;
}
