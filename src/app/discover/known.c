/* SPDX-License-Identifier: MIT */
#include "app/discover/known.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/own.h"
#include "app/accounts/home.h"

#define NAME "servers"

char *known_path(void)
{
	char *directory = home_place("XDG_STATE_HOME", "/.local/state");
	char *path = directory ? mem_printf("%s/" NAME, directory) : NULL;

	free(directory);
	return path;
}

/* The URL of a line "ADDRESS URL", in place; NULL: it is of another address. */
static char *take_line(char *line, const char *address)
{
	char *blank = strchr(line, ' ');

	line[strcspn(line, "\n")] = '\0';
	if (!blank)
		return NULL;
	*blank = '\0';
	return strcmp(line, address) == 0 ? blank + 1 : NULL;
}

/* The last line counts. */
char *known_find(const char *address)
{
	char *path = known_path(), *found = NULL, *line = NULL;
	FILE *f = path ? fopen(path, "re") : NULL;
	size_t size = 0;

	while (f && getline(&line, &size, f) > 0) {
		const char *url = take_line(line, address);
		if (!url)
			continue;
		free(found);
		found = mem_strdup(url);
	}
	if (f)
		fclose(f);
	free(line);
	free(path);
	return found;
}

static int append_line(int directory, const char *address, const char *url)
{
	int fd = own_file_open(directory, NAME), result;

	if (fd < 0)
		return -1;
	char *line = mem_printf("%s %s\n", address, url);
	result = lseek(fd, 0, SEEK_END) < 0 ||
				 write(fd, line, strlen(line)) != (ssize_t)strlen(line)
			 ? -1
			 : 0;
	free(line);
	close(fd);
	return result;
}

void known_add(const char *address, const char *url)
{
	char error[512], *path = home_place("XDG_STATE_HOME", "/.local/state");
	struct own_dir own;

	if (path && own_dir_open("state", path, &own, error, sizeof(error)) < 0) {
		log_warning("%s", error);
	} else if (path) {
		if (append_line(own.fd, address, url) < 0)
			log_warning("%s/" NAME ": %s", path, strerror(errno));
		own_dir_close(&own);
	}
	free(path);
}
