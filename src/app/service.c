/* SPDX-License-Identifier: MIT */
#include "app/service.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/log.h"

static struct {
	int fd; /* -1: nobody listens */
	struct sockaddr_un address;
	socklen_t size;
	char last[256]; /* status that was told */
} service = {.fd = -1};

/* A path, or a name of the abstract namespace, which begins with an '@' here. */
static void take_socket(const char *path)
{
	size_t n = strlen(path);

	if ((path[0] != '/' && path[0] != '@') || n < 2 || n >= sizeof(service.address.sun_path))
		return;
	service.address.sun_family = AF_UNIX;
	memcpy(service.address.sun_path, path, n);
	if (path[0] == '@')
		service.address.sun_path[0] = '\0';
	service.size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
	service.fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

/* systemd says which file of ours is the journal: device and inode. */
static bool stderr_is_journal(void)
{
	const char *journal = getenv("JOURNAL_STREAM");
	char own[64];
	struct stat st;

	if (!journal || fstat(STDERR_FILENO, &st) < 0)
		return false;
	snprintf(own, sizeof(own), "%llu:%llu", (unsigned long long)st.st_dev,
		(unsigned long long)st.st_ino);
	return strcmp(journal, own) == 0;
}

void service_begin(void)
{
	const char *path = getenv("NOTIFY_SOCKET");

	if (path)
		take_socket(path);
	if (stderr_is_journal())
		log_with_priorities();
}

static void tell(const char *text)
{
	if (service.fd < 0)
		return;
	if (sendto(service.fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT,
		    (const struct sockaddr *)&service.address, service.size) < 0)
		log_debug("NOTIFY_SOCKET: %s", strerror(errno));
}

void service_ready(const char *text)
{
	char message[512];

	snprintf(service.last, sizeof(service.last), "%s", text);
	snprintf(message, sizeof(message), "READY=1\nSTATUS=%s\n", text);
	tell(message);
}

void service_status(const char *text)
{
	char message[512];

	if (service.fd < 0 || strcmp(text, service.last) == 0)
		return;
	snprintf(service.last, sizeof(service.last), "%s", text);
	snprintf(message, sizeof(message), "STATUS=%s\n", text);
	tell(message);
}

void service_stopping(void)
{
	tell("STOPPING=1\nSTATUS=unmounting\n");
}
