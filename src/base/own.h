/* SPDX-License-Identifier: MIT */
/* Directories and files of ours, which nobody else can read, write, or put something else in the
 * place of. */
#ifndef BASE_OWN_H
#define BASE_OWN_H

#include <stdbool.h>
#include <stddef.h>

struct own_dir {
	int fd;
	char *path; /* resolved and absolute */
	bool made;  /* it was not there before */
};

/* Makes the directory 0700 with its parents, or takes the one that is there, which must be ours;
 * what: "cache" or the like, for the error, one line. 0 or ERR_INVALID. */
int own_dir_open(const char *what, const char *dir, struct own_dir *own, char *error, size_t size);
void own_dir_close(struct own_dir *own);

/* Opens or makes a regular file of ours in it for reading and writing, 0600 whatever the umask is;
 * errno says why when -1. */
int own_file_open(int dir, const char *name);

#endif
