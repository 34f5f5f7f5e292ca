/* SPDX-License-Identifier: MIT */
/*
 * What is to be changed in the flags of a message, as text: words with a sign and spaces between,
 * "+\Seen -$Work". Only what differs is changed: what others set or take off meanwhile, \Deleted
 * above all, stays as they want it.
 */
#ifndef MAIL_MODEL_FLAGDIFF_H
#define MAIL_MODEL_FLAGDIFF_H

#include "mail/model/flags.h"

/* Each appends to out, which is empty and has room for two times FLAGS_TEXT_MAX; 0 or buf's
 * errors. */

/* What makes `to` of `from`; empty: nothing. */
int flagdiff_between(const struct flags_value *from, const struct flags_value *to, struct buf *out);
/* What has the effect of both, one after the other. */
int flagdiff_merge(struct span first, struct span then, struct buf *out);
/* The words of a sign, without it, and a space between. */
int flagdiff_words(struct span diff, char sign, struct buf *out);
/* What comes of a value: its keywords go to out, too. */
int flagdiff_apply(
	struct span diff, const struct flags_value *value, struct flags_value *to, struct buf *out);

#endif
