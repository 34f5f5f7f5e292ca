/* SPDX-License-Identifier: MIT */
/*
 * What a server says, one response at a time, after the framer cut it out (RFC 3501 section 7, RFC
 * 9051 section 7, and the extensions named below). Parsing is lenient where the meaning is clear
 * and never guesses where it is not: see each field. All spans point into the given text, or, where
 * unquoting made a copy necessary, into the parser's own scratch memory; both are valid until the
 * next parse.
 */
#ifndef IMAP_RESPONSE_H
#define IMAP_RESPONSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"
#include "imap/uids.h"

enum imap_kind {
	IMAP_UNKNOWN, /* untagged data that is of no interest or makes no sense: ignore */
	IMAP_TAGGED,
	IMAP_CONTINUE,  /* "+" */
	IMAP_CONDITION, /* untagged OK, NO, BAD, BYE, PREAUTH */
	IMAP_CAPABILITY,
	IMAP_ENABLED, /* RFC 5161 */
	IMAP_LIST,    /* LIST and LSUB, RFC 5258 (LIST-EXTENDED), RFC 6154 (SPECIAL-USE) */
	IMAP_STATUS,  /* STATUS mailbox (...) */
	IMAP_SEARCH,
	IMAP_ESEARCH, /* RFC 4731 */
	IMAP_EXISTS,
	IMAP_RECENT,
	IMAP_EXPUNGE,
	IMAP_VANISHED, /* RFC 7162 */
	IMAP_FETCH,    /* also UIDFETCH (RFC 9586) */
	IMAP_FLAGS,
	IMAP_NAMESPACE, /* RFC 2342 */
	IMAP_QUOTA,     /* RFC 9208 / 2087 */
	IMAP_QUOTAROOT,
	IMAP_MYRIGHTS, /* RFC 4314 */
};

enum imap_condition { IMAP_OK, IMAP_NO, IMAP_BAD, IMAP_BYE, IMAP_PREAUTH };

/* Response codes, in square brackets at the start of a condition's text. */
enum imap_code {
	IMAP_CODE_NONE,
	IMAP_CODE_OTHER,
	IMAP_CODE_ALERT,
	IMAP_CODE_ALREADYEXISTS,
	IMAP_CODE_APPENDUID,
	IMAP_CODE_AUTHENTICATIONFAILED,
	IMAP_CODE_AUTHORIZATIONFAILED,
	IMAP_CODE_CANNOT,
	IMAP_CODE_CAPABILITY, /* args: the capabilities */
	IMAP_CODE_CLOSED,
	IMAP_CODE_COPYUID,
	IMAP_CODE_EXPIRED,
	IMAP_CODE_HIGHESTMODSEQ, /* number */
	IMAP_CODE_EXPUNGEISSUED,
	IMAP_CODE_INUSE,
	IMAP_CODE_LIMIT,
	IMAP_CODE_MESSAGELIMIT, /* RFC 9738; number: the lowest UID that was done, 0: not said */
	IMAP_CODE_NOMODSEQ,
	IMAP_CODE_NONEXISTENT,
	IMAP_CODE_NOPERM,
	IMAP_CODE_NOTIFICATIONOVERFLOW, /* RFC 5465: NOTIFY was switched off */
	IMAP_CODE_OVERQUOTA,
	IMAP_CODE_PERMANENTFLAGS, /* flags */
	IMAP_CODE_PRIVACYREQUIRED,
	IMAP_CODE_READ_ONLY,
	IMAP_CODE_READ_WRITE,
	IMAP_CODE_SERVERBUG,
	IMAP_CODE_TOOBIG,    /* RFC 4469, RFC 7889 */
	IMAP_CODE_THROTTLED, /* also when it stands anywhere else in the text (Gmail) */
	IMAP_CODE_TRYCREATE,
	IMAP_CODE_UIDNEXT, /* number */
	IMAP_CODE_UIDNOTSTICKY,
	IMAP_CODE_UIDVALIDITY, /* number */
	IMAP_CODE_UNAVAILABLE,
	IMAP_CODE_UNSEEN, /* number */
};

