/*
 * imapfs: mounts an IMAP account. This file puts the parts together and takes them apart again in
 * the reverse order; every failure before the mount is one line on stderr and an exit status of its
 * own.
 */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>
#include <uv.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "credentials.h"
#include "daemon.h"
#include "fs/fs.h"
#include "guardian.h"
#include "mail/status.h"
#include "mail/watch.h"
#include "net/stream.h"
#include "options.h"
#include "privileges.h"
#include "token_command.h"

#define ERROR_MAX 1024
#define FUSE_MAGIC 0x65735546 /* statfs(2) */
#define SIGNALS 4
/* Threads of libuv's pool, whatever the environment says: of the kernel's notifications 4 may wait
 * for locks that only our answers to others open, stores for pages, and reads and writes of the
 * cache for a slow disk, all at the same time. */
#define THREADS "16"
/* Nanoseconds between looks, and how many. */
#define GUARDIAN_STEP 20000000
#define GUARDIAN_STEPS 75

struct program {
	struct options options;
	uv_loop_t loop;
	struct buf password;
	struct token_command *tokens; /* NULL: there are none */
	struct net_tls *tls;
	struct cache *cache;
	struct account *account;
	struct fs *fs;
	uv_signal_t signals[SIGNALS];
	struct guardian guardian;
	bool mounted, stopping;
	int status;
};

/* --- the end --- */

static void on_account_stopped(void *ctx)
{
	struct fs *fs = ctx;
	struct program *p = uv_loop_get_data(fs_loop(fs));

	token_command_stop(p->tokens);
	for (unsigned i = 0; i < SIGNALS; i++)
		uv_close((uv_handle_t *)&p->signals[i], NULL);
}

static void on_fs_stopped(void *ctx)
{
	struct program *p = ctx;

	account_stop(p->account, on_account_stopped);
}

static void stop(struct program *p)
{
	if (p->stopping)
		return;
	p->stopping = true;
	if (p->mounted)
		fs_stop(p->fs, on_fs_stopped);
	else
		on_fs_stopped(p);
}

static void on_unmounted(void *ctx)
{
	stop(ctx);
}

/* The lines of `imapfs --status`, to the log. */
static void log_status(struct program *p)
{
	struct buf text;
	char *line, *rest;

	buf_init(&text, 1u << 20);
	if (p->mounted && account_status(p->account, &text) == 0)
		for (line = strtok_r((char *)buf_cstr(&text), "\n", &rest); line;
			line = strtok_r(NULL, "\n", &rest))
			log_notice("%s", line);
	buf_finish(&text);
}

static void on_signal(uv_signal_t *handle, int number)
{
	struct program *p = handle->data;

	if (number == SIGUSR1) {
		log_status(p);
		return;
	}
	/* Without a terminal that could have hung up, it asks for a fresh look, as daemons have it.
	 */
	if (number == SIGHUP && !p->options.foreground && p->mounted) {
		watch_refresh(p->account->watch);
		return;
	}
	log_debug("signal %d: unmounting", number);
	if (!p->mounted)
		p->status = EXIT_STATUS_INTERNAL;
	stop(p);
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

static void on_started(void *ctx, int err, const char *text)
{
	struct fs *fs = ctx;
	struct program *p = uv_loop_get_data(fs_loop(fs));
	const struct source *source = &p->options.source;
	char reason[ERROR_MAX];

	if (p->stopping)
		return;
	if (err < 0) {
		log_error("%s:%u: %s", source->host, source->port, text);
		p->status = connect_status(err);
		stop(p);
		return;
	}
	guardian_expect(&p->guardian);
	if (fs_mount(p->fs, p->account, on_unmounted, p, reason, sizeof(reason)) < 0) {
		log_error("%s: cannot mount: %s", p->options.mountpoint, reason);
		p->status = EXIT_STATUS_MOUNT;
		stop(p);
		return;
	}
	p->mounted = true;
	guardian_watch(&p->guardian, &p->loop);
	privileges_drop();
	daemon_detach();
}

static void unmount(void *ctx)
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
		.uid = o->has_uid ? o->uid : getuid(),
		.gid = o->has_gid ? o->gid : getgid(),
		.fmask = o->fmask,
		.dmask = o->dmask,
		.suffix = o->suffix,
		.timeout = (uint64_t)o->timeout * 1000,
		.unmount = unmount,
		.ctx = p,
	};

	return fs_create(&p->loop, &options);
}

