/* SPDX-License-Identifier: MIT */
#include "fs/mounted.h"

#include <fcntl.h>
#include <linux/stat.h> /* musl's struct statx has no stx_mnt_id */
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#ifndef STATX_MNT_ID_UNIQUE
#define STATX_MNT_ID_UNIQUE 0x4000u /* Linux 6.8 */
#endif

bool mounted_at(const char *path, struct mounted *m)
{
	struct statx st;

	if (syscall(SYS_statx, AT_FDCWD, path, AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT,
		    STATX_MNT_ID | STATX_MNT_ID_UNIQUE, &st) < 0)
		return false;
	*m = (struct mounted){makedev(st.stx_dev_major, st.stx_dev_minor), st.stx_mnt_id};
	return true;
}

bool mounted_is_same(const struct mounted *a, const struct mounted *b)
{
	return a->dev == b->dev && a->number == b->number;
}

bool mounted_is_at(const struct mounted *m, const char *path)
{
	struct mounted now;

	return mounted_at(path, &now) && mounted_is_same(m, &now);
}
