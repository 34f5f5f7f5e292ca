/*
 * The tree of mailboxes, made from LIST and from the cache. A mailbox is found by its raw name (a
 * balanced tree of libc's, since a server chooses the names), a directory entry by its component.
 */
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "imap/response.h"
#include "imap/utf7.h"
#include "mail/account.h"
#include "mail/body.h"
#include "mail/names.h"
#include "mail/reap.h"
#include "mail/watch.h"

/* No real account nests deeper; PATH_MAX ends far earlier. */
#define LEVELS_MAX 128
/* How often in so many milliseconds a mailbox may be numbered anew. */
#define RENUMBER_MAX 5
#define RENUMBER_TIME ((uint64_t)10 * 60 * 1000)
/* Living mailboxes, of some 600 octets each; a server may list without end. */
#define MAILBOXES_MAX 65536
/* Octets of a name, and of all names together: each level has a copy of its own. */
#define NAME_OCTETS_MAX ((size_t)8 << 10)
#define NAMES_OCTETS_MAX ((size_t)16 << 20)

static int compare(const void *a, const void *b)
{
	struct span x = ((const struct mailbox *)a)->name, y = ((const struct mailbox *)b)->name;
	size_t n = x.n < y.n ? x.n : y.n;
	int order = n ? memcmp(x.p, y.p, n) : 0;

	return order ? order : (x.n > y.n) - (x.n < y.n);
}

/* INBOX is one mailbox in whatever case, but only as the whole name (RFC 3501 section 5.1). */
static struct span canonical(struct span name)
{
	return names_is_inbox(name) ? SPAN("INBOX") : name;
}

struct mailbox *account_by_name(struct account *a, struct span name)
{
	struct mailbox key = {.name = canonical(name)};
	struct mailbox **found = tfind(&key, &a->by_name, compare);

	return found ? *found : NULL;
}

struct mailbox *account_by_text(struct account *a, struct span text)
{
	struct mailbox *mb = NULL;
	struct buf encoded;

	if (text.n > NAME_OCTETS_MAX)
		return NULL;
	buf_init(&encoded, 5 * text.n + 1);
	if (imap_utf7_encode(text, &encoded) == 0)
		mb = account_by_name(a, buf_span(&encoded));
	buf_finish(&encoded);
	return mb;
}

static void index_name(struct account *a, struct mailbox *mb)
{
	if (!tsearch(mb, &a->by_name, compare)) {
		log_error("out of memory");
		abort();
	}
}

static void unindex_name(struct account *a, struct mailbox *mb)
{
	tdelete(mb, &a->by_name, compare);
}

/* The path component of a level, in the encoding that the mailbox's name has; owned by the caller.
 */
static char *component_of(const struct mailbox *mb, struct span level)
{
	struct buf component;

	buf_init(&component, NAME_MAX);
	if (names_component(level, mb->list_flags & IMAP_LIST_UTF8, &component) < 0) {
		log_error("out of memory");
		abort();
	}
	char *copy = mem_copy(component.data, component.len);
	buf_finish(&component);
	return copy;
}

static void adopt(struct account *a, struct mailbox *parent, struct mailbox *mb, struct span level)
{
	free(mb->component);
	mb->component = component_of(mb, level);
	mailbox_attach(parent, mb);
	index_name(a, mb);
	map_put(&a->by_id, mb->id, mb);
	a->living++;
	a->name_octets += mb->name.n;
	/* The parent is saved when the LIST is over, not with each child. */
	if (!a->loading)
		mailbox_touch(parent);
}

static struct mailbox *make(struct account *a, struct mailbox *parent, uint32_t id,
	struct span name, struct span level, uint32_t encoding)
{
	struct mailbox *mb = mailbox_create(a, id, name);

	mb->list_flags = encoding;
	adopt(a, parent, mb, level);
	return mb;
}

/* The server has begun, or ceased, to speak UTF-8: the same octets may be another name. */
static void respell(struct account *a, struct mailbox *mb, struct span level)
{
	mb->list_flags ^= IMAP_LIST_UTF8;
	struct mailbox *parent = mb->parent;
	char *component = component_of(mb, level);
	if (strcmp(component, mb->component) != 0) {
		a->observer.on_directory_gone(a->ctx, parent, mb);
		mailbox_touch(parent);
	}
	mailbox_detach(mb);
	free(mb->component);
	mb->component = component;
	mailbox_attach(parent, mb);
	mailbox_save(mb);
}

