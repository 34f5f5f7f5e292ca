/* SPDX-License-Identifier: MIT */
/* Packed: VERSION; then for each field that has a value its number (CUT added), two octets of length, the
 * value. */
#include "mime/summary.h"

#include <stdint.h>

#include "base/error.h"

#define VERSION 1
#define CUT 0x80u

static const struct {
	struct span name;
	size_t most; /* octets that are kept of its value */
} fields[MIME_SUMMARY_FIELDS] = {
	[MIME_SUMMARY_DATE] = {{"date", 4}, 128},
	[MIME_SUMMARY_FROM] = {{"from", 4}, 1024},
	[MIME_SUMMARY_TO] = {{"to", 2}, 4096},
	[MIME_SUMMARY_CC] = {{"cc", 2}, 4096},
	[MIME_SUMMARY_SUBJECT] = {{"subject", 7}, 2048},
	[MIME_SUMMARY_MESSAGE_ID] = {{"message-id", 10}, 1024},
	[MIME_SUMMARY_IN_REPLY_TO] = {{"in-reply-to", 11}, 1024},
	[MIME_SUMMARY_REFERENCES] = {{"references", 10}, 4096},
	[MIME_SUMMARY_LIST_ID] = {{"list-id", 7}, 512},
	[MIME_SUMMARY_CONTENT_TYPE] = {{"content-type", 12}, 512},
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r';
}

static struct span trim(struct span s)
{
	while (s.n > 0 && is_blank(s.p[0]))
		s = (struct span){s.p + 1, s.n - 1};
	while (s.n > 0 && is_blank(s.p[s.n - 1]))
		s.n--;
	return s;
}

void mime_summary_init(struct mime_summary_builder *b)
{
	*b = (struct mime_summary_builder){.field = -1};
	for (int i = 0; i < MIME_SUMMARY_FIELDS; i++)
		buf_init(&b->values[i], fields[i].most);
}

void mime_summary_finish(struct mime_summary_builder *b)
{
	for (int i = 0; i < MIME_SUMMARY_FIELDS; i++)
		buf_finish(&b->values[i]);
}

/* One that was there before is not taken again, unless it was empty. */
static int find_field(const struct mime_summary_builder *b)
{
	struct span name = trim((struct span){b->name, b->name_n});

	for (int i = 0; i < MIME_SUMMARY_FIELDS; i++)
		if (span_equal_nocase(name, fields[i].name))
			return trim(buf_span(&b->values[i])).n == 0 ? i : -1;
	return -1;
}

/* Takes what there is of the line. */
static struct span take_line(struct span *in, bool *ended)
{
	const char *end = memchr(in->p, '\n', in->n);
	struct span line = {in->p, end ? (size_t)(end - in->p) : in->n};

	*ended = end != NULL;
	*in = (struct span){in->p + line.n + *ended, in->n - line.n - *ended};
	return line;
}

static int keep_value(struct mime_summary_builder *b, struct span s)
{
	if (b->field < 0)
		return 0;
	struct buf *value = &b->values[b->field];
	size_t room = fields[b->field].most - value->len;
	for (; value->len == 0 && s.n > 0 && is_blank(*s.p); s.n--)
		s.p++;
	b->cut[b->field] |= trim(s).n > room;
	return buf_append(value, s.p, s.n < room ? s.n : room);
}

static int feed_value(struct mime_summary_builder *b, struct span *in)
{
	bool ended;
	int err = keep_value(b, take_line(in, &ended));

	if (ended)
		b->state = MIME_SUMMARY_LINE;
	/* What stood before the line's end is no part of the value. */
	if (ended && b->field >= 0) {
		struct buf *value = &b->values[b->field];
		if (value->len > 0 && value->data[value->len - 1] == '\r')
			buf_truncate(value, value->len - 1);
	}
	return err;
}

/* The octets before the colon. Without one the line is no field. */
static void feed_name(struct mime_summary_builder *b, struct span *in)
{
	char c = *in->p;

	*in = (struct span){in->p + 1, in->n - 1};
	if (c == '\n') {
		b->state = MIME_SUMMARY_LINE;
	} else if (c == ':') {
		b->field = find_field(b);
		b->state = MIME_SUMMARY_VALUE;
	} else if (b->name_n < sizeof(b->name)) {
		b->name[b->name_n++] = c;
	}
}

/* The first octet of a line. */
static void begin_line(struct mime_summary_builder *b, char c)
{
	if (c == '\r' || c == '\n') {
		b->state = MIME_SUMMARY_END;
	} else if (c == ' ' || c == '\t') {
		b->state = MIME_SUMMARY_VALUE;
	} else {
		b->state = MIME_SUMMARY_NAME;
		b->field = -1;
		b->name_n = 0;
	}
}

int mime_summary_feed(struct mime_summary_builder *b, struct span in)
{
	int err = 0;

	while (err == 0 && in.n > 0 && b->state != MIME_SUMMARY_END) {
		if (b->state == MIME_SUMMARY_LINE)
			begin_line(b, *in.p);
		else if (b->state == MIME_SUMMARY_NAME)
			feed_name(b, &in);
		else
			err = feed_value(b, &in);
	}
	return err;
}

/* A list is cut behind its last whole member. */
static struct span whole_members(struct span value, int field)
{
	char end = field == MIME_SUMMARY_TO || field == MIME_SUMMARY_CC ? ',' : ' ';
	size_t n = value.n;

	if (field == MIME_SUMMARY_SUBJECT)
		return value;
	while (n > 0 && value.p[n - 1] != end)
		n--;
	return n > 1 ? trim((struct span){value.p, n - 1}) : value;
}

int mime_summary_pack(const struct mime_summary_builder *b, struct buf *out)
{
	int err = buf_append_char(out, VERSION);

	for (int i = 0; i < MIME_SUMMARY_FIELDS && err == 0; i++) {
		struct span value = trim(buf_span(&b->values[i]));
		if (value.n == 0)
			continue;
		if (b->cut[i])
			value = whole_members(value, i);
		const unsigned char head[3] = {(unsigned char)((unsigned)i | (b->cut[i] ? CUT : 0)),
			(unsigned char)(value.n >> 8), (unsigned char)value.n};
		err = buf_append(out, head, sizeof(head));
		if (err == 0)
			err = buf_append_span(out, value);
	}
	return err;
}

bool mime_summary_unpack(struct span packed, struct mime_summary *summary)
{
	*summary = (struct mime_summary){0};
	if (packed.n == 0 || *packed.p != VERSION)
		return false;
	packed = (struct span){packed.p + 1, packed.n - 1};
	while (packed.n >= 3) {
		const unsigned char *head = (const unsigned char *)packed.p;
		unsigned field = head[0] & ~CUT;
		size_t n = (size_t)head[1] << 8 | head[2];
		packed = (struct span){packed.p + 3, packed.n - 3};
		if (field >= MIME_SUMMARY_FIELDS || n > packed.n)
			return false;
		summary->value[field] = (struct span){packed.p, n};
		summary->cut[field] = head[0] & CUT;
		packed = (struct span){packed.p + n, packed.n - n};
	}
	return packed.n == 0;
}
