/* SPDX-License-Identifier: MIT */
/* A date that is understood lies between the years 1 and 9999, give or take a zone. */
#include "fuzz.h"

#include "imap/date.h"

#define DAY 86400

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int64_t seconds;

	if (imap_date_parse((struct span){(const char *)data, size}, &seconds))
		CHECK(seconds >= -62135596800 - DAY && seconds <= 253402300800 + DAY);
	return 0;
}