static struct account *create_account(struct program *p)
{
	const struct options *o = &p->options;
	static const enum pool_tls modes[] = {
		[SOURCE_TLS_IMPLICIT] = POOL_TLS_IMPLICIT,
		[SOURCE_TLS_STARTTLS] = POOL_TLS_STARTTLS,
		[SOURCE_TLS_NONE] = POOL_TLS_NONE,
	};
	static const enum pool_compress compress[] = {
		[COMPRESS_AUTO] = POOL_COMPRESS_AUTO,
		[COMPRESS_ON] = POOL_COMPRESS_ON,
		[COMPRESS_OFF] = POOL_COMPRESS_OFF,
	};
	static const enum sizes_mode sizes[] = {
		[OPTIONS_SIZES_AUTO] = SIZES_AUTO,
		[OPTIONS_SIZES_TRUST] = SIZES_TRUST,
		[OPTIONS_SIZES_VERIFY] = SIZES_VERIFY,
	};
	struct account_options options = {
		.pool =
			{
				.host = o->source.host,
				.port = o->source.port,
				.login =
					{
						.user = o->source.user,
						.authzid = o->authzid,
						.password = o->without_password
								    ? NULL
								    : buf_cstr(&p->password),
						.token = o->tokencmd,
						.certificate = o->certfile,
						.only = o->auth,
					},
				.tokens = p->tokens ? token_command_source(p->tokens) : NULL,
				.mode = modes[o->source.tls],
				.tls = p->tls,
				.compress = compress[o->compress],
				.timeout = (uint64_t)o->timeout * 1000,
				.connections = o->connections,
				.offline = o->offline,
			},
		.mailbox = o->source.mailbox,
		.subscribed = o->subscribed,
		.refresh = (uint64_t)o->refresh * 1000,
		.readonly = o->ro,
		.expunge_force = o->expunge_force,
		.sizes = sizes[o->sizes],
	};

	return account_create(&p->loop, &options, p->cache, &fs_observer, p->fs);
}

static int open_cache(struct program *p, char *error)
{
	struct cache_options options = {.dir = p->options.cache,
		.account = p->options.identity,
		.max_bytes = p->options.cache_size};

	p->cache = cache_open(&p->loop, &options, error, ERROR_MAX);
	return p->cache ? EXIT_STATUS_OK : EXIT_STATUS_CACHE;
}

/* What can fail before the network is touched. */
static int prepare(struct program *p, char *error)
{
	const struct options *o = &p->options;
	struct net_tls_options tls = {
		.cafile = o->cafile,
		.priority = o->tls_priority,
		.fingerprint = o->has_fingerprint ? o->fingerprint : NULL,
		.certfile = o->certfile,
		.keyfile = o->keyfile,
	};

	if (o->keyfile && credentials_check_key(o->keyfile, error, ERROR_MAX) < 0)
		return EXIT_STATUS_LOGIN;
	if (o->source.tls != SOURCE_TLS_NONE) {
		p->tls = net_tls_create(&tls, error, ERROR_MAX);
		if (!p->tls)
			return EXIT_STATUS_TLS;
	}
	if (credentials_get(o, &p->password, error, ERROR_MAX) < 0)
		return EXIT_STATUS_LOGIN;
	return open_cache(p, error);
}

static void watch_signals(struct program *p)
{
	static const int numbers[SIGNALS] = {SIGINT, SIGTERM, SIGHUP, SIGUSR1};

	signal(SIGPIPE, SIG_IGN);
	for (unsigned i = 0; i < SIGNALS; i++) {
		uv_signal_init(&p->loop, &p->signals[i]);
		p->signals[i].data = p;
		uv_signal_start(&p->signals[i], on_signal, numbers[i]);
	}
}

static void run(struct program *p)
{
	char error[ERROR_MAX] = "";

	p->status = prepare(p, error);
	if (p->status != EXIT_STATUS_OK) {
		log_error("%s", error);
		return;
	}
	watch_signals(p);
	if (p->options.tokencmd)
		p->tokens = token_command_create(&p->loop, p->options.tokencmd);
	p->fs = create_fs(p);
	p->account = create_account(p);
	account_start(p->account, on_started);
	uv_run(&p->loop, UV_RUN_DEFAULT);
	if (!p->mounted)
		cache_discard_new(p->cache);
	cache_close(p->cache);
	account_destroy(p->account);
	token_command_destroy(p->tokens);
	fs_destroy(p->fs);
}

static int serve(struct program *p)
{
	if (uv_loop_init(&p->loop) < 0) {
		log_error("cannot make an event loop");
		return EXIT_STATUS_INTERNAL;
	}
	uv_loop_set_data(&p->loop, p);
	buf_init_secret(&p->password, CREDENTIALS_MAX);
	run(p);
	buf_finish(&p->password);
	net_tls_destroy(p->tls);
	guardian_stop(&p->guardian);
	uv_run(&p->loop, UV_RUN_DEFAULT);
	if (uv_loop_close(&p->loop) < 0)
		log_debug("the event loop still has handles");
	return p->status;
}