static size_t level_end(struct span name, size_t from, bool has_delimiter, char delimiter)
{
	const char *found = has_delimiter && from < name.n
				    ? memchr(name.p + from, delimiter, name.n - from)
				    : NULL;

	return found ? (size_t)(found - name.p) : name.n;
}

/* The same octets have another place than before: the server names another delimiter. A parent's
 * name is always the shorter one, so nothing can come to lie below itself. */
static void move(struct account *a, struct mailbox *mb, struct mailbox *parent, struct span level)
{
	struct mailbox *old = mb->parent;

	log_notice("%s moves: the server names another delimiter", mailbox_path(mb));
	a->observer.on_directory_gone(a->ctx, old, mb);
	mailbox_detach(mb);
	mailbox_touch(old);
	free(mb->component);
	mb->component = component_of(mb, level);
	mailbox_attach(parent, mb);
	mailbox_touch(parent);
	mailbox_save(parent);
}

/* One that LIST names under two delimiters stays where it first put it. */
static void replace_level(struct account *a, struct mailbox *mb, struct mailbox *parent,
	struct span level, bool has_delimiter, char delimiter)
{
	bool same = mb->has_delimiter == has_delimiter &&
		    (!has_delimiter || mb->delimiter == delimiter);

	if (mb->generation == a->generation || (same && mb->parent == parent))
		return;
	if (mb->parent != parent)
		move(a, mb, parent, level);
	mb->has_delimiter = has_delimiter;
	mb->delimiter = delimiter;
	mailbox_save(mb);
}

/* Walks (and where necessary makes) the directories of a name; NULL when it is too long or nests
 * too deep, or when there are too many already. encoding: IMAP_LIST_UTF8 or 0. */
static struct mailbox *walk(struct account *a, struct span name, bool has_delimiter, char delimiter,
	uint32_t encoding, uint32_t id)
{
	struct mailbox *mb = a->root;
	size_t from = 0;

	if (name.n > NAME_OCTETS_MAX)
		return NULL;
	for (unsigned level = 0; level < LEVELS_MAX; level++) {
		size_t end = level_end(name, from, has_delimiter, delimiter);
		struct span prefix = canonical((struct span){name.p, end});
		struct mailbox *next = account_by_name(a, prefix);
		struct span part = {name.p + from, end - from};
		bool last = end == name.n;
		if (!next && (a->living >= MAILBOXES_MAX ||
				     a->name_octets + prefix.n > NAMES_OCTETS_MAX))
			return NULL;
		if (level == 0)
			part = canonical(part);
		if (next && (next->list_flags & IMAP_LIST_UTF8) != encoding)
			respell(a, next, part);
		if (next && !a->loading)
			replace_level(a, next, mb, part, has_delimiter, delimiter);
		if (!next) {
			next = make(a, mb, last && id ? id : cache_new_id(a->cache), prefix, part,
				encoding);
			next->has_delimiter = has_delimiter;
			next->delimiter = delimiter;
			next->unseen = a->listed != 0;
		}
		next->generation = a->generation;
		mb = next;
		if (last)
			return mb;
		from = end + 1;
	}
	return NULL;
}

static bool says_selectable(uint32_t flags)
{
	return !(flags & (IMAP_LIST_NOSELECT | IMAP_LIST_NONEXISTENT));
}

/* "foo/" stands for the directory foo, there is nothing else to it. */
static struct span trim(struct span name, bool has_delimiter, char delimiter, uint32_t flags)
{
	if (has_delimiter && !says_selectable(flags) && name.n > 1 &&
		name.p[name.n - 1] == delimiter)
		name.n--;
	return name;
}

bool account_knows_list(
	struct account *a, struct span name, bool has_delimiter, char delimiter, uint32_t flags)
{
	name = trim(name, has_delimiter, delimiter, flags);
	/* What is left out is no news ever. */
	return name.n == 0 || a->left_out_told || account_by_name(a, name);
}

void account_on_list(
	struct account *a, struct span name, bool has_delimiter, char delimiter, uint32_t flags)
{
	bool selectable = says_selectable(flags);

	name = trim(name, has_delimiter, delimiter, flags);
	if (name.n == 0)
		return;
	struct mailbox *mb = walk(a, name, has_delimiter, delimiter, flags & IMAP_LIST_UTF8, 0);
	if (!mb) {
		a->left_out++;
		return;
	}
	/* The same name twice: what can be selected once can be selected. */
	if (mb->listed && selectable)
		mb->list_flags &= ~(uint32_t)(IMAP_LIST_NOSELECT | IMAP_LIST_NONEXISTENT);
	bool changed = !mb->listed || mb->list_flags != flags;
	mb->named = a->generation;
	mb->listed = true;
	mb->list_flags = flags;
	if (changed)
		mailbox_save(mb);
}

