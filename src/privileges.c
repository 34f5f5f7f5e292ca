#include "privileges.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/log.h"

/* Connections, the cache, pipes: far less than this. */
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

/* Or what is opened next becomes stderr, and our log goes to the server. */
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
	/* Not closed: passfile=/dev/fd/3 is one of them. Before Linux 5.11 they stay as they are.
	 */
	close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
	forget_environment();
}

void privileges_drop(void)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		log_warning("prctl(PR_SET_NO_NEW_PRIVS): %s", strerror(errno));
	limit(RLIMIT_NOFILE, FILES_MAX);
}
