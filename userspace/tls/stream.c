/*
 * One TLS connection on a socket: OpenSSL behind calls that return at once and say why they failed.
 *
 * The BIO is our own: send(MSG_NOSIGNAL) instead of write(), so that a peer that hung up is -EPIPE
 * and no signal, and a count of what the peer said after our certificate (tls_client_distrusts).
 */
#include "tls/stream.h"

#include "base/def.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

_Static_assert(TLS_WANT_READ == -EAGAIN, "tls.h says so");

static int bio_write(BIO *b, const char *from, size_t len, size_t *done)
{
	struct tls *t = BIO_get_data(b);
	ssize_t n;

	BIO_clear_retry_flags(b);
	do {
		n = send(t->fd, from, len, MSG_NOSIGNAL);
	} while (n < 0 && errno == EINTR);
	if (n >= 0) {
		*done = (size_t)n;
		return 1;
	}
	if (errno == EAGAIN)
		BIO_set_retry_write(b);
	else
		t->error = errno;
	return 0;
}

static int bio_read(BIO *b, char *to, size_t len, size_t *done)
{
	struct tls *t = BIO_get_data(b);
	ssize_t n;

	BIO_clear_retry_flags(b);
	do {
		n = recv(t->fd, to, len, 0);
	} while (n < 0 && errno == EINTR);
	if (n > 0) {
		if (t->cert_sent && !t->done) {
			if (!t->rx_after_cert)
				t->rx_first = (unsigned char)to[0];
			t->rx_after_cert += (unsigned int)n;
		}
		*done = (size_t)n;
		return 1;
	}
	if (n == 0)
		t->eof = true;
	else if (errno == EAGAIN)
		BIO_set_retry_read(b);
	else
		t->error = errno;
	return 0;
}

static long bio_ctrl(BIO *b, int cmd, long value, void *pointer)
{
	const struct tls *t = BIO_get_data(b);

	(void)value;
	(void)pointer;
	if (cmd == BIO_CTRL_EOF)
		return t->eof;
	return cmd == BIO_CTRL_FLUSH || cmd == BIO_CTRL_DUP;
}

static BIO_METHOD *bio_method;
static pthread_once_t bio_once = PTHREAD_ONCE_INIT;

static void bio_make(void)
{
	BIO_METHOD *m = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "socket");

	if (m && BIO_meth_set_write_ex(m, bio_write) == 1 &&
	    BIO_meth_set_read_ex(m, bio_read) == 1 && BIO_meth_set_ctrl(m, bio_ctrl) == 1)
		bio_method = m;
	else
		BIO_meth_free(m);
}

int stream_settings(SSL_CTX *ctx)
{
	/* Buffers go back between records: an idle connection keeps neither of its two 17 KB. */
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
				      SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_clear_mode(ctx, SSL_MODE_AUTO_RETRY);
	SSL_CTX_set_read_ahead(ctx, 1); /* a record in one system call instead of two */
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
	SSL_CTX_set_security_level(ctx, 2);
	SSL_CTX_set_info_callback(ctx, stream_info);
	if (SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) != 1 ||
	    SSL_CTX_set1_groups_list(ctx, "X25519:P-256:P-384") != 1 ||
	    SSL_CTX_set_cipher_list(ctx, "ECDHE+AESGCM:ECDHE+CHACHA20") != 1)
		return -ENOMEM;
	return 0;
}

int stream_new(SSL *ssl, int fd, struct tls **out)
{
	struct tls *t = calloc(1, sizeof(*t));
	BIO *b;

	(void)pthread_once(&bio_once, bio_make);
	b = bio_method && t ? BIO_new(bio_method) : NULL;
	if (!b) {
		SSL_free(ssl);
		free(t);
		return -ENOMEM;
	}
	BIO_set_data(b, t);
	BIO_set_init(b, 1);
	SSL_set_bio(ssl, b, b);
	t->ssl = ssl;
	t->fd = fd;
	*out = t;
	return 0;
}

struct tls *stream_of(const SSL *ssl)
{
	return BIO_get_data(SSL_get_rbio(ssl));
}

void stream_info(const SSL *ssl, int where, int value)
{
	struct tls *t;

	if ((where & SSL_CB_READ_ALERT) == SSL_CB_READ_ALERT) {
		t = stream_of(ssl);
		if (value >> 8 == SSL3_AL_FATAL || (value & 0xff) != SSL_AD_CLOSE_NOTIFY)
			t->alert = (unsigned char)value;
	} else if (where == SSL_CB_ACCEPT_LOOP && SSL_get_state(ssl) == TLS_ST_SW_CERT) {
		stream_of(ssl)->cert_sent = true;
	}
}

