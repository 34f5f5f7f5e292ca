/* SPDX-License-Identifier: MIT */
/*
 * Many mailboxes for the price of one turn: EXAMINE a, UID FETCH ..., EXAMINE b, UID FETCH ... are
 * sent one behind the other. A car is one mailbox with what is asked for in it. Servers work in
 * order, so what comes between the answer to a car's EXAMINE and the next car's is of its mailbox
 * (tried on Dovecot, Cyrus and Courier, 40 deep, also with a refused EXAMINE in between).
 *
 * Who waits for a car is an ordinary task whose commands were foreseen: when the EXAMINE is answered
 * it is granted the connection as if that had selected its mailbox for it alone, and the command
 * that it submits takes the place of the one that was sent already. A task that submits another is
 * told that the command was lost, and asks for a connection again: no car carries anything that was
 * not sent with it, and nothing that changes mail is ever foreseen. What nobody submits is thrown
 * away when it is answered. A refused EXAMINE costs its car alone: whatever comes for it is of no
 * mailbox, since a server may still have the one before selected. A server that does not work in
 * order, so that it is not known whose a row is, loses the connection, and gets no train any more.
 *
 * When the last car has come the connection is one like any other, with that mailbox selected.
 */
#include <stdlib.h>

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "link/private.h"

/* Cars under way on one connection. */
#define CARS_MAX 16
/* Connections that are lost in a row over a train, before there is none any more. */
#define LOSSES_MAX 2

struct car;

/* A command that was sent before anybody submitted it. */
struct foreseen {
	struct imap_command command;
	struct car *car;
	bool waits; /* not answered, and nobody's yet */
};

struct car {
	struct list link;
	struct conn *conn;
	unsigned number;
	struct mailbox *mailbox; /* NULL: it is no more */
	struct imap_command select;
	bool answered;  /* select is */
	uint64_t asked; /* uv_hrtime when it was sent */
	struct foreseen foreseen[POOL_FORESEEN_MAX];
	size_t count;
};

static struct car *first_car(const struct conn *c)
{
	const struct list *cars = &c->train.cars;

	return list_empty(cars) ? NULL : list_entry(cars->next, struct car, link);
}

static bool is_last(const struct conn *c, const struct car *car)
{
	return car->link.next == &c->train.cars;
}

static bool is_closed(const struct conn *c)
{
	return c->state == CONN_DEAD || c->state == CONN_CLOSING;
}

static bool is_awaited(const struct car *car)
{
	for (size_t i = 0; i < car->count; i++)
		if (car->foreseen[i].waits)
			return true;
	return false;
}

static void free_car(struct car *car)
{
	list_remove(&car->link);
	imap_command_finish(&car->select);
	for (size_t i = 0; i < car->count; i++)
		imap_command_finish(&car->foreseen[i].command);
	free(car);
}

/* The last car is over when nothing more is to come of it but what tasks wait for. */
static void check_end(struct conn *c)
{
	struct car *car = first_car(c);

	if (!car || !is_last(c, car) || !car->answered || is_awaited(car))
		return;
	free_car(car);
	c->pool->train_losses = 0;
	pool_run_soon(c->pool);
}

/* Its EXAMINE is the first command that is not answered. */
static void come_to(struct conn *c, struct car *car)
{
	/* One read may bring the rows of several. */
	if (c->view.mailbox)
		c->pool->events.on_batch(c->pool->ctx, c->view.mailbox);
	conn_set_state(c, CONN_SELECTING);
	c->view = (struct conn_view){.mailbox = car->mailbox, .selected.asked = car->asked};
}

void train_on_selecting(struct conn *c, struct imap_command *command)
{
	struct car *car;

	if (is_closed(c))
		return;
	/* Those before are over. */
	while ((car = first_car(c)) && &car->select != command)
		free_car(car);
	if (car)
		come_to(c, car);
}