/* Out of the tree, dead from now on. The caller has the pool forget the dead. */
static void bury(struct account *a, struct mailbox *mb, int err)
{
	struct mailbox *parent = mb->parent;

	unindex_name(a, mb);
	a->living--;
	a->name_octets -= mb->name.n;
	mailbox_detach(mb);
	mailbox_touch(parent);
	mailbox_kill(mb);
	watch_forget(a->watch, mb);
	/* One that is only not subscribed may be subscribed again. */
	if (!a->options.subscribed)
		cache_drop_mailbox(a->cache, mb->id);
	mailbox_wake(mb, false, err);
	reap_later(a, mb);
}

static void tell_all_gone(struct account *a, struct mailbox *mb)
{
	for (size_t i = 0; i < mb->rows.count; i++)
		if (!(mb->rows.at[i].flags & MESSAGE_GONE))
			a->observer.on_message_gone(a->ctx, mb, mb->rows.at[i].uid);
}

/* Whether a mailbox may be numbered anew once more; warns at the first refusal. */
static bool may_renumber(const struct account *a, struct mailbox *mb)
{
	if (uv_now(a->loop) >= mb->renumbered_at + RENUMBER_TIME)
		mb->renumbered = 0;
	if (mb->renumbered < RENUMBER_MAX)
		return true;
	if (mb->renumbered == RENUMBER_MAX)
		log_warning("%s: the UIDVALIDITY of %s changes again and again: its messages "
			    "cannot be told apart, and are not read for now",
			a->options.pool.host, mailbox_path(mb));
	mb->renumbered = RENUMBER_MAX + 1;
	return false;
}

struct mailbox *account_replace(struct account *a, struct mailbox *old)
{
	struct mailbox *parent = old->parent;

	if (old == a->root)
		return old;
	if (!may_renumber(a, old))
		return NULL;
	log_notice("UIDVALIDITY of %s changed: its messages are new ones", mailbox_path(old));
	a->observer.on_directory_gone(a->ctx, parent, old);
	unindex_name(a, old);
	struct mailbox *mb = mailbox_create(a, cache_new_id(a->cache), old->name);
	index_name(a, mb);
	map_put(&a->by_id, mb->id, mb);
	free(mb->component);
	mb->component = mem_strdup(old->component);
	mb->has_delimiter = old->has_delimiter;
	mb->delimiter = old->delimiter;
	mb->list_flags = old->list_flags;
	mb->listed = old->listed;
	mb->generation = old->generation;
	mb->named = old->named;
	mb->unseen = true;
	mb->renumbered = old->renumbered + 1;
	mb->renumbered_at = uv_now(a->loop);
	/* Where the inode stays, the mounted directory's, the kernel has cached the old listing. */
	mb->version = old->version + 1;
	mb->listed_version = old->listed_version;
	while (!list_empty(&old->children)) {
		struct mailbox *child = list_entry(old->children.next, struct mailbox, sibling);
		mailbox_detach(child);
		mailbox_attach(mb, child);
	}
	mailbox_detach(old);
	mailbox_attach(parent, mb);
	if (a->top == old)
		tell_all_gone(a, old);
	if (a->top == old)
		a->top = mb;
	mailbox_touch(parent);
	mailbox_kill(old);
	watch_forget(a->watch, old);
	cache_drop_mailbox(a->cache, old->id);
	mailbox_save(mb);
	pool_forget_dead(a->pool, ERR_STALE);
	mailbox_wake(old, false, ERR_STALE);
	reap_later(a, old);
	a->observer.on_directory_changed(a->ctx, parent);
	a->observer.on_directory_changed(a->ctx, mb);
	return mb;
}

/* Depth first without recursion: the last of the tree below mb, or mb itself. */
static struct mailbox *deepest(struct mailbox *mb)
{
	while (!list_empty(&mb->children))
		mb = list_entry(mb->children.next, struct mailbox, sibling);
	return mb;
}

static struct mailbox *next_in_post_order(const struct account *a, struct mailbox *mb)
{
	if (mb == a->root)
		return NULL;
	if (mb->sibling.next == &mb->parent->children)
		return mb->parent;
	return deepest(list_entry(mb->sibling.next, struct mailbox, sibling));
}

