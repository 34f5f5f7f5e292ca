/* SPDX-License-Identifier: MIT */
/*
 * imapfs: mounts an IMAP account. This file puts the parts together and takes them apart again in
 * the reverse order; every failure before the mount is one line on stderr and an exit status of its
 * own.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "app/login/credentials.h"
#include "app/check/check.h"
#include "app/daemon.h"
#include "app/discover/discover.h"
#include "fs/fs.h"
#include "link/pool.h"
#include "app/guardian.h"
#include "mail/report.h"
#include "mail/sync/watch.h"
#include "net/stream.h"
#include "net/throttle.h"
#include "state/state.h"
#include "state/traffic.h"
#include "app/options/options.h"
#include "app/privileges.h"
#include "app/service.h"
#include "app/login/token_command.h"
#include "app/start/account_options.h"
#include "app/start/mountpoint.h"
#include "app/verbs.h"

#define ERROR_MAX 1024
#define SIGNALS 4
/* Milliseconds between looks whether the service manager should be told something else. */
#define STATUS_STEP 10000
/* Threads of libuv's pool, whatever the environment says. At the same time 4 lanes of notifications
 * may wait for locks that the kernel holds until we answer others, pushes for the locks of pages,
 * and reads and writes of the cache for a slow disk. */
#define THREADS "16"
struct program {
	struct options options;
	uv_loop_t loop;
	struct buf password;
	struct token_command *tokens; /* NULL: there are none */
	struct net_tls *tls;
	struct net_throttle throttle; /* with bwlimit= */
	struct cache *cache;
	struct state *state;     /* NULL: read-only */
	struct traffic *traffic; /* with daylimit= */
	struct account *account;
	struct fs *fs;
	uv_signal_t signals[SIGNALS];
	uv_timer_t status_timer;
	struct guardian guardian;
	bool mounted, stopping;
	int status;
};

/* --- the end --- */

static void main_on_account_stopped(void *ctx)
{
	struct fs *fs = ctx;
	struct program *p = uv_loop_get_data(fs_loop(fs));

	cache_wind_down(p->cache);
	token_command_stop(p->tokens);
	uv_close((uv_handle_t *)&p->status_timer, NULL);
	for (unsigned i = 0; i < SIGNALS; i++)
		uv_close((uv_handle_t *)&p->signals[i], NULL);
}

static void main_on_fs_stopped(void *ctx)
{
	struct program *p = ctx;

	account_stop(p->account, main_on_account_stopped);
}

static void stop_program(struct program *p)
{
	if (p->stopping)
		return;
	p->stopping = true;
	service_stopping();
	if (p->mounted)
		fs_stop(p->fs, main_on_fs_stopped);
	else
		main_on_fs_stopped(p);
}

static void main_on_unmounted(void *ctx)
{
	stop_program(ctx);
}

/* The lines of `imapfs --status`, to the log. */
static void log_status(struct program *p)
{
	struct buf text;
	char *line, *rest;

	buf_init(&text, 1u << 20);
	if (p->mounted && report_print(p->account, &text) == 0)
		for (line = strtok_r((char *)buf_cstr(&text), "\n", &rest); line;
			line = strtok_r(NULL, "\n", &rest))
			log_notice("%s", line);
	buf_finish(&text);
}

static void main_on_signal(uv_signal_t *handle, int number)
{
	struct program *p = handle->data;

	if (number == SIGUSR1) {
		log_status(p);
		return;
	}
	/* A daemon has no terminal that could hang up: the signal asks for a fresh look. */
	if (number == SIGHUP && !p->options.foreground && p->mounted) {
		watch_refresh(p->account->watch);
		return;
	}
	log_debug("signal %d: unmounting", number);
	if (!p->mounted)
		p->status = EXIT_STATUS_INTERNAL;
	stop_program(p);
}

/* --- the start --- */

