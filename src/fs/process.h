/* SPDX-License-Identifier: MIT */
/* Who makes a request: processes, by /proc. A request names a thread, and a process is found again
 * by its number and the time when it was started. */
#ifndef FS_PROCESS_H
#define FS_PROCESS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Zeroed: not known who. */
struct process {
	pid_t id;
	uint64_t started; /* ticks since the machine was started */
};

/* The process of a thread; not known for 0 (another PID namespace, NFS, the kernel itself), nor
 * when it is no more. */
struct process process_of(pid_t thread);
bool process_is_known(const struct process *p);
/* False too when it is not known who p is. */
bool process_has(const struct process *p, pid_t thread);
/* Both known, and the same. */
bool process_is(const struct process *a, const struct process *b);
bool process_lives(const struct process *p);
/* What its program is called, at most 15 octets; "": not known. */
#define PROCESS_NAME_SIZE 16
void process_name(const struct process *p, char name[PROCESS_NAME_SIZE]);
/* The thread is ending because a signal killed its process. */
bool process_is_killed(pid_t thread);

#endif
