/*
 * Blocks of up to BLOCK_SIZE consecutive numbers, sorted, each with the UIDs it knows (0: unknown);
 * what no block covers is unknown. Removing a number shifts the rest of its block and takes one off
 * the first number of each later block. A block is aligned down when it is made, so rows that come
 * in any order fill blocks instead of making new ones.
 */
#include "imap/seqmap.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/error.h"

#define BLOCK_SIZE 128
/* Blocks, each of 536 octets, that are enough for 8 million messages; and so many at a time are
 * looked through for how much they hold, which is a sixteenth at least where a server does not
 * mean to take memory, and time for moving them. */
#define BLOCKS_MAX 65536
#define BLOCKS_LOOK 1024
#define KNOWN_MIN (BLOCK_SIZE / 16)

struct block {
	uint32_t first;    /* the number of uids[0] */
	uint32_t count;    /* numbers covered */
	uint32_t min, max; /* no UID in the block is outside; min > max: it has none */
	uint32_t *uids;    /* BLOCK_SIZE of them */
};

struct imap_seqmap {
	uint32_t exists;
	struct block *blocks;
	size_t count, cap;
};

struct imap_seqmap *imap_seqmap_create(void)
{
	return calloc(1, sizeof(struct imap_seqmap));
}

/* Drops the blocks from index i on. */
static void drop_blocks(struct imap_seqmap *m, size_t i)
{
	for (size_t j = i; j < m->count; j++)
		free(m->blocks[j].uids);
	m->count = i < m->count ? i : m->count;
}

void imap_seqmap_clear(struct imap_seqmap *m)
{
	drop_blocks(m, 0);
	free(m->blocks);
	*m = (struct imap_seqmap){0};
}

void imap_seqmap_destroy(struct imap_seqmap *m)
{
	if (!m)
		return;
	imap_seqmap_clear(m);
	free(m);
}

