/* SPDX-License-Identifier: MIT */
#include "app/privileges.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"

/* Descriptors: connections, the cache and pipes need far fewer. */
#define FILES_MAX 1024

static void limit(int resource, rlim_t max)
{
	struct rlimit now;

	if (getrlimit(resource, &now) < 0)
		return;
	if (now.rlim_max > max)
		now.rlim_max = max;
	if (now.rlim_cur > now.rlim_max)
		now.rlim_cur = now.rlim_max;
	if (setrlimit(resource, &now) < 0)
		log_warning("setrlimit: %s", strerror(errno));
}

/* What systemd tells its services, which are not our children; and what makes libraries write TLS
 * keys (GnuTLS), write elsewhere (SQLite) or work otherwise than was tested (libuv). */
static void forget_environment(void)
{
	static const char *const names[] = {"NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC",
		"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "FDSTORE", "MAINPID", "SSLKEYLOGFILE",
		"GNUTLS_KEYLOGFILE", "GNUTLS_DEBUG_LEVEL", "GNUTLS_SKIP_FIPS_INTEGRITY_CHECKS",
		"SQLITE_TMPDIR", "UV_USE_IO_URING"};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (unsetenv(names[i]) < 0)
			log_warning("unsetenv: %s", strerror(errno));
}

/* Else, where stderr is closed, the next socket would get its number, and our log would go to the
 * server. */
static void fill_standard_streams(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

void privileges_begin(void)
{
	fill_standard_streams();
	/* The limit alone does not count where cores go into a pipe (core(5)). */
	limit(RLIMIT_CORE, 0);
	if (prctl(PR_SET_DUMPABLE, 0) < 0)
		log_warning("prctl(PR_SET_DUMPABLE): %s", strerror(errno));
	/* They are not closed, since passfile=/dev/fd/3 may be one of them. Before Linux 5.11 they
	 * are passed on. */
	syscall(SYS_close_range, 3, ~0u, CLOSE_RANGE_CLOEXEC);
	forget_environment();
}

static void take_home(const struct passwd *pw)
{
	static const char *const places[] = {
		"XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR"};

	setenv("HOME", pw->pw_dir, 1);
	setenv("USER", pw->pw_name, 1);
	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++)
		unsetenv(places[i]);
}

int privileges_become(const char *name, char *error, size_t size)
{
	const struct passwd *pw = getpwnam(name);

	if (!pw) {
		snprintf(error, size, "setuid=%s: there is no such user", name);
		return ERR_INVALID;
	}
	if (pw->pw_uid == getuid())
		return 0;
	if (initgroups(pw->pw_name, pw->pw_gid) < 0 || setgid(pw->pw_gid) < 0 ||
		setuid(pw->pw_uid) < 0) {
		snprintf(error, size, "setuid=%s: %s", name,
			errno == EPERM ? "only root can become another user" : strerror(errno));
		return ERR_INVALID;
	}
	take_home(pw);
	return 0;
}

void privileges_drop(void)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		log_warning("prctl(PR_SET_NO_NEW_PRIVS): %s", strerror(errno));
	limit(RLIMIT_NOFILE, FILES_MAX);
}
