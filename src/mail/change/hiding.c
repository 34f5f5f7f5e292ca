/* SPDX-License-Identifier: MIT */
#include "mail/change/hiding.h"

#include <inttypes.h>
#include <string.h>

#include "imap/utf7.h"

/* Names up to this length no server has refused. Many take a level, or all of a name, of 255 octets. */
#define SAFE_NAME 200

#define MARK_OCTETS 14
#define MARK_DIGITS 8
#define MARK_WHOLE (MARK_OCTETS + MARK_DIGITS)

static const char whole_mark[] = "~imapfs-rmdir-", cut_mark[] = "~imapfs-rmcut-";

_Static_assert(sizeof(whole_mark) - 1 == MARK_OCTETS && sizeof(cut_mark) - 1 == MARK_OCTETS,
	"one replaces the other");

/* Appends the level without so much of its end that the mark has place there, as text that people read too: servers
 * keep names in either form. False: nothing would be left. */
static bool append_beginning(struct span level, struct buf *out)
{
	struct buf text, cut;
	bool encoded, fits = false;

	buf_init(&text, 2 * level.n);
	buf_init(&cut, 4 * level.n);
	encoded = imap_utf7_decode(level, &text) == 0;
	struct span from = encoded ? buf_span(&text) : level;
	for (size_t n = from.n > MARK_WHOLE ? from.n - MARK_WHOLE : 0; n > 0 && !fits; n--) {
		/* Not within a character. */
		if (((unsigned char)from.p[n] & 0xc0) == 0x80)
			continue;
		struct span start = {from.p, n};
		buf_clear(&cut);
		int err = encoded ? imap_utf7_encode(start, &cut) : buf_append_span(&cut, start);
		fits = err == 0 && cut.len + MARK_WHOLE <= level.n;
	}
	fits = fits && buf_append_span(out, buf_span(&cut)) == 0;
	buf_finish(&cut);
	buf_finish(&text);
	return fits;
}

int hiding_make_name(struct span name, char delimiter, uint32_t number, struct buf *out)
{
	const char *last = delimiter ? memrchr(name.p, delimiter, name.n) : NULL;
	size_t above = last ? (size_t)(last + 1 - name.p) : 0, from = out->len;
	struct span level = {name.p + above, name.n - above};
	bool cut = false;
	int err = 0;

	if (name.n + MARK_WHOLE > SAFE_NAME) {
		err = buf_append(out, name.p, above);
		cut = err == 0 && append_beginning(level, out);
	}
	if (err == 0 && !cut) {
		buf_truncate(out, from);
		err = buf_append_span(out, name);
	}
	if (err < 0)
		return err;
	return buf_printf(out, "%s%0*" PRIx32, cut ? cut_mark : whole_mark, MARK_DIGITS, number);
}

bool hiding_read_name(struct span component, struct span *original, bool *cut)
{
	if (component.n <= MARK_WHOLE)
		return false;
	const char *at = component.p + component.n - MARK_WHOLE;
	*cut = memcmp(at, cut_mark, MARK_OCTETS) == 0;
	if (!*cut && memcmp(at, whole_mark, MARK_OCTETS) != 0)
		return false;
	for (size_t i = 0; i < MARK_DIGITS; i++)
		if (!memchr("0123456789abcdef", at[MARK_OCTETS + i], 16))
			return false;
	*original = (struct span){component.p, component.n - MARK_WHOLE};
	return true;
}
