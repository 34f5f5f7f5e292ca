/* SPDX-License-Identifier: MIT */
#ifndef FS_SCRATCH_H
#define FS_SCRATCH_H

#include <stdbool.h>

/* Whether programs use such a name for what is not finished, or is nothing that the user asked for:
 * `.x`, `x~`, `#x#`, `x.part`, `x.tmp`, `x.lock`, `x.swp`. */
bool scratch_is_name(const char *name);

#endif