/* Tasks may end or start others meanwhile. */
static void grant_waiting(struct conn *c, unsigned number)
{
	struct pool *p = c->pool;
	struct list taken = LIST_INIT(taken);

	LIST_FOREACH_SAFE (pos, &p->waiting) {
		struct pool_task *t = list_entry(pos, struct pool_task, link);
		if (t->foreseen == number) {
			list_remove(&t->link);
			list_append(&taken, &t->link);
		}
	}
	while (!list_empty(&taken)) {
		struct pool_task *t = list_entry(taken.next, struct pool_task, link);
		list_remove(&t->link);
		conn_grant(c, t);
	}
}

static void give_up(struct pool *p, const char *why)
{
	if (!p->no_trains)
		log_notice("%s: %s; going on with one mailbox at a time", p->options.host, why);
	p->no_trains = true;
}

static void lose_order(struct conn *c)
{
	give_up(c->pool, "it does not answer in the order of commands");
	conn_fail(c, ERR_NET, "answers in another order than that of commands");
}

static void train_on_selected(struct imap_command *command, const struct imap_result *result)
{
	struct car *car = list_entry(command, struct car, select);
	struct conn *c = car->conn;
	struct pool *p = c->pool;
	const struct trouble_of of = {.mailbox = car->mailbox};

	car->answered = true;
	if (result->outcome == IMAP_LOST) {
		if (car == first_car(c) && result->err != ERR_CANCELED)
			conn_blame(c, &of);
		return;
	}
	if (is_closed(c))
		return;
	if (car != first_car(c)) {
		lose_order(c);
		return;
	}
	trouble_clear(&p->trouble, &of);
	select_note(c, result->response);
	if (result->outcome == IMAP_DONE) {
		if (select_settle(c, 0))
			grant_waiting(c, car->number);
	} else {
		/* Who waits for the mailbox is told when it was selected for him alone. */
		conn_set_state(c, CONN_READY);
		c->view.mailbox = NULL;
	}
	if (result->response->condition == IMAP_BAD)
		give_up(p, "it does not take EXAMINE behind other commands");
	check_end(c);
}

static void train_on_foreseen(struct imap_command *command, const struct imap_result *result)
{
	struct foreseen *f = list_entry(command, struct foreseen, command);

	f->waits = false;
	if (result->outcome != IMAP_LOST)
		check_end(f->car->conn);
}

bool train_is_under_way(const struct conn *c)
{
	return !list_empty(&c->train.cars);
}

bool train_goes_to(const struct conn *c, const struct pool_task *t)
{
	LIST_FOREACH (pos, &c->train.cars) {
		const struct car *car = list_entry(pos, struct car, link);
		if (car->number == t->foreseen && car->mailbox && !car->answered)
			return true;
	}
	return false;
}

unsigned train_length(const struct conn *c)
{
	unsigned n = 0;

	LIST_FOREACH (pos, &c->train.cars)
		n++;
	return n;
}

static void submit(struct conn *c, struct imap_command *command)
{
	imap_session_submit(c->session, command, conn_now(c));
}

unsigned train_add(struct pool *p, struct mailbox *mailbox, const char *const *commands, size_t n)
{
	struct car *car = mem_zalloc(sizeof(*car));

	car->number = ++p->foreseen ? p->foreseen : ++p->foreseen;
	car->mailbox = mailbox;
	for (size_t i = 0; i < n; i++) {
		struct foreseen *f = &car->foreseen[car->count++];
		f->car = car;
		imap_command_init(&f->command, false, train_on_foreseen);
		imap_command_add(&f->command, "%s", commands[i]);
	}
	list_append(&p->cars, &car->link);
	return car->number;
}

static void board(struct conn *c, struct car *car)
{
	bool first = !train_is_under_way(c);

	car->conn = c;
	car->asked = uv_hrtime();
	list_remove(&car->link);
	list_append(&c->train.cars, &car->link);
	if (first)
		come_to(c, car);
	submit(c, &car->select);
	for (size_t i = 0; i < car->count; i++) {
		car->foreseen[i].waits = true;
		submit(c, &car->foreseen[i].command);
	}
}