/* Flags of messages. */
enum imap_flag {
	IMAP_FLAG_SEEN = 1 << 0,
	IMAP_FLAG_ANSWERED = 1 << 1,
	IMAP_FLAG_FLAGGED = 1 << 2,
	IMAP_FLAG_DELETED = 1 << 3,
	IMAP_FLAG_DRAFT = 1 << 4,
	IMAP_FLAG_RECENT = 1 << 5,
	IMAP_FLAG_ANY = 1 << 6, /* "\*" in PERMANENTFLAGS */
};

/* Attributes of mailboxes in LIST. */
enum imap_list_flag {
	IMAP_LIST_NOSELECT = 1 << 0,
	IMAP_LIST_NONEXISTENT = 1 << 1,
	IMAP_LIST_NOINFERIORS = 1 << 2,
	IMAP_LIST_SUBSCRIBED = 1 << 3,
	IMAP_LIST_HASCHILDREN = 1 << 4,
	IMAP_LIST_HASNOCHILDREN = 1 << 5,
	IMAP_LIST_ALL = 1 << 6,
	IMAP_LIST_ARCHIVE = 1 << 7,
	IMAP_LIST_DRAFTS = 1 << 8,
	IMAP_LIST_FLAGGED = 1 << 9,
	IMAP_LIST_JUNK = 1 << 10,
	IMAP_LIST_SENT = 1 << 11,
	IMAP_LIST_TRASH = 1 << 12,
	IMAP_LIST_IMPORTANT = 1 << 13,
	/* Never said by a server: the name is in UTF-8 (RFC 6855), not in modified UTF-7. */
	IMAP_LIST_UTF8 = 1 << 14,
};

/* Octets of an id of RFC 8474. */
#define IMAP_OBJECTID_MAX 255

enum imap_body {
	IMAP_BODY_ABSENT,
	IMAP_BODY_NIL,      /* no data, which is not an empty message */
	IMAP_BODY_INLINE,   /* a quoted string or an atom: `body` has its octets */
	IMAP_BODY_STREAMED, /* was handed out by the framer */
};

/* A part of a message: BODY[section], BODY[section]<n>. */
struct imap_section {
	struct span name; /* what stands in the brackets: "2.1", "HEADER"; empty: none was given */
	enum imap_body kind;
	struct span body;
	bool has_origin;
	uint64_t origin;
};

struct imap_fetch {
	uint32_t seq;  /* as the server said, may be 0 or above EXISTS; 0 in a UIDFETCH */
	uint32_t uid;  /* 0: not given */
	bool has_size; /* false for NIL, negative, fractional or missing sizes */
	uint64_t size; /* RFC822.SIZE */
	bool has_date; /* false when INTERNALDATE is missing or beyond understanding */
	int64_t date;  /* INTERNALDATE, seconds since 1970 UTC */
	bool has_flags;
	unsigned flags;         /* enum imap_flag */
	struct span flag_words; /* all of them as they came, see imap/flags.h */
	struct span emailid;    /* EMAILID (RFC 8474); empty: not given, or none */
	uint64_t modseq;        /* 0: not given */
	struct span
		structure; /* BODYSTRUCTURE as it stands there: see bodystructure.h; empty: none */
	enum imap_body body_kind; /* of BODY[], BODY[]<n> */
	struct span body;
	bool has_origin;
	uint64_t origin;             /* of BODY[]<origin> */
	struct imap_section section; /* the first that is not BODY[] */
};

struct imap_list {
	bool lsub;
	unsigned flags; /* enum imap_list_flag */
	bool has_delimiter;
	char delimiter;
	struct span name; /* the raw octets, unquoted, not decoded; may hold anything */
};

