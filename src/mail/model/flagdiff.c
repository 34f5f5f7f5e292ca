/* SPDX-License-Identifier: MIT */
#include "mail/model/flagdiff.h"

#include "base/error.h"

/* Whether `word` is among words that have a sign, or (sign 0) none. */
static bool has_word(struct span words, char sign, struct span word)
{
	struct span w;

	while (imap_word_next(&words, &w)) {
		if (sign && (w.n == 0 || w.p[0] != sign))
			continue;
		struct span bare = {w.p + (sign != 0), w.n - (sign != 0)};
		if (span_equal_nocase(bare, word))
			return true;
	}
	return false;
}

static int add_word(struct buf *out, char sign, struct span word)
{
	int err = out->len > 0 ? buf_append_char(out, ' ') : 0;

	if (err == 0 && sign)
		err = buf_append_char(out, sign);
	return err == 0 ? buf_append_span(out, word) : err;
}

/* Those of `words` that are not in `others`. */
static int add_missing(struct buf *out, char sign, struct span words, struct span others)
{
	struct span word;
	int err = 0;

	while (err == 0 && imap_word_next(&words, &word))
		if (word.n > 0 && !has_word(others, 0, word))
			err = add_word(out, sign, word);
	return err;
}

int flagdiff_between(const struct flags_value *from, const struct flags_value *to, struct buf *out)
{
	struct buf had, has;
	int err;

	buf_init(&had, FLAGS_TEXT_MAX);
	buf_init(&has, FLAGS_TEXT_MAX);
	err = imap_flags_print(&had, from->system, from->keywords);
	if (err == 0)
		err = imap_flags_print(&has, to->system, to->keywords);
	if (err == 0)
		err = add_missing(out, '+', buf_span(&has), buf_span(&had));
	if (err == 0)
		err = add_missing(out, '-', buf_span(&had), buf_span(&has));
	buf_finish(&has);
	buf_finish(&had);
	return err;
}

int flagdiff_merge(struct span first, struct span then, struct buf *out)
{
	struct span word;
	int err = buf_append_span(out, then);

	while (err == 0 && imap_word_next(&first, &word)) {
		struct span bare = {word.p + 1, word.n - 1};
		if (word.n > 1 && !has_word(then, '+', bare) && !has_word(then, '-', bare))
			err = add_word(out, 0, word);
	}
	return err;
}

int flagdiff_words(struct span diff, char sign, struct buf *out)
{
	struct span word;
	int err = 0;

	while (err == 0 && imap_word_next(&diff, &word))
		if (word.n > 1 && word.p[0] == sign)
			err = add_word(out, 0, (struct span){word.p + 1, word.n - 1});
	return err;
}

int flagdiff_apply(
	struct span diff, const struct flags_value *value, struct flags_value *to, struct buf *out)
{
	struct span words = value->keywords, rest = diff, word;
	struct buf all;
	int err = 0;

	to->system = value->system;
	buf_init(&all, 2 * FLAGS_TEXT_MAX);
	while (err == 0 && imap_word_next(&words, &word))
		if (word.n > 0 && !has_word(diff, '-', word))
			err = add_word(&all, 0, word);
	while (err == 0 && imap_word_next(&rest, &word)) {
		if (word.n < 2)
			continue;
		struct span bare = {word.p + 1, word.n - 1};
		unsigned flag = imap_flag_of(bare);
		if (word.p[0] == '-')
			to->system &= ~flag;
		else if (flag)
			to->system |= flag;
		else
			err = add_word(&all, 0, bare);
	}
	if (err == 0 && !flags_sort_keywords(buf_span(&all), out))
		err = ERR_LIMIT;
	to->keywords = buf_span(out);
	buf_finish(&all);
	return err;
}
