/* SPDX-License-Identifier: MIT */
/*
 * Mailbox names that try to escape or collide: what a level becomes is a component that a directory
 * can hold, and both ways lead back unless the component is cut.
 */
#include "fuzz.h"

#include <string.h>

#include "base/error.h"
#include "mail/model/names.h"

#define LEVEL_MAX 4096

static bool is_cut(struct span component)
{
	for (size_t i = 1; i + 1 < component.n; i++)
		if (component.p[i] == '%' && component.p[i + 1] == '~')
			return true;
	return false;
}

static void check_component(struct span component)
{
	CHECK(component.n > 0 && component.n <= NAME_MAX);
	CHECK(!memchr(component.p, '/', component.n) && !memchr(component.p, 0, component.n));
	CHECK(!span_equal(component, span_of(".")) && !span_equal(component, span_of("..")));
	for (size_t i = 0; i < component.n; i++)
		CHECK((unsigned char)component.p[i] >= 0x20 && component.p[i] != 0x7f);
}

static void from_level(struct span level, bool utf8)
{
	struct buf component, again;

	buf_init(&component, LEVEL_MAX);
	buf_init(&again, LEVEL_MAX);
	CHECK(names_component(level, utf8, &component) == 0);
	check_component(buf_span(&component));
	int err = names_level(buf_span(&component), utf8, &again);
	if (is_cut(buf_span(&component)))
		CHECK(err == ERR_INVALID);
	else
		CHECK(err == 0 && span_equal(buf_span(&again), level));
	buf_finish(&component);
	buf_finish(&again);
}

static void from_component(struct span component, bool utf8)
{
	struct buf level, again;

	buf_init(&level, LEVEL_MAX);
	buf_init(&again, LEVEL_MAX);
	int err = names_level(component, utf8, &level);
	CHECK(err == 0 || err == ERR_INVALID);
	if (err == 0) {
		CHECK(names_component(buf_span(&level), utf8, &again) == 0);
		CHECK(span_equal(buf_span(&again), component));
	}
	buf_finish(&level);
	buf_finish(&again);
}

static void as_message(struct span name)
{
	static const char *const suffixes[] = {"", ".eml"};
	char again[NAME_MAX + 1];
	uint32_t uid;

	for (size_t i = 0; i < 2; i++) {
		struct span suffix = span_of(suffixes[i]);
		if (!names_uid(name, suffix, &uid))
			continue;
		CHECK(uid > 0);
		size_t n = names_format_uid(uid, suffix, again);
		CHECK(span_equal((struct span){again, n}, name));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0 || size > LEVEL_MAX / 8)
		return 0;
	struct span text = {(const char *)data + 1, size - 1};
	bool utf8 = data[0] & 1;
	from_level(text, utf8);
	from_component(text, utf8);
	as_message(text);
	return 0;
}
