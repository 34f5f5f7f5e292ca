/* SPDX-License-Identifier: MIT */
#include "pki.h"

#include <arpa/inet.h>
#include <gnutls/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct authority {
	gnutls_x509_privkey_t key;
	gnutls_x509_crt_t certificate;
	char file[PKI_PATH];
};

static struct authority trusted, other;

static void must(int code)
{
	if (code < 0) {
		fprintf(stderr, "pki: %s\n", gnutls_strerror(code));
		abort();
	}
}

static gnutls_x509_privkey_t make_key(void)
{
	gnutls_x509_privkey_t key;

	must(gnutls_x509_privkey_init(&key));
	must(gnutls_x509_privkey_generate(
		key, GNUTLS_PK_ECDSA, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1), 0));
	return key;
}

static gnutls_x509_crt_t make_certificate(
	gnutls_x509_privkey_t key, const char *name, int from_days, int to_days)
{
	static unsigned char serial;
	gnutls_x509_crt_t c;
	time_t now = time(NULL);

	must(gnutls_x509_crt_init(&c));
	must(gnutls_x509_crt_set_version(c, 3));
	serial++;
	must(gnutls_x509_crt_set_serial(c, &serial, 1));
	must(gnutls_x509_crt_set_key(c, key));
	must(gnutls_x509_crt_set_activation_time(c, now + from_days * (time_t)86400));
	must(gnutls_x509_crt_set_expiration_time(c, now + to_days * (time_t)86400));
	must(gnutls_x509_crt_set_dn_by_oid(
		c, GNUTLS_OID_X520_COMMON_NAME, 0, name, (unsigned)strlen(name)));
	return c;
}

/* Makes up a name of PKI_PATH octets, and takes the data. */
static void write_file(char *path, gnutls_datum_t pem)
{
	snprintf(path, PKI_PATH, "/tmp/imapfs-test-pki-XXXXXX");
	int fd = mkstemp(path);
	if (fd < 0 || write(fd, pem.data, pem.size) != (ssize_t)pem.size)
		abort();
	close(fd);
	gnutls_free(pem.data);
}

static void make_authority(struct authority *a, const char *name)
{
	gnutls_datum_t pem;

	a->key = make_key();
	a->certificate = make_certificate(a->key, name, -10, 10);
	must(gnutls_x509_crt_set_basic_constraints(a->certificate, 1, -1));
	must(gnutls_x509_crt_set_key_usage(a->certificate, GNUTLS_KEY_KEY_CERT_SIGN));
	must(gnutls_x509_crt_sign2(a->certificate, a->certificate, a->key, GNUTLS_DIG_SHA256, 0));
	must(gnutls_x509_crt_export2(a->certificate, GNUTLS_X509_FMT_PEM, &pem));
	write_file(a->file, pem);
}

static void free_authority(struct authority *a)
{
	unlink(a->file);
	gnutls_x509_privkey_deinit(a->key);
	gnutls_x509_crt_deinit(a->certificate);
}

void pki_init(void)
{
	make_authority(&trusted, "Trusted authority");
	make_authority(&other, "Other authority");
}

void pki_finish(void)
{
	free_authority(&trusted);
	free_authority(&other);
}

const char *pki_cafile(void)
{
	return trusted.file;
}

const char *pki_other_cafile(void)
{
	return other.file;
}

gnutls_certificate_credentials_t pki_server(const struct pki_certificate *certificate)
{
	gnutls_certificate_credentials_t credentials;
	gnutls_x509_privkey_t key = make_key();
	const char *name = certificate->common_name;
	gnutls_x509_crt_t c = make_certificate(
		key, name ? name : "A common name", certificate->from_days, certificate->to_days);

	if (certificate->name)
		must(gnutls_x509_crt_set_subject_alt_name(c, GNUTLS_SAN_DNSNAME, certificate->name,
			(unsigned)strlen(certificate->name), GNUTLS_FSAN_APPEND));
	if (certificate->address) {
		struct in_addr address;
		if (inet_pton(AF_INET, certificate->address, &address) != 1)
			abort();
		must(gnutls_x509_crt_set_subject_alt_name(
			c, GNUTLS_SAN_IPADDRESS, &address, 4, GNUTLS_FSAN_APPEND));
	}
	must(gnutls_x509_crt_sign2(c, trusted.certificate, trusted.key, GNUTLS_DIG_SHA256, 0));
	must(gnutls_certificate_allocate_credentials(&credentials));
	must(gnutls_certificate_set_x509_key(credentials, &c, 1, key));
	gnutls_x509_crt_deinit(c);
	gnutls_x509_privkey_deinit(key);
	return credentials;
}

void pki_fingerprint(gnutls_certificate_credentials_t credentials, unsigned char *fingerprint)
{
	gnutls_x509_crt_t *chain;
	unsigned count;
	size_t size = 32;

	must(gnutls_certificate_get_x509_crt(credentials, 0, &chain, &count));
	must(gnutls_x509_crt_get_fingerprint(chain[0], GNUTLS_DIG_SHA256, fingerprint, &size));
	for (unsigned i = 0; i < count; i++)
		gnutls_x509_crt_deinit(chain[i]);
	gnutls_free(chain);
}

void pki_client(const char *common_name, char *certfile, char *keyfile)
{
	gnutls_x509_privkey_t key = make_key();
	gnutls_x509_crt_t c = make_certificate(key, common_name, -1, 1);
	gnutls_datum_t pem;

	must(gnutls_x509_crt_sign2(c, trusted.certificate, trusted.key, GNUTLS_DIG_SHA256, 0));
	must(gnutls_x509_crt_export2(c, GNUTLS_X509_FMT_PEM, &pem));
	write_file(certfile, pem);
	must(gnutls_x509_privkey_export2(key, GNUTLS_X509_FMT_PEM, &pem));
	write_file(keyfile, pem);
	gnutls_x509_crt_deinit(c);
	gnutls_x509_privkey_deinit(key);
}