/* It leaves as one: what came alone would be asked of the mailbox before. A literal would wait for
 * the server's consent. */
static bool is_whole(const struct car *car)
{
	for (size_t i = 0; i < car->count; i++)
		if (car->foreseen[i].command.build_error < 0)
			return false;
	return car->select.build_error == 0 && car->select.literal_count == 0;
}

static bool is_eager(const struct pool_task *t)
{
	return !t->only_foreseen && !t->bulk;
}

/* eager: by a task that somebody waits for. */
static bool is_waited_for(const struct pool *p, const struct car *car, bool eager)
{
	LIST_FOREACH (pos, &p->waiting) {
		const struct pool_task *t = list_entry(pos, struct pool_task, link);
		if (t->foreseen == car->number && (!eager || is_eager(t)))
			return true;
	}
	return false;
}

/* Somebody waits for a connection who cannot have one before the train has come to its end, and has
 * waited for longer than who waits for this car. */
static bool is_crowded(const struct pool *p, const struct car *car)
{
	LIST_FOREACH (pos, &p->waiting) {
		const struct pool_task *t = list_entry(pos, struct pool_task, link);
		if (t->foreseen == car->number && is_eager(t))
			return false;
		if (!place_is_foreseen(p, t) && uv_now(p->loop) >= place_not_before(p, t))
			return true;
	}
	return false;
}

static bool can_take(const struct conn *c)
{
	return !c->next.mailbox && !speed_wants_deflate(c) && !speed_is_in_vain(c) &&
	       train_length(c) < CARS_MAX;
}

/* The connection that a car goes to now, or NULL. */
static struct conn *find_train(const struct pool *p)
{
	struct conn *free = NULL;

	LIST_FOREACH (pos, &p->conns) {
		struct conn *c = list_entry(pos, struct conn, link);
		if (train_is_under_way(c))
			return can_take(c) ? c : NULL;
		if (conn_is_free(c) && can_take(c))
			free = c;
	}
	return free;
}

/* Who waits for it is placed otherwise. */
static void drop(struct pool *p, struct car *car)
{
	free_car(car);
	pool_run_soon(p);
}

void train_run(struct pool *p, bool wanted)
{
	struct conn *c;

	while (!list_empty(&p->cars) && (c = find_train(p))) {
		struct car *car = list_entry(p->cars.next, struct car, link);
		if (wanted && !train_is_under_way(c) && !is_waited_for(p, car, true))
			return;
		if (pool_ready_count(p) == 1 && is_crowded(p, car))
			return;
		if (car->mailbox && is_waited_for(p, car, false) &&
			select_build(c, &car->select, car->mailbox, false, train_on_selected) &&
			is_whole(car))
			board(c, car);
		else
			drop(p, car);
	}
}

unsigned train_leave(struct pool *p, struct mailbox *mailbox, const char *const *commands, size_t n)
{
	struct conn *c = list_empty(&p->cars) ? find_train(p) : NULL;
	unsigned number = c && !train_is_under_way(c) ? train_add(p, mailbox, commands, n) : 0;

	if (number == 0)
		return 0;
	struct car *car = list_entry(p->cars.prev, struct car, link);
	if (!select_build(c, &car->select, mailbox, false, train_on_selected) || !is_whole(car)) {
		free_car(car);
		return 0;
	}
	board(c, car);
	return number;
}

bool train_is_awaited(const struct pool *p, const struct pool_task *t)
{
	LIST_FOREACH (pos, &p->cars)
		if (list_entry(pos, struct car, link)->number == t->foreseen)
			return true;
	return false;
}

size_t train_count_waiting(const struct pool *p)
{
	size_t n = 0;

	LIST_FOREACH (pos, &p->cars)
		n++;
	return n;
}

