/* SPDX-License-Identifier: MIT */
/* Sizes that cannot be shown yet. */
#ifndef FS_FIND_SIZE_H
#define FS_FIND_SIZE_H

#include "fs/op.h"

/* Finds the octet count of the op's message, whose size cannot be shown (sizes_can_show), then
 * calls sized, perhaps at once: 0, and the message has the best size that is to be had, or an
 * error. */
void find_size_start(struct fs_op *op, op_resume *sized);

#endif
