/* Stage "read": what the request asks for, decoded and read by its dialect. */
#include "relay/txn.h"

#include <errno.h>
#include <stdio.h>

/* Decodes a body that came with a content coding; t->text is what inspection reads. */
static int body_decode(struct txn *t)
{
	struct slice value = http_header(&t->head, "content-encoding");
	enum coding coding = value.ptr ? encoding_of(value) : CODING_IDENTITY;
	struct decoder *d = NULL;
	int r;

	size_t lines = 0;

	for (size_t i = 0; i < t->head.n_headers; i++)
		lines += slice_ieq(t->head.headers[i].name, SLICE("content-encoding"));
	if (lines > 1)
		coding = CODING_UNKNOWN; /* a list, which the provider may undo in turn */
	t->text = buf_slice(&t->body);
	if (coding == CODING_IDENTITY || !t->text.len)
		return 0;
	if (coding == CODING_UNKNOWN)
		return -EPROTONOSUPPORT;
	r = decoder_new(coding, &d);
	if (r == 0)
		r = decoder_feed(d, t->text, &t->plain);
	if (r == 0)
		r = decoder_end(d);
	decoder_free(d);
	if (r == 0)
		t->text = buf_slice(&t->plain);
	return r;
}

/*
 * One connection, one host: what the certificate and the policy were chosen for. A request for
 * another (fronting, coalescing) is sent back with 421 (RFC 9110 15.5.20), not re-routed.
 */
static bool misdirected(const struct txn *t)
{
	struct slice a = t->head.authority;

	return a.len && !slice_ieq(a, slice_str(t->c->host));
}

/* AWS Signature Version 4 covers the body's hash ("Create a signed AWS API request", step 1). */
static bool is_signed(const struct http_head *h)
{
	struct slice v = http_header(h, "authorization");

	return v.ptr && slice_starts(v, SLICE("AWS4-"));
}

/*
 * Not JSON as we read it (a byte order mark, UTF-16, a lone surrogate, a depth past our limit), and who
 * knows what the provider makes of it: that is no inspection. Files go up as forms.
 */
static bool should_be_json(const struct txn *t)
{
	struct slice type = http_header(&t->head, "content-type");

	return t->text.len && strcmp(t->dialect->name, "generic") != 0 &&
	       !(type.ptr && slice_starts(type, SLICE("multipart/")));
}

int request_target(struct txn *t)
{
	struct conn *c = t->c;

	endpoint_find(&c->match, t->head.method, t->head.target, &t->endpoint);
	t->dialect = dialect_find(t->endpoint.dialect);
	if (misdirected(t)) {
		if (t->decision.mode == SP_MODE_ENFORCE)
			return txn_refuse(t, 421, "misdirected_request",
					  "the Host header names another server than the TLS connection");
		(void)snprintf(t->reason, sizeof(t->reason), "Host header differs from the server name");
	}
	if (t->head.upgrade)
		return txn_refuse(t, 426, "upgrade_required",
				  "WebSocket is not inspected here; use HTTP requests");
	t->not_ai = c->match.n_paths && !catalog_find_path(t->rules->catalog, slice_str(c->host), t->head.target,
							   &(struct catalog_match){ 0 });
	return 0;
}

int request_read(struct txn *t)
{
	int r = request_target(t);

	if (r != 0 || t->not_ai)
		return r;
	r = body_decode(t);
	if (r < 0) {
		t->text = buf_slice(&t->body);
		r = txn_fail(t, "decode", r);
		if (r != 0)
			return r;
	}
	t->signs_body = t->dialect->signs_body || is_signed(&t->head);
	r = dialect_read_request(t->dialect, t->text, endpoint_model(&t->endpoint, &t->arena), &t->arena,
				 &t->message);
	t->model_asked = t->message.model;
	/* Told by the stage that inspects: by then the rule and its fail mode are known. */
	if (r == 0 && !t->message.doc.n && should_be_json(t))
		t->unread = -EBADMSG;
	return r;
}
