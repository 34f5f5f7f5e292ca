/* SPDX-License-Identifier: MIT */
/*
 * Three handles: the process, the pipe of its output, and a timer. The result is known when the
 * process has ended and either its first line or the end of its output was read: something that it
 * left behind (an agent) may hold the pipe open for ever. All handles are then closed, and the last
 * one to close frees the command and calls out.
 */
#include "app/login/command.h"

#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/text.h"
#include "app/login/credentials.h"
#include "app/options/words.h"

/* How long a killed process may take to go, in milliseconds. */
enum { KILL_WAIT = 1000 };
/* Octets behind the first line; who prints more does not end by itself. */
enum { DROPPED_MAX = 64 << 10 };

struct command {
	uv_process_t process;
	uv_pipe_t output;
	uv_timer_t timer;
	int handles; /* not closed yet */

	bool spawned; /* process is a handle */
	bool running, killed, output_ended, line_ended, closing;
	bool enough; /* we have ended it, which is no failure */
	size_t dropped;
	struct buf line;
	char chunk[512];

	const char *option, *noun; /* constants */
	char name[128];            /* printable */
	int err;
	char error[256];

	command_done *on_done; /* NULL: cancelled */
	void *ctx;
};

__attribute__((format(printf, 3, 4))) static void set_error(
	struct command *c, int err, const char *format, ...)
{
	va_list args;

	if (c->err < 0)
		return;
	c->err = err;
	va_start(args, format);
	vsnprintf(c->error, sizeof(c->error), format, args);
	va_end(args);
}

static void command_on_closed(uv_handle_t *handle)
{
	struct command *c = handle->data;

	if (--c->handles > 0)
		return;
	command_done *on_done = c->on_done;
	void *ctx = c->ctx;
	struct buf line = c->line;
	int err = c->err;
	char error[sizeof(c->error)];
	memcpy(error, c->error, sizeof(error));
	explicit_bzero(c, sizeof(*c));
	free(c);
	if (on_done)
		on_done(ctx, err, err < 0 ? (struct span){NULL, 0} : buf_span(&line), error);
	buf_finish(&line);
}

static void close_handles(struct command *c)
{
	if (c->closing)
		return;
	c->closing = true;
	if (c->spawned)
		uv_close((uv_handle_t *)&c->process, command_on_closed);
	uv_close((uv_handle_t *)&c->output, command_on_closed);
	uv_close((uv_handle_t *)&c->timer, command_on_closed);
}

static void close_if_ended(struct command *c)
{
	if (c->running || !(c->line_ended || c->output_ended || c->err < 0 || !c->on_done))
		return;
	if (c->line.len > 0 && c->line.data[c->line.len - 1] == '\r')
		c->line.len--;
	if (c->line.len == 0)
		set_error(c, ERR_IO, "%s (%s) printed no %s", c->option, c->name, c->noun);
	else if (memchr(c->line.data, '\0', c->line.len))
		set_error(c, ERR_IO, "%s (%s) printed a NUL byte", c->option, c->name);
	close_handles(c);
}

static void command_on_exit(uv_process_t *process, int64_t status, int signal_number)
{
	struct command *c = process->data;

	c->running = false;
	if (c->enough)
		uv_read_stop((uv_stream_t *)&c->output);
	else if (signal_number)
		set_error(c, ERR_IO, "%s (%s) was ended by signal %d (%s)", c->option, c->name,
			signal_number, strsignal(signal_number));
	else if (status != 0)
		set_error(c, ERR_IO, "%s (%s) failed with exit status %d", c->option, c->name,
			(int)status);
	close_if_ended(c);
}

static void command_on_timer(uv_timer_t *timer)
{
	struct command *c = timer->data;

	if (!c->running)
		set_error(c, ERR_TIMEOUT, "%s (%s) ended without a line, and its output stays open",
			c->option, c->name);
	if (!c->running || c->killed) {
		close_handles(c);
		return;
	}
	set_error(c, ERR_TIMEOUT, "%s (%s) took too long", c->option, c->name);
	c->killed = true;
	uv_process_kill(&c->process, SIGKILL);
	uv_timer_start(&c->timer, command_on_timer, KILL_WAIT, 0);
}