/* ---- reasons ---- */

/* RFC 8446 6.2 and RFC 5246 7.2.2; OpenSSL's own words differ from them. */
static const char *alert_name(int alert)
{
	static const struct {
		int number;
		const char *name;
	} names[] = {
		{ 10, "unexpected_message alert" },    { 20, "bad_record_mac alert" },
		{ 22, "record_overflow alert" },       { 40, "handshake_failure alert" },
		{ 42, "bad_certificate alert" },       { 43, "unsupported_certificate alert" },
		{ 44, "certificate_revoked alert" },   { 45, "certificate_expired alert" },
		{ 46, "certificate_unknown alert" },   { 47, "illegal_parameter alert" },
		{ 48, "unknown_ca alert" },            { 49, "access_denied alert" },
		{ 50, "decode_error alert" },          { 51, "decrypt_error alert" },
		{ 70, "protocol_version alert" },      { 71, "insufficient_security alert" },
		{ 80, "internal_error alert" },        { 86, "inappropriate_fallback alert" },
		{ 90, "user_canceled alert" },         { 109, "missing_extension alert" },
		{ 110, "unsupported_extension alert" }, { 112, "unrecognized_name alert" },
		{ 113, "bad_certificate_status_response alert" },
		{ 115, "unknown_psk_identity alert" }, { 116, "certificate_required alert" },
		{ 120, "no_application_protocol alert" },
	};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		if (names[i].number == alert)
			return names[i].name;
	return "an alert of unknown kind";
}

/* In an operator's words where OpenSSL's are a programmer's. */
static const char *verify_name(long code)
{
	switch (code) {
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		return "certificate: host name mismatch";
	case X509_V_ERR_CERT_HAS_EXPIRED:
		return "certificate has expired";
	case X509_V_ERR_CERT_NOT_YET_VALID:
		return "certificate is not yet valid";
	case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
		return "certificate is self-signed";
	case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
		return "certificate chain ends in a root that is not trusted";
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
	case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
	case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
		return "certificate's issuer is not trusted, or the chain is incomplete";
	case X509_V_ERR_INVALID_PURPOSE:
		return "certificate is not for servers (extended key usage)";
	case X509_V_ERR_EE_KEY_TOO_SMALL:
	case X509_V_ERR_CA_KEY_TOO_SMALL:
		return "certificate's key is too small";
	case X509_V_ERR_CA_MD_TOO_WEAK:
		return "certificate is signed with a weak digest";
	case X509_V_ERR_INVALID_CA:
	case X509_V_ERR_INVALID_NON_CA:
		return "certificate is issued by one that is no CA";
	case X509_V_ERR_PATH_LENGTH_EXCEEDED:
		return "certificate chain is longer than its CA permits (path length)";
	case X509_V_ERR_PERMITTED_VIOLATION:
	case X509_V_ERR_EXCLUDED_VIOLATION:
		return "certificate is outside its CA's name constraints";
	default:
		return NULL;
	}
}

static void set_reason(struct tls *t, const char *constant)
{
	if (!t->reason && !t->detail)
		t->reason = constant;
}

static void set_detail(struct tls *t, const char *what, const char *text)
{
	if (!t->reason && !t->detail && asprintf(&t->detail, "%s%s", what, text ? text : "?") < 0)
		t->detail = NULL;
}

static void explain_verify(struct tls *t)
{
	long code = SSL_get_verify_result(t->ssl);
	const char *name = verify_name(code);

	if (t->own_ca)
		set_reason(t, "certificate is issued by sallyport's own CA, which vouches for "
			      "nothing upstream");
	else if (name)
		set_reason(t, name);
	else
		set_detail(t, "certificate: ", X509_verify_cert_error_string(code));
}

static void explain(struct tls *t)
{
	unsigned long code = ERR_peek_last_error();

	if (t->alert && t->cert_asked && (t->alert == 116 || t->alert == 40 || t->alert == 42))
		set_reason(t,
			   "the server demands a client certificate, which an interceptor cannot "
			   "show");
	else if (t->alert)
		set_reason(t, alert_name(t->alert));
	else if (t->eof || ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING)
		set_reason(t, t->done ? "the peer closed without close_notify" :
					"the peer closed during the handshake");
	else if (ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED)
		explain_verify(t);
	else if (t->error)
		set_detail(t, "", strerror(t->error));
	else
		set_detail(t, "", ERR_reason_error_string(code));
}

