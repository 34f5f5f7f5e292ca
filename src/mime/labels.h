/* SPDX-License-Identifier: MIT */
/* Labels of charsets, and the encodings that they stand for. */
#ifndef MIME_LABELS_H
#define MIME_LABELS_H

#include <stddef.h>

#include "base/span.h"

enum mime_encoding {
	MIME_US_ASCII, /* and whatever is not labelled, or with no label of the list */
	MIME_UTF_8,
	MIME_WINDOWS_1252,
	/* From here on by iconv. */
	MIME_IBM866,
	MIME_ISO_8859_2,
	MIME_ISO_8859_3,
	MIME_ISO_8859_4,
	MIME_ISO_8859_5,
	MIME_ISO_8859_6,
	MIME_ISO_8859_7,
	MIME_ISO_8859_8,
	MIME_ISO_8859_8_I,
	MIME_ISO_8859_10,
	MIME_ISO_8859_13,
	MIME_ISO_8859_14,
	MIME_ISO_8859_15,
	MIME_ISO_8859_16,
	MIME_KOI8_R,
	MIME_KOI8_U,
	MIME_MACINTOSH,
	MIME_WINDOWS_874,
	MIME_WINDOWS_1250,
	MIME_WINDOWS_1251,
	MIME_WINDOWS_1253,
	MIME_WINDOWS_1254,
	MIME_WINDOWS_1255,
	MIME_WINDOWS_1256,
	MIME_WINDOWS_1257,
	MIME_WINDOWS_1258,
	MIME_X_MAC_CYRILLIC,
	/* From here on one octet need not be one character. */
	MIME_GB18030,
	MIME_BIG5,
	MIME_EUC_JP,
	MIME_ISO_2022_JP,
	MIME_SHIFT_JIS,
	MIME_EUC_KR,
	MIME_ISO_2022_KR,
	MIME_UTF_16, /* a byte order mark says which of the next two; else the second */
	MIME_UTF_16BE,
	MIME_UTF_16LE,
	MIME_ENCODING_COUNT,
};

struct mime_label {
	struct span text; /* lower case */
	enum mime_encoding encoding;
};

/* Sorted by octets. */
extern const struct mime_label mime_labels[];
extern const size_t mime_label_count;

#endif
