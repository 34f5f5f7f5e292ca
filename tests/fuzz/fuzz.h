/* SPDX-License-Identifier: MIT */
/* What all targets share: the entry point, and a check that stays in every build. */
#ifndef FUZZ_H
#define FUZZ_H

#include <stddef.h>
#include <stdint.h>

#include "../unit/support/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