/* How many LISTs running did not name it. */
static uint32_t times_missed(const struct account *a, const struct mailbox *mb)
{
	return a->generation - (mb->listed ? mb->named : mb->generation);
}

bool account_list_is_complete(struct account *a)
{
	for (struct mailbox *mb = deepest(a->root); mb; mb = next_in_post_order(a, mb))
		if (mb != a->root && mb != a->top && times_missed(a, mb) == 1)
			return false;
	return true;
}

void account_on_list_failed(struct account *a)
{
	for (struct mailbox *mb = deepest(a->root); mb; mb = next_in_post_order(a, mb))
		mb->generation = mb->named = a->generation;
}

/* A mailbox that was deleted, while those below it live on. */
static void become_directory(struct account *a, struct mailbox *mb)
{
	mb->listed = false;
	mb->generation = a->generation;
	tell_all_gone(a, mb);
	mailbox_touch(mb);
	mailbox_save(mb);
}

/* Once, not with each LIST. */
static void warn_of_left_out(struct account *a)
{
	if (a->left_out > 0 && !a->left_out_told)
		log_warning(
			"%s: %u mailboxes are left out: it lists more than %u, nests them more "
			"than %u deep, or has names of more than %zu KiB, %zu MiB in all; mount "
			"one of them as host:mailbox to see what is below",
			a->options.pool.host, a->left_out, MAILBOXES_MAX, LEVELS_MAX,
			NAME_OCTETS_MAX >> 10, NAMES_OCTETS_MAX >> 20);
	a->left_out_told |= a->left_out > 0;
	a->left_out = 0;
}

void account_on_listed(struct account *a)
{
	struct mailbox *mb = deepest(a->root);

	warn_of_left_out(a);

	while (mb && mb != a->root) {
		struct mailbox *next = next_in_post_order(a, mb);
		struct mailbox *parent = mb->parent;
		bool gone = times_missed(a, mb) >= 2 && mb != a->top;
		/* A directory ends after what is in it. */
		if (gone && list_empty(&mb->children)) {
			a->observer.on_directory_gone(a->ctx, parent, mb);
			bury(a, mb, ERR_NO_MAILBOX);
		} else if (gone && mb->listed) {
			become_directory(a, mb);
		}
		mb = next;
	}
	/* Once for all of them. */
	pool_forget_dead(a->pool, ERR_NO_MAILBOX);
	mb = deepest(a->root);
	for (; mb; mb = next_in_post_order(a, mb)) {
		if (mb->unsaved)
			mailbox_save(mb);
		if (mb->version != mb->listed_version)
			a->observer.on_directory_changed(a->ctx, mb);
	}
}

static void load_one(void *ctx, const struct cache_mailbox *row)
{
	struct account *a = ctx;
	struct mailbox *mb = account_by_name(a, row->name);

	/* A parent's name is shorter, so its row came before: only a damaged or foreign one has
	 * another id than what was made on the way to an earlier row. */
	if (mb && mb->id != row->id)
		return;
	mb = walk(a, row->name, row->has_delimiter, row->delimiter,
		row->list_flags & IMAP_LIST_UTF8, row->id);
	if (!mb)
		return;
	mb->list_flags = row->list_flags;
	mb->listed = row->listed;
	mb->uidvalidity = row->uidvalidity;
	mb->uidnext = row->uidnext;
	mb->held = row->uidnext > 1 || row->exists > 0;
	mb->highestmodseq = row->highestmodseq;
	mb->complete = row->complete;
	mb->changed = row->changed;
}

void account_load_tree(struct account *a)
{
	a->loading = true;
	cache_each_mailbox(a->cache, load_one, a);
	a->loading = false;
	/* The root has no row: it changed when its newest mailbox did. */
	a->root->changed = 0;
	LIST_FOREACH (pos, &a->root->children) {
		const struct mailbox *child = list_entry(pos, struct mailbox, sibling);
		if (child->changed > a->root->changed)
			a->root->changed = child->changed;
	}
	if (a->root->changed == 0)
		a->root->changed = time(NULL);
}

static void destroy_one(void *ctx, uint64_t key, void *value)
{
	mailbox_destroy(value);
}

static void keep_node(void *node)
{
}

void account_free_tree(struct account *a)
{
	map_each(&a->by_id, destroy_one, NULL);
	map_finish(&a->by_id);
	tdestroy(a->by_name, keep_node);
	a->by_name = NULL;
}
