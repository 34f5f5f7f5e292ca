/* SPDX-License-Identifier: MIT */
/* Numbers of octets as people write them. Pure. */
#ifndef BASE_SIZE_H
#define BASE_SIZE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

/* Reads all of s as a decimal number with K (or k), M or G behind it, for 1024 of them and so on, or
 * nothing; at most INT64_MAX. False when it is none. */
bool size_parse(struct span s, uint64_t *value);

#endif
