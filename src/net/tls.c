/* SPDX-License-Identifier: MIT */
#include "net/tls.h"

#include <errno.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "net/tls_facts.h"

/* Behind whatever was asked for: TLS 1.2 is the least (RFC 8996). */
#define VERSION_FLOOR ":-VERS-SSL3.0:-VERS-TLS1.0:-VERS-TLS1.1"

enum { MAX_RECORD = 16 * 1024 }; /* plain octets in one TLS record */

struct net_tls {
	unsigned references; /* the owner's and one a session */
	gnutls_certificate_credentials_t credentials;
	gnutls_priority_t priority;
	char *cafile;
	bool has_certificate; /* for the server */
	bool pinned; /* only the certificate of this fingerprint, and it whatever else it is */
	unsigned char fingerprint[NET_FINGERPRINT];

	bool no_resumption; /* there was a handshake that it made fail */
	struct net_tls_facts facts;
	char *last_server; /* "host:port" of the session to resume, or NULL */
	gnutls_datum_t last_session;
};

struct tls_session {
	struct net_tls *tls;
	gnutls_session_t session;
	char *name;   /* host without the root's dot: for SNI and the certificate */
	char *server; /* key for resumption */
	struct net_wire *wire;
	bool remembered; /* this session can be resumed already */
	bool resuming;   /* the handshake that is under way tries to */
};

static int load_authorities(struct net_tls *tls, const char *cafile, char *error, size_t size)
{
	int n = cafile ? gnutls_certificate_set_x509_trust_file(
				 tls->credentials, cafile, GNUTLS_X509_FMT_PEM)
		       : gnutls_certificate_set_x509_system_trust(tls->credentials);

	if (n > 0)
		return 0;
	if (!cafile)
		snprintf(error, size,
			"the system has no certificates of authorities: install ca-certificates "
			"or give -o cafile=");
	else if (n == 0)
		snprintf(error, size, "%s: no certificate in it", cafile);
	else
		snprintf(error, size, "%s: %s", cafile,
			n == GNUTLS_E_FILE_ERROR ? strerror(errno) : gnutls_strerror(n));
	return ERR_TLS;
}

static int load_priority(struct net_tls *tls, const char *priority, char *error, size_t size)
{
	const char *at = "";
	char *all = mem_printf("%s" VERSION_FLOOR, priority ? priority : "NORMAL");
	int err = gnutls_priority_init(&tls->priority, all, &at);

	if (err == GNUTLS_E_NO_PRIORITIES_WERE_SET)
		snprintf(error, size, "tls_priority= allows neither TLS 1.2 nor TLS 1.3");
	else if (err < 0)
		snprintf(error, size, "tls_priority= is not understood at '%.80s': %s", at,
			gnutls_strerror(err));
	free(all);
	if (err == 0)
		return 0;
	tls->priority = NULL;
	return ERR_TLS;
}

static int load_file(const char *path, gnutls_datum_t *data, char *error, size_t size)
{
	if (gnutls_load_file(path, data) == 0)
		return 0;
	snprintf(error, size, "%s: %s", path, strerror(errno));
	return ERR_TLS;
}

static void free_secret(gnutls_datum_t *data)
{
	if (data->data)
		explicit_bzero(data->data, data->size);
	gnutls_free(data->data);
}

static bool is_encrypted(const gnutls_datum_t *key)
{
	return memmem(key->data, key->size, "ENCRYPTED", 9) != NULL;
}

static int load_certificate(
	struct net_tls *tls, const char *certfile, const char *keyfile, char *error, size_t size)
{
	gnutls_datum_t certificate = {NULL, 0}, key = {NULL, 0};
	int err = load_file(certfile, &certificate, error, size);

	if (err == 0)
		err = load_file(keyfile, &key, error, size);
	if (err == 0 && is_encrypted(&key)) {
		snprintf(error, size,
			"%s: the key is encrypted; make a copy that is not and that only you can "
			"read (openssl pkey)",
			keyfile);
		err = ERR_TLS;
	}
	if (err == 0) {
		int code = gnutls_certificate_set_x509_key_mem2(
			tls->credentials, &certificate, &key, GNUTLS_X509_FMT_PEM, NULL, 0);
		err = code < 0 ? ERR_TLS : 0;
		if (code < 0)
			snprintf(error, size, "certificate %s with key %s: %s", certfile, keyfile,
				gnutls_strerror(code));
	}
	free_secret(&certificate);
	free_secret(&key);
	tls->has_certificate = true;
	return err;
}

struct net_tls *net_tls_create(const struct net_tls_options *options, char *error, size_t size)
{
	struct net_tls *tls = mem_zalloc(sizeof(*tls));

