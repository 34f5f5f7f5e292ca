/* SPDX-License-Identifier: MIT */
/*
 * A TCP proxy for loopback that behaves like a slow, capped or faulty line. See --help; a control
 * socket takes one command a line and answers each with one line, "ok ..." or "error ...".
 */
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "base/list.h"
#include "base/mem.h"
#include "proxy_line.h"

#define COMMAND_MAX 256

struct proxy {
	uv_loop_t loop;
	struct line *line;
	struct in_addr address;
	uint16_t port;
	int bound_fd;
	uv_poll_t *listener; /* NULL while refusing */
	const char *control_path;
	uv_pipe_t control;
	struct list clients;
	uv_signal_t signals[2];
};

struct client {
	struct list node;
	uv_pipe_t pipe;
	struct proxy *proxy;
	size_t used;
	char line[COMMAND_MAX];
};

static const char usage[] =
	"usage: proxy --listen PORT --to HOST:PORT [--bind ADDRESS] [--rtt MS] [--rate MBIT]\n"
	"             [--control PATH]\n"
	"Prints the port that it listens on (PORT may be 0). Control commands:\n"
	"  stats, reset          counters; set them to 0\n"
	"  rtt MS, rate MBIT     from now on (rate 0: no cap)\n"
	"  cut, close            RST, FIN on all connections\n"
	"  stall                 forward nothing, keep open\n"
	"  dribble               an octet a millisecond\n"
	"  half-open             swallow everything, answer nothing\n"
	"  cut-after N, stall-after N, ...   one of these, once N more octets of the server\n"
	"                        were handed on, to the octet\n"
	"  cut-after-sent N, ...   the same for octets of clients\n"
	"  resume                end of stall, dribble, half-open and the limits\n"
	"  refuse, listen        stop listening; listen again\n";

static void on_listener_closed(uv_handle_t *handle)
{
	free(handle);
}

static void on_incoming(uv_poll_t *handle, int status, int events)
{
	struct proxy *p = handle->data;
	int fd;

	while ((fd = accept4(p->bound_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0)
		line_adopt(p->line, fd);
}

/* A port that nobody listens on would be given to whoever asks the kernel for one. */
static int proxy_bind(struct proxy *p)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(p->port)};
	socklen_t size = sizeof(a);
	int on = 1;

	a.sin_addr = p->address;
	p->bound_fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (p->bound_fd < 0 ||
		setsockopt(p->bound_fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
		bind(p->bound_fd, (struct sockaddr *)&a, sizeof(a)) != 0 ||
		getsockname(p->bound_fd, (struct sockaddr *)&a, &size) != 0)
		return -errno;
	p->port = ntohs(a.sin_port);
	return 0;
}

static int proxy_listen(struct proxy *p)
{
	if (p->listener)
		return 0;
	if (listen(p->bound_fd, 128) != 0)
		return -errno;
	p->listener = mem_zalloc(sizeof(*p->listener));
	uv_poll_init(&p->loop, p->listener, p->bound_fd);
	p->listener->data = p;
	return uv_poll_start(p->listener, UV_READABLE, on_incoming);
}

static void proxy_close(struct proxy *p)
{
	if (p->listener)
		uv_close((uv_handle_t *)p->listener, on_listener_closed);
	p->listener = NULL;
	close(p->bound_fd);
}

static int proxy_refuse(struct proxy *p)
{
	if (!p->listener)
		return 0;
	proxy_close(p);
	return proxy_bind(p);
}

static void do_stats(struct line *l, char *out, size_t size)
{
	struct line_stats s;

	line_stats(l, &s);
	snprintf(out, size,
		"ok to_client=%llu to_server=%llu round_trips=%llu connections=%llu open=%llu "
		"limits=%llu",
		(unsigned long long)s.to_client, (unsigned long long)s.to_server,
		(unsigned long long)s.round_trips, (unsigned long long)s.connections,
		(unsigned long long)s.open, (unsigned long long)s.limits);
}

static void set_rtt(struct line *l, double ms)
{
	line_set_rtt(l, (uint64_t)(ms * 1e6));
}

static void set_rate(struct line *l, double mbit)
{
	line_set_rate(l, (uint64_t)(mbit * 1e6 / 8));
}

/* Commands have no argument, or one number. What has no argument can also be put off: see
 * run_later. */
static const struct {
	const char *name;
	void (*plain)(struct line *l);
	void (*number)(struct line *l, double value);
} commands[] = {
	{"reset", line_reset_stats, NULL},
	{"cut", line_cut, NULL},
	{"close", line_close, NULL},
	{"stall", line_stall, NULL},
	{"dribble", line_dribble, NULL},
	{"half-open", line_half_open, NULL},
	{"resume", line_resume, NULL},
	{"rtt", NULL, set_rtt},
	{"rate", NULL, set_rate},
};

static bool parse_number(const char *text, double *value)
{
	char *end;

	*value = strtod(text, &end);
	return end != text && *end == '\0' && *value >= 0 && *value < 1e15;
}

static bool run_line_command(struct line *l, const char *name, const char *argument)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		double value;

		if (strcmp(name, commands[i].name) != 0)
			continue;
		if (commands[i].plain && !argument) {
			commands[i].plain(l);
			return true;
		}
		if (commands[i].number && argument && parse_number(argument, &value)) {
			commands[i].number(l, value);
			return true;
		}
	}
	return false;
}

