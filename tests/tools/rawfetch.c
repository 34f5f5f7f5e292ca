/* SPDX-License-Identifier: MIT */
/*
 * What the line and the server give: logs in, sends an EXAMINE and one UID FETCH for each mailbox,
 * those of the next --depth mailboxes behind each other, and counts what comes, nothing more. The
 * benches compare with it. Prints one line:
 *
 *   connect=SECONDS fetch=SECONDS octets=N literals=N responses=N
 *
 *   connect    to the OK of the login
 *   fetch      from there to the OK of the last FETCH
 *   octets     as IMAP sees them
 *   literals   octets in literals alone
 */
#include <errno.h>
#include <getopt.h>
#include <gnutls/gnutls.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define INPUT_SIZE ((size_t)256 << 10)
#define LINE_SIZE 4096

struct options {
	const char *host, *port, *cafile, *user, *passfile, *set, *items, *depth;
	char **mailboxes;
	int count;
};

struct client {
	int fd;
	gnutls_session_t tls; /* NULL: plain */
	gnutls_certificate_credentials_t credentials;
	char *input;
	size_t start, end;
	char line[LINE_SIZE]; /* the beginning of the current response, without literals */
	size_t line_used;
	unsigned long long octets, literals, responses;
};

static const char usage[] =
	"usage: rawfetch --host HOST --port PORT [--cafile FILE] --user USER --passfile FILE"
	"\n                [--set 1:*] [--items \"UID BODY.PEEK[]\"] [--depth 16] MAILBOX...\n"
	"Without --cafile the connection is plain text.\n";

