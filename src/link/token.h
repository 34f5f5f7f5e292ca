/* SPDX-License-Identifier: MIT */
/*
 * Where logins get their OAuth tokens: one source for all connections of a mount. The program makes
 * it; the connections ask.
 */
#ifndef LINK_TOKEN_H
#define LINK_TOKEN_H

#include <stdbool.h>

#include "base/list.h"

/* Someone who waits. link is initialised (list_init) while nobody waits. */
struct token_wait {
	struct list link;
	unsigned serial; /* of the token that was given last; 0: none was */
	/* Once, from the loop. token is valid during the call; NULL: there is none, error is one
	 * line. */
	void (*on_token)(struct token_wait *w, const char *token, const char *error);
};

struct token_source {
	/* refused: the server did not take the one that was given last. Then, or when there is
	 * none, a new one is got; else the last one is given. Never calls back from inside. */
	void (*want)(struct token_source *s, struct token_wait *w, bool refused);
	/* The server did not take the one that w was given, and no more is wanted now: whoever
	 * wants one next gets a new one. */
	void (*refused)(struct token_source *s, const struct token_wait *w);
};

#endif
