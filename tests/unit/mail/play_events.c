/* SPDX-License-Identifier: MIT */
/* What the filesystem is told in a play: each is an event, one line. */
#include "play_requests.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "../support/oom.h"
#include "base/error.h"
#include "base/log.h"

void acts_tell(const char *format, ...)
{
	struct buf line;
	char *text = NULL;
	va_list args;

	if (acts.muted)
		return;
	oom_pause();
	va_start(args, format);
	int n = vasprintf(&text, format, args);
	va_end(args);
	if (n < 0)
		abort();
	buf_init(&line, ACTS_LINE_MAX);
	acts_put_octets(&line, (struct span){text, (size_t)n});
	acts.told(buf_span(&line));
	buf_finish(&line);
	free(text);
	oom_resume();
}

void acts_put_octets(struct buf *out, struct span octets)
{
	for (size_t i = 0; i < octets.n; i++) {
		unsigned char c = (unsigned char)octets.p[i];
		int err = c >= 0x20 && c < 0x7f ? buf_append_char(out, (char)c)
						: buf_printf(out, "\\x%02x", c);
		if (err < 0)
			abort();
	}
}

/* Stands in the way of base/log.c: what a user must know is an event as well. */
void log_line(enum log_level level, const char *format, ...)
{
	static const char *const names[] = {"error", "warning", "notice", "debug"};
	char text[2048];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (level == LOG_LEVEL_ERROR || getenv("PLAY_DEBUG"))
		fprintf(stderr, "%s: %s\n", names[level], text);
	if (level <= LOG_LEVEL_NOTICE)
		acts_tell("%s: %s", names[level], text);
}

bool log_debugging(void)
{
	return getenv("PLAY_DEBUG");
}

int log_recent(struct buf *out)
{
	return 0;
}

/* The root has no name. */
static const char *path_of(const struct mailbox *mb)
{
	return mb == acts.account->tree.root ? "/" : mailbox_path(mb);
}

static void observe_changed(void *ctx, struct mailbox *mb)
{
	acts_tell("changed %s", path_of(mb));
}

static void observe_message_gone(void *ctx, struct mailbox *mb, uint32_t uid)
{
	acts_tell("gone %s %" PRIu32, mailbox_path(mb), uid);
}

/* Only what was known before: else each row would be an event. */
static void observe_flags_changed(void *ctx, struct mailbox *mb, uint32_t uid)
{
	if (mb->flags->asked)
		acts_tell("flags changed %s %" PRIu32, mailbox_path(mb), uid);
}

static void observe_moving(void *ctx, struct mailbox *from, const struct cache_message *m,
	struct mailbox *to, struct span name)
{
	acts_tell("moving %s %" PRIu32 " as %.*s", mailbox_path(from), m->uid, (int)name.n, name.p);
}

static void observe_moved(void *ctx, struct mailbox *from, uint32_t uid, struct mailbox *to,
	uint32_t new_uid, int err)
{
	acts_tell("moved %s %" PRIu32 " to %s %" PRIu32 "%s%s", from->component, uid, to->component,
		new_uid, err < 0 ? ": " : "", err < 0 ? error_text(err) : "");
}

static void observe_size_changed(void *ctx, struct mailbox *mb, uint32_t uid, bool at_once)
{
	acts_tell(
		"size changed %s %" PRIu32 "%s", mailbox_path(mb), uid, at_once ? " at once" : "");
}

static void observe_directory_gone(void *ctx, struct mailbox *parent, struct mailbox *mb)
{
	acts_tell("directory gone %s", mb->component);
}

static void observe_push(
	void *ctx, struct mailbox *mb, uint32_t uid, uint64_t offset, char *data, size_t n)
{
	acts_tell("ahead %s %" PRIu32 " %" PRIu64 ": %zu octets", mailbox_path(mb), uid, offset, n);
	free(data);
}

const struct account_observer acts_observer = {
	.on_directory_changed = observe_changed,
	.on_message_gone = observe_message_gone,
	.on_moving = observe_moving,
	.on_moved = observe_moved,
	.on_flags_changed = observe_flags_changed,
	.on_size_changed = observe_size_changed,
	.on_directory_gone = observe_directory_gone,
	.on_push = observe_push,
};