static void fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
static void fail(const char *format, ...)
{
	va_list args;

	fputs("rawfetch: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int dial(const struct options *o)
{
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *list;
	int err = getaddrinfo(o->host, o->port, &hints, &list), fd = -1, on = 1;

	if (err)
		fail("%s: %s", o->host, gai_strerror(err));
	for (struct addrinfo *a = list; a && fd < 0; a = a->ai_next) {
		fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (fd >= 0 && connect(fd, a->ai_addr, a->ai_addrlen) != 0) {
			close(fd);
			fd = -1;
		}
	}
	freeaddrinfo(list);
	if (fd < 0)
		fail("cannot connect: %s", strerror(errno));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	return fd;
}

static void start_tls(struct client *c, const struct options *o)
{
	int err;

	gnutls_certificate_allocate_credentials(&c->credentials);
	if (gnutls_certificate_set_x509_trust_file(c->credentials, o->cafile, GNUTLS_X509_FMT_PEM) <
		1)
		fail("%s: no certificate", o->cafile);
	gnutls_init(&c->tls, GNUTLS_CLIENT);
	gnutls_set_default_priority(c->tls);
	gnutls_credentials_set(c->tls, GNUTLS_CRD_CERTIFICATE, c->credentials);
	gnutls_server_name_set(c->tls, GNUTLS_NAME_DNS, o->host, strlen(o->host));
	gnutls_session_set_verify_cert(c->tls, o->host, 0);
	gnutls_transport_set_int(c->tls, c->fd);
	do {
		err = gnutls_handshake(c->tls);
	} while (err < 0 && !gnutls_error_is_fatal(err));
	if (err < 0)
		fail("TLS: %s", gnutls_strerror(err));
}

static void client_send(struct client *c, const char *text)
{
	size_t left = strlen(text);

	while (left > 0) {
		ssize_t n = c->tls ? gnutls_record_send(c->tls, text, left)
				   : write(c->fd, text, left);

		if (n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED)
			continue;
		if (n < 0)
			fail("sending failed");
		text += n;
		left -= (size_t)n;
	}
}

/* Waits for more octets; the buffer must be used up. */
static void client_fill(struct client *c)
{
	ssize_t n;

	do {
		n = c->tls ? gnutls_record_recv(c->tls, c->input, INPUT_SIZE)
			   : read(c->fd, c->input, INPUT_SIZE);
	} while (c->tls && (n == GNUTLS_E_AGAIN || n == GNUTLS_E_INTERRUPTED));
	if (n <= 0)
		fail("the connection ended");
	c->start = 0;
	c->end = (size_t)n;
	c->octets += (size_t)n;
}

static void skip_literal(struct client *c, unsigned long long n)
{
	c->literals += n;
	while (n > 0) {
		size_t have = c->end - c->start;

		if (have == 0) {
			client_fill(c);
			continue;
		}
		if (have > n)
			have = (size_t)n;
		c->start += have;
		n -= have;
	}
}

/* Adds what is there to the line. True when its end was found. */
static bool take_line(struct client *c)
{
	char *from = c->input + c->start, *end = memchr(from, '\n', c->end - c->start);
	size_t n = end ? (size_t)(end - from) + 1 : c->end - c->start;

	if (c->line_used + n >= LINE_SIZE)
		fail("a line is too long");
	memcpy(c->line + c->line_used, from, n);
	c->line_used += n;
	c->start += n;
	c->line[c->line_used] = '\0';
	return end != NULL;
}

/* The length that a literal's announcement at the end of the line gives, or -1. */
static long long announced(const struct client *c)
{
	const char *open = strrchr(c->line, '{');
	char *end;
	long long n;

	if (!open || c->line_used < 5 || memcmp(c->line + c->line_used - 3, "}\r\n", 3) != 0)
		return -1;
	n = strtoll(open + 1, &end, 10);
	return *end == '}' && n >= 0 ? n : -1;
}

/* Reads one response; its text without literals is in c->line. */
static void read_response(struct client *c)
{
	c->line_used = 0;
	c->responses++;
	for (;;) {
		long long literal;

		while (c->start == c->end || !take_line(c)) {
			if (c->start == c->end)
				client_fill(c);
		}
		literal = announced(c);
		if (literal < 0)
			return;
		skip_literal(c, (unsigned long long)literal);
	}
}

/* Reads responses up to the tagged one, which must be OK. */
static void await(struct client *c, const char *tag)
{
	size_t n = strlen(tag);

	do {
		read_response(c);
	} while (strncmp(c->line, tag, n) != 0 || c->line[n] != ' ');
	if (strncmp(c->line + n, " OK", 3) != 0)
		fail("the server says: %s", c->line);
}

static void read_password(const char *path, char *out, size_t size)
{
	FILE *f = fopen(path, "re");

	if (!f || !fgets(out, (int)size, f))
		fail("%s: cannot read a password", path);
	out[strcspn(out, "\r\n")] = '\0';
	fclose(f);
}

static void client_login(struct client *c, const struct options *o)
{
	char password[256], command[1024];

	read_password(o->passfile, password, sizeof(password));
	read_response(c);
	snprintf(command, sizeof(command), "l LOGIN \"%s\" \"%s\"\r\n", o->user, password);
	client_send(c, command);
	await(c, "l");
}

/* One of the mailboxes, a number that is its tag too. */
static void client_ask(struct client *c, const struct options *o, int i)
{
	char commands[2048];
	int n = snprintf(commands, sizeof(commands),
		"e%d EXAMINE \"%s\"\r\nf%d UID FETCH %s (%s)\r\n", i, o->mailboxes[i], i, o->set,
		o->items);

	if (n < 0 || (size_t)n >= sizeof(commands))
		fail("a command is too long");
	client_send(c, commands);
}

static void client_fetch(struct client *c, const struct options *o)
{
	int depth = (int)strtol(o->depth, NULL, 10);

	for (int i = 0; i < o->count && i < depth; i++)
		client_ask(c, o, i);
	for (int i = 0; i < o->count; i++) {
		char tag[16];

		snprintf(tag, sizeof(tag), "e%d", i);
		await(c, tag);
		tag[0] = 'f';
		await(c, tag);
		if (i + depth < o->count)
			client_ask(c, o, i + depth);
	}
}

static void parse_options(int argc, char **argv, struct options *o)
{
	static const char *const names[] = {
		"host", "port", "cafile", "user", "passfile", "set", "items", "depth"};
	const char **values[] = {&o->host, &o->port, &o->cafile, &o->user, &o->passfile, &o->set,
		&o->items, &o->depth};
	struct option longs[9] = {0};
	int c;

	for (int i = 0; i < 8; i++)
		longs[i] = (struct option){names[i], required_argument, NULL, i};
	while ((c = getopt_long(argc, argv, "", longs, NULL)) != -1) {
		if (c == '?') {
			fputs(usage, stderr);
			exit(2);
		}
		*values[c] = optarg;
	}
	o->mailboxes = argv + optind;
	o->count = argc - optind;
	if (o->count == 0 || !o->host || !o->port || !o->user || !o->passfile ||
		strtol(o->depth, NULL, 10) < 1) {
		fputs(usage, stderr);
		exit(2);
	}
}

int main(int argc, char **argv)
{
	struct options o = {.set = "1:*", .items = "UID BODY.PEEK[]", .depth = "16"};
	struct client c = {0};
	double start, logged_in, end;

	parse_options(argc, argv, &o);
	c.input = malloc(INPUT_SIZE);
	if (!c.input)
		fail("out of memory");
	start = now();
	c.fd = dial(&o);
	if (o.cafile)
		start_tls(&c, &o);
	client_login(&c, &o);
	logged_in = now();
	c.octets = c.literals = c.responses = 0;
	client_fetch(&c, &o);
	end = now();
	client_send(&c, "o LOGOUT\r\n");
	await(&c, "o");
	printf("connect=%.6f fetch=%.6f octets=%llu literals=%llu responses=%llu\n",
		logged_in - start, end - logged_in, c.octets, c.literals, c.responses);
	if (c.tls) {
		gnutls_deinit(c.tls);
		gnutls_certificate_free_credentials(c.credentials);
	}
	close(c.fd);
	free(c.input);
	return 0;
}
