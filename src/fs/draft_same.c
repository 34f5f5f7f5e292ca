/* SPDX-License-Identifier: MIT */
/*
 * Whether a draft would be, octet for octet, the message that its name stands for already: then
 * nothing is to be done. It is how a second `rsync` or `tar -x` adds nothing.
 */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "fs/draft.h"

/* Octets of the spool that are compared at a time. */
#define PIECE ((size_t)256 << 10)

static void end_same(struct draft *d, int err)
{
	free(d->same.octets);
	d->same.octets = NULL;
	d->same.on_done(d, err);
}

static void read_piece(struct draft *d);

/* The next octets are those of the message, or at the end it has no more. */
static bool agrees(struct draft_same *s, const struct body_parts *parts)
{
	for (int i = 0; i < parts->count; i++) {
		const struct iovec *part = &parts->iov[i];

		if (part->iov_len > s->n - s->from ||
			memcmp(s->octets + s->from, part->iov_base, part->iov_len) != 0)
			return false;
		s->from += part->iov_len;
		s->read.offset += part->iov_len;
	}
	return s->n == 0 || parts->total > 0;
}

static void compare(struct draft *d);

static void same_on_octets(struct draft *d, int err, const struct body_parts *parts)
{
	struct draft_same *s = &d->same;

	if (err == 0 && !agrees(s, parts))
		err = ERR_GONE;
	if (err < 0)
		end_same(d, error_is_connection(err) ? err : ERR_GONE);
	else if (s->n == 0)
		end_same(d, 0);
	else if (s->from == s->n)
		read_piece(d);
	else
		compare(d);
}

static void same_on_read(struct body_read *r, int err, const struct body_parts *parts)
{
	same_on_octets(list_entry(r, struct draft, same.read), err, parts);
}

static void compare(struct draft *d)
{
	struct draft_same *s = &d->same;
	struct body_parts parts;

	s->read.size = s->n - s->from < BODY_READ_MAX ? s->n - s->from : BODY_READ_MAX;
	if (s->read.size == 0)
		s->read.size = 1;
	int err = body_read_try(&s->read, &parts);
	if (err == ERR_NOT_CACHED)
		body_read_start(&s->read);
	else
		same_on_octets(d, err, &parts);
}

static void same_on_piece(struct spool_job *job)
{
	struct draft *d = job->ctx;
	struct draft_same *s = &d->same;

	d->jobs--;
	free(s->octets);
	s->octets = mem_alloc(LETTER_WRITTEN(job->n));
	s->n = letter_write(&s->writer, (struct span){job->data, job->n}, s->octets);
	s->from = 0;
	s->file += job->n;
	if (job->error)
		end_same(d, ERR_IO);
	else if (s->n == 0 && job->n > 0)
		read_piece(d);
	else
		compare(d);
}

static void read_piece(struct draft *d)
{
	d->jobs++;
	spool_start(
		draft_spool(d->fs), SPOOL_READ, d->fd, NULL, PIECE, d->same.file, same_on_piece, d);
}

void draft_same_start(struct draft *d, uint32_t uid, draft_same_done *on_done)
{
	d->same = (struct draft_same){.on_done = on_done};
	d->same.read = (struct body_read){.mb = d->to, .uid = uid, .on_done = same_on_read};
	list_init(&d->same.read.link);
	read_piece(d);
}