static int connect_status(int err)
{
	switch (err) {
	case ERR_TLS:
		return EXIT_STATUS_TLS;
	case ERR_AUTH:
	case ERR_TOKEN:
		return EXIT_STATUS_LOGIN;
	case ERR_NO_MAILBOX:
		return EXIT_STATUS_MOUNT;
	default:
		return EXIT_STATUS_CONNECT;
	}
}

static char *hint_of(const struct program *p)
{
	if (p->status == EXIT_STATUS_LOGIN)
		return discover_hint_login(&p->options);
	if (p->status == EXIT_STATUS_CONNECT)
		return discover_hint_connect(&p->options);
	return discover_hint_mailbox(&p->options);
}

/* --- what systemctl status shows --- */

static const char *describe(const struct program *p, char *text, size_t size)
{
	const struct options *o = &p->options;
	const char *trouble = pool_trouble(p->account->pool);
	bool down = pool_is_down(p->account->pool);

	snprintf(text, size, "%s on %s: %s%s%.120s", o->account, o->mountpoint,
		down ? "offline" : "online", *trouble ? ", " : "", trouble);
	return text;
}

static void main_on_status_timer(uv_timer_t *timer)
{
	struct program *p = timer->data;
	char text[256];

	if (!p->stopping)
		service_status(describe(p, text, sizeof(text)));
}

static void tell_ready(struct program *p)
{
	char text[256];

	service_ready(describe(p, text, sizeof(text)));
	uv_timer_start(&p->status_timer, main_on_status_timer, STATUS_STEP, STATUS_STEP);
}

static void main_on_started(void *ctx, int err, const char *text)
{
	struct fs *fs = ctx;
	struct program *p = uv_loop_get_data(fs_loop(fs));
	const struct source *source = &p->options.source;
	char reason[ERROR_MAX];

	if (p->stopping)
		return;
	if (err < 0) {
		p->status = connect_status(err);
		char *hint = hint_of(p);
		log_error("%s:%u: %s%s", source->host, source->port, text, hint);
		free(hint);
		stop_program(p);
		return;
	}
	guardian_expect(&p->guardian);
	if (fs_mount(p->fs, p->account, main_on_unmounted, p, reason, sizeof(reason)) < 0) {
		log_error("%s: cannot mount: %s", p->options.mountpoint, reason);
		p->status = EXIT_STATUS_MOUNT;
		stop_program(p);
		return;
	}
	p->mounted = true;
	tell_ready(p);
	guardian_watch(&p->guardian, &p->loop);
	privileges_drop();
	daemon_detach();
}

static void main_on_unmount(void *ctx)
{
	struct program *p = ctx;

	guardian_unmount(&p->guardian);
}

static struct fs *create_fs(struct program *p)
{
	const struct options *o = &p->options;
	struct fs_options options = {
		.mountpoint = o->mountpoint,
		.mount_options = o->mount_options,
		.readonly = o->ro,
		.seen = o->seen && !o->ro,
		.sync = o->sync,
		.uid = o->has_uid ? o->uid : getuid(),
		.gid = o->has_gid ? o->gid : getgid(),
		.fmask = o->fmask,
		.dmask = o->dmask,
		.suffix = o->suffix,
		.list_views = o->list_views,
		.maildir = o->layout == OPTIONS_LAYOUT_MAILDIR,
		.named = o->layout == OPTIONS_LAYOUT_NAMED,
		.timeout = (uint64_t)o->timeout * 1000,
		.unmount = main_on_unmount,
		.ctx = p,
	};

	return fs_create(&p->loop, &options);
}

static struct account *create_account(struct program *p)
{
	struct token_source *tokens = p->tokens ? token_command_source(p->tokens) : NULL;
	struct account_options options;

	account_options_fill(&p->options, buf_cstr(&p->password), tokens, p->tls, &options);
	if (p->options.bwlimit > 0) {
		net_throttle_init(&p->throttle, p->options.bwlimit);
		options.pool.throttle = &p->throttle;
	}
	options.daylimit = p->options.daylimit;
	options.traffic = p->traffic;
	return account_create(&p->loop, &options, p->cache, p->state, &fs_observer, p->fs);
}

