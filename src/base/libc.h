/* SPDX-License-Identifier: MIT */
/* What glibc has and musl lacks. Calls of the kernel that not every version of them has are made by
 * syscall(2) where they are needed; scripts/musl checks that nothing else is relied upon. */
#ifndef BASE_LIBC_H
#define BASE_LIBC_H

#include <errno.h>
#include <string.h>

#ifndef TEMP_FAILURE_RETRY
#define TEMP_FAILURE_RETRY(call)                                                                   \
	__extension__({                                                                            \
		long result_;                                                                      \
		do                                                                                 \
			result_ = (long)(call);                                                    \
		while (result_ == -1 && errno == EINTR);                                           \
		result_;                                                                           \
	})
#endif

#ifndef __GLIBC__
#include <sys/syscall.h>
#include <unistd.h>

#define closefrom(first) syscall(SYS_close_range, first, ~0u, 0u)
/* Its name, "ENOENT"; for a log, so its text will do. */
#define strerrorname_np(error) strerror(error)
#endif

#endif