/* --- the mountpoint --- */

static void log_stale(const char *path)
{
	log_error("%s: a filesystem that died is still mounted here; clear it with "
		  "'fusermount3 -u %s' and try again",
		path, path);
}

/* Whether path is the top of a FUSE mount. Over it root would mount a second time, and for others
 * fusermount3 says no more than "Permission denied". */
static bool is_fuse_mount(const char *path, dev_t dev)
{
	struct statfs fs;
	struct stat above;
	char *parent = mem_printf("%s/..", path);
	bool top = stat(parent, &above) == 0 && above.st_dev != dev;

	free(parent);
	return top && statfs(path, &fs) == 0 && fs.f_type == FUSE_MAGIC;
}

/* stat(2). Where a daemon just died its guardian may need a moment to unmount. */
static int stat_patiently(const char *path, struct stat *st)
{
	const struct timespec step = {.tv_nsec = GUARDIAN_STEP};

	for (unsigned i = 0; i < GUARDIAN_STEPS; i++) {
		if (stat(path, st) == 0)
			return 0;
		if (errno != ENOTCONN && errno != ECONNABORTED)
			return -1;
		nanosleep(&step, NULL);
	}
	return stat(path, st);
}

static int check_mountpoint(const char *path)
{
	struct stat st;

	if (stat_patiently(path, &st) < 0) {
		if (errno == ENOTCONN || errno == ECONNABORTED)
			log_stale(path);
		else
			log_error("%s: %s", path, strerror(errno));
		return EXIT_STATUS_MOUNT;
	}
	if (!S_ISDIR(st.st_mode)) {
		log_error("%s: not a directory", path);
		return EXIT_STATUS_MOUNT;
	}
	if (is_fuse_mount(path, st.st_dev)) {
		log_error("%s: something is mounted here already; unmount it with "
			  "'fusermount3 -u %s' first",
			path, path);
		return EXIT_STATUS_MOUNT;
	}
	return EXIT_STATUS_OK;
}

/* imapfs --status MOUNTPOINT: what the daemon says of itself. */
static int show_status(const char *mountpoint)
{
	char path[PATH_MAX], data[4096];
	size_t n;

	if ((size_t)snprintf(path, sizeof(path), "%s/.imapfs/status", mountpoint) >= sizeof(path)) {
		log_error("%.64s...: the path is too long", mountpoint);
		return EXIT_STATUS_USAGE;
	}
	FILE *f = fopen(path, "re");
	if (!f && errno == ENOTCONN) {
		log_stale(mountpoint);
		return EXIT_STATUS_MOUNT;
	}
	if (!f) {
		log_error("%s: %s", path,
			errno == ENOENT ? "no imapfs is mounted there" : strerror(errno));
		return EXIT_STATUS_MOUNT;
	}
	while ((n = fread(data, 1, sizeof(data), f)) > 0)
		fwrite(data, 1, n, stdout);
	fclose(f);
	return fflush(stdout) == 0 ? EXIT_STATUS_OK : EXIT_STATUS_INTERNAL;
}

int main(int argc, char **given)
{
	char **argv = uv_setup_args(argc, given); /* or a process cannot be named */
	struct program p = {0};
	char error[ERROR_MAX];

	if (argc > 1 && strcmp(argv[1], "--status") == 0) {
		if (argc == 3)
			return show_status(argv[2]);
		log_error("--status takes one MOUNTPOINT; usage: imapfs --status MOUNTPOINT");
		return EXIT_STATUS_USAGE;
	}
	if (options_parse(argc, argv, &p.options, error, sizeof(error)) < 0) {
		fprintf(stderr, "imapfs: %s\n", error);
		return EXIT_STATUS_USAGE;
	}
	if (p.options.help)
		options_print_help(stdout);
	if (p.options.version)
		options_print_version(stdout);
	if (p.options.help || p.options.version)
		return EXIT_STATUS_OK;
	log_set_debug(p.options.debug);
	/* A limit on the size of files (ulimit -f) is an error of the cache, not our end. */
	signal(SIGXFSZ, SIG_IGN);
	privileges_begin();
	setenv("UV_THREADPOOL_SIZE", THREADS, 1);
	int status = check_mountpoint(p.options.mountpoint);
	if (status == EXIT_STATUS_OK) {
		if (!p.options.foreground)
			daemon_fork();
		guardian_start(&p.guardian, p.options.mountpoint, !p.options.foreground);
		status = serve(&p);
	}
	options_finish(&p.options);
	return status;
}
