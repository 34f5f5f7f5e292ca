/* What options.c (the command line as a whole) and options_words.c (the words of -o) share. No
 * other file includes this. */
#ifndef OPTIONS_PRIVATE_H
#define OPTIONS_PRIVATE_H

#include "base/buf.h"
#include "base/span.h"
#include "options.h"

/* What is only known to be right when the whole command line was read. */
struct options_parser {
	struct options *o;
	struct buf mount; /* words for libfuse */
	char *source, *mountpoint;
	char *user, *fsname, *subtype;
	bool has_tls, has_fmask, has_dmask;
	bool allow_other, allow_root;
	enum source_tls tls;
	mode_t umask;
	char *error;
	size_t size;
};

/* Writes the one line of the error and returns ERR_INVALID. */
int options_fail(struct options_parser *p, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* What -o has behind it. */
int options_parse_list(struct options_parser *p, const char *list);
/* dashes: how the name was introduced. The value is not repeated, it may be a secret. */
int options_fail_unknown(struct options_parser *p, const char *dashes, struct span name);
/* One more word for libfuse; its value may be NULL. */
int options_add_mount_option(struct options_parser *p, const char *name, const char *value);

#endif