/* How many blocks begin at or below seq; the last of them is the one that may hold it. */
static size_t blocks_upto(const struct imap_seqmap *m, uint32_t seq)
{
	size_t low = 0, high = m->count;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		if (m->blocks[mid].first <= seq)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* The block that covers seq, or NULL. */
static struct block *find_block(const struct imap_seqmap *m, uint32_t seq)
{
	size_t n = blocks_upto(m, seq);

	if (n == 0)
		return NULL;
	struct block *b = &m->blocks[n - 1];
	return seq - b->first < b->count ? b : NULL;
}

/* Forgets the mapping of all numbers above seq. */
static void forget_above(struct imap_seqmap *m, uint32_t seq)
{
	size_t n = blocks_upto(m, seq);

	drop_blocks(m, n);
	if (n == 0)
		return;
	struct block *b = &m->blocks[n - 1];
	if (b->count > seq - b->first + 1)
		b->count = seq - b->first + 1;
}

void imap_seqmap_set_exists(struct imap_seqmap *m, uint32_t n)
{
	if (n < m->exists)
		forget_above(m, n);
	m->exists = n;
}

uint32_t imap_seqmap_exists(const struct imap_seqmap *m)
{
	return m->exists;
}

static int make_room(struct imap_seqmap *m)
{
	struct block *blocks = array_try_grow(m->blocks, &m->cap, m->count + 1, sizeof(*blocks));

	if (!blocks)
		return ERR_NOMEM;
	m->blocks = blocks;
	return 0;
}

static size_t known(const struct imap_seqmap *m)
{
	size_t n = 0;

	for (size_t i = 0; i < m->count; i++)
		for (uint32_t at = 0; at < m->blocks[i].count; at++)
			n += m->blocks[i].uids[at] != 0;
	return n;
}

/* More than is kept, or scattered: a server that numbers so, or a reader of few messages in a vast
 * mailbox. What is forgotten is unknown. */
static bool is_too_much(const struct imap_seqmap *m)
{
	if (m->count == 0 || m->count % BLOCKS_LOOK != 0)
		return false;
	return m->count >= BLOCKS_MAX || known(m) < m->count * KNOWN_MIN;
}

/* Makes a block at index i that begins between low and seq, and stores it in *out. */
static int insert_block(
	struct imap_seqmap *m, size_t i, uint32_t low, uint32_t seq, struct block **out)
{
	uint32_t first = seq - seq % BLOCK_SIZE;
	uint32_t *uids = NULL;

	if (make_room(m) < 0 || !(uids = malloc(BLOCK_SIZE * sizeof(*uids))))
		return ERR_NOMEM;
	memmove(m->blocks + i + 1, m->blocks + i, (m->count - i) * sizeof(*m->blocks));
	m->count++;
	m->blocks[i] = (struct block){
		.first = first < low ? low : first, .min = UINT32_MAX, .uids = uids};
	*out = &m->blocks[i];
	return 0;
}

/* The block that covers seq, made or extended where needed. */
static int reach_block(struct imap_seqmap *m, uint32_t seq, struct block **out)
{
	size_t n = blocks_upto(m, seq);
	struct block *b = n ? &m->blocks[n - 1] : NULL;

	if ((!b || seq - b->first >= BLOCK_SIZE) && is_too_much(m)) {
		drop_blocks(m, 0);
		n = 0;
		b = NULL;
	}
	if (!b || seq - b->first >= BLOCK_SIZE) {
		int err = insert_block(m, n, b ? b->first + b->count : 1, seq, &b);
		if (err < 0)
			return err;
	}
	/* What lies between is below seq, so it is not the next block's. */
	while (b->count <= seq - b->first)
		b->uids[b->count++] = 0;
	*out = b;
	return 0;
}

int imap_seqmap_learn(struct imap_seqmap *m, uint32_t seq, uint32_t uid)
{
	struct block *b;

	if (seq == 0 || seq > m->exists || uid == 0)
		return 0;
	int err = reach_block(m, seq, &b);
	if (err < 0)
		return err;
	b->uids[seq - b->first] = uid;
	if (uid < b->min)
		b->min = uid;
	if (uid > b->max)
		b->max = uid;
	return 0;
}

uint32_t imap_seqmap_uid(const struct imap_seqmap *m, uint32_t seq)
{
	const struct block *b = find_block(m, seq);

	return b ? b->uids[seq - b->first] : 0;
}

static uint32_t remove_from_block(struct block *b, uint32_t seq)
{
	uint32_t at = seq - b->first;
	uint32_t uid = b->uids[at];

	b->count--;
	memmove(b->uids + at, b->uids + at + 1, (b->count - at) * sizeof(*b->uids));
	return uid;
}

static void remove_block(struct imap_seqmap *m, struct block *b)
{
	size_t i = (size_t)(b - m->blocks);

	free(b->uids);
	m->count--;
	memmove(b, b + 1, (m->count - i) * sizeof(*b));
}

uint32_t imap_seqmap_expunge(struct imap_seqmap *m, uint32_t seq, bool *valid)
{
	*valid = seq > 0 && seq <= m->exists;
	if (!*valid)
		return 0;
	struct block *b = find_block(m, seq);
	uint32_t uid = b ? remove_from_block(b, seq) : 0;
	for (size_t i = blocks_upto(m, seq); i < m->count; i++)
		m->blocks[i].first--;
	if (b && b->count == 0)
		remove_block(m, b);
	m->exists--;
	return uid;
}

/* The lowest number that is known to have a UID from first to last, or 0. */
static uint32_t find_between(const struct imap_seqmap *m, uint32_t first, uint32_t last)
{
	for (size_t i = 0; i < m->count; i++) {
		const struct block *b = &m->blocks[i];
		if (last < b->min || first > b->max)
			continue;
		for (uint32_t at = 0; at < b->count; at++)
			if (b->uids[at] >= first && b->uids[at] <= last)
				return b->first + at;
	}
	return 0;
}

/* The highest number that is known to have a UID below uid, or 0. */
static uint32_t find_below(const struct imap_seqmap *m, uint32_t uid)
{
	for (size_t i = m->count; i-- > 0;) {
		const struct block *b = &m->blocks[i];
		if (b->min >= uid)
			continue;
		for (uint32_t at = b->count; at-- > 0;)
			if (b->uids[at] != 0 && b->uids[at] < uid)
				return b->first + at;
	}
	return 0;
}

/* A range may hold as many UIDs as the server likes to say, so only those that are known are gone
 * through one by one, up to the first that is not. */
void imap_seqmap_vanish(struct imap_seqmap *m, uint32_t first, uint32_t last)
{
	uint64_t uid = first;
	uint32_t seq;
	bool valid;

	if (first == 0)
		return;
	while (uid <= last && (seq = find_between(m, (uint32_t)uid, (uint32_t)uid)) > 0) {
		imap_seqmap_expunge(m, seq, &valid);
		uid++;
	}
	if (uid > last)
		return;
	/* UIDs that do not rise with the numbers may have left one of the range below. */
	forget_above(m, find_below(m, (uint32_t)uid));
	seq = find_between(m, (uint32_t)uid, last);
	if (seq > 0)
		forget_above(m, seq - 1);
	uint64_t unknown = last - uid + 1;
	m->exists -= unknown < m->exists ? (uint32_t)unknown : m->exists;
	forget_above(m, m->exists);
}