	/* GNUTLS_DEBUG_LEVEL was obeyed before main: what it prints to stderr are also secrets. */
	gnutls_global_set_log_level(0);
	int err = gnutls_certificate_allocate_credentials(&tls->credentials);

	tls->references = 1;
	if (err < 0) {
		snprintf(error, size, "GnuTLS: %s", gnutls_strerror(err));
		goto fail;
	}
	if (options->fingerprint) {
		tls->pinned = true;
		memcpy(tls->fingerprint, options->fingerprint, NET_FINGERPRINT);
	} else if (load_authorities(tls, options->cafile, error, size) < 0) {
		goto fail;
	}
	if (options->certfile &&
		load_certificate(tls, options->certfile, options->keyfile, error, size) < 0)
		goto fail;
	if (load_priority(tls, options->priority, error, size) < 0)
		goto fail;
	tls->cafile = options->cafile ? mem_strdup(options->cafile) : NULL;
	return tls;
fail:
	net_tls_destroy(tls);
	return NULL;
}

static void forget_session(struct net_tls *tls)
{
	free(tls->last_server);
	tls->last_server = NULL;
	gnutls_free(tls->last_session.data);
	tls->last_session = (gnutls_datum_t){NULL, 0};
}

void net_tls_destroy(struct net_tls *tls)
{
	if (!tls || --tls->references > 0)
		return;
	forget_session(tls);
	if (tls->priority)
		gnutls_priority_deinit(tls->priority);
	if (tls->credentials)
		gnutls_certificate_free_credentials(tls->credentials);
	free(tls->cafile);
	free(tls);
}

static ssize_t tls_pull(gnutls_transport_ptr_t ctx, void *p, size_t size)
{
	struct tls_session *t = ctx;
	struct net_wire *w = t->wire;
	size_t n = w->len - w->pos;

	if (n == 0) {
		gnutls_transport_set_errno(t->session, EAGAIN);
		return -1;
	}
	if (n > size)
		n = size;
	memcpy(p, w->in + w->pos, n);
	w->pos += n;
	return (ssize_t)n;
}

/* GnuTLS asks before it would block; the wire is never waited for. */
static int tls_pull_timeout(gnutls_transport_ptr_t ctx, unsigned ms)
{
	struct tls_session *t = ctx;

	return net_wire_empty(t->wire) ? 0 : 1;
}

/* Takes all or nothing, so that GnuTLS never has to repeat a record. */
static ssize_t tls_push(gnutls_transport_ptr_t ctx, const giovec_t *parts, int count)
{
	struct tls_session *t = ctx;
	struct buf *out = &t->wire->out;
	size_t before = out->len;

	for (int i = 0; i < count; i++) {
		if (buf_append(out, parts[i].iov_base, parts[i].iov_len) < 0) {
			out->len = before;
			gnutls_transport_set_errno(t->session, ENOMEM);
			return -1;
		}
	}
	return (ssize_t)(out->len - before);
}

/* In place of GnuTLS's verification. */
static int verify_pinned(gnutls_session_t session)
{
	const struct tls_session *t = gnutls_session_get_ptr(session);
	const gnutls_datum_t *peers = gnutls_certificate_get_peers(session, NULL);
	unsigned char seen[NET_FINGERPRINT];
	size_t size = sizeof(seen);

	if (!peers || gnutls_fingerprint(GNUTLS_DIG_SHA256, &peers[0], seen, &size) < 0)
		return GNUTLS_E_CERTIFICATE_ERROR;
	return memcmp(seen, t->tls->fingerprint, sizeof(seen)) == 0 ? 0
								    : GNUTLS_E_CERTIFICATE_ERROR;
}

/* Without effect when the server has forgotten the session or the data is too old. Servers on
 * OpenSSL that ask for certificates often break off such a handshake (Dovecot 2.3: no session id
 * context). */
static void resume(struct tls_session *t)
{
	struct net_tls *tls = t->tls;

	if (tls->no_resumption || tls->has_certificate || !tls->last_server ||
		strcmp(tls->last_server, t->server) != 0)
		return;
	t->resuming = gnutls_session_set_data(
			      t->session, tls->last_session.data, tls->last_session.size) == 0;
}