static int open_cache(struct program *p, char *error)
{
	struct cache_options options = {.dir = p->options.cache,
		.account = p->options.identity,
		.max_bytes = p->options.cache_size,
		.gather = CACHE_GATHER};

	p->cache = cache_open(&p->loop, &options, error, ERROR_MAX);
	return p->cache ? EXIT_STATUS_OK : EXIT_STATUS_CACHE;
}

static int open_state(struct program *p, char *error)
{
	struct state_options options = {.dir = p->options.statedir, .account = p->options.identity};

	if (p->options.daylimit > 0) {
		p->traffic = traffic_open(p->options.statedir, error, ERROR_MAX);
		if (!p->traffic)
			return EXIT_STATUS_CACHE;
	}
	if (p->options.ro)
		return EXIT_STATUS_OK;
	p->state = state_open(&p->loop, &options, error, ERROR_MAX);
	return p->state ? EXIT_STATUS_OK : EXIT_STATUS_CACHE;
}

/* What can fail before the network is touched. */
static int prepare_start(struct program *p, char *error)
{
	const struct options *o = &p->options;
	const char *source;

	if (o->keyfile && credentials_check_key(o->keyfile, error, ERROR_MAX) < 0)
		return EXIT_STATUS_LOGIN;
	if (account_options_tls(o, &p->tls, error, ERROR_MAX) < 0)
		return EXIT_STATUS_TLS;
	if (credentials_get(o, &p->password, &source, error, ERROR_MAX) < 0)
		return EXIT_STATUS_LOGIN;
	log_debug("password: %s", source);
	int status = open_cache(p, error);
	return status == EXIT_STATUS_OK ? open_state(p, error) : status;
}

static void watch_signals(struct program *p)
{
	static const int numbers[SIGNALS] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1};

	signal(SIGPIPE, SIG_IGN);
	uv_timer_init(&p->loop, &p->status_timer);
	p->status_timer.data = p;
	for (unsigned i = 0; i < SIGNALS; i++) {
		uv_signal_init(&p->loop, &p->signals[i]);
		p->signals[i].data = p;
		uv_signal_start(&p->signals[i], main_on_signal, numbers[i]);
	}
}

static void run_program(struct program *p)
{
	char error[ERROR_MAX] = "";

	p->status = prepare_start(p, error);
	if (p->status != EXIT_STATUS_OK) {
		log_error("%s", error);
		cache_close(p->cache);
		traffic_close(p->traffic);
		return;
	}
	watch_signals(p);
	if (p->options.tokencmd)
		p->tokens = token_command_create(&p->loop, p->options.tokencmd);
	p->fs = create_fs(p);
	p->account = create_account(p);
	account_start(p->account, main_on_started);
	uv_run(&p->loop, UV_RUN_DEFAULT);
	if (!p->mounted)
		cache_discard_new(p->cache);
	cache_close(p->cache);
	state_close(p->state);
	account_destroy(p->account);
	traffic_close(p->traffic);
	token_command_destroy(p->tokens);
	fs_destroy(p->fs);
}

static int run_with_loop(struct program *p)
{
	if (uv_loop_init(&p->loop) < 0) {
		log_error("cannot make an event loop");
		return EXIT_STATUS_INTERNAL;
	}
	uv_loop_set_data(&p->loop, p);
	buf_init_secret(&p->password, CREDENTIALS_MAX);
	run_program(p);
	buf_finish(&p->password);
	net_tls_destroy(p->tls);
	guardian_stop(&p->guardian);
	uv_run(&p->loop, UV_RUN_DEFAULT);
	if (uv_loop_close(&p->loop) < 0)
		log_debug("the event loop still has handles");
	return p->status;
}

/* --- the command line --- */

