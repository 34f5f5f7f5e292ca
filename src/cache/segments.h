/* SPDX-License-Identifier: MIT */
/*
 * The octets of bodies: files that are only ever appended to, beside the database, which says what
 * is where. A file is read from any thread while it grows. What is no longer wanted is punched out
 * of it, or goes with the whole file.
 *
 * Nothing in a file says what it holds, and nothing is flushed unless it is kept: whoever reads compares a check sum
 * that the database keeps, so what a crash, a full disk or damage has left is found out.
 */
#ifndef CACHE_SEGMENTS_H
#define CACHE_SEGMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cache_segments;

/* dir: of the files (named by their number), made when it is not there; -1: in memory, without
 * names. NULL and errno when the directory cannot be used. */
struct cache_segments *cache_segments_create(int dir);
void cache_segments_destroy(struct cache_segments *s);

/* Each returns 0 or an errno. */

/* Writes n octets at an offset, the file's end so far; makes the file at offset 0. */
int cache_segments_append(
	struct cache_segments *s, uint32_t id, uint64_t offset, const void *octets, size_t n);
/* Reads n octets; EIO when the file ends before. */
int cache_segments_read(
	struct cache_segments *s, uint32_t id, uint64_t offset, void *octets, size_t n);
/* Gives the room of n octets back to the disk, as far as whole blocks are free. */
int cache_segments_punch(struct cache_segments *s, uint32_t id, uint64_t offset, uint64_t n);
/* Returns when what was written to it is on the disk. */
int cache_segments_sync(struct cache_segments *s, uint32_t id);
/* Octets of the disk that the file holds, or of the file if that is less. */
int cache_segments_held(struct cache_segments *s, uint32_t id, uint64_t *held);

/* Who reads it at this moment reads on. */
void cache_segments_remove(struct cache_segments *s, uint32_t id);
/* Removes all files that are not known: what a crash has left. */
void cache_segments_sweep(
	struct cache_segments *s, bool (*is_known)(void *ctx, uint32_t id), void *ctx);

#endif
