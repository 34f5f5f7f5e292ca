/* SPDX-License-Identifier: MIT */
#include "app/accounts/home.h"

#include <pwd.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"

/* mount(8), which becomes the caller again before it starts us, and mount.fuse3 with setuid= leave
 * root's home directory in the environment. */
static bool is_of_root(const char *path)
{
	const struct passwd *root = getuid() == 0 ? NULL : getpwuid(0);
	size_t n = root ? strlen(root->pw_dir) : 0;

	return n > 1 && strncmp(path, root->pw_dir, n) == 0 && (path[n] == '/' || path[n] == '\0');
}

const char *home_directory(void)
{
	const char *home = getenv("HOME");
	bool good = home && *home == '/' && !is_of_root(home);
	const struct passwd *pw = good ? NULL : getpwuid(getuid());

	return pw ? pw->pw_dir : home;
}

char *home_place(const char *variable, const char *below)
{
	const char *base = getenv(variable);

	if (base && *base == '/' && !is_of_root(base))
		return mem_printf("%s/imapfs", base);
	base = home_directory();
	return base && *base == '/' ? mem_printf("%s%s/imapfs", base, below) : NULL;
}
