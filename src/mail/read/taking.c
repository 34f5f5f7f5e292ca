/* SPDX-License-Identifier: MIT */
#include "mail/read/taking.h"

#define NEEDED 2u
#define FAILURES_MAX 5u
/* Octets: pages, as the kernel has them. */
#define PAGE 4096u

void taking_note(struct taking *t, uint64_t octets)
{
	if (octets > TAKING_BEGINNING_MAX) {
		t->in_a_row = 0;
		t->most = 0;
		return;
	}
	t->in_a_row += t->in_a_row < NEEDED << FAILURES_MAX;
	if (octets > t->most)
		t->most = (uint32_t)octets;
}

void taking_go_on(struct taking *t, uint64_t octets)
{
	if (taking_octets(t) == 0)
		return;
	if (octets <= TAKING_BEGINNING_MAX) {
		if (octets > t->most)
			t->most = (uint32_t)octets;
		return;
	}
	t->in_a_row = 0;
	t->most = 0;
	t->failures += t->failures < FAILURES_MAX;
}

uint32_t taking_octets(const struct taking *t)
{
	if (t->in_a_row < NEEDED << t->failures)
		return 0;
	return t->most > PAGE ? (t->most + PAGE - 1) / PAGE * PAGE : PAGE;
}