/* NAME-after N and NAME-after-sent N. */
static bool run_later(struct line *l, char *name, const char *argument)
{
	char *end = strstr(name, "-after");
	double octets;

	if (!end || !argument || !parse_number(argument, &octets))
		return false;
	bool sent = strcmp(end, "-after-sent") == 0;
	if (!sent && strcmp(end, "-after") != 0)
		return false;
	*end = '\0';
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (commands[i].plain && strcmp(name, commands[i].name) == 0) {
			line_act_after(l, !sent, (uint64_t)octets, commands[i].plain);
			return true;
		}
	}
	return false;
}

static void run_command(struct proxy *p, char *text, char *out, size_t size)
{
	char *save, *name = strtok_r(text, " \r", &save);
	char *argument = name ? strtok_r(NULL, " \r", &save) : NULL;

	snprintf(out, size, "ok");
	if (!name) {
		snprintf(out, size, "error empty command");
	} else if (strcmp(name, "stats") == 0) {
		do_stats(p->line, out, size);
	} else if (strcmp(name, "refuse") == 0 || strcmp(name, "listen") == 0) {
		int err = *name == 'r' ? proxy_refuse(p) : proxy_listen(p);

		if (err != 0)
			snprintf(out, size, "error %s", strerror(-err));
	} else if (!run_line_command(p->line, name, argument) &&
		   !run_later(p->line, name, argument)) {
		snprintf(out, size, "error bad command %.32s", name);
	}
}

static void on_client_closed(uv_handle_t *handle)
{
	struct client *c = handle->data;

	free(c);
}

static void client_close(struct client *c)
{
	if (uv_is_closing((uv_handle_t *)&c->pipe))
		return;
	list_remove(&c->node);
	uv_close((uv_handle_t *)&c->pipe, on_client_closed);
}

struct answer {
	uv_write_t write;
	char text[COMMAND_MAX + 1];
};

static void on_answered(uv_write_t *write, int status)
{
	free(write->data);
}

static void client_answer(struct client *c, char *command)
{
	struct answer *a = mem_zalloc(sizeof(*a));
	uv_buf_t buf;

	run_command(c->proxy, command, a->text, COMMAND_MAX);
	buf = uv_buf_init(a->text, (unsigned)strlen(a->text) + 1);
	buf.base[buf.len - 1] = '\n';
	a->write.data = a;
	if (uv_write(&a->write, (uv_stream_t *)&c->pipe, &buf, 1, on_answered) != 0)
		free(a);
}

static void on_client_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct client *c = handle->data;

	*buf = uv_buf_init(c->line + c->used, (unsigned)(COMMAND_MAX - c->used));
}

static void on_client_data(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
	struct client *c = stream->data;
	char *end;

	if (n < 0) {
		client_close(c);
		return;
	}
	c->used += (size_t)n;
	while ((end = memchr(c->line, '\n', c->used))) {
		size_t length = (size_t)(end - c->line) + 1;

		*end = '\0';
		client_answer(c, c->line);
		c->used -= length;
		memmove(c->line, c->line + length, c->used);
	}
	if (c->used == COMMAND_MAX)
		client_close(c);
}

static void on_client(uv_stream_t *server, int status)
{
	struct proxy *p = server->data;
	struct client *c = mem_zalloc(sizeof(*c));

	c->proxy = p;
	uv_pipe_init(&p->loop, &c->pipe, 0);
	c->pipe.data = c;
	list_append(&p->clients, &c->node);
	if (status < 0 || uv_accept(server, (uv_stream_t *)&c->pipe) != 0 ||
		uv_read_start((uv_stream_t *)&c->pipe, on_client_alloc, on_client_data) != 0)
		client_close(c);
}