static void command_on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
	struct command *c = handle->data;

	*out = uv_buf_init(c->chunk, sizeof(c->chunk));
}

static void end_process(struct command *c)
{
	c->enough = true;
	if (c->running)
		uv_process_kill(&c->process, SIGKILL);
}

static void add_to_line(struct command *c, size_t n)
{
	const char *end = memchr(c->chunk, '\n', n);
	size_t length = end ? (size_t)(end - c->chunk) : n;
	int err = buf_append(&c->line, c->chunk, length);

	c->line_ended = end != NULL;
	if (err == ERR_LIMIT)
		set_error(c, err, "%s (%s) printed a line of more than %d bytes", c->option,
			c->name, (int)c->line.max);
	else if (err < 0)
		set_error(c, err, "out of memory");
	if (err < 0)
		end_process(c);
}

/* What follows the first line is read and dropped: closing the pipe could make the command fail.
 * But one that never ends is ended. */
static void command_on_output(uv_stream_t *stream, ssize_t n, const uv_buf_t *chunk)
{
	struct command *c = stream->data;

	if (n < 0) {
		uv_read_stop(stream);
		c->output_ended = true;
	} else if (!c->line_ended) {
		add_to_line(c, (size_t)n);
	} else if ((c->dropped += (size_t)n) > DROPPED_MAX) {
		end_process(c);
	}
	explicit_bzero(c->chunk, sizeof(c->chunk));
	close_if_ended(c);
}

static int spawn(struct command *c, char **argv)
{
	uv_stdio_container_t stdio[] = {
		{.flags = UV_IGNORE},
		{.flags = UV_CREATE_PIPE | UV_WRITABLE_PIPE,
			.data.stream = (uv_stream_t *)&c->output},
		{.flags = UV_INHERIT_FD, .data.fd = STDERR_FILENO},
	};
	const uv_process_options_t options = {
		.file = argv[0],
		.args = argv,
		.exit_cb = command_on_exit,
		.stdio_count = 3,
		.stdio = stdio,
	};
	/* uv_spawn leaves a handle to close also when it fails. */
	c->spawned = true;
	c->handles++;
	int err = uv_spawn(c->timer.loop, &c->process, &options);
	if (err == 0) {
		c->running = true;
		err = uv_read_start((uv_stream_t *)&c->output, command_on_alloc, command_on_output);
	}
	return err;
}

static void run_command_line(struct command *c, const char *command, uint64_t timeout)
{
	const char *reason;
	char **argv = NULL;

	if (words_split(command, &argv, &reason) < 0) {
		set_error(c, ERR_INVALID, "%s is no command: %s", c->option, reason);
	} else {
		text_printable(span_of(argv[0]), c->name, sizeof(c->name));
		int err = spawn(c, argv);
		if (err < 0)
			set_error(c, ERR_IO, "%s (%s) cannot be run: %s", c->option, c->name,
				uv_strerror(err));
	}
	words_free(argv);
	uv_timer_start(&c->timer, command_on_timer, c->err < 0 ? 0 : timeout, 0);
}

struct command *command_start(
	uv_loop_t *loop, const struct command_options *options, command_done *on_done, void *ctx)
{
	struct command *c = mem_zalloc(sizeof(*c));

	buf_init_secret(&c->line, options->max);
	c->option = options->option;
	c->noun = options->noun;
	c->on_done = on_done;
	c->ctx = ctx;
	uv_timer_init(loop, &c->timer);
	uv_pipe_init(loop, &c->output, 0);
	c->process.data = c->output.data = c->timer.data = c;
	c->handles = 2;
	run_command_line(c, options->command, options->timeout);
	return c;
}

void command_cancel(struct command *c)
{
	c->on_done = NULL;
	if (c->running)
		uv_process_kill(&c->process, SIGKILL);
	close_if_ended(c);
}
