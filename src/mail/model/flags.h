/* SPDX-License-Identifier: MIT */
/*
 * The flags of messages, as the server has them. A mailbox's are followed from when somebody first
 * asks for one of them on, also after a remount; before, mb->flags is NULL and nothing is known.
 *
 * A row is small and there may be millions: the system flags are bits of its `flags`, and what
 * keywords it has is the number of a set of keywords. Messages have few different sets, and each
 * is kept once for the mailbox.
 */
#ifndef MAIL_MODEL_FLAGS_H
#define MAIL_MODEL_FLAGS_H

#include "base/list.h"
#include "base/map.h"
#include "imap/flags.h"
#include "mail/model/mailbox.h"

/* Octets of the keywords of one message: of who has more they are not known. And of all sets of a
 * mailbox: what is more is left out. */
#define FLAGS_KEYWORDS_MAX (32u << 10)
#define FLAGS_SETS_MAX (16u << 20)
/* Octets of all flags of one message as text. */
#define FLAGS_TEXT_MAX (FLAGS_KEYWORDS_MAX + 256)

struct flags_question;
struct flags_set;

/* Those of one message. */
struct flags_value {
	unsigned system;      /* of IMAP_FLAGS_KEPT */
	struct span keywords; /* words with a space between, ascending without regard to case, none
				 twice */
};

/* What is known of a mailbox's. */
struct flags {
	struct flags_set **sets; /* of keywords, from number 1 on */
	size_t set_count, set_room;
	void *by_words;      /* the same in a tree, to be found */
	struct map others;   /* UID -> struct flags_set, when there are too many sets */
	size_t octets;       /* of all these */
	struct map emailids; /* UID -> id (RFC 8474), owned; those that came, this mount */
	size_t emailid_octets;
	struct map promised;  /* UID -> text of flagdiff.h, owned: what is to be changed and shows
			        already */
	bool refused_logged;  /* the log has it that the server does not take some */
	bool left_out_logged; /* the log has it that there were too many */

	/* For mail/sync: how far they are true. */
	uint64_t modseq;  /* all changes up to it are known (RFC 7162); 0: not told */
	uint64_t reached; /* the highest that the last answer named */
	uint64_t told;    /* the highest that STATUS named */
	uint64_t asked;   /* uv_hrtime: all changes until then are known; 0: not even that */
	bool news;        /* the server told of a change that was not asked for yet */
	struct flags_question *question; /* that is under way, or NULL */
	struct list waiters;

	/* The cache. */
	bool sets_unsaved;
	uint64_t saved_modseq;
	uint32_t *unsaved; /* UIDs of messages whose flags the cache has not yet */
	size_t unsaved_count, unsaved_room;
};

/* Follows the flags from now on. */
struct flags *flags_follow(struct mailbox *mb);
/* For the end of a mailbox. */
void flags_forget(struct mailbox *mb);

/* The flags of a message; false: they are not known. The keywords are valid until the next change. */
bool flags_get(const struct mailbox *mb, const struct cache_message *m, struct flags_value *value);
/* The server says, now, that they are these: of a mailbox that is followed. True when they were
 * others, or unknown; then it is told by a notice, and the cache will know with flags_save. */
bool flags_put(struct mailbox *mb, struct cache_message *m, const struct flags_value *value);
/* The message's EMAILID came: kept as long as the mailbox, while all are not more than
 * FLAGS_SETS_MAX octets. And what it is; NULL: none came. */
void flags_put_emailid(struct mailbox *mb, uint32_t uid, struct span id);
const char *flags_emailid(const struct mailbox *mb, uint32_t uid);
/* It was promised to change them so (flagdiff.h): that shows from now on, whatever the server says.
 * NULL: it was done, or will not be; then what shows is what the server said last, or will be asked
 * for. Of a mailbox that is followed. */
void flags_promise(struct mailbox *mb, uint32_t uid, const char *diff);
/* What was promised; NULL: nothing. Valid until the next call. */
const char *flags_promised(const struct mailbox *mb, uint32_t uid);
/* They are not known any more. */
void flags_doubt(struct mailbox *mb, struct cache_message *m);
/* All changes up to this modseq are known. */
void flags_note_modseq(struct mailbox *mb, uint64_t modseq);
/* Hands to the cache what it does not have. */
void flags_save(struct mailbox *mb);
/* What the cache had, before its messages come; and then the messages, rows as they are. */
void flags_load(struct mailbox *mb, const struct cache_flags *about);
void flags_check_loaded(const struct mailbox *mb, struct cache_message *messages, size_t n);

/* Makes keywords of words that may be there twice, in any order: appends them to out, which is empty.
 * False: they are too many, and out holds some. */
bool flags_sort_keywords(struct span words, struct buf *out);

#endif
