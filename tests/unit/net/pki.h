/* SPDX-License-Identifier: MIT */
/* Certificates made for one test run: two authorities and server certificates of any fault. */
#ifndef TEST_PKI_H
#define TEST_PKI_H

#include <gnutls/gnutls.h>
#include <stdbool.h>

struct pki_certificate {
	const char *common_name; /* of the subject, NULL: some words */
	const char *name;        /* subjectAltName DNS, or NULL */
	const char *address;     /* subjectAltName IPv4 address, or NULL */
	int from_days, to_days;  /* validity from now on */
};

void pki_init(void);
void pki_finish(void);
/* PEM files with one authority's certificate each. The servers' are signed by the first. */
const char *pki_cafile(void);
const char *pki_other_cafile(void);

/* For the server's side; the caller frees it. */
gnutls_certificate_credentials_t pki_server(const struct pki_certificate *certificate);

/* The SHA-256 of the certificate that pki_server gave. */
void pki_fingerprint(gnutls_certificate_credentials_t credentials, unsigned char *fingerprint);

/* A client's certificate by the first authority, and its key, as PEM files of these names (of
 * PKI_PATH octets each), which the caller removes. */
#define PKI_PATH 64
void pki_client(const char *common_name, char *certfile, char *keyfile);

#endif
