/* SPDX-License-Identifier: MIT */
/* Comparing text as people do: without regard to case. */
#ifndef MIME_FOLD_H
#define MIME_FOLD_H

#include "base/buf.h"
#include "base/span.h"

/* Whether s is UTF-8, whole. */
bool mime_fold_is_utf8(struct span s);
/* Appends UTF-8 without its case (Unicode's full case folding, composed). ERR_NOMEM or ERR_LIMIT. */
int mime_fold(struct span s, struct buf *out);

#endif
