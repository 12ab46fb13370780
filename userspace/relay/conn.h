/*
 * One accepted connection, from the peek to the last byte. accept.c, peek.c, shake.c and pass.c are
 * its life in order; txn.h is what happens inside once it speaks HTTP.
 */
#ifndef RELAY_CONN_H
#define RELAY_CONN_H

#include "base/buf.h"
#include "net/loop.h"
#include "net/sock.h"
#include "relay/worker.h"
#include "wire/codec.h"

#define OUT_HIGH (256U << 10) /* bytes waiting for a slow reader before we stop reading the other side */
#define OUT_MAX (16U << 20) /* on top of a body held whole and edited, which is twice --max-body at most */

enum conn_state {
	CONN_PEEK,          /* waiting for a ClientHello */
	CONN_ASK,           /* waiting for the principal */
	CONN_UPSTREAM,      /* the provider's side first: its trouble must be known before our leaf */
	CONN_CLIENT_TLS,
	CONN_HTTP,
	CONN_PASS,
	CONN_DEAD,
};

enum upstream_state { UPSTREAM_NONE, UPSTREAM_CONNECT, UPSTREAM_TLS, UPSTREAM_READY };

struct side {
	struct watch watch;
	struct tls *tls;
	struct codec *codec;
	struct buf in;      /* plain bytes the codec could not take yet */
	struct buf out;     /* plain bytes waiting to be written */
	bool blocked;       /* a write waits for the socket */
	bool paused;        /* we do not want to read now */
	bool feeding;       /* its codec is running: what it stands on may not be freed now */
	bool closed;        /* ... and was closed from a callback */
};

struct pass;
struct txn;

struct conn {
	struct worker *w;
	struct conn *next, *prev;
	struct conn *next_asking;
	struct conn *next_starved;
	uint64_t starved_ns;           /* since when it waits for room in the spool; 0 it does not */
	enum conn_state state;
	enum upstream_state up;
	struct side client, upstream;
	struct timer timer;
	uint64_t deadline_ns;
	uint64_t started_ns;           /* wall clock */
	uint64_t started_mono_ns;

	struct sp_origin origin;
	struct sock_addr to;           /* where the application wanted to go */
	struct caller *caller;
	uint32_t ask;
	char address[SOCK_TEXT_LEN];   /* of `to`, as text */
	char tls_text[24];             /* of the client side, for records; made once */
	char host[256];                /* server name, lower case; "" unknown */
	struct catalog_match match;    /* match.provider NULL: no AI host after all */
	struct decision decision;      /* at connect time */
	struct snapshot *rules;        /* that host, match and decision point into */
	struct pass *pass;
	struct txn *txn;
	bool keep_alive;               /* the client may send another request */
	uint64_t upstream_since_ns;    /* monotonic: when it was last known to be good */
	bool upstream_keep;            /* the provider's connection may carry another one */
	bool resume;                   /* a transaction ended: look for the next request */
	bool resuming;                 /* http_resume() runs */
	bool settled;                  /* idle for a moment: upstream pooled, buffers given back */
	bool closing;                  /* only what is in client.out is still to be written */
	bool any_request;              /* a byte of a request was read: the client trusts us */
	bool not_tls;                  /* the first bytes are no ClientHello */
	bool plain_http;               /* ... but an HTTP request in the clear */
	bool distrusts;                /* the client broke off over our certificate, now or before */
	bool probing;                  /* is the server at home where the client says it goes? */
	bool h2_only;                  /* offers ALPN, but not http/1.1 */
	char upstream_error[160];      /* upstream cannot be had, and why; requests answer 502 */
	bool upstream_untrusted;       /* because of its certificate: no use in trying again */
};

/* accept.c */
void conn_accept(struct watch *listener, uint32_t events);
void conn_ask_again(struct worker *w);    /* asks that the monitor had no room for */
int conn_ask(struct conn *c);             /* the monitor answers with conn_principal() */
void conn_free(struct conn *c);           /* the struct itself goes at the end of the round */
void side_close(struct conn *c, struct side *s);
void side_release(struct side *s);        /* codec and buffers, once nothing runs on them */
void conn_timer(struct conn *c, uint64_t in_ms); /* replaces the deadline */
void conn_principal(struct worker *w, const struct ipc *m);

/* peek.c */
void conn_peek(struct conn *c);
void conn_decide(struct conn *c);         /* principal and hello are known */
void conn_refuse(struct conn *c, const char *reason);
void conn_probed(struct conn *c);         /* the server answered, or could not be had */

/* shake.c */
void conn_upstream_open(struct conn *c);
int conn_upstream_socket(struct conn *c);  /* 0: c->upstream.watch.fd is connecting */
void conn_upstream_close(struct conn *c);
void conn_client_shake(struct conn *c);
void conn_upstream_event(struct watch *w, uint32_t events);
void conn_upstream_failed(struct conn *c, const char *why);

/* pass.c */
void pass_start(struct conn *c, const char *reason);
void pass_free(struct conn *c);

/* http.c: the pump between sockets, TLS and codecs */
void http_start(struct conn *c);
void http_upstream_ready(struct conn *c);  /* upstream is connected, or upstream_error is set */
void http_client_event(struct conn *c, uint32_t events);
void http_upstream_event(struct conn *c, uint32_t events);
int http_flush(struct conn *c, struct side *s);
void http_idle(struct conn *c);            /* a transaction ended: the next one, or wait */
void http_timeout(struct conn *c);
void http_resume(struct conn *c);          /* after a transaction was stepped from outside the pump */
/* forward.c: requests that wait for room in the spool */
void starved_forget(struct conn *c);
void starved_tick(struct timer *timer);
extern const struct codec_events http_request_events, http_reply_events;

/* finish.c */
void conn_record(struct conn *c, uint32_t kind, const char *reason, uint64_t out, uint64_t in);

#endif
