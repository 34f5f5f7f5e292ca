/* SPDX-License-Identifier: MIT */
#include "fs/view/maildir_name.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct {
	char letter;
	unsigned system; /* 0: a keyword */
	const char *word;
} letters[] = {
	{'D', IMAP_FLAG_DRAFT, "\\Draft"},
	{'F', IMAP_FLAG_FLAGGED, "\\Flagged"},
	{'P', 0, "$Forwarded"},
	{'R', IMAP_FLAG_ANSWERED, "\\Answered"},
	{'S', IMAP_FLAG_SEEN, "\\Seen"},
	{'T', IMAP_FLAG_DELETED, "\\Deleted"},
};
#define LETTERS (sizeof(letters) / sizeof(letters[0]))

/* Octets of a host's name. */
#define HOST_MAX 100

unsigned maildir_flags_of(const struct flags_value *value)
{
	unsigned flags = 0;

	for (unsigned i = 0; i < LETTERS; i++)
		if (letters[i].system ? (value->system & letters[i].system) != 0
				      : imap_has_word(value->keywords, span_of(letters[i].word)))
			flags |= 1u << i;
	return flags;
}

int maildir_diff(unsigned from, unsigned to, struct buf *out)
{
	int err = 0;

	for (unsigned i = 0; err == 0 && i < LETTERS; i++)
		if ((from ^ to) & 1u << i)
			err = buf_printf(out, "%s%c%s", out->len ? " " : "",
				to & 1u << i ? '+' : '-', letters[i].word);
	return err;
}

int maildir_print(unsigned flags, struct buf *out)
{
	int err = 0;

	for (unsigned i = 0; err == 0 && i < LETTERS; i++)
		if (flags & 1u << i)
			err = buf_printf(out, "%s%s", out->len ? " " : "", letters[i].word);
	return err;
}

size_t maildir_name_format(const struct maildir_name *name, char out[NAME_MAX + 1])
{
	char host[HOST_MAX + 1];
	size_t n = 0;

	for (const char *c = name->host; *c && n < HOST_MAX; c++)
		if (*c > ' ' && *c < 0x7f && !strchr("/:,", *c))
			host[n++] = *c;
	host[n] = '\0';
	int length = snprintf(out, NAME_MAX + 1, "%lld.V%uU%u.%s,U=%u", (long long)name->date,
		name->uidvalidity, name->uid, host, name->uid);
	if (name->flags != MAILDIR_NEW) {
		memcpy(out + length, ":2,", 3);
		length += 3;
		for (unsigned i = 0; i < LETTERS; i++)
			if (name->flags & 1u << i)
				out[length++] = letters[i].letter;
		out[length] = '\0';
	}
	return (size_t)length;
}

uint32_t maildir_name_uid(const char *name)
{
	const char *at = strstr(name, ",U=");
	char *end;

	if (!at || at[3] < '1' || at[3] > '9')
		return 0;
	unsigned long long uid = strtoull(at + 3, &end, 10);
	return uid <= UINT32_MAX && (*end == '\0' || *end == ':') ? (uint32_t)uid : 0;
}

size_t maildir_name_base(const char *name)
{
	const char *colon = strstr(name, ":2,");

	return colon ? (size_t)(colon - name) : strlen(name);
}

bool maildir_name_flags(const char *name, unsigned *flags)
{
	const char *at = name + maildir_name_base(name);

	*flags = 0;
	if (*at == '\0')
		return false;
	for (at += 3; *at; at++) {
		unsigned i = 0;
		while (i < LETTERS && letters[i].letter != *at)
			i++;
		/* Small letters are Dovecot's keywords, which have no name here. */
		if (i == LETTERS && (*at < 'a' || *at > 'z'))
			return false;
		if (i < LETTERS)
			*flags |= 1u << i;
	}
	return true;
}
