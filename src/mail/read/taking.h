/* SPDX-License-Identifier: MIT */
/*
 * How much of large messages the readers of a mailbox take: all, or the beginning alone, as programs
 * do that look at headers or guess the kind of a file. Pure.
 *
 * What a reader took of a message is judged when the next one is begun. Two beginnings in a row are
 * believed; a reader that then goes on after all has twice as many needed from then on, since many
 * threads that read everything look for a moment as if they took beginnings.
 */
#ifndef MAIL_READ_TAKING_H
#define MAIL_READ_TAKING_H

#include <stdbool.h>
#include <stdint.h>

/* Octets: the kernel asks for so many at once, when a program reads a buffer that is a bit smaller.
 * A longer beginning is none. */
#define TAKING_BEGINNING_MAX (128u << 10)
/* Octets: smaller messages tell nothing, the kernel reads what is left of them ahead. */
#define TAKING_LARGE (256u << 10)

/* All zero is the beginning. */
struct taking {
	unsigned in_a_row; /* messages of which no more than the beginning was taken */
	unsigned failures; /* how often that was believed, and wrong */
	uint32_t most;     /* octets that were taken of one of them */
};

/* Of a large message so many octets were taken. */
void taking_note(struct taking *t, uint64_t octets);
/* A reader of a large message goes on, up to this octet. */
void taking_go_on(struct taking *t, uint64_t octets);
/* Octets of each message that will be taken; 0: all. */
uint32_t taking_octets(const struct taking *t);

#endif
