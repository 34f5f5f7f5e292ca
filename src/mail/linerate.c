#include "mail/linerate.h"

/* A sample is over after so many octets, or after so many milliseconds with some octets at least.
 */
#define SAMPLE_OCTETS (512u << 10)
#define SAMPLE_TIME 1000
#define SAMPLE_MIN (16u << 10)

bool line_rate_note(struct line_rate *r, size_t octets, bool midway, uint64_t now)
{
	if (r->midway) {
		r->octets += octets;
		r->elapsed += now - r->at;
	}
	r->midway = midway;
	r->at = now;
	if (r->octets < SAMPLE_OCTETS && (r->octets < SAMPLE_MIN || r->elapsed < SAMPLE_TIME))
		return false;

	uint64_t before = r->rate;
	r->rate = r->octets * 1000 / (r->elapsed ? r->elapsed : 1);
	r->octets = r->elapsed = 0;
	return before > 0 && before < LINE_RATE_SLOW && r->rate < LINE_RATE_SLOW &&
	       r->rate <= before + before / 2;
}
