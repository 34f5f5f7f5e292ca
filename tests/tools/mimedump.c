/* SPDX-License-Identifier: MIT */
/*
 * What mime/ makes of messages, for comparison with other programs. Reads records "STRUCTURE-OCTETS
 * MESSAGE-OCTETS" LF, structure, message, and prints for each message records "KEY OCTETS" LF, octets
 * LF: "subject", "from" and "to" (decoded; addresses as lines "name TAB mailbox"), "text" (the whole
 * text view), for each part with octets "part SECTION" (decoded) and "name SECTION", and "end". If
 * octets and structure disagree there are no parts and no text, but "disagree"; if the structure makes
 * no sense "unreadable".
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "imap/bodystructure.h"
#include "mime/header.h"
#include "mime/readable.h"
#include "mime/split.h"
#include "mime/words.h"

#include "../unit/support/check.h"

#define OUT_MAX (1u << 30)

static void put(const char *key, struct span octets)
{
	printf("%s %zu\n", key, octets.n);
	CHECK(fwrite(octets.p ? octets.p : "", 1, octets.n, stdout) == octets.n);
	putchar('\n');
}

static void put_part(const char *key, struct span section, struct span octets)
{
	printf("%s %.*s %zu\n", key, (int)section.n, section.p, octets.n);
	CHECK(fwrite(octets.p ? octets.p : "", 1, octets.n, stdout) == octets.n);
	putchar('\n');
}

static void dump_addresses(const char *key, struct span list)
{
	struct mime_address address;
	struct buf out;

	buf_init(&out, OUT_MAX);
	while (mime_address_next(&list, &address)) {
		CHECK(mime_address_name(&address, &out) == 0);
		CHECK(buf_append_char(&out, '\t') == 0);
		CHECK(mime_address_mailbox(&address, &out) == 0);
		CHECK(buf_append_char(&out, '\n') == 0);
	}
	put(key, buf_span(&out));
	buf_finish(&out);
}

static void dump_header(struct span header)
{
	struct buf out;

	buf_init(&out, OUT_MAX);
	CHECK(mime_words_decode(mime_header_find(header, SPAN("subject")), true, &out) == 0);
	put("subject", buf_span(&out));
	buf_finish(&out);
	dump_addresses("from", mime_header_find(header, SPAN("from")));
	dump_addresses("to", mime_header_find(header, SPAN("to")));
}

static struct span region_of(const struct mime_split *p, uint32_t part, struct span message)
{
	const struct mime_region *region = &p->regions[part];

	return (struct span){message.p + region->at, (size_t)(region->end - region->at)};
}

static void dump_part(
	const struct mime_structure *s, uint32_t index, struct span name, struct span body)
{
	struct mime_transfer transfer;
	struct buf section, out;

	buf_init(&section, OUT_MAX);
	buf_init(&out, OUT_MAX);
	CHECK(mime_structure_section(s, index, &section) == 0);
	mime_transfer_init(&transfer, &s->parts[index]);
	CHECK(mime_transfer_feed(&transfer, body, &out) == 0);
	CHECK(mime_transfer_end(&transfer, &out) == 0);
	put_part("part", buf_span(&section), buf_span(&out));
	put_part("name", buf_span(&section), name);
	buf_finish(&section);
	buf_finish(&out);
}

static void dump_text(const struct mime_structure *s, const struct mime_names *names,
	const struct mime_split *split, struct span message)
{
	struct span header = {message.p, mime_header_length(message)};
	struct mime_readable r;
	struct buf out;
	uint32_t part;

	buf_init(&out, OUT_MAX);
	CHECK(mime_readable_begin(&r, s, names, header, &out) == 0);
	while ((part = mime_readable_wants(&r)) != MIME_NO_PART) {
		CHECK(mime_readable_feed(&r, region_of(split, part, message), &out) == 0);
		CHECK(mime_readable_end_part(&r, &out) == 0);
	}
	put("text", buf_span(&out));
	mime_readable_finish(&r);
	buf_finish(&out);
}

static void dump_parts(const struct mime_structure *s, struct span message)
{
	struct mime_names names;
	struct mime_split split;

	CHECK(mime_names_init(&names, s) == 0);
	CHECK(mime_split_init(&split, s) == 0);
	mime_split_feed(&split, message);
	if (mime_split_end(&split)) {
		for (uint32_t i = 0; i < s->count; i++)
			if (s->parts[i].kind != MIME_MULTIPART)
				dump_part(s, i, names.of[i].text, region_of(&split, i, message));
		dump_text(s, &names, &split, message);
	} else {
		put("disagree", (struct span){0});
	}
	mime_split_finish(&split);
	mime_names_finish(&names);
}

static char *read_octets(size_t n)
{
	char *octets = malloc(n ? n : 1);

	CHECK(octets && fread(octets, 1, n, stdin) == n);
	return octets;
}

int main(void)
{
	size_t structure_n, message_n;

	while (scanf("%zu %zu", &structure_n, &message_n) == 2 && getchar() == '\n') {
		char *structure = read_octets(structure_n), *message = read_octets(message_n);
		struct mime_structure s;
		dump_header((struct span){message, message_n});
		if (imap_bodystructure_parse((struct span){structure, structure_n}, &s) == 0)
			dump_parts(&s, (struct span){message, message_n});
		else
			put("unreadable", (struct span){0});
		put("end", (struct span){0});
		mime_structure_finish(&s);
		free(structure);
		free(message);
	}
	return 0;
}
