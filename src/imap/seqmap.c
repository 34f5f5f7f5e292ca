/* SPDX-License-Identifier: MIT */
/*
 * Blocks of up to BLOCK_SIZE consecutive numbers, each with the UIDs it knows (0: unknown); what no
 * block covers is unknown. They are the nodes of a treap, in the order of numbers, and each knows
 * only how many numbers lie between it and the block before: so nothing that comes or goes moves
 * more than its block and the way to it. A block is aligned down when it is made, so rows that come
 * in any order fill blocks instead of making new ones. Each block knows at least one UID.
 *
 * UIDs rise with the numbers (RFC 3501 section 2.3.1.1), which finds them as fast as numbers. Where
 * one does not, some of what is known is wrong, nobody knows what, and all of it is forgotten.
 */
#include "imap/seqmap.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/error.h"

#define BLOCK_SIZE 128
/* Blocks, each of some 570 octets, that are enough for 8 million messages; and so many at a time
 * are looked at for how much they hold, which is a sixteenth at least where a server does not mean
 * to take memory. */
#define BLOCKS_MAX 65536
#define BLOCKS_LOOK 1024
#define KNOWN_MIN (BLOCK_SIZE / 16)

struct block {
	struct block *left, *right;
	uint64_t rank;     /* at random; no lower than the children's */
	uint32_t gap;      /* numbers between the block before and this one */
	uint32_t count;    /* numbers covered */
	uint32_t known;    /* of these, with a UID */
	uint32_t min, max; /* UIDs */
	/* With all blocks below. */
	uint32_t total; /* numbers, gaps included */
	uint32_t all_min, all_max;
	uint32_t uids[BLOCK_SIZE];
};

struct imap_seqmap {
	uint32_t exists;
	struct block *root;
	size_t count;   /* blocks */
	uint64_t known; /* UIDs */
	uint64_t steps;
	uint64_t random; /* the state that ranks are made from; nobody who numbers knows it */
};

struct imap_seqmap *imap_seqmap_create(void)
{
	struct imap_seqmap *m = calloc(1, sizeof(*m));

	if (m && getrandom(&m->random, sizeof(m->random), GRND_NONBLOCK) < 0)
		m->random = (uintptr_t)m;
	return m;
}

