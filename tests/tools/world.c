/* SPDX-License-Identifier: MIT */
/*
 * A library to be preloaded: what a process sees of the world outside is what a test says. The file
 * that $TEST_WORLD names is mapped by everyone concerned and holds a struct world; what a test
 * writes there counts at once. Without that variable nothing is changed.
 *
 *   a machine that slept      boottime (and realtime) ahead of what they were, monotonic as ever
 *   time that passed          monotonic (and realtime) ahead
 *   time that goes slowly     monotonic (and boottime) from some moment on
 *   a clock that was set      realtime ahead or behind
 *   a server that moved       every host name has this address
 *   a dead resolver           looking up a name lasts until the number is 0 again
 *   a slow disk               each read from files on the disk of that file lasts so long
 *   a full disk               so many octets may still be written, and no more, to files on the
 *                             disk of that file
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

struct world {
	/* Nanoseconds that these clocks are ahead of the kernel's; boottime beside monotonic. */
	int64_t boottime, realtime;
	_Atomic int64_t room; /* octets; less than 0: as many as you like */
	_Atomic int64_t resolver_is_dead;
	int64_t monotonic;
	char address[48];        /* numeric; empty: names have the addresses that they have */
	_Atomic int64_t reading; /* nanoseconds that a read takes */
	/* So many times slower, 0: not; since when, by the kernel's monotonic clock. */
	int64_t slowness, slow_since;
};

static struct world *world;
static dev_t disk;
static int (*real_gettime)(clockid_t, struct timespec *);
static int (*real_getaddrinfo)(
	const char *, const char *, const struct addrinfo *, struct addrinfo **);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*real_pread)(int, void *, size_t, off_t);

static void *next(const char *name)
{
	void *found = dlsym(RTLD_NEXT, name);

	if (!found)
		abort();
	return found;
}

__attribute__((constructor)) static void open_world(void)
{
	const char *path = getenv("TEST_WORLD");
	int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
	void *p = MAP_FAILED;

	if (fd >= 0)
		p = mmap(NULL, sizeof(*world), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	struct stat st;

	if (path && (p == MAP_FAILED || fstat(fd, &st) != 0)) {
		perror(path);
		abort();
	}
	world = path ? p : NULL;
	disk = path ? st.st_dev : 0;
	if (fd >= 0)
		close(fd);
}

static int64_t true_now(clockid_t clock)
{
	struct timespec t;

	if (!real_gettime)
		*(void **)&real_gettime = next("clock_gettime");
	return real_gettime(clock, &t) == 0 ? (int64_t)t.tv_sec * 1000000000 + t.tv_nsec : -1;
}

/* How far a slow clock has fallen behind. */
static int64_t lag(void)
{
	int64_t slowness = world->slowness;

	if (slowness <= 1)
		return 0;
	return (true_now(CLOCK_MONOTONIC) - world->slow_since) / slowness * (slowness - 1);
}

static int64_t ahead(clockid_t clock)
{
	if (!world)
		return 0;
	if (clock == CLOCK_BOOTTIME)
		return world->monotonic + world->boottime - lag();
	if (clock == CLOCK_MONOTONIC || clock == CLOCK_MONOTONIC_COARSE)
		return world->monotonic - lag();
	return clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE ? world->realtime : 0;
}

static int64_t now(clockid_t clock)
{
	/* The coarse one stands still for milliseconds, in which it would fall behind. */
	int64_t ns = true_now(clock == CLOCK_MONOTONIC_COARSE ? CLOCK_MONOTONIC : clock);

	return ns < 0 ? ns : ns + ahead(clock);
}

int clock_gettime(clockid_t clock, struct timespec *t)
{
	int64_t ns = now(clock);

	if (ns < 0)
		return -1;
	*t = (struct timespec){.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
	return 0;
}

time_t time(time_t *where)
{
	time_t seconds = (time_t)(now(CLOCK_REALTIME) / 1000000000);

	if (where)
		*where = seconds;
	return seconds;
}

int gettimeofday(struct timeval *restrict t, void *restrict zone)
{
	int64_t ns = now(CLOCK_REALTIME);

	*t = (struct timeval){.tv_sec = ns / 1000000000, .tv_usec = ns / 1000 % 1000000};
	return 0;
}

int getaddrinfo(const char *restrict node, const char *restrict service,
	const struct addrinfo *restrict hints, struct addrinfo **restrict found)
{
	if (!real_getaddrinfo)
		*(void **)&real_getaddrinfo = next("getaddrinfo");
	while (world && atomic_load(&world->resolver_is_dead))
		nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
	if (world && world->address[0])
		node = world->address;
	return real_getaddrinfo(node, service, hints, found);
}

/* Takes up to n octets of what is left. */
static size_t take_room(int fd, size_t n)
{
	struct stat st;

	if (!world || atomic_load(&world->room) < 0 || fstat(fd, &st) != 0 || st.st_dev != disk)
		return n;
	int64_t room = atomic_fetch_sub(&world->room, (int64_t)n);
	if (room >= (int64_t)n)
		return n;
	atomic_store(&world->room, 0);
	return room > 0 ? (size_t)room : 0;
}

ssize_t pwrite(int fd, const void *octets, size_t n, off_t offset)
{
	size_t fit = take_room(fd, n);

	if (!real_pwrite)
		*(void **)&real_pwrite = next("pwrite64");
	if (fit == 0 && n > 0) {
		errno = ENOSPC;
		return -1;
	}
	return real_pwrite(fd, octets, fit, offset);
}

/* The header has given that one the name pwrite64. */
ssize_t plain_pwrite(int fd, const void *octets, size_t n, off_t offset) __asm__("pwrite");
ssize_t plain_pwrite(int fd, const void *octets, size_t n, off_t offset)
{
	return pwrite(fd, octets, n, offset);
}

/* As long as it is slow, so that it can be mended for those who wait too. */
static void wait_for_disk(int fd)
{
	struct stat st;

	if (!world || atomic_load(&world->reading) <= 0 || fstat(fd, &st) != 0 || st.st_dev != disk)
		return;
	for (int64_t waited = 0; waited < atomic_load(&world->reading); waited += 10000000)
		nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
}

/* Under names of our own: the headers may define the real ones inline. */
ssize_t world_pread64(int fd, void *octets, size_t n, off_t offset) __asm__("pread64");
ssize_t world_pread64(int fd, void *octets, size_t n, off_t offset)
{
	if (!real_pread)
		*(void **)&real_pread = next("pread64");
	wait_for_disk(fd);
	return real_pread(fd, octets, n, offset);
}

ssize_t world_pread(int fd, void *octets, size_t n, off_t offset) __asm__("pread");
ssize_t world_pread(int fd, void *octets, size_t n, off_t offset)
{
	return world_pread64(fd, octets, n, offset);
}
