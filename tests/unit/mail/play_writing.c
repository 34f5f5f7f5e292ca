/* SPDX-License-Identifier: MIT */
/* What writes in a play: mailboxes, messages that are new, copies. */
#include "play_requests.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../support/oom.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/text.h"

/* --- mailboxes --- */

static void tell_folder(const char *path, int err)
{
	acts_tell("done %s%s%s", path, err < 0 ? ": " : "", err < 0 ? error_text(err) : "");
}

static void folder_on_done(struct mailboxes_wait *w, int err, struct mailbox *mb)
{
	struct request *r = list_entry(w, struct request, folder);

	tell_folder(r->path, err);
	request_end(r);
}

/* Once it is begun; an error is its answer. */
static void folder_begun(struct request *r, int err)
{
	if (err == 0)
		return;
	tell_folder(r->path, err);
	request_end(r);
}

static struct request *folder_request(struct mailbox *mb, struct span args)
{
	struct request *r = request_create(mb, 0);

	r->folder = (struct mailboxes_wait){.on_done = folder_on_done};
	r->path = mem_printf("%.*s", (int)args.n, args.p);
	return r;
}

/* As if the process were killed: nobody waits any more. */
static void interrupt_folders(void)
{
	LIST_FOREACH_SAFE (pos, &acts.requests) {
		struct request *r = list_entry(pos, struct request, link);

		if (!r->path)
			continue;
		mailboxes_cancel(&r->folder);
		request_end(r);
	}
}

/* --- append --- */

static void append_on_done(struct append *a, int err)
{
	struct request *r = list_entry(a, struct request, append);

	acts_tell("appended %s %" PRIu32 "%s%s",
		r->mb->dead ? r->mb->component : mailbox_path(r->mb), a->uid, err < 0 ? ": " : "",
		err < 0 ? error_text(err) : "");
	if (err < 0 && strcmp(a->reason, error_text(err)) != 0)
		acts_tell("reason: %s", a->reason);
	request_end(r);
}

static void append_text(struct mailbox *mb, struct span flags, struct span date, struct buf *text)
{
	struct request *r = request_create(mb, 0);
	uint64_t seconds = 0;
	int fd = memfd_create("letter", MFD_CLOEXEC);

	if (fd < 0 || (text->len > 0 && write(fd, text->data, text->len) < 0))
		abort();
	r->append = (struct append){.mb = mb, .fd = fd, .on_done = append_on_done};
	r->append.has_date = text_parse_number(date, INT64_MAX, &seconds);
	r->append.date = (int64_t)seconds;
	if (!span_equal(flags, SPAN("-")) &&
		asprintf(&r->append_flags, "%.*s", (int)flags.n, flags.p) < 0)
		abort();
	r->append.flags = r->append_flags;
	append_start(&r->append);
	close(fd);
}

static bool cancel_appends(void)
{
	bool any = false;

	LIST_FOREACH_SAFE (pos, &acts.requests) {
		struct request *r = list_entry(pos, struct request, link);
		if (!r->append.upload)
			continue;
		acts_tell("canceled%s", append_cancel(&r->append) ? "" : ": may be there");
		request_end(r);
		any = true;
	}
	return any;
}

/* --- copy --- */

static void copy_on_done(struct copy *c, int err)
{
	struct request *r = list_entry(c, struct request, copy);

	acts_tell("copied %s %" PRIu32 " %" PRIu32 "%s%s",
		r->mb->dead ? r->mb->component : mailbox_path(r->mb), r->uid, c->new_uid,
		err < 0 ? ": " : "", err < 0 ? error_text(err) : "");
	request_end(r);
}

static void copy_message(struct mailbox *from, uint32_t uid, struct mailbox *to)
{
	struct request *r = request_create(from, uid);

	r->copy = (struct copy){.from = from, .uid = uid, .to = to, .on_done = copy_on_done};
	copy_start(&r->copy);
}

/* --- actions --- */

/* The directory that a path is in, and its last component. */
static struct mailbox *take_place(struct span path, struct span *component)
{
	const char *slash = memrchr(path.p, '/', path.n);
	size_t above = slash ? (size_t)(slash - path.p) : 0;

	*component = slash ? (struct span){slash + 1, path.n - above - 1} : path;
	return tree_by_path(&acts.account->tree, (struct span){path.p, above});
}

static bool act_mkdir(struct span args)
{
	struct span component;
	struct mailbox *parent = take_place(args, &component);

	if (!parent)
		return false;
	struct request *r = folder_request(parent, args);
	folder_begun(r, mailboxes_make(parent, component, &r->folder));
	return true;
}

static bool act_rmdir(struct span args)
{
	struct mailbox *mb = tree_by_path(&acts.account->tree, args);

	if (!mb)
		return false;
	struct request *r = folder_request(mb, args);
	folder_begun(r, mailboxes_remove(mb, &r->folder));
	return true;
}

static bool act_mv(struct span args)
{
	struct mailbox *mb = acts_take_mailbox(&args);
	struct span component;
	struct mailbox *parent = take_place(args, &component);

	if (!mb || !parent)
		return false;
	struct request *r = folder_request(mb, args);
	folder_begun(r, mailboxes_rename(mb, parent, component, &r->folder));
	return true;
}

static bool act_interrupt(struct span args)
{
	interrupt_folders();
	return true;
}

/* \n is a line's end, \0 NUL; N*TEXT, where N is a number, is TEXT N times. */
static void put_text(struct buf *out, struct span text)
{
	const char *star = text.n ? memchr(text.p, '*', text.n) : NULL;
	uint64_t times = 1;

	if (star &&
		text_parse_number((struct span){text.p, (size_t)(star - text.p)}, 1u << 20, &times))
		text = (struct span){star + 1, text.n - (size_t)(star + 1 - text.p)};
	for (; times > 0; times--) {
		for (size_t i = 0; i < text.n; i++) {
			bool escaped = text.p[i] == '\\' && i + 1 < text.n;
			char c = escaped ? text.p[++i] : text.p[i];
			if (escaped)
				c = c == 'n' ? '\n' : c == '0' ? '\0' : c;
			if (buf_append_char(out, c) < 0)
				abort();
		}
	}
}

static bool act_append(struct span args)
{
	struct mailbox *mb = acts_take_mailbox(&args);
	struct span flags = acts_take_word(&args), date = acts_take_word(&args);
	struct buf text;

	if (!mb)
		return true;
	oom_pause();
	buf_init(&text, 64u << 20);
	while (args.n > 0) {
		const char *bar = memchr(args.p, '|', args.n);
		size_t n = bar ? (size_t)(bar - args.p) : args.n;
		put_text(&text, (struct span){args.p, n});
		n += bar != NULL;
		args = (struct span){args.p + n, args.n - n};
	}
	oom_resume();
	append_text(mb, flags, date, &text);
	buf_finish(&text);
	return true;
}

/* FROM TO UID... */
static bool act_copy(struct span args)
{
	struct mailbox *from = acts_take_mailbox(&args), *to = acts_take_mailbox(&args);
	uint64_t uid;

	while (args.n > 0) {
		if (!acts_take_number(&args, &uid))
			return false;
		if (from && to)
			copy_message(from, (uint32_t)uid, to);
	}
	return true;
}

static bool act_cancel(struct span args)
{
	return cancel_appends();
}

const struct act acts_of_writing[] = {
	{"mkdir", act_mkdir},
	{"rmdir", act_rmdir},
	{"mv", act_mv},
	{"interrupt", act_interrupt},
	{"append", act_append},
	{"copy", act_copy},
	{"cancel", act_cancel},
	{NULL, NULL},
};