static int set_up(struct tls_session *t)
{
	static const gnutls_datum_t protocol = {(unsigned char *)"imap", 4};
	int err = gnutls_priority_set(t->session, t->tls->priority);

	if (err == 0)
		err = gnutls_credentials_set(
			t->session, GNUTLS_CRD_CERTIFICATE, t->tls->credentials);
	if (err == 0)
		err = gnutls_alpn_set_protocols(t->session, &protocol, 1, 0);
	if (err == 0 && !tls_host_is_address(t->name))
		err = gnutls_server_name_set(t->session, GNUTLS_NAME_DNS, t->name, strlen(t->name));
	if (err < 0)
		return err;
	gnutls_session_set_ptr(t->session, t);
	if (t->tls->pinned)
		gnutls_session_set_verify_function(t->session, verify_pinned);
	else
		gnutls_session_set_verify_cert(t->session, t->name, 0);
	gnutls_transport_set_ptr(t->session, t);
	gnutls_transport_set_pull_function(t->session, tls_pull);
	gnutls_transport_set_pull_timeout_function(t->session, tls_pull_timeout);
	gnutls_transport_set_vec_push_function(t->session, tls_push);
	resume(t);
	return 0;
}

struct tls_session *tls_session_create(struct net_tls *tls, const char *host, uint16_t port,
	struct net_wire *wire, struct net_failure *f)
{
	struct tls_session *t = mem_zalloc(sizeof(*t));
	size_t n = strlen(host);

	tls->references++;
	t->tls = tls;
	t->wire = wire;
	t->name = mem_copy(host, n > 1 && host[n - 1] == '.' ? n - 1 : n);
	t->server = mem_printf("%s:%u", t->name, port);
	/* Whether ours is one that the server takes is the server's to say. */
	unsigned flags = tls->has_certificate ? GNUTLS_FORCE_CLIENT_CERT : 0;
	int err = gnutls_init(&t->session, GNUTLS_CLIENT | GNUTLS_NONBLOCK | flags);
	if (err == 0)
		err = set_up(t);
	if (err == 0)
		return t;
	net_failure_set(f, err == GNUTLS_E_MEMORY_ERROR ? ERR_NOMEM : ERR_TLS,
		"cannot set up TLS: %s", gnutls_strerror(err));
	tls_session_destroy(t);
	return NULL;
}

void tls_session_destroy(struct tls_session *t)
{
	if (!t)
		return;
	/* Whatever it was that ended the handshake, the next ones are whole. */
	if (t->resuming)
		t->tls->no_resumption = true;
	if (t->session)
		gnutls_deinit(t->session);
	free(t->name);
	free(t->server);
	net_tls_destroy(t->tls);
	free(t);
}

/* With TLS 1.3 only once a ticket came: asking earlier would make GnuTLS wait for one. */
static void remember(struct tls_session *t)
{
	struct net_tls *tls = t->tls;
	gnutls_datum_t data;

	if (t->remembered)
		return;
	if (gnutls_protocol_get_version(t->session) >= GNUTLS_TLS1_3 &&
		!(gnutls_session_get_flags(t->session) & GNUTLS_SFLAGS_SESSION_TICKET))
		return;
	t->remembered = true;
	if (gnutls_session_get_data2(t->session, &data) < 0)
		return;
	forget_session(tls);
	tls->last_server = mem_strdup(t->server);
	tls->last_session = data;
}

const struct net_tls_facts *net_tls_facts(const struct net_tls *tls)
{
	return &tls->facts;
}

static int certificate_failed(struct tls_session *t, struct net_failure *f)
{
	unsigned count = 0;
	const gnutls_datum_t *peers = gnutls_certificate_get_peers(t->session, &count);
	gnutls_x509_crt_t leaf = NULL;

	if (count > 0 && gnutls_x509_crt_init(&leaf) == 0 &&
		gnutls_x509_crt_import(leaf, &peers[0], GNUTLS_X509_FMT_DER) < 0) {
		gnutls_x509_crt_deinit(leaf);
		leaf = NULL;
	}
	if (t->tls->pinned)
		tls_explain_pin(leaf, f);
	else
		tls_explain_certificate(gnutls_session_get_verify_cert_status(t->session), leaf,
			t->name, t->tls->cafile, f);
	if (leaf)
		gnutls_x509_crt_deinit(leaf);
	return f->err;
}

static const char *alert_text(struct tls_session *t)
{
	gnutls_alert_description_t alert = gnutls_alert_get(t->session);
	const char *name = gnutls_alert_get_name(alert);

	if (alert == GNUTLS_A_CERTIFICATE_REQUIRED && !t->tls->has_certificate)
		return "it wants a client certificate (-o certfile=)";

	return name ? name : "unknown alert";
}

