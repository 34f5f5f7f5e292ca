/* SPDX-License-Identifier: MIT */
#include "fs/view/sections.h"

#include "base/error.h"
#include "base/log.h"
#include "fs/filesystem.h"

/* Octets that are asked for at once, and that may be worked on in one turn of the loop. */
#define STEP ((size_t)CACHE_CHUNK)

void sections_fail(struct fs_op *op, int err)
{
	if (err == ERR_UNREADABLE || err == ERR_LIMIT)
		log_warning("%s/%u: %s cannot be shown: %s", mailbox_path(op->mb), op->uid,
			op->at.node->view->name,
			err == ERR_LIMIT ? "it would be too large"
					 : "the server does not say how the message is made");
	op_fail(op, err == ERR_LIMIT ? ERR_UNREADABLE : err);
}

static size_t next_size(const struct sections *s)
{
	return s->limit && s->limit - s->offset < STEP ? (size_t)(s->limit - s->offset) : STEP;
}

/* Goes on behind these octets. */
static void took(struct fs_op *op, const struct body_parts *parts);

static void took_or_failed(struct fs_op *op, int err, const struct body_parts *parts)
{
	if (err < 0)
		sections_fail(op, err == ERR_GONE && !op->lookup ? ERR_STALE : err);
	else
		took(op, parts);
}

static void sections_came(struct fs_op *op, int err)
{
	took_or_failed(op, err, op->parts);
}

static void go_on(struct fs_op *op, int err)
{
	struct sections *s = op->making;
	struct section_read read = {.of = {.mb = op->mb,
					    .uid = op->uid,
					    .part = s->part,
					    .what = s->what,
					    .structure = s->structure},
		.offset = s->offset,
		.size = next_size(s)};
	struct body_parts parts;

	err = op->mb->dead ? ERR_STALE : section_read_try(&read, &parts);
	if (err == ERR_NOT_CACHED) {
		op_wait_section(op, &read, sections_came);
		return;
	}
	took_or_failed(op, err, &parts);
}

static void took(struct fs_op *op, const struct body_parts *parts)
{
	struct sections *s = op->making;
	size_t asked = next_size(s), total = parts->total;
	int err = 0;

	for (int i = 0; err == 0 && i < parts->count; i++)
		err = s->take(op, (struct span){parts->iov[i].iov_base, parts->iov[i].iov_len});
	if (err < 0) {
		sections_fail(op, err);
		return;
	}
	s->offset += total;
	if (total < asked || (s->limit && s->offset >= s->limit))
		s->done(op, 0);
	else
		op_wait_turn(op, go_on);
}

void sections_start(struct fs_op *op, uint32_t part, uint64_t from, uint64_t to,
	sections_take *take, op_resume *done)
{
	struct sections *s = op->making;

	*s = (struct sections){.structure = s->structure,
		.part = part,
		.what = SECTION_BODY,
		.from = from,
		.offset = from,
		.limit = to,
		.take = take,
		.done = done};
	go_on(op, 0);
}

void sections_read(struct fs_op *op, uint32_t part, enum section_what what, uint64_t limit,
	sections_take *take, op_resume *done)
{
	struct sections *s = op->making;

	*s = (struct sections){.structure = s->structure,
		.part = part,
		.what = what,
		.limit = limit,
		.take = take,
		.done = done};
	go_on(op, 0);
}
