/* Events of the kernel become sightings: each connection is told once, its close once more. */
#include "discover/sightings.h"
#include "discover/known.h"
#include "tests/t.h"

#include <stdbool.h>

static int told, again;
static uint64_t bytes;

static void take_one(void *ctx, const struct sighting *s)
{
	(void)ctx;
	told += !s->again;
	again += s->again;
	bytes += s->bytes_out + s->bytes_in;
}

static struct sightings *fresh(struct whois *w, uint64_t wait_ns)
{
	struct sightings *t = NULL;

	told = again = 0;
	bytes = 0;
	t_int(sightings_new(w, wait_ns, take_one, NULL, &t), 0, "new");
	return t;
}

static void event(struct sightings *t, uint32_t kind, uint64_t cookie, uint64_t time_ns)
{
	struct sp_event e = { .kind = kind, .cookie = cookie, .time_ns = time_ns,
			      .verdict = SP_PASSED_OBSERVE, .bytes_out = kind == SP_EVENT_CLOSE ? 10 : 0,
			      .bytes_in = kind == SP_EVENT_CLOSE ? 100 : 0 };

	sightings_event(t, &e);
}

static void lives(struct whois *w)
{
	struct sp_event e = { .kind = SP_EVENT_CONNECT, .cookie = 9, .verdict = SP_REDIRECTED };
	const struct principal *who = NULL;
	struct sightings *t = fresh(w, 1000);

	event(t, SP_EVENT_CONNECT, 1, 5);
	t_int(told, 0, "an open connection is held back for its bytes");
	event(t, SP_EVENT_CLOSE, 1, 50);
	t_ok(told == 1 && again == 0 && bytes == 110, "one that closes soon is told once");
	event(t, SP_EVENT_CONNECT, 2, 100);
	sightings_tick(t, 900);
	t_int(told, 1, "not yet");
	sightings_tick(t, 1200);
	sightings_tick(t, 9000);
	t_int(told, 2, "one that stays open is told after a while, once");
	event(t, SP_EVENT_CLOSE, 2, 9999);
	t_ok(told == 2 && again == 1 && bytes == 220, "and its close is marked as such");
	event(t, SP_EVENT_CLOSE, 2, 9999);
	event(t, SP_EVENT_CLOSE, 77, 9999);
	t_ok(told == 2 && again == 1, "a close of nobody's is nothing");
	sightings_event(t, &e);
	t_ok(told == 2 && sightings_open(t) == 0, "what the proxy takes is its own affair");
	e.verdict = SP_REFUSED;
	sightings_event(t, &e);
	t_ok(told == 3 && sightings_open(t) == 0, "a refused one is over");
	event(t, SP_EVENT_HELLO, 5, 1);
	t_ok(told == 4 && sightings_open(t) == 0, "a late name is told; no close will come");
	t_ok(sightings_find(t, 5, &who) && who, "but its socket is known");
	event(t, SP_EVENT_QUIC, 6, 1);
	t_int(told, 5, "a datagram is told");
	event(t, SP_EVENT_CONNECT, 7, 1);
	sightings_free(t);
	t_int(told, 6, "nothing is kept back at the end");
}

static void crowd(struct whois *w)
{
	struct sightings *t = fresh(w, 1000000);

	for (uint64_t i = 1; i <= 5000; i++)
		event(t, SP_EVENT_CONNECT, i, i);
	sightings_free(t);
	t_int(told, 5000, "more than there is room for: the oldest are told early, none is lost");
}

struct hosts {
	char text[512];
};

static void host_take(void *ctx, const uint8_t addr[16], uint32_t provider, struct slice name)
{
	struct hosts *h = ctx;
	size_t n = strlen(h->text);

	(void)provider;
	snprintf(h->text + n, sizeof(h->text) - n, "%u.%u %.*s;", addr[12], addr[15], SLICE_FMT(name));
}

static void hosts_file(void)
{
	static const char providers[] =
		"{\"version\":1,\"providers\":[{\"id\":\"openai\",\"name\":\"OpenAI\",\"category\":\"api\","
		"\"hosts\":{\"inference\":[\"api.openai.com\"]}}]}";
	static const struct { const char *why, *text, *want; } rows[] = {
		{ "an address and names", "192.0.2.7 a.example api.openai.com\n", "192.7 api.openai.com;" },
		{ "any case, no newline at the end", "192.0.2.7\tAPI.OpenAI.com", "192.7 API.OpenAI.com;" },
		{ "a comment", "#192.0.2.7 api.openai.com\n192.0.2.8 x # api.openai.com\n", "" },
		{ "CRLF", "192.0.2.7 api.openai.com\r\n", "192.7 api.openai.com;" },
		{ "not an address", "999.0.2.7 api.openai.com\nfoo\n\n  \n", "" },
		{ "an address longer than any",
		  "1111111111111111111111111111111111111111111111111111111111111111111111 api.openai.com", "" },
	};
	struct catalog *c = NULL;
	struct mistakes m;

	mistakes_init(&m, "test");
	t_int(catalog_load(slice_str(providers), &m, &c), 0, "catalogue: %.*s",
	      SLICE_FMT(buf_slice(&m.text)));
	for (size_t i = 0; c && i < ARRAY_LEN(rows); i++) {
		struct hosts h = { "" };

		known_hosts_each(slice_str(rows[i].text), c, host_take, &h);
		t_str(h.text, rows[i].want, "hosts(5): %s", rows[i].why);
	}
	mistakes_done(&m);
	catalog_unref(c);
}

int main(void)
{
	struct whois_options o = { .proc = "/nonexistent", .cgroupfs = "/nonexistent", .cache_max = 16 };
	struct whois *w = NULL;

	t_int(whois_new(&o, &w), 0, "whois");
	lives(w);
	crowd(w);
	hosts_file();
	whois_free(w);
	return t_done();
}