static int end_options(struct program *p, int status)
{
	options_finish(&p->options);
	return status;
}

/* With setuid= the directories, and the file of accounts, are those of another. */
static bool read_options(struct program *p, int argc, char **argv)
{
	char error[ERROR_MAX];
	int err = options_parse(argc, argv, NULL, &p->options, error, sizeof(error));

	if (err == 0 && p->options.setuid) {
		err = privileges_become(p->options.setuid, error, sizeof(error));
		options_finish(&p->options);
		if (err == 0)
			err = options_parse(argc, argv, NULL, &p->options, error, sizeof(error));
	}
	if (err < 0)
		log_error("%s", error);
	return err == 0;
}

/* Where SOURCE is an address: with the server that was found for it. Returns the exit status. */
static int find_server(struct program *p, int argc, char **argv)
{
	char error[ERROR_MAX], *source;
	int err = discover_server(&p->options, &source, error, sizeof(error));

	if (err < 0 || !source) {
		if (err < 0)
			log_error("%s", error);
		return err < 0 ? EXIT_STATUS_CONNECT : EXIT_STATUS_OK;
	}
	options_finish(&p->options);
	err = options_parse(argc, argv, source, &p->options, error, sizeof(error));
	if (err < 0)
		log_error("%s", error);
	free(source);
	return err < 0 ? EXIT_STATUS_USAGE : EXIT_STATUS_OK;
}

static int remount(struct program *p)
{
	const struct options *o = &p->options;
	char error[ERROR_MAX];
	int status = mountpoint_remount(o->mountpoint, o->ro, error, sizeof(error));

	if (status != EXIT_STATUS_OK)
		log_error("%s", error);
	return status;
}

static int check_mount(struct program *p)
{
	char error[ERROR_MAX];
	int status = mountpoint_check(p->options.mountpoint, error, sizeof(error));

	if (status == EXIT_STATUS_OK)
		status = mountpoint_check_fuse(error, sizeof(error));
	if (status != EXIT_STATUS_OK)
		log_error("%s", error);
	return status;
}

/* Forks before anything is looked up: a thread that is still in the resolver would be cut off, with its locks held. */
static int mount_account(struct program *p, int argc, char **argv)
{
	if (!p->options.foreground)
		daemon_fork();
	guardian_start(&p->guardian, p->options.mountpoint, !p->options.foreground);
	int status = find_server(p, argc, argv);
	if (status == EXIT_STATUS_OK)
		return run_with_loop(p);
	guardian_stop(&p->guardian);
	return status;
}

static int check_account(struct program *p, int argc, char **argv)
{
	int status = find_server(p, argc, argv);

	return status == EXIT_STATUS_OK ? check_run(&p->options) : status;
}

int main(int argc, char **given)
{
	char **argv = uv_setup_args(argc, given); /* or a process cannot be named */
	struct program p = {0};
	int status;

	service_begin();
	if (verbs_run(argc, argv, &status))
		return status;
	if (!read_options(&p, argc, argv))
		return EXIT_STATUS_USAGE;
	if (p.options.help)
		options_print_help(stdout);
	if (p.options.version)
		options_print_version(stdout);
	if (p.options.help || p.options.version)
		return EXIT_STATUS_OK;
	log_set_debug(p.options.debug);
	/* A limit on the size of files (ulimit -f) is an error of the cache, not our end. */
	signal(SIGXFSZ, SIG_IGN);
	if (p.options.remount)
		return end_options(&p, remount(&p));
	privileges_begin();
	setenv("UV_THREADPOOL_SIZE", THREADS, 1);
	if (p.options.check)
		return end_options(&p, check_account(&p, argc, argv));
	status = check_mount(&p);
	if (status == EXIT_STATUS_OK && p.options.fake)
		status = find_server(&p, argc, argv);
	else if (status == EXIT_STATUS_OK)
		status = mount_account(&p, argc, argv);
	return end_options(&p, status);
}
