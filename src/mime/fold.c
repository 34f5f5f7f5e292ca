/* SPDX-License-Identifier: MIT */
#include "mime/fold.h"

#include <stdlib.h>
#include <unicase.h>
#include <uninorm.h>

#include "base/error.h"
#include "mime/utf8.h"

bool mime_fold_is_utf8(struct span s)
{
	while (s.n > 0) {
		int n = mime_utf8_look(s);
		if (n <= 0)
			return false;
		s = (struct span){s.p + n, s.n - (size_t)n};
	}
	return true;
}

static int fold_ascii(struct span s, struct buf *out)
{
	int err = 0;

	for (size_t i = 0; i < s.n && err == 0; i++)
		err = buf_append_char(
			out, (char)(s.p[i] >= 'A' && s.p[i] <= 'Z' ? s.p[i] | 0x20 : s.p[i]));
	return err;
}

int mime_fold(struct span s, struct buf *out)
{
	size_t n = 0;

	if (mime_utf8_ascii(s) == s.n)
		return fold_ascii(s, out);
	uint8_t *folded = u8_casefold((const uint8_t *)s.p, s.n, NULL, UNINORM_NFC, NULL, &n);
	if (!folded)
		return ERR_NOMEM;
	int err = buf_append(out, folded, n);
	free(folded);
	return err;
}