struct imap_status_data {
	struct span name;
	bool has_messages, has_uidnext, has_uidvalidity, has_highestmodseq, has_size, has_unseen;
	bool has_append_limit; /* RFC 7889; NIL is none */
	uint32_t messages, uidnext, uidvalidity, unseen;
	uint64_t highestmodseq, size, append_limit;
};

struct imap_quota {
	struct span root; /* of IMAP_QUOTAROOT: the first, empty when there is none */
	bool has_storage;
	uint64_t storage_used, storage_limit; /* units of 1024 octets */
	bool has_message;
	uint64_t message_used, message_limit;
};

/* The first personal namespace; the others are listed by LIST anyway. */
struct imap_namespace {
	bool present; /* false: NIL */
	struct span prefix;
	bool has_delimiter;
	char delimiter;
};

struct imap_response {
	enum imap_kind kind;
	struct span tag; /* IMAP_TAGGED */

	/* IMAP_TAGGED (with OK, NO, BAD only), IMAP_CONDITION; text also for IMAP_CONTINUE. */
	enum imap_condition condition;
	enum imap_code code;
	struct span code_args; /* what stands behind the code's name inside the brackets, trimmed */
	uint64_t number;       /* of codes that have one; 0 when nonsense */
	struct imap_uids uids; /* APPENDUID, COPYUID */
	unsigned flags;        /* PERMANENTFLAGS, IMAP_FLAGS */
	struct span text;      /* for people, without the code */

	uint32_t seq; /* IMAP_EXISTS, IMAP_RECENT, IMAP_EXPUNGE: the number */
	/* IMAP_CAPABILITY, IMAP_ENABLED: words separated by spaces. IMAP_SEARCH: numbers separated
	 * by spaces. IMAP_ESEARCH: the set of ALL, empty when there is none. IMAP_VANISHED: the set
	 * of UIDs. IMAP_MYRIGHTS: the rights. */
	struct span words;
	bool earlier; /* VANISHED (EARLIER) */
	bool broken; /* IMAP_UNKNOWN: a FETCH row without its end; another response may follow in it
		      */
	uint32_t esearch_count, esearch_min, esearch_max; /* 0 when not given */

	struct imap_fetch fetch;
	struct imap_list list;
	struct imap_status_data status;
	struct imap_quota quota;
	struct imap_namespace personal;
};

struct imap_parser;

struct imap_parser *imap_parser_create(void); /* NULL: out of memory */
void imap_parser_destroy(struct imap_parser *p);

/*
 * Parses one response (a IMAP_FRAME_LINE). Untagged data that cannot be understood gives
 * IMAP_UNKNOWN, a FETCH row with one bad attribute keeps the others. Returns 0, ERR_NOMEM, or
 * ERR_PROTOCOL when the text is not a response at all (no tag, no "*", no "+"; lists nested over
 * 100 deep), or when a row with a streamed body does not go on and end as it must: the literal's
 * length was wrong, and what was handed out is not the body. So a streamed body is only certain
 * when its row has been parsed.
 */
int imap_response_parse(struct imap_parser *p, struct span text, struct imap_response *r);

/*
 * What is known of a FETCH response when the literal of a BODY[...] begins (IMAP_FRAME_BODY_BEGIN):
 * the sequence number, the UID if it came first, the origin. Either section.name is empty and
 * body_kind IMAP_BODY_STREAMED, or section is the one that begins, and body_kind IMAP_BODY_ABSENT.
 */
int imap_response_parse_prefix(struct imap_parser *p, struct span text, struct imap_fetch *f);

/*
 * Takes the next range off a set ("1:5,9,12:*" or "1 2 3"): true and *first <= *last, or false at
 * the end. Members that make no sense (0, above 2^32-1, letters) are skipped; "*" is 2^32-1; "7:3"
 * is 3 to 7.
 */
bool imap_set_next(struct span *set, uint32_t *first, uint32_t *last);

/* Takes the next word (separated by spaces) off words; false at the end. */
bool imap_word_next(struct span *words, struct span *word);

#endif
