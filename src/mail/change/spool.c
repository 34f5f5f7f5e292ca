/* SPDX-License-Identifier: MIT */
/*
 * The file of an append. What the kernel has in memory is read at once, the rest by a thread: the
 * loop waits for no disk.
 */
#include <errno.h>
#include <linux/fs.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/error.h"
#include "mail/change/upload.h"

int spool_check(int fd, struct letter *l)
{
	char part[SPOOL_PART];
	off_t offset = 0;
	ssize_t n;

	while ((n = pread(fd, part, sizeof(part), offset)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return ERR_IO;
		letter_feed(l, (struct span){part, (size_t)n});
		offset += n;
	}
	return letter_end(l);
}

void spool_begin(struct spool *s, const struct letter *l, uint64_t seed)
{
	s->offset = 0;
	s->left = l->size;
	s->sum = seed;
	s->whole_sum = l->sum;
	s->writer = (struct letter_writer){0};
	s->from = s->to = 0;
	s->err = 0;
}

/* What was read is to be given. */
static void put(struct spool *s, size_t n)
{
	s->offset += n;
	s->from = 0;
	s->to = letter_write(&s->writer, (struct span){s->raw, n}, s->sent);
}

/* Octets that were read; 0: a thread must. */
static ssize_t read_at_once(struct spool *s)
{
	struct iovec iov = {s->raw, sizeof(s->raw)};
	ssize_t n;

	do
		n = syscall(SYS_preadv2, s->fd, &iov, 1, (long)s->offset, (long)(s->offset >> 32),
			RWF_NOWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == EAGAIN || errno == EOPNOTSUPP || errno == ENOSYS ? 0 : ERR_IO;
	return n > 0 ? n : ERR_IO;
}

ssize_t spool_give(struct spool *s, char *out, size_t n)
{
	while (s->from == s->to && s->err == 0) {
		ssize_t came = read_at_once(s);
		if (came == 0) {
			s->read_at = s->offset;
			return 0;
		}
		if (came < 0)
			s->err = ERR_IO;
		else
			put(s, (size_t)came);
	}
	size_t here = s->to - s->from;
	if (here > s->left)
		s->err = ERR_IO;
	if (s->err < 0)
		return s->err;
	n = here < n ? here : n;
	memcpy(out, s->sent + s->from, n);
	s->from += n;
	s->left -= n;
	s->sum = letter_sum(s->sum, (struct span){out, n});
	if (s->left == 0 && s->sum != s->whole_sum)
		s->err = ERR_IO;
	return s->err < 0 ? s->err : (ssize_t)n;
}

void spool_read(struct spool *s)
{
	do
		s->came = pread(s->fd, s->raw, sizeof(s->raw), (off_t)s->read_at);
	while (s->came < 0 && errno == EINTR);
}

void spool_take(struct spool *s)
{
	/* It was begun anew meanwhile. */
	if (s->read_at != s->offset || s->from != s->to)
		return;
	if (s->came > 0)
		put(s, (size_t)s->came);
	else
		s->err = ERR_IO;
}
