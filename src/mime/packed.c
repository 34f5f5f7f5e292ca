/* SPDX-License-Identifier: MIT */
/*
 * An octet for the version, then the parts in their order. Of each: an octet for its kind and for what
 * it has; its depth, which with the order tells its parent; words (its type, of one that is no multipart
 * its encoding), numbers (its octets), and pairs behind their count. Numbers are in groups of 7 bits,
 * the lowest first, the eighth set but in the last one.
 */
#include "mime/packed.h"

#include <stdint.h>
#include <stdlib.h>

#include "base/error.h"

#define VERSION 1
#define KIND 3u
#define HAS_PARAMS 4u
#define HAS_DISPOSITION 8u

/* A word's first octet: below WORD_BARE the number of a known one; else WORD_BARE and its length, or
 * WORD_LONG and then its length. None may be taken out or moved without another VERSION. */
#define WORD_BARE 0x80u
#define WORD_LONG 0xffu
static const struct span known[] = {
#define W(text)                                                                                    \
	{                                                                                          \
		text, sizeof(text) - 1                                                             \
	}
	W(""),
	W("text"),
	W("plain"),
	W("html"),
	W("multipart"),
	W("alternative"),
	W("mixed"),
	W("related"),
	W("signed"),
	W("report"),
	W("application"),
	W("octet-stream"),
	W("pdf"),
	W("image"),
	W("jpeg"),
	W("png"),
	W("gif"),
	W("message"),
	W("rfc822"),
	W("delivery-status"),
	W("calendar"),
	W("pgp-signature"),
	W("pkcs7-signature"),
	W("ms-tnef"),
	W("zip"),
	W("audio"),
	W("video"),
	W("charset"),
	W("boundary"),
	W("name"),
	W("filename"),
	W("format"),
	W("flowed"),
	W("delsp"),
	W("yes"),
	W("type"),
	W("multipart/alternative"),
	W("text/html"),
	W("protocol"),
	W("application/pgp-signature"),
	W("micalg"),
	W("method"),
	W("report-type"),
	W("size"),
	W("utf-8"),
	W("UTF-8"),
	W("us-ascii"),
	W("US-ASCII"),
	W("iso-8859-1"),
	W("ISO-8859-1"),
	W("windows-1252"),
	W("Windows-1252"),
	W("iso-8859-15"),
	W("ISO-8859-15"),
	W("7bit"),
	W("8bit"),
	W("binary"),
	W("quoted-printable"),
	W("base64"),
	W("attachment"),
	W("inline"),
	W("modification-date"),
	W("creation-date"),
	W("x-unix-mode"),
	W("text/plain"),
	W("vnd.openxmlformats-officedocument.wordprocessingml.document"),
	W("vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
	W("msword"),
	W("csv"),
	W("x-patch"),
	W("x-diff"),
	W("no"),
	W("fixed"),
	W("disposition-notification"),
	W("vnd.ms-excel"),
	W("headers"),
	W("rfc822-headers"),
	W("global"),
	W("svg+xml"),
#undef W
};
#define KNOWN (sizeof(known) / sizeof(known[0]))
_Static_assert(KNOWN <= WORD_BARE, "each is one octet");

/* --- packing --- */

static int put_number(struct buf *out, uint64_t value)
{
	int err = 0;

	for (; err == 0 && value > 0x7f; value >>= 7)
		err = buf_append_char(out, (char)(value | 0x80));
	return err == 0 ? buf_append_char(out, (char)value) : err;
}

/* any_case: it means the same in either, and is kept in that of a known word. */
static int put_word(struct buf *out, struct span s, bool any_case)
{
	for (size_t i = 0; i < KNOWN; i++)
		if (any_case ? span_equal_nocase(s, known[i]) : span_equal(s, known[i]))
			return buf_append_char(out, (char)i);
	bool is_long = s.n >= WORD_LONG - WORD_BARE;
	int err = buf_append_char(out, (char)(is_long ? WORD_LONG : WORD_BARE + s.n));
	if (err == 0 && is_long)
		err = put_number(out, s.n);
	return err == 0 ? buf_append_span(out, s) : err;
}

static int put_pairs(
	struct buf *out, const struct mime_structure *s, const struct mime_pairs *pairs)
{
	int err = put_number(out, pairs->count);

	for (size_t i = 0; err == 0 && i < pairs->count; i++) {
		const struct mime_param *pair = &s->params[pairs->first + i];
		err = put_word(out, pair->name, true);
		if (err == 0)
			err = put_word(out, pair->value, false);
	}
	return err;
}

static int put_part(struct buf *out, const struct mime_structure *s, const struct mime_part *part)
{
	unsigned head = (unsigned)part->kind;
	bool has_disposition = part->disposition.n > 0 || part->disposition_params.count > 0;

	head |= part->params.count > 0 ? HAS_PARAMS : 0;
	head |= has_disposition ? HAS_DISPOSITION : 0;
	int err = buf_append_char(out, (char)head);
	if (err == 0)
		err = put_number(out, part->depth);
	if (err == 0 && part->kind != MIME_MULTIPART)
		err = put_word(out, part->type, true);
	if (err == 0)
		err = put_word(out, part->subtype, true);
	if (err == 0 && part->kind != MIME_MULTIPART)
		err = put_word(out, part->encoding, true);
	if (err == 0 && part->kind != MIME_MULTIPART)
		err = put_number(out, part->octets);
	if (err == 0 && part->params.count > 0)
		err = put_pairs(out, s, &part->params);
	if (err == 0 && has_disposition)
		err = put_word(out, part->disposition, true);
	if (err == 0 && has_disposition)
		err = put_pairs(out, s, &part->disposition_params);
	return err;
}

int mime_structure_pack(const struct mime_structure *s, struct buf *out)
{
	int err = buf_append_char(out, VERSION);

	for (size_t i = 0; err == 0 && i < s->count; i++)
		err = put_part(out, s, &s->parts[i]);
	return err;
}

/* --- unpacking --- */

static bool take_octet(struct span *in, unsigned *octet)
{
	if (in->n == 0)
		return false;
	*octet = (unsigned char)*in->p;
	*in = (struct span){in->p + 1, in->n - 1};
	return true;
}

static bool take_number(struct span *in, uint64_t *value)
{
	unsigned octet = 0x80;

	*value = 0;
	for (unsigned shift = 0; octet & 0x80; shift += 7) {
		if (shift > 63 || !take_octet(in, &octet))
			return false;
		*value |= (uint64_t)(octet & 0x7f) << shift;
	}
	return true;
}

static bool take_word(struct span *in, struct span *s)
{
	unsigned head;
	uint64_t n;

	if (!take_octet(in, &head))
		return false;
	if (head < WORD_BARE) {
		*s = head < KNOWN ? known[head] : (struct span){0};
		return head < KNOWN;
	}
	n = head - WORD_BARE;
	if ((head == WORD_LONG && !take_number(in, &n)) || n > in->n)
		return false;
	*s = (struct span){in->p, (size_t)n};
	*in = (struct span){in->p + n, in->n - (size_t)n};
	return true;
}

static int take_pairs(struct span *in, struct mime_structure *s, struct mime_pairs *pairs)
{
	struct mime_pairs taken = {0};
	struct span name, value;
	uint64_t count;
	int err = 0;

	if (!take_number(in, &count))
		return ERR_UNREADABLE;
	for (; count > 0 && err == 0; count--) {
		if (!take_word(in, &name) || !take_word(in, &value))
			return ERR_UNREADABLE;
		err = mime_structure_add_pair(s, &taken, name, value);
	}
	*pairs = taken;
	return err;
}

/* The last part at the depth above, which the parts so far end with. */
static bool find_parent(const struct mime_structure *s, uint64_t depth, uint32_t *parent)
{
	*parent = s->count > 0 ? (uint32_t)s->count - 1 : MIME_NO_PART;
	if (depth == 0 || *parent == MIME_NO_PART)
		return depth == 0 && *parent == MIME_NO_PART;
	while (*parent != MIME_NO_PART && s->parts[*parent].depth >= depth)
		*parent = s->parts[*parent].parent;
	return *parent != MIME_NO_PART && s->parts[*parent].depth == depth - 1 &&
	       s->parts[*parent].kind != MIME_LEAF;
}

static int take_fields(
	struct span *in, struct mime_structure *s, struct mime_part *part, unsigned head)
{
	bool is_multipart = part->kind == MIME_MULTIPART;
	int err = 0;

	part->type = SPAN("multipart");
	if ((!is_multipart && !take_word(in, &part->type)) || !take_word(in, &part->subtype))
		return ERR_UNREADABLE;
	if (!is_multipart && (!take_word(in, &part->encoding) || !take_number(in, &part->octets)))
		return ERR_UNREADABLE;
	if (head & HAS_PARAMS)
		err = take_pairs(in, s, &part->params);
	if (err == 0 && (head & HAS_DISPOSITION))
		err = take_word(in, &part->disposition) ? 0 : ERR_UNREADABLE;
	if (err == 0 && (head & HAS_DISPOSITION))
		err = take_pairs(in, s, &part->disposition_params);
	return err;
}

static int take_part(struct span *in, struct mime_structure *s)
{
	uint32_t parent, at;
	unsigned head;
	uint64_t depth;

	if (!take_octet(in, &head) || head > (KIND | HAS_PARAMS | HAS_DISPOSITION) ||
		(head & KIND) > MIME_MESSAGE || !take_number(in, &depth) ||
		!find_parent(s, depth, &parent))
		return ERR_UNREADABLE;
	int err = mime_structure_add(s, parent, &at);
	if (err < 0)
		return err == ERR_LIMIT ? ERR_UNREADABLE : err;
	struct mime_part part = s->parts[at];
	part.kind = (enum mime_kind)(head & KIND);
	err = take_fields(in, s, &part, head);
	s->parts[at] = part;
	return err;
}

int mime_structure_unpack(struct span packed, struct mime_structure *s)
{
	unsigned version;
	int err = 0;

	mime_structure_init(s);
	if (!take_octet(&packed, &version) || version != VERSION || packed.n == 0)
		return ERR_UNREADABLE;
	s->text = malloc(packed.n);
	if (!s->text)
		return ERR_NOMEM;
	memcpy(s->text, packed.p, packed.n);
	struct span in = {s->text, packed.n};
	while (err == 0 && in.n > 0)
		err = take_part(&in, s);
	return err;
}
