/* SPDX-License-Identifier: MIT */
/* See conversation.h. */
#include "conversation.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/error.h"
#include "dump.h"
#include "imap/framer.h"
#include "imap/response.h"

#define TEXT_MAX (64u << 20)

struct conversation {
	struct imap_framer *framer;
	struct imap_parser *parser;
	struct buf text;
	bool in_data; /* a line "DATA ..." is open */
	int err;
};

struct conversation *conversation_start(void)
{
	struct conversation *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	buf_init(&c->text, TEXT_MAX);
	c->framer = imap_framer_create();
	c->parser = imap_parser_create();
	if (c->framer && c->parser && buf_reserve(&c->text, 65536))
		return c;
	conversation_end(c);
	return NULL;
}

void conversation_end(struct conversation *c)
{
	if (!c)
		return;
	imap_framer_destroy(c->framer);
	imap_parser_destroy(c->parser);
	buf_finish(&c->text);
	free(c);
}

/* Ends an open line of data. */
static int close_data(struct conversation *c)
{
	bool open = c->in_data;

	c->in_data = false;
	return open ? buf_append_char(&c->text, '\n') : 0;
}

struct span conversation_text(struct conversation *c)
{
	close_data(c);
	return buf_span(&c->text);
}

static int on_line(struct conversation *c, struct span line)
{
	struct imap_response r;
	int err = imap_response_parse(c->parser, line, &r);

	if (err == 0)
		dump_response(&c->text, &r);
	return err;
}

static int on_body(struct conversation *c, struct span prefix, uint64_t size)
{
	struct imap_fetch f;
	int err = imap_response_parse_prefix(c->parser, prefix, &f);

	if (err < 0)
		return err;
	err = buf_printf(&c->text, "BODY seq=%" PRIu32 " uid=%" PRIu32 " octets=%" PRIu64, f.seq,
		f.uid, size);
	if (err == 0 && f.has_origin)
		err = buf_printf(&c->text, " origin=%" PRIu64, f.origin);
	if (err == 0 && f.section.name.n > 0)
		err = buf_printf(
			&c->text, " section=[%.*s]", (int)f.section.name.n, f.section.name.p);
	if (err == 0 && f.section.has_origin)
		err = buf_printf(&c->text, " from=%" PRIu64, f.section.origin);
	return err < 0 ? err : buf_append_char(&c->text, '\n');
}

static int on_frame(struct conversation *c, const struct imap_frame *frame)
{
	switch (frame->kind) {
	case IMAP_FRAME_LINE:
		return on_line(c, frame->text);
	case IMAP_FRAME_BODY_BEGIN:
		return on_body(c, frame->text, frame->size);
	case IMAP_FRAME_BODY_DATA:
		if (!c->in_data && buf_append_span(&c->text, SPAN("DATA ")) < 0)
			return ERR_NOMEM;
		c->in_data = true;
		dump_octets(&c->text, frame->text);
		return 0;
	case IMAP_FRAME_BODY_END:
		if (close_data(c) < 0)
			return ERR_NOMEM;
		return buf_append_span(&c->text, SPAN("END\n"));
	case IMAP_FRAME_MORE:
		break;
	}
	return 0;
}

int conversation_feed(struct conversation *c, struct span part)
{
	struct imap_frame frame = {.kind = IMAP_FRAME_LINE};

	while (c->err == 0 && frame.kind != IMAP_FRAME_MORE) {
		size_t used;
		c->err = imap_framer_feed(c->framer, part.p, part.n, &used, &frame);
		part.p += used;
		part.n -= used;
		if (c->err == 0)
			c->err = on_frame(c, &frame);
		if (c->err < 0 && close_data(c) == 0)
			buf_printf(&c->text, "ERROR %s\n", error_text(c->err));
	}
	return c->err;
}
