/* SPDX-License-Identifier: MIT */
#include "app/options/words.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"

static bool is_separator(char c)
{
	return c == ' ' || c == '\t' || c == '\n';
}

/* Copies one word to out and returns where it ends, NULL when a quote or a backslash has no end. */
static const char *copy_word(const char *s, char **out)
{
	char quote = '\0';

	for (; *s && (quote || !is_separator(*s)); s++) {
		if (*s == quote) {
			quote = '\0';
		} else if (!quote && (*s == '\'' || *s == '"')) {
			quote = *s;
		} else if (*s == '\\' &&
			   (!quote || (quote == '"' && (s[1] == '"' || s[1] == '\\')))) {
			if (*++s == '\0')
				return NULL;
			*(*out)++ = *s;
		} else {
			*(*out)++ = *s;
		}
	}
	*(*out)++ = '\0';
	return quote ? NULL : s;
}

int words_split(const char *command, char ***argv, const char **error)
{
	size_t length = strlen(command), count = 0;
	/* Each word takes two characters at least, the last one. One allocation: argv[0] is its
	 * text. */
	char *text = mem_alloc(length + 1), *end = text;
	char **words = mem_resize(NULL, length / 2 + 2, sizeof(*words));

	for (;;) {
		while (is_separator(*command))
			command++;
		if (*command == '\0')
			break;
		words[count++] = end;
		command = copy_word(command, &end);
		if (!command)
			break;
	}
	*error = !command ? "a quote or a backslash has no end" : "it is empty";
	words[count] = NULL;
	if (!command || count == 0 || words[0][0] == '\0') {
		free(text);
		free(words);
		return ERR_INVALID;
	}
	*argv = words;
	return 0;
}

void words_free(char **argv)
{
	if (argv)
		free(argv[0]);
	free(argv);
}
