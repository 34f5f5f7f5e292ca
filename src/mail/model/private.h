/* SPDX-License-Identifier: MIT */
/* The insides of the tree, for tree.c and tree_list.c. */
#ifndef MAIL_MODEL_PRIVATE_H
#define MAIL_MODEL_PRIVATE_H

#include "mail/model/tree.h"

/* Octets of a mailbox's name. */
#define TREE_NAME_MAX ((size_t)8 << 10)
/* Levels of a name. No real account nests deeper; PATH_MAX ends far earlier. */
#define TREE_LEVELS_MAX 128
/* Living mailboxes, of some 600 octets each; a server may list without end. */
#define TREE_MAILBOXES_MAX 65536
/* Octets of all names together: each level has a copy of its own. */
#define TREE_OCTETS_MAX ((size_t)16 << 20)

/* INBOX is one mailbox in whatever case, but only as the whole name (RFC 3501 section 5.1). */
struct span tree_canonical_name(struct span name);
/* From now on the mailbox is found by its raw name; or is not any more. */
void tree_index_name(struct tree *t, struct mailbox *mb);
void tree_unindex_name(struct tree *t, struct mailbox *mb);
/* Tells that each message of the mailbox is gone. */
void tree_tell_all_gone(struct tree *t, struct mailbox *mb);
/* The path component of a level, in the encoding that the mailbox's name has; owned by the caller. */
char *tree_component_of(const struct mailbox *mb, struct span level);
/* Whether it is one of tree_pass_over's. */
bool tree_passes_over(const struct tree *t, struct span name);
/* Takes the mailbox out of the tree; it is dead from now on. The caller tells of all that died
 * (on_dead). */
void tree_bury(struct tree *t, struct mailbox *mb, int err);
/* Walks (and where necessary makes) the directories of a name; NULL when it is too long or nests
 * too deep, or when there are too many already. encoding: IMAP_LIST_UTF8 or 0.
 * id: for the mailbox, if it is made; 0: a new one. */
struct mailbox *tree_walk(struct tree *t, struct span name, bool has_delimiter, char delimiter,
	uint32_t encoding, uint32_t id);

#endif
