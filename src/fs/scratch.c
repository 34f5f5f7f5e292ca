/* SPDX-License-Identifier: MIT */
#include "fs/scratch.h"

#include <stddef.h>
#include <string.h>

static const char *const endings[] = {"~", ".part", ".tmp", ".lock", ".swp"};

bool scratch_is_name(const char *name)
{
	size_t n = strlen(name);

	if (name[0] == '.' || (n > 1 && name[0] == '#' && name[n - 1] == '#'))
		return true;
	for (size_t i = 0; i < sizeof(endings) / sizeof(endings[0]); i++) {
		size_t end = strlen(endings[i]);
		if (n > end && strcmp(name + n - end, endings[i]) == 0)
			return true;
	}
	return false;
}
