/* SPDX-License-Identifier: MIT */
/*
 * What the files of the command line share. The command line is taken apart (command_line.c), the
 * lines of the account that it names are applied (account.c), then its own words (table.c), and at
 * the end what depends on several of them is settled (settle.c, places.c).
 */
#ifndef APP_OPTIONS_PRIVATE_H
#define APP_OPTIONS_PRIVATE_H

#include "base/buf.h"
#include "base/span.h"
#include "app/options/options.h"

enum { OPTIONS_LISTS_MAX = 64 };

/* What is only known to be right when everything was read. */
struct options_parser {
	struct options *o;
	struct buf mount;                     /* words for libfuse */
	const char *lists[OPTIONS_LISTS_MAX]; /* what stands behind each -o */
	size_t list_count;
	bool helper;       /* called by mount(8), as mount.imapfs */
	const char *given; /* SOURCE as it was given */
	char *source, *mountpoint;
	char *user, *fsname, *subtype;
	bool has_tls, has_fmask, has_dmask;
	bool allow_other, allow_root;
	bool permissions; /* default_permissions */
	const char *sync; /* which of sync, dirsync and async; NULL: none was given */
	enum source_tls tls;
	unsigned port; /* 0: none was given */
	mode_t umask;

	/* Lines of the account are being applied; and what came from there, which the command line
	 * takes the place of, with all that contradicts it. */
	bool reading_account;
	bool secret_of_account, trash_of_account, tls_of_account, allow_of_account;

	const char *before; /* the word before in the same list, if it has a value */

	char *error;
	size_t size;
};

struct options_rule {
	const char *name;
	const char *value; /* what its value is called; NULL: it takes none */
	int (*set)(struct options_parser *p, const struct options_rule *rule, const char *value);
};

/* Writes the one line of the error and returns ERR_INVALID. */
int options_fail(struct options_parser *p, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* command_line.c: the arguments and the letters; the words of -o are only noted. */
int options_take_command_line(struct options_parser *p, int argc, char **argv);

/* account.c: where SOURCE names an account of the file, what the file says of it. */
int options_apply_account(struct options_parser *p);

/* table.c */
/* All that stands behind one -o. */
int options_parse_list(struct options_parser *p, const char *list);
/* One word; value is NULL when it has none. */
int options_set(struct options_parser *p, struct span name, const char *value);
/* The rule of that name; with a value or without, where both are there. NULL: there is none. */
const struct options_rule *options_find_rule(struct span name, bool with_value);
/* The i-th rule; NULL behind the last. */
const struct options_rule *options_rule_at(size_t i);

/* unknown.c: says what is wrong with a word that is none of ours. dashes: how the name was
 * introduced. Its value is not repeated, it may be a secret. */
int options_fail_unknown(struct options_parser *p, const char *dashes, struct span name);
/* Fails where SOURCE, which names no account, is plainly something else. */
int options_refuse_mistaken(struct options_parser *p);

/* values.c: one function for each kind of word. */
int options_set_ignored(
	struct options_parser *p, const struct options_rule *rule, const char *value);
int options_set_mount(struct options_parser *p, const struct options_rule *rule, const char *value);
int options_set_flag(struct options_parser *p, const struct options_rule *rule, const char *value);
int options_set_sync(struct options_parser *p, const struct options_rule *rule, const char *value);
int options_set_allow(struct options_parser *p, const struct options_rule *rule, const char *value);
int options_set_permissions(
	struct options_parser *p, const struct options_rule *rule, const char *value);
int options_set_text(struct options_parser *p, const struct options_rule *rule, const char *value);
int options_set_command(
	struct options_parser *p, const struct options_rule *rule, const char *value);
int options_set_auth(struct options_parser *p, const struct options_rule *rule, const char *value);
int options_set_tls(struct options_parser *p, const struct options_rule *rule, const char *value);
int options_set_fingerprint(
	struct options_parser *p, const struct options_rule *rule, const char *value);
int options_set_choice(
	struct options_parser *p, const struct options_rule *rule, const char *value);
int options_set_count(struct options_parser *p, const struct options_rule *rule, const char *value);
int options_set_size(struct options_parser *p, const struct options_rule *rule, const char *value);
int options_set_id(struct options_parser *p, const struct options_rule *rule, const char *value);
int options_set_mask(struct options_parser *p, const struct options_rule *rule, const char *value);
int options_set_suffix(
	struct options_parser *p, const struct options_rule *rule, const char *value);
/* One more word for libfuse; its value may be NULL. */
int options_add_mount_option(struct options_parser *p, const char *name, const char *value);

/* settle.c, with places.c for the directories. */
int options_settle(struct options_parser *p);
int options_settle_paths(struct options_parser *p);

#endif
