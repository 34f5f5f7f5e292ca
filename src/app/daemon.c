/* SPDX-License-Identifier: MIT */
#include "app/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/libc.h"
#include "base/log.h"
#include "app/options/options.h"

static int ready_fd = -1;

/* When the child ends early its end of the pipe closes without a word: its exit status tells. */
static _Noreturn void wait_for_child(int fd, pid_t child)
{
	char ready;
	int status;

	if (TEMP_FAILURE_RETRY(read(fd, &ready, 1)) == 1)
		_exit(EXIT_STATUS_OK);
	if (TEMP_FAILURE_RETRY(waitpid(child, &status, 0)) == child && WIFEXITED(status))
		_exit(WEXITSTATUS(status));
	log_error("the daemon died before it had mounted");
	_exit(EXIT_STATUS_INTERNAL);
}

void daemon_fork(void)
{
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0) {
		log_error("cannot make a pipe: %s", strerror(errno));
		exit(EXIT_STATUS_INTERNAL);
	}
	pid_t child = fork();
	if (child < 0) {
		log_error("cannot fork: %s", strerror(errno));
		exit(EXIT_STATUS_INTERNAL);
	}
	if (child > 0) {
		close(fds[1]);
		wait_for_child(fds[0], child);
	}
	close(fds[0]);
	ready_fd = fds[1];
}

void daemon_detach(void)
{
	if (ready_fd < 0)
		return;
	setsid();
	if (chdir("/") < 0)
		log_warning("cannot change to /: %s", strerror(errno));
	log_to_syslog();
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int fd = 0; null >= 0 && fd < 3; fd++)
		dup2(null, fd);
	if (null > 2)
		close(null);
	if (write(ready_fd, "", 1) < 0)
		log_warning("nobody waited for the mount: %s", strerror(errno));
	close(ready_fd);
	ready_fd = -1;
}
