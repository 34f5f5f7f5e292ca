/* SPDX-License-Identifier: MIT */
#include "fs/title.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "imap/date.h"
#include "mime/header.h"
#include "mime/params.h"
#include "mime/words.h"

#define ENDING ".eml"
/* Octets of the sender's name at most. */
#define FROM_MAX 80u
#define DECODED_MAX (1u << 20)

/* No name on Windows, or on what comes from there, may have these. */
static bool is_unwanted(char c)
{
	return memchr("/\\:*?\"<>|", c, 9) != NULL;
}

/* Appends text with single spaces in it and none around, without what is unwanted. */
static size_t tidy(struct span text, char *out, size_t room)
{
	size_t n = 0;

	text.n = mime_filename_cut(text, room);
	for (size_t i = 0; i < text.n; i++) {
		char c = is_unwanted(text.p[i]) ? ' ' : text.p[i];
		if (c != ' ' || (n > 0 && out[n - 1] != ' '))
			out[n++] = c;
	}
	while (n > 0 && (out[n - 1] == ' ' || out[n - 1] == '.'))
		n--;
	return n;
}

static size_t put_text(struct span text, const char *before, char *out, size_t room)
{
	size_t start = strlen(before);

	if (room <= start)
		return 0;
	size_t n = tidy(text, out + start, room - start);
	memcpy(out, before, start);
	return n > 0 ? start + n : 0;
}

#define DATE_LENGTH (sizeof("2026-11-14") - 1)

static size_t put_date(int64_t date, char *out, size_t room)
{
	char text[IMAP_DATE_ISO_LENGTH + 1];

	if (room < DATE_LENGTH || !imap_date_iso(date, text))
		return 0;
	memcpy(out, text, DATE_LENGTH);
	return DATE_LENGTH;
}

/* ".5.eml" */
static size_t put_ending(uint32_t uid, char out[32])
{
	return (size_t)snprintf(out, 32, ".%" PRIu32 ENDING, uid);
}

size_t title_print(uint32_t uid, bool has_date, int64_t date, const struct mime_summary *summary,
	char out[NAME_MAX + 1])
{
	struct buf from, subject;
	char ending[32];
	size_t end = put_ending(uid, ending), room = NAME_MAX - end;
	size_t n = has_date ? put_date(date, out, room) : 0;

	buf_init(&from, DECODED_MAX);
	buf_init(&subject, DECODED_MAX);
	mime_address_first(summary->value[MIME_SUMMARY_FROM], &from);
	mime_words_decode(summary->value[MIME_SUMMARY_SUBJECT], true, &subject);
	size_t most = room - n < FROM_MAX ? room - n : FROM_MAX;
	n += put_text(buf_span(&from), n > 0 ? " " : "", out + n, most);
	n += put_text(buf_span(&subject), n > 0 ? " - " : "", out + n, room - n);
	buf_finish(&from);
	buf_finish(&subject);
	/* What begins with a dot is hidden. */
	if (n > 0 && out[0] == '.')
		out[0] = '_';
	memcpy(out + n, n > 0 ? ending : ending + 1, end + 1 - (n == 0));
	return n + end - (n == 0);
}

bool title_uid(const char *name, uint32_t *uid)
{
	size_t n = strlen(name), ending = strlen(ENDING);
	uint64_t value;

	if (n <= ending || strcmp(name + n - ending, ENDING) != 0)
		return false;
	size_t end = n - ending, start = end;
	while (start > 0 && name[start - 1] >= '0' && name[start - 1] <= '9')
		start--;
	if (start == end || name[start] == '0' || (start > 0 && name[start - 1] != '.') ||
		!text_parse_number((struct span){name + start, end - start}, UINT32_MAX, &value))
		return false;
	*uid = (uint32_t)value;
	return true;
}

static bool begins_with_date(const char *name)
{
	static const char shape[] = "0000-00-00";
	size_t i = 0;

	while (i < DATE_LENGTH &&
		(shape[i] == '0' ? name[i] >= '0' && name[i] <= '9' : name[i] == '-'))
		i++;
	return i == DATE_LENGTH && (name[i] == ' ' || name[i] == '.');
}

bool title_has_other_date(const char *name, int64_t date)
{
	char right[NAME_MAX + 1];

	return begins_with_date(name) && put_date(date, right, sizeof(right)) == DATE_LENGTH &&
	       memcmp(name, right, DATE_LENGTH) != 0;
}
