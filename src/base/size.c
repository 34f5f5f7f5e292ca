/* SPDX-License-Identifier: MIT */
#include "base/size.h"

#include <string.h>

#include "base/text.h"

bool size_parse(struct span s, uint64_t *value)
{
	static const char units[] = "KMGk";
	const char *unit = s.n > 0 ? memchr(units, s.p[s.n - 1], sizeof(units) - 1) : NULL;
	unsigned shift = unit ? 10 * (unsigned)((unit - units) % 3 + 1) : 0;

	if (unit)
		s.n--;
	if (!text_parse_number(s, (uint64_t)INT64_MAX >> shift, value))
		return false;
	*value <<= shift;
	return true;
}