/* Splitmix64, by Sebastiano Vigna. */
static uint64_t next_rank(struct imap_seqmap *m)
{
	uint64_t x = m->random += 0x9e3779b97f4a7c15;

	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

/* --- the tree --- */

static uint32_t total(const struct block *b)
{
	return b ? b->total : 0;
}

/* Numbers below the block's first, of those below it in the tree. */
static uint32_t before(const struct block *b)
{
	return total(b->left) + b->gap;
}

/* What lies below the block has changed. */
static void update_block(struct imap_seqmap *m, struct block *b)
{
	m->steps++;
	b->total = before(b) + b->count + total(b->right);
	b->all_min = b->left ? b->left->all_min : b->min;
	b->all_max = b->right ? b->right->all_max : b->max;
}

/* Blocks that begin at or below seq, and those that do not. */
static void split_blocks(struct imap_seqmap *m, struct block *b, uint32_t seq, struct block **low,
	struct block **high)
{
	if (!b) {
		*low = *high = NULL;
		return;
	}
	if (before(b) < seq) {
		uint32_t end = before(b) + b->count;
		*low = b;
		split_blocks(m, b->right, seq > end ? seq - end : 0, &b->right, high);
	} else {
		*high = b;
		split_blocks(m, b->left, seq, low, &b->left);
	}
	update_block(m, b);
}

static struct block *join_blocks(struct imap_seqmap *m, struct block *low, struct block *high)
{
	if (!low || !high)
		return low ? low : high;
	struct block *top = low->rank >= high->rank ? low : high;
	if (top == low)
		low->right = join_blocks(m, low->right, high);
	else
		high->left = join_blocks(m, low, high->left);
	update_block(m, top);
	return top;
}

/* So many numbers more lie before the first block. */
static void push_down(struct imap_seqmap *m, struct block *b, int64_t n)
{
	if (!b)
		return;
	if (b->left)
		push_down(m, b->left, n);
	else
		b->gap = (uint32_t)(b->gap + n);
	update_block(m, b);
}

static void drop_block(struct imap_seqmap *m, struct block *b)
{
	if (!b)
		return;
	drop_block(m, b->left);
	drop_block(m, b->right);
	m->count--;
	m->known -= b->known;
	free(b);
}

static void drop_blocks(struct imap_seqmap *m)
{
	drop_block(m, m->root);
	m->root = NULL;
}

void imap_seqmap_clear(struct imap_seqmap *m)
{
	drop_blocks(m);
	m->exists = 0;
}

void imap_seqmap_destroy(struct imap_seqmap *m)
{
	if (!m)
		return;
	imap_seqmap_clear(m);
	free(m);
}

uint64_t imap_seqmap_steps(const struct imap_seqmap *m)
{
	return m->steps;
}

/* The block that covers seq, and its first number; or NULL. */
static struct block *find_block(struct imap_seqmap *m, uint32_t seq, uint32_t *first)
{
	struct block *b = m->root;
	uint32_t base = 0;

	while (b) {
		uint32_t start = base + before(b) + 1;
		m->steps++;
		if (seq >= start && seq - start < b->count) {
			*first = start;
			return b;
		}
		if (seq >= start)
			base = start - 1 + b->count;
		b = seq < start ? b->left : b->right;
	}
	return NULL;
}

/* The block that begins at number first becomes a gap. */
static void remove_block(struct imap_seqmap *m, uint32_t first)
{
	struct block *low, *b, *high;

	split_blocks(m, m->root, first - 1, &low, &high);
	split_blocks(m, high, first - total(low), &b, &high);
	if (b) {
		push_down(m, high, b->total);
		drop_block(m, b);
	}
	m->root = join_blocks(m, low, high);
}

/* Counts anew what the block knows. */
static void look_through(struct imap_seqmap *m, struct block *b)
{
	m->known -= b->known;
	b->known = b->min = b->max = 0;
	for (uint32_t at = 0; at < b->count; at++) {
		uint32_t uid = b->uids[at];
		if (uid == 0)
			continue;
		b->min = b->min ? b->min : uid;
		b->max = uid;
		b->known++;
	}
	m->known += b->known;
}

/* --- EXISTS --- */

/* Takes so many numbers off the end of the last block. */
static void cut_block(struct imap_seqmap *m, struct block *b, uint32_t n)
{
	if (b->right) {
		cut_block(m, b->right, n);
	} else {
		b->count -= n;
		look_through(m, b);
	}
	update_block(m, b);
}

static struct block *last_block(struct block *b)
{
	while (b && b->right)
		b = b->right;
	return b;
}

/* Forgets the mapping of all numbers above seq. */
static void forget_above(struct imap_seqmap *m, uint32_t seq)
{
	struct block *high;

	if (total(m->root) <= seq)
		return;
	split_blocks(m, m->root, seq, &m->root, &high);
	drop_block(m, high);
	if (total(m->root) > seq)
		cut_block(m, m->root, total(m->root) - seq);
	const struct block *last = last_block(m->root);
	if (last && last->known == 0)
		remove_block(m, total(m->root) - last->count + 1);
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

/* --- learning --- */

/* More than is kept, or scattered: a server that numbers so, or a reader of few messages in a vast
 * mailbox. What is forgotten is unknown. */
static bool is_too_much(const struct imap_seqmap *m)
{
	if (m->count == 0 || m->count % BLOCKS_LOOK != 0)
		return false;
	return m->count >= BLOCKS_MAX || m->known < m->count * KNOWN_MIN;
}

/* The highest UID that the block has below its number at, or 0. */
static uint32_t highest_below(const struct block *b, uint32_t at)
{
	while (at > 0 && b->uids[at - 1] == 0)
		at--;
	return at > 0 ? b->uids[at - 1] : 0;
}

/* The lowest that it has above, or 0. */
static uint32_t lowest_above(const struct block *b, uint32_t at)
{
	for (at++; at < b->count; at++)
		if (b->uids[at] != 0)
			return b->uids[at];
	return 0;
}

/* Whether the UID lies between those that are known of lower and of higher numbers. */
static bool uid_fits(struct imap_seqmap *m, uint32_t seq, uint32_t uid)
{
	const struct block *b = m->root;
	uint32_t below = 0, above = 0;

	while (b) {
		uint32_t start = before(b) + 1;
		bool inside = seq >= start && seq - start < b->count;
		const struct block *left = b->left, *right = b->right;
		m->steps++;
		if (inside) {
			uint32_t low = highest_below(b, seq - start);
			uint32_t high = lowest_above(b, seq - start);
			low = low || !left ? low : left->all_max;
			high = high || !right ? high : right->all_min;
			below = low ? low : below;
			above = high ? high : above;
			break;
		}
		if (seq < start) {
			above = b->min;
			b = left;
		} else {
			below = b->max;
			seq -= start - 1 + b->count;
			b = right;
		}
	}
	return below < uid && (above == 0 || uid < above);
}

/* Puts the UID into the block that covers seq, which is there. */
static void put_uid(struct imap_seqmap *m, struct block *b, uint32_t seq, uint32_t uid)
{
	uint32_t start = before(b) + 1;

	if (seq < start) {
		put_uid(m, b->left, seq, uid);
	} else if (seq - start >= b->count) {
		put_uid(m, b->right, seq - (start - 1 + b->count), uid);
	} else {
		b->uids[seq - start] = uid;
		look_through(m, b);
	}
	update_block(m, b);
}

/* The last block comes to cover so many numbers more. */
static void extend_block(struct imap_seqmap *m, struct block *b, uint32_t n)
{
	if (b->right) {
		extend_block(m, b->right, n);
	} else {
		memset(b->uids + b->count, 0, n * sizeof(*b->uids));
		b->count += n;
	}
	update_block(m, b);
}

static struct block *make_block(struct imap_seqmap *m, uint32_t gap, uint32_t count)
{
	struct block *b = calloc(1, sizeof(*b));

	if (!b)
		return NULL;
	b->rank = next_rank(m);
	b->gap = gap;
	b->count = count;
	m->count++;
	update_block(m, b);
	return b;
}

/* Has a block cover seq, where none does. What lies between it and the block before is below seq,
 * so it is not the next block's. */
static int cover_seq(struct imap_seqmap *m, uint32_t seq)
{
	struct block *low, *high, *b = NULL;
	int err = 0;

	split_blocks(m, m->root, seq, &low, &high);
	uint32_t end = total(low), aligned = seq - seq % BLOCK_SIZE;
	const struct block *last = last_block(low);
	if (last && seq - (end - last->count + 1) < BLOCK_SIZE) {
		extend_block(m, low, seq - end);
	} else {
		uint32_t first = aligned > end ? aligned : end + 1;
		b = make_block(m, first - end - 1, seq - first + 1);
		err = b ? 0 : ERR_NOMEM;
	}
	if (err == 0)
		push_down(m, high, -(int64_t)(seq - end));
	m->root = join_blocks(m, join_blocks(m, low, b), high);
	return err;
}

int imap_seqmap_learn(struct imap_seqmap *m, uint32_t seq, uint32_t uid)
{
	uint32_t first;

	if (seq == 0 || seq > m->exists || uid == 0)
		return 0;
	if (!uid_fits(m, seq, uid))
		drop_blocks(m);
	if (!find_block(m, seq, &first)) {
		if (is_too_much(m))
			drop_blocks(m);
		int err = cover_seq(m, seq);
		if (err < 0)
			return err;
	}
	put_uid(m, m->root, seq, uid);
	return 0;
}

uint32_t imap_seqmap_uid(struct imap_seqmap *m, uint32_t seq)
{
	uint32_t first;
	const struct block *b = find_block(m, seq, &first);

	return b ? b->uids[seq - first] : 0;
}

/* --- expunging --- */

static void take_from_block(struct imap_seqmap *m, struct block *b, uint32_t at)
{
	b->count--;
	memmove(b->uids + at, b->uids + at + 1, (b->count - at) * sizeof(*b->uids));
	look_through(m, b);
}

/* Takes the number out, so that all above move down by one. */
static void take_seq_out(struct imap_seqmap *m, struct block *b, uint32_t seq)
{
	uint32_t start = before(b) + 1;

	if (seq <= total(b->left))
		take_seq_out(m, b->left, seq);
	else if (seq < start)
		b->gap--;
	else if (seq - start < b->count)
		take_from_block(m, b, seq - start);
	else
		take_seq_out(m, b->right, seq - (start - 1 + b->count));
	update_block(m, b);
}

uint32_t imap_seqmap_expunge(struct imap_seqmap *m, uint32_t seq, bool *valid)
{
	uint32_t first;

	*valid = seq > 0 && seq <= m->exists;
	if (!*valid)
		return 0;
	const struct block *b = find_block(m, seq, &first);
	uint32_t uid = b ? b->uids[seq - first] : 0;
	if (uid && b->known == 1)
		remove_block(m, first);
	if (seq <= total(m->root))
		take_seq_out(m, m->root, seq);
	m->exists--;
	return uid;
}

/* The highest number that is known to have a UID of at most this, or 0; and that UID. */
static uint32_t find_upto(struct imap_seqmap *m, uint32_t uid, uint32_t *found)
{
	const struct block *b = m->root;
	uint32_t base = 0;

	*found = 0;
	while (b) {
		m->steps++;
		if (uid < b->min) {
			b = b->left;
			continue;
		}
		if (!b->right || uid < b->right->all_min)
			break;
		base += before(b) + b->count;
		b = b->right;
	}
	if (!b)
		return 0;
	uint32_t at = b->count - 1;
	while (b->uids[at] == 0 || b->uids[at] > uid)
		at--;
	*found = b->uids[at];
	return base + before(b) + 1 + at;
}

/* A range may hold as many UIDs as the server likes to say, so only those that are known are gone
 * through one by one, up to the first that is not. */
void imap_seqmap_vanish(struct imap_seqmap *m, uint32_t first, uint32_t last)
{
	uint64_t uid = first;
	uint32_t seq, found;
	bool valid;

	if (first == 0)
		return;
	for (; uid <= last; uid++) {
		seq = find_upto(m, (uint32_t)uid, &found);
		if (seq == 0 || found != uid)
			break;
		imap_seqmap_expunge(m, seq, &valid);
	}
	if (uid > last)
		return;
	forget_above(m, seq);
	uint64_t unknown = last - uid + 1;
	m->exists -= unknown < m->exists ? (uint32_t)unknown : m->exists;
	forget_above(m, m->exists);
}
