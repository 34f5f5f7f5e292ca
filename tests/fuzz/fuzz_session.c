/* SPDX-License-Identifier: MIT */
/*
 * The whole session, played from a transcript (tests/transcripts, which are the seeds): whole,
 * octet by octet, and in parts whose length the input's own length gives; what comes of it must be
 * the same. The player checks the session's contract meanwhile.
 */
#include "fuzz.h"

#include "../unit/imap/script.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct script whole, other;

	if (!whole.got.max) {
		script_init(&whole, (struct span){0});
		script_init(&other, (struct span){0});
	}
	whole.text = other.text = (struct span){(const char *)data, size};
	script_play(&whole, SIZE_MAX, 0);
	script_play(&other, 1, 0);
	CHECK(span_equal(buf_span(&whole.got), buf_span(&other.got)));
	script_play(&other, size % 61 + 2, size / 2);
	CHECK(span_equal(buf_span(&whole.got), buf_span(&other.got)));
	return 0;
}
