/* SPDX-License-Identifier: MIT */
/*
 * Framer and parser over what a server may send: whole, octet by octet, and in parts whose length
 * the first octet gives; the results must be the same. Each part is a heap block of its own, so
 * that AddressSanitizer sees an octet too many. The text is also parsed as it is, without the
 * framer.
 */
#include "fuzz.h"

#include <string.h>

#include "../unit/imap/conversation.h"
#include "base/error.h"
#include "imap/response.h"

static struct conversation *converse(struct span input, size_t part)
{
	struct conversation *c = conversation_start();
	int err = 0;

	CHECK(c);
	for (size_t at = 0; at < input.n && err == 0; at += part) {
		size_t n = part < input.n - at ? part : input.n - at;
		char *copy = malloc(n);
		CHECK(copy);
		memcpy(copy, input.p + at, n);
		err = conversation_feed(c, (struct span){copy, n});
		free(copy);
	}
	CHECK(err == 0 || err == ERR_PROTOCOL);
	return c;
}

static void parse_alone(struct span input)
{
	struct imap_parser *p = imap_parser_create();
	struct imap_response r;
	struct imap_fetch f;
	char *copy = malloc(input.n + 1);

	CHECK(p && copy);
	memcpy(copy + 1, input.p, input.n);
	input.p = copy + 1;
	int err = imap_response_parse(p, input, &r);
	CHECK(err == 0 || err == ERR_PROTOCOL);
	err = imap_response_parse_prefix(p, input, &f);
	CHECK(err == 0 || err == ERR_PROTOCOL);
	imap_parser_destroy(p);
	free(copy);
}

static void read_sets(struct span s)
{
	struct span words = s, word;
	uint32_t first, last;

	while (imap_set_next(&s, &first, &last))
		CHECK(first > 0 && first <= last);
	while (imap_word_next(&words, &word))
		CHECK(word.n > 0);
}

/* What is said is said of each, and of nothing else. */
static void read_uids(struct span s)
{
	const struct imap_uids uids = imap_uids_parse(s, true);
	struct span from = uids.from;
	uint32_t first, last;

	if (uids.uidvalidity == 0)
		return;
	CHECK(imap_uids_first(&uids) > 0 && uids.count > 0);
	while (imap_set_next(&from, &first, &last))
		CHECK(imap_uids_find(&uids, first) > 0 && imap_uids_find(&uids, last) > 0);
	CHECK(imap_uids_find(&uids, 0) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	struct span input = {(const char *)data + 1, size - 1};
	struct conversation *whole = converse(input, input.n);
	struct conversation *octets = converse(input, 1);
	struct conversation *parts = converse(input, (size_t)data[0] + 1);
	CHECK(span_equal(conversation_text(whole), conversation_text(octets)));
	CHECK(span_equal(conversation_text(whole), conversation_text(parts)));
	conversation_end(whole);
	conversation_end(octets);
	conversation_end(parts);
	parse_alone(input);
	read_sets(input);
	read_uids(input);
	return 0;
}
