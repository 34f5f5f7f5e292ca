/* SPDX-License-Identifier: MIT */
/* Converters that take octets as they arrive, seen alike: cut in every way the result is the same. */
#ifndef MIME_CONVERT_H
#define MIME_CONVERT_H

#include "base/buf.h"
#include "base/span.h"

struct converter {
	size_t size; /* of its struct */
	int (*init)(void *state, struct span argument);
	int (*feed)(void *state, struct span in, struct buf *out);
	int (*end)(void *state, struct buf *out);
	void (*finish)(void *state);
};

extern const struct converter convert_base64, convert_qp;
extern const struct converter convert_charset; /* the argument is a label */
extern const struct converter convert_html;

/* Converts the input whole, octet by octet and cut in two at each point, each part flush against a
 * page that cannot be read; fails the test where the result is not what is expected. */
void convert_check(
	const struct converter *c, struct span argument, struct span in, struct span expected);
void convert_check_text(
	const struct converter *c, const char *argument, const char *in, const char *expected);

/* Every allocation fails once, and out has every maximum below what is needed: the errors are
 * reported, and nothing leaks. */
void convert_check_limits(const struct converter *c, struct span argument, struct span in);

/* Converts the input in parts of so many octets, and gives the result, of at most max octets. */
void convert_in_parts(const struct converter *c, struct span argument, struct span in, size_t part,
	struct buf *out);

#endif
