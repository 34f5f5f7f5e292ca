/* SPDX-License-Identifier: MIT */
/* What a directory entry looks like: its name and its attributes. */
#ifndef FS_ENTRY_H
#define FS_ENTRY_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

struct cache_message;
struct fs;
struct mailbox;

/* Seconds that the kernel may keep attributes, and names of messages: those never change, and are
 * announced when they go; directories are announced too. */
#define ATTR_TIMEOUT 86400.0
/* The same of names that are to be looked up again, or whose end cannot be announced. */
#define NAME_TIMEOUT 1.0

void entry_stat_directory(const struct fs *fs, const struct mailbox *mb, struct stat *st);
void entry_stat_message(const struct fs *fs, const struct mailbox *mb,
	const struct cache_message *m, struct stat *st);
/* Octets: the size that it has there. */
uint64_t entry_shown_size(const struct cache_message *m);
/* How long the kernel may believe the message's size, seconds. */
double entry_size_timeout(const struct mailbox *mb, const struct cache_message *m);
/* The message's name by its number, as it is called in its mailbox's directory and in views; for the rule
 * of collisions see src/README.md, "Inodes and names". Returns its length. */
size_t entry_number(const struct fs *fs, struct mailbox *mb, uint32_t uid, char out[NAME_MAX + 1]);
/* Its name for people, of what is known of it now: title.h. No mailbox below has it. */
size_t entry_title(struct mailbox *mb, uint32_t uid, char out[NAME_MAX + 1]);
/* The one of both that its mailbox lists. */
size_t entry_name(const struct fs *fs, struct mailbox *mb, uint32_t uid, char out[NAME_MAX + 1]);
/* With layout=named: the name is not known yet, see fresh_summaries. */
bool entry_lacks_name(const struct fs *fs, struct mailbox *mb, uint32_t uid);
/* The UID that a number stands for. */
bool entry_parse_number(const struct fs *fs, struct mailbox *mb, const char *name, uint32_t *uid);
/* The UID that a name in the directory stands for: a number, or, with layout=named, any that ends in
 * it, unless it begins with a date that is not the message's, or another message came in under it: then it is
 * one of another mailbox. */
bool entry_parse_name(const struct fs *fs, struct mailbox *mb, const char *name, uint32_t *uid);
/* Of such a name: it is the only one that the message is found by, or the one that is listed. */
bool entry_is_own(const struct fs *fs, struct mailbox *mb, const char *name, uint32_t uid);
/* A message is listed under this name. */
bool entry_is_listed(const struct fs *fs, struct mailbox *mb, const char *name);
/* The kernel removes this name of the message, or moves it; the one that is listed it is told to forget,
 * if that is another. */
void entry_forget_own(struct fs *fs, struct mailbox *mb, const char *name, uint32_t uid);
/* The message that a name stands for: the one whose own it is, else the one of that given name, else the
 * one of that UID. Else false, and the UID is 0. */
bool entry_find(const struct fs *fs, struct mailbox *mb, const char *name, uint32_t *uid);
/* Whether the message that entry_find found is removed by this name, and not only read: by its number, its given
 * name and the one that is listed. Another one may be of a message elsewhere that has the same UID. Where its
 * fields are not known (entry_lacks_name) it is listed as one that has none. */
bool entry_removes(const struct fs *fs, struct mailbox *mb, const char *name, uint32_t uid);
/* The UID of the message that came in under this name a moment ago, and whose row has not come yet:
 * entry_find does not find it. 0: there is none. */
uint32_t entry_coming(struct mailbox *mb, const char *name);

#endif