static int control_start(struct proxy *p)
{
	uv_pipe_init(&p->loop, &p->control, 0);
	p->control.data = p;
	if (!p->control_path)
		return 0;
	unlink(p->control_path);
	int err = uv_pipe_bind(&p->control, p->control_path);
	return err ? err : uv_listen((uv_stream_t *)&p->control, 16, on_client);
}

static void on_signal(uv_signal_t *handle, int number)
{
	struct proxy *p = handle->data;

	if (uv_is_closing((uv_handle_t *)handle))
		return;
	proxy_close(p);
	line_shutdown(p->line);
	uv_close((uv_handle_t *)&p->control, NULL);
	LIST_FOREACH_SAFE (pos, &p->clients)
		client_close(list_entry(pos, struct client, node));
	for (int i = 0; i < 2; i++)
		uv_close((uv_handle_t *)&p->signals[i], NULL);
}

static void signals_start(struct proxy *p)
{
	static const int numbers[2] = {SIGTERM, SIGINT};

	signal(SIGPIPE, SIG_IGN);
	for (int i = 0; i < 2; i++) {
		uv_signal_init(&p->loop, &p->signals[i]);
		p->signals[i].data = p;
		uv_signal_start(&p->signals[i], on_signal, numbers[i]);
	}
}

struct options {
	const char *to, *control;
	struct in_addr address;
	uint16_t port;
	double rtt, rate;
};

static bool parse_options(int argc, char **argv, struct options *o)
{
	static const struct option longs[] = {
		{"listen", required_argument, NULL, 'l'},
		{"to", required_argument, NULL, 't'},
		{"bind", required_argument, NULL, 'b'},
		{"rtt", required_argument, NULL, 'd'},
		{"rate", required_argument, NULL, 'r'},
		{"control", required_argument, NULL, 'c'},
		{"help", no_argument, NULL, 'h'},
		{0},
	};
	double port = 0;
	bool ok = true;

	for (int c; ok && (c = getopt_long(argc, argv, "h", longs, NULL)) != -1;) {
		if (c == 'l')
			ok = parse_number(optarg, &port) && port <= UINT16_MAX;
		else if (c == 'd')
			ok = parse_number(optarg, &o->rtt);
		else if (c == 'r')
			ok = parse_number(optarg, &o->rate);
		else if (c == 'b')
			ok = inet_pton(AF_INET, optarg, &o->address) == 1;
		else if (c == 't')
			o->to = optarg;
		else if (c == 'c')
			o->control = optarg;
		else
			ok = false;
	}
	o->port = (uint16_t)port;
	return ok && o->to && optind == argc;
}

/* "host:port" to an address; exits when there is none. */
static struct addrinfo *resolve(const char *to)
{
	struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *found;
	char *host = mem_strdup(to), *colon = strrchr(host, ':');

	if (colon)
		*colon = '\0';
	int err = colon ? getaddrinfo(host, colon + 1, &hints, &found) : EAI_NONAME;
	if (err) {
		fprintf(stderr, "proxy: %s: %s\n", to, gai_strerror(err));
		exit(1);
	}
	free(host);
	return found;
}

int main(int argc, char **argv)
{
	struct options o = {.address.s_addr = htonl(INADDR_LOOPBACK)};
	struct proxy p = {.bound_fd = -1};
	struct addrinfo *server;
	int err;

	if (!parse_options(argc, argv, &o)) {
		fputs(usage, stderr);
		return 2;
	}
	server = resolve(o.to);
	p.address = o.address;
	p.port = o.port;
	p.control_path = o.control;
	list_init(&p.clients);
	uv_loop_init(&p.loop);
	p.line = line_create(&p.loop, server->ai_addr, server->ai_addrlen);
	freeaddrinfo(server);
	if (!p.line)
		return 1;
	set_rtt(p.line, o.rtt);
	set_rate(p.line, o.rate);
	signals_start(&p);
	err = proxy_bind(&p);
	if (err == 0)
		err = proxy_listen(&p);
	if (err == 0)
		err = control_start(&p);
	if (err != 0) {
		fprintf(stderr, "proxy: cannot listen: %s\n", strerror(-err));
		return 1;
	}
	printf("%u\n", p.port);
	fflush(stdout);
	uv_run(&p.loop, UV_RUN_DEFAULT);
	line_destroy(p.line);
	uv_loop_close(&p.loop);
	if (p.control_path)
		unlink(p.control_path);
	return 0;
}