static bool is_same(const struct imap_command *a, const struct imap_command *b)
{
	return a->build_error == 0 && span_equal(buf_span(&a->text), buf_span(&b->text));
}

/* It is lost at once, but not from within this call. */
static void lose(struct conn *c, struct imap_command *command)
{
	command->build_error = ERR_NET;
	submit(c, command);
}

bool train_submit(struct conn *c, struct imap_command *command)
{
	struct car *car = first_car(c);

	if (!car)
		return false;
	for (size_t i = 0; i < car->count; i++) {
		struct foreseen *f = &car->foreseen[i];
		if (!f->waits || !is_same(command, &f->command))
			continue;
		f->waits = false;
		imap_session_adopt(c->session, &f->command, command);
		check_end(c);
		return true;
	}
	if (is_last(c, car))
		return false;
	lose(c, command);
	return true;
}

/* Whether what the server tells can only be of a mailbox that is still to come. */
static bool is_of_next(const struct conn *c, const struct imap_response *r)
{
	if (r->kind == IMAP_VANISHED)
		return r->earlier;
	return r->kind == IMAP_CONDITION && r->condition == IMAP_OK &&
	       (r->code == IMAP_CODE_CLOSED || (r->code == IMAP_CODE_UIDVALIDITY &&
						       r->number != c->view.selected.uidvalidity));
}

bool train_loses_order(struct conn *c, const struct imap_response *r)
{
	const struct car *car = first_car(c);

	if (!car || c->state != CONN_READY || is_last(c, car) || !is_of_next(c, r))
		return false;
	lose_order(c);
	return true;
}

void train_on_lost(struct conn *c, int err)
{
	struct pool *p = c->pool;

	/* Silence and our own end say nothing about trains. */
	if (!train_is_under_way(c) || err == ERR_TIMEOUT || err == ERR_CANCELED)
		return;
	if (++p->train_losses >= LOSSES_MAX)
		give_up(p, "connections are lost over EXAMINE behind other commands");
}

static void forget_dead(const struct pool *p, struct list *cars)
{
	LIST_FOREACH (pos, cars) {
		struct car *car = list_entry(pos, struct car, link);
		if (car->mailbox && p->events.is_dead(car->mailbox))
			car->mailbox = NULL;
	}
}

static void forget_one(struct list *cars, const struct mailbox *mailbox)
{
	LIST_FOREACH (pos, cars) {
		struct car *car = list_entry(pos, struct car, link);
		if (car->mailbox == mailbox)
			car->mailbox = NULL;
	}
}

void train_forget(struct pool *p, const struct mailbox *mailbox)
{
	forget_one(&p->cars, mailbox);
	LIST_FOREACH (pos, &p->conns)
		forget_one(&list_entry(pos, struct conn, link)->train.cars, mailbox);
}

static void each_car_mailbox(
	const struct list *cars, void (*f)(void *ctx, struct mailbox *mailbox), void *ctx)
{
	LIST_FOREACH (pos, cars) {
		const struct car *car = list_entry(pos, struct car, link);
		if (car->mailbox)
			f(ctx, car->mailbox);
	}
}

void train_forget_dead(struct pool *p)
{
	forget_dead(p, &p->cars);
	LIST_FOREACH (pos, &p->conns)
		forget_dead(p, &list_entry(pos, struct conn, link)->train.cars);
}

void train_each_mailbox(
	const struct pool *p, void (*f)(void *ctx, struct mailbox *mailbox), void *ctx)
{
	each_car_mailbox(&p->cars, f, ctx);
	LIST_FOREACH (pos, &p->conns)
		each_car_mailbox(&list_entry(pos, struct conn, link)->train.cars, f, ctx);
}

static void free_cars(struct list *cars)
{
	while (!list_empty(cars))
		free_car(list_entry(cars->next, struct car, link));
}

void train_finish(struct conn *c)
{
	free_cars(&c->train.cars);
}

void train_forget_waiting(struct pool *p)
{
	free_cars(&p->cars);
}