/* What a call that returned `ret` means; `ended` is what a close_notify is worth to the caller. */
static int outcome(struct tls *t, int ret, int ended)
{
	int error = SSL_get_error(t->ssl, ret), r;

	switch (error) {
	case SSL_ERROR_WANT_READ:
		t->starved = true;
		return TLS_WANT_READ;
	case SSL_ERROR_WANT_WRITE:
		return TLS_WANT_WRITE;
	case SSL_ERROR_ZERO_RETURN:
		return ended;
	}
	explain(t);
	t->broken = true;
	/* At an end of file OpenSSL tries to send an alert, which may fail on its own. */
	if (t->error == EPIPE && !t->eof)
		r = -EPIPE;
	else if (t->eof || t->error)
		r = -ECONNRESET;
	else
		r = -EPROTO;
	ERR_clear_error();
	return r;
}

/* OpenSSL sets both buffers up anew for a ticket it reads, and keeps them until the next write. */
static void release_buffers(struct tls *t)
{
	if (!SSL_has_pending(t->ssl))
		(void)SSL_free_buffers(t->ssl);
}

/* A stale entry of this thread's error queue would be taken for an error of the next call. */
static void forget_errors(void)
{
	if (ERR_peek_error())
		ERR_clear_error();
}

int tls_handshake(struct tls *t)
{
	int ret;

	if (t->broken)
		return -EPROTO;
	if (t->done)
		return 0;
	forget_errors();
	ret = SSL_do_handshake(t->ssl);
	if (ret != 1)
		return outcome(t, ret, -ECONNRESET);
	t->done = true;
	if (t->upstream)
		upstream_settle(t);
	return 0;
}

ssize_t tls_read(struct tls *t, void *to, size_t len)
{
	size_t have = 0;

	if (t->broken)
		return -ECONNRESET;
	if (!len)
		return TLS_WANT_READ;
	forget_errors();
	t->starved = false;
	/* Records that came in one recv() are handed over in one call. */
	while (have < len && (have == 0 || SSL_has_pending(t->ssl))) {
		int n = SSL_read(t->ssl, (char *)to + have, (int)MIN(len - have, (size_t)1 << 30));

		if (n <= 0) {
			int r = outcome(t, n, 0);

			release_buffers(t);
			/* The error, or the end, comes again with the next call. */
			return have ? (ssize_t)have : r;
		}
		have += (size_t)n;
	}
	release_buffers(t);
	return (ssize_t)have;
}

ssize_t tls_write(struct tls *t, struct slice from)
{
	size_t done = 0;

	if (t->broken)
		return -EPIPE;
	forget_errors();
	while (done < from.len) {
		int n = SSL_write(t->ssl, from.ptr + done,
				  (int)MIN(from.len - done, (size_t)1 << 30));

		if (n <= 0) {
			int r = outcome(t, n, -EPIPE);

			return done ? (ssize_t)done : r;
		}
		done += (size_t)n;
	}
	return (ssize_t)done;
}

bool tls_pending(const struct tls *t)
{
	return !t->broken &&
	       (SSL_pending(t->ssl) > 0 || (!t->starved && SSL_has_pending(t->ssl)));
}

void tls_shutdown(struct tls *t)
{
	if (t->broken || !t->done)
		return;
	forget_errors();
	(void)SSL_shutdown(t->ssl);
	ERR_clear_error();
}

void tls_free(struct tls *t)
{
	if (!t)
		return;
	/* Else OpenSSL takes the missing close_notify for an attack and spoils the cached session.
	 */
	if (!t->broken && t->done)
		SSL_set_shutdown(t->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(t->ssl);
	free(t->detail);
	free(t);
}

const char *tls_reason(const struct tls *t)
{
	return t->detail ? t->detail : t->reason ? t->reason : "";
}

void tls_info(const struct tls *t, struct tls_info *out)
{
	int nid = (int)SSL_get_negotiated_group((SSL *)t->ssl);
	const char *group = nid ? SSL_group_to_name(t->ssl, nid) : NULL;
	const unsigned char *alpn;
	unsigned int alpn_len;

	SSL_get0_alpn_selected(t->ssl, &alpn, &alpn_len);
	*out = (struct tls_info){
		.version = SSL_get_version(t->ssl),
		.cipher = SSL_get_cipher_name(t->ssl),
		.group = group ? group : "",
		.alpn = alpn_len == 8 && memcmp(alpn, "http/1.1", 8) == 0 ? "http/1.1" : "",
		.resumed = SSL_session_reused(t->ssl) == 1,
		.client_cert_asked = t->cert_asked,
	};
}
