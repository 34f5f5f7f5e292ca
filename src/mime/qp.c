/* SPDX-License-Identifier: MIT */
#include "mime/qp.h"

void mime_qp_init(struct mime_qp *q)
{
	*q = (struct mime_qp){0};
}

int mime_qp_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void clear_tail(struct mime_qp *q)
{
	q->count = 0;
	q->escape = false;
}

/* What was held back is data. */
static int flush_tail(struct mime_qp *q, struct buf *out)
{
	int err = buf_append(out, q->tail, q->count);

	clear_tail(q);
	return err;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static int hold_back(struct mime_qp *q, char c, struct buf *out)
{
	int err = q->count == MIME_QP_TAIL ? flush_tail(q, out) : 0;

	q->tail[q->count++] = c;
	return err;
}

static bool has_digit(const struct mime_qp *q)
{
	return q->escape && q->count == 2 && !is_blank(q->tail[1]);
}

/* Whether c goes on with an escape: "=", then two digits. */
static bool take_digit(struct mime_qp *q, char c, struct buf *out, int *err)
{
	int digit = mime_qp_digit(c);

	if (digit < 0)
		return false;
	if (q->escape && q->count == 1) {
		q->tail[q->count++] = c;
		return true;
	}
	if (!has_digit(q))
		return false;
	*err = buf_append_char(out, (char)(mime_qp_digit(q->tail[1]) << 4 | digit));
	clear_tail(q);
	return true;
}

/* The end of a line: of a soft one nothing is left, of others the end. */
static int take_line_end(struct mime_qp *q, char c, struct buf *out)
{
	if (has_digit(q)) {
		int err = flush_tail(q, out);
		if (err < 0)
			return err;
	}
	if (q->escape) {
		clear_tail(q);
		q->at_soft_break = c == '\r';
		return 0;
	}
	if (c == '\r')
		return hold_back(q, c, out);
	clear_tail(q);
	return buf_append_char(out, c);
}

static bool has_cr(const struct mime_qp *q)
{
	return q->count > 0 && q->tail[q->count - 1] == '\r';
}

static int take_octet(struct mime_qp *q, char c, struct buf *out)
{
	bool at_soft_break = q->at_soft_break;
	int err = 0;

	q->at_soft_break = false;
	/* CR is the end of a line only where LF follows. */
	if (has_cr(q) && c == '\n') {
		clear_tail(q);
		return buf_append(out, "\r\n", 2);
	}
	if (has_cr(q)) {
		err = flush_tail(q, out);
		if (err < 0)
			return err;
	}
	if (take_digit(q, c, out, &err))
		return err;
	if (c == '\n' && at_soft_break)
		return 0;
	if (c == '\r' || c == '\n')
		return take_line_end(q, c, out);
	if (is_blank(c) && !has_digit(q))
		return hold_back(q, c, out);
	err = flush_tail(q, out);
	if (err < 0)
		return err;
	if (c != '=' && !is_blank(c))
		return buf_append_char(out, c);
	q->escape = c == '=';
	return hold_back(q, c, out);
}

/* How much of s stands for itself: up to the last octet that is neither white space nor special. */
static size_t plain_run(struct span s)
{
	size_t n = 0, solid = 0;

	for (; n < s.n && s.p[n] != '=' && s.p[n] != '\r' && s.p[n] != '\n'; n++)
		if (!is_blank(s.p[n]))
			solid = n + 1;
	return solid;
}

int mime_qp_feed(struct mime_qp *q, struct span in, struct buf *out)
{
	size_t at = 0;
	int err = 0;

	while (at < in.n && err == 0) {
		size_t run = 0;
		if (q->count == 0) {
			run = plain_run((struct span){in.p + at, in.n - at});
			err = buf_append(out, in.p + at, run);
		}
		if (run > 0)
			q->at_soft_break = false;
		at += run;
		if (at < in.n && err == 0)
			err = take_octet(q, in.p[at++], out);
	}
	return err;
}

int mime_qp_end(struct mime_qp *q, struct buf *out)
{
	int err = has_digit(q) || has_cr(q) ? flush_tail(q, out) : 0;

	clear_tail(q);
	return err;
}
