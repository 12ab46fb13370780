/* Stage "forward": out to the provider, byte for byte but for what was edited. */
#include "relay/txn.h"

#include "base/log.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#define IDLE_NS 1000000000ULL /* unused for so long, a connection may have been closed by its provider */

/* Headers that no longer tell the truth about an edited body (dialects.md 0.11). */
static int head_after_edit(struct txn *t)
{
	static const char *const stale[] = { "content-md5", "digest", "content-digest", "content-encoding" };
	struct slice none = { NULL, 0 };

	for (size_t i = 0; i < ARRAY_LEN(stale); i++)
		(void)http_header_set(&t->head, stale[i], none, &t->arena);
	return http_head_frame(&t->head, &t->arena, (int64_t)buf_size(&t->edited));
}

static int head_prepare(struct txn *t)
{
	struct slice none = { NULL, 0 };
	int r = 0;

	if (t->head.expect_continue)
		(void)http_header_set(&t->head, "expect", none, &t->arena);
	if (buf_size(&t->edited))
		r = head_after_edit(t);
	/* What may have to be edited on the way back has to come readable. */
	if (r == 0 && t->edit_reply && http_header(&t->head, "accept-encoding").ptr)
		r = http_header_set(&t->head, "accept-encoding", SLICE("identity"), &t->arena);
	return r;
}

#define STARVED_TICK_MS 5
#define STARVED_MAX_NS (2ULL * 1000000000)

void starved_forget(struct conn *c)
{
	for (struct conn **at = &c->w->starved; *at; at = &(*at)->next_starved) {
		if (*at == c) {
			*at = c->next_starved;
			return;
		}
	}
}

void starved_tick(struct timer *timer)
{
	struct worker *w = container_of(timer, struct worker, starved_timer);
	struct conn *c = w->starved;

	w->starved = NULL;
	while (c) {
		struct conn *next = c->next_starved;

		if (c->txn && c->state == CONN_HTTP) {
			if (c->txn->too_big)
				forward_big(c);
			else
				(void)txn_step(c->txn);
			http_resume(c);
		}
		c = next;
	}
}

/*
 * The recorder is behind and the spool full: the request waits a little, as it would for a slow
 * provider. False when it has waited long enough; then the fail mode decides.
 */
static bool starved_wait(struct conn *c)
{
	uint64_t now = loop_now_ns(c->w->loop), one = 1;

	if (!c->starved_ns)
		c->starved_ns = now;
	if (now - c->starved_ns > STARVED_MAX_NS) {
		c->starved_ns = 0;
		return false;
	}
	c->next_starved = c->w->starved;
	c->w->starved = c;
	if (write(c->w->wake_fd, &one, sizeof(one)) < 0) {
		/* Full: it is awake. */
	}
	if (!c->w->starved_timer.slot)
		(void)timer_arm(c->w->loop, &c->w->starved_timer, STARVED_TICK_MS);
	return true;
}

int forward_start(struct txn *t)
{
	struct conn *c = t->c;
	struct codec *codec = c->upstream.codec;
	struct buf *out = &c->upstream.out;
	struct slice body = buf_size(&t->edited) ? buf_slice(&t->edited) : buf_slice(&t->body);
	int r;

	if (c->up != UPSTREAM_READY)
		return -ENOTCONN;
	r = c->starved_ns ? 0 : head_prepare(t);
	if (r < 0)
		return r;
	r = t->opened ? 0 : txn_open(t);
	if (r == -ENOSPC && starved_wait(c))
		return -EAGAIN;
	if (r < 0) {
		r = txn_fail(t, "record", r);
		if (r != 0)
			return r;
	}
	h1_expect_head(codec, slice_is(t->head.method, "HEAD"));
	r = codec->ops->send_head(codec, 0, &t->head, out);
	if (r == 0 && body.len)
		r = codec->ops->send_data(codec, 0, body, out);
	if (r == 0 && !t->too_big)
		r = codec->ops->send_end(codec, 0, out);
	if (r < 0)
		return r;
	c->starved_ns = 0;
	t->forwarded = true;
	t->bytes_out = body.len;
	t->sent_ns = loop_now_ns(c->w->loop);
	t->was_idle = t->sent_ns - c->upstream_since_ns > IDLE_NS;
	conn_timer(c, (uint64_t)c->w->setup.upstream_timeout_s * 1000U);
	r = http_flush(c, &c->upstream);
	if (r < 0) {
		conn_upstream_close(c);
		if (forward_again(t))
			return request_forward(t);
		t->forwarded = false;
		return txn_refuse(t, 502, "upstream_unreachable",
				  "the provider's connection broke while the request was sent");
	}
	return 0;
}

/*
 * A provider closes idle connections when it likes, also while a request is on its way to it. Where
 * that is the likely reason, and no byte of an answer came, a client would send it again by itself (curl
 * and browsers do, whatever the method); this one cannot know, so it is done here.
 */
bool forward_again(struct txn *t)
{
	if (!t->was_idle || t->again || t->too_big || !t->complete || t->mode || t->refused)
		return false;
	t->again = true;
	t->forwarded = false;
	return true;
}

/* The caller goes on with http_resume(): the rest of the body may wait already. */
void forward_big(struct conn *c)
{
	struct txn *t = c->txn;
	int r = request_forward(t);

	if (c->state != CONN_HTTP || c->txn != t)
		return;
	if (r < 0 && r != -EAGAIN)
		conn_free(c);
	else if (t->complete && t->forwarded && r == 0)
		(void)forward_end(t);
	else if (!t->complete && (t->forwarded || t->refused))
		c->resume = true;
}

int forward_end(struct txn *t)
{
	struct conn *c = t->c;
	int r = c->upstream.codec ? c->upstream.codec->ops->send_end(c->upstream.codec, 0, &c->upstream.out) :
				    -EPIPE;

	return r == 0 ? http_flush(c, &c->upstream) : r;
}

int request_forward(struct txn *t)
{
	struct conn *c = t->c;

	if (c->up == UPSTREAM_READY)
		return forward_start(t);
	if (c->upstream_error[0]) {
		char why[sizeof(c->upstream_error)];

		memcpy(why, c->upstream_error, sizeof(why));
		/* The next request tries again, but for a certificate: that is asked for once a connection. */
		if (!c->upstream_untrusted)
			c->upstream_error[0] = '\0';
		return txn_refuse(t, 502, "upstream_unreachable", "%s", why);
	}
	if (c->up == UPSTREAM_NONE)
		conn_upstream_open(c);
	return c->up == UPSTREAM_READY || c->state == CONN_DEAD || !c->txn ? TXN_ANSWERED : -EAGAIN;
}
