/* SPDX-License-Identifier: MIT */
#include "app/ask/status.h"

#include <stdbool.h>
#include <string.h>

#include "base/text.h"

struct line {
	struct span key, value;
};

/* Those that may stand in several lines are arrays in any case. */
static const char *const lists[] = {"connection", "mailbox", "kept", "warning", "draft", "refused"};

static bool next_line(struct span *rest, struct line *line)
{
	while (rest->n > 0) {
		const char *end = memchr(rest->p, '\n', rest->n);
		struct span all = {rest->p, end ? (size_t)(end - rest->p) : rest->n};
		size_t taken = all.n + (end != NULL);
		*rest = (struct span){rest->p + taken, rest->n - taken};
		const char *colon = memmem(all.p, all.n, ": ", 2);
		if (!colon)
			continue;
		line->key = (struct span){all.p, (size_t)(colon - all.p)};
		line->value = (struct span){colon + 2, all.n - line->key.n - 2};
		return true;
	}
	return false;
}

/* RFC 8259 section 7; what is not UTF-8 becomes U+FFFD. */
static int put_string(struct span s, struct buf *out)
{
	int err = buf_append_char(out, '"');

	while (err == 0 && s.n > 0) {
		size_t n = text_utf8_sequence(s);
		char c = s.p[0];
		if (n == 0)
			err = buf_printf(out, "\\ufffd");
		else if (c == '"' || c == '\\')
			err = buf_printf(out, "\\%c", c);
		else if ((unsigned char)c < 0x20)
			err = buf_printf(out, "\\u%04x", (unsigned)c);
		else
			err = buf_append(out, s.p, n);
		n = n ? n : 1;
		s = (struct span){s.p + n, s.n - n};
	}
	return err | buf_append_char(out, '"');
}

static bool is_list(struct span text, struct span key)
{
	struct line line;
	unsigned count = 0;

	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		if (span_equal(key, span_of(lists[i])))
			return true;
	while (next_line(&text, &line))
		count += span_equal(line.key, key);
	return count > 1;
}

/* All values of the key, which is told with its first. */
static int put_member(struct span text, struct span key, struct buf *out)
{
	bool list = is_list(text, key), first = true;
	struct line line;
	int err = put_string(key, out) | buf_printf(out, list ? ": [" : ": ");

	while (next_line(&text, &line)) {
		if (!span_equal(line.key, key))
			continue;
		err |= buf_printf(out, "%s%s", first ? "" : ",", list ? "\n    " : "");
		err |= put_string(line.value, out);
		first = false;
	}
	return err | buf_printf(out, list ? "\n  ]" : "");
}

/* Keys are few, and a list's lines stand together: the last key that was told is remembered, others
 * are looked for in front. */
static bool was_told(struct span before, struct span key)
{
	struct line line;

	while (next_line(&before, &line))
		if (span_equal(line.key, key))
			return true;
	return false;
}

int status_to_json(struct span text, struct buf *out)
{
	struct span rest = text, last = {NULL, 0};
	struct line line;
	bool first = true;
	int err = buf_printf(out, "{");

	while (err == 0 && next_line(&rest, &line)) {
		struct span before = {text.p, (size_t)(line.key.p - text.p)};
		if (span_equal(line.key, last) || was_told(before, line.key))
			continue;
		err = buf_printf(out, "%s\n  ", first ? "" : ",");
		err |= put_member(text, line.key, out);
		last = line.key;
		first = false;
	}
	return err | buf_printf(out, "\n}\n");
}