static int handshake_failed(struct tls_session *t, int code, struct net_failure *f)
{
	/* Whatever was wrong, the next attempt starts afresh. */
	forget_session(t->tls);
	gnutls_alert_send_appropriate(t->session, code);
	switch (code) {
	case GNUTLS_E_CERTIFICATE_VERIFICATION_ERROR:
	case GNUTLS_E_CERTIFICATE_ERROR:
		return certificate_failed(t, f);
	case GNUTLS_E_FATAL_ALERT_RECEIVED:
		return net_failure_set(
			f, ERR_TLS, "the server refused the TLS handshake: %s", alert_text(t));
	case GNUTLS_E_UNEXPECTED_PACKET:
	case GNUTLS_E_UNEXPECTED_PACKET_LENGTH:
	case GNUTLS_E_UNSUPPORTED_VERSION_PACKET:
	case GNUTLS_E_RECORD_OVERFLOW:
		return net_failure_set(f, ERR_TLS,
			"%s does not speak TLS there: wrong port, or one for STARTTLS", t->server);
	case GNUTLS_E_MEMORY_ERROR:
		return net_failure_set(f, ERR_NOMEM, "out of memory");
	default:
		return net_failure_set(
			f, ERR_TLS, "TLS handshake failed: %s", gnutls_strerror(code));
	}
}

static void log_session(struct tls_session *t)
{
	if (!log_debugging())
		return;
	char *text = gnutls_session_get_desc(t->session);
	log_debug("%s: TLS %s%s", t->server, text ? text : "",
		tls_session_resumed(t) ? ", resumed" : "");
	gnutls_free(text);
}

int tls_session_handshake(struct tls_session *t, struct net_failure *f)
{
	for (;;) {
		int code = gnutls_handshake(t->session);
		if (code == GNUTLS_E_SUCCESS)
			break;
		if (gnutls_error_is_fatal(code))
			return handshake_failed(t, code, f);
		if (net_wire_empty(t->wire))
			return 0;
	}
	t->resuming = false;
	log_session(t);
	net_tls_facts_take(t->session, &t->tls->facts);
	remember(t);
	return 1;
}

static int read_failed(struct tls_session *t, int code, struct net_failure *f)
{
	if (code == GNUTLS_E_FATAL_ALERT_RECEIVED)
		return net_failure_set(f, ERR_TLS, "the server ended TLS: %s", alert_text(t));
	if (code == GNUTLS_E_MEMORY_ERROR)
		return net_failure_set(f, ERR_NOMEM, "out of memory");
	return net_failure_set(f, ERR_TLS, "TLS: %s", gnutls_strerror(code));
}

/* What is not fatal (a ticket, a warning, half a record) used up octets, so the loop ends. */
ssize_t tls_session_read(struct tls_session *t, char *p, size_t size, struct net_failure *f)
{
	for (;;) {
		ssize_t n = gnutls_record_recv(t->session, p, size);
		remember(t);
		if (n > 0)
			return n;
		if (n == 0)
			return net_failure_set(f, ERR_NET, "connection closed by the server");
		if (gnutls_error_is_fatal((int)n))
			return read_failed(t, (int)n, f);
		/* TLS 1.2 only; going on without is the peer's to accept (RFC 5246
		 * section 7.4.1.1). */
		if (n == GNUTLS_E_REHANDSHAKE)
			gnutls_alert_send(t->session, GNUTLS_AL_WARNING, GNUTLS_A_NO_RENEGOTIATION);
		if (net_wire_empty(t->wire))
			return 0;
	}
}

ssize_t tls_session_write(struct tls_session *t, struct span data, struct net_failure *f)
{
	ssize_t n = gnutls_record_send(
		t->session, data.p, data.n < MAX_RECORD ? data.n : MAX_RECORD);

	if (n > 0)
		return n;
	return net_failure_set(f, n == GNUTLS_E_PUSH_ERROR ? ERR_NOMEM : ERR_TLS, "TLS: %s",
		gnutls_strerror((int)n));
}

void tls_session_bye(struct tls_session *t)
{
	gnutls_bye(t->session, GNUTLS_SHUT_WR);
}

bool tls_session_resumed(const struct tls_session *t)
{
	return gnutls_session_is_resumed(t->session) != 0;
}

void tls_session_binding(const struct tls_session *t, struct binding *binding)
{
	bool tls13 = gnutls_protocol_get_version(t->session) >= GNUTLS_TLS1_3;
	unsigned flags = gnutls_session_get_flags(t->session);
	gnutls_datum_t data = {NULL, 0};

	*binding = (struct binding){.kind = BINDING_NONE};
	if (!tls13 && !(flags & GNUTLS_SFLAGS_EXT_MASTER_SECRET))
		return;
	if (gnutls_session_channel_binding(
		    t->session, tls13 ? GNUTLS_CB_TLS_EXPORTER : GNUTLS_CB_TLS_UNIQUE, &data) < 0)
		return;
	if (data.size <= sizeof(binding->octets)) {
		binding->kind = tls13 ? BINDING_TLS_EXPORTER : BINDING_TLS_UNIQUE;
		binding->n = data.size;
		memcpy(binding->octets, data.data, data.size);
	}
	gnutls_free(data.data);
}
