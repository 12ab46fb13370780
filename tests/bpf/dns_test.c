/* Addresses learned from DNS answers in the kernel, fed by a real responder on port 53. */
#include "tests/bpf/lab.h"

static struct kern *k;
static int server, client;

struct packet {
	uint8_t b[2048];
	size_t n;
};

static void put16(struct packet *p, unsigned v)
{
	p->b[p->n++] = (uint8_t)(v >> 8);
	p->b[p->n++] = (uint8_t)v;
}

static void put32(struct packet *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p, v & 0xffff);
}

static void put_name(struct packet *p, const char *name)
{
	while (*name) {
		size_t len = strcspn(name, ".");

		p->b[p->n++] = (uint8_t)len;
		memcpy(p->b + p->n, name, len);
		p->n += len;
		name += len + (name[len] == '.');
	}
	p->b[p->n++] = 0;
}

static void start(struct packet *p, const char *question, unsigned type, unsigned answers)
{
	p->n = 0;
	put16(p, 0x1234);
	put16(p, 0x8180);
	put16(p, 1);
	put16(p, answers);
	put16(p, 0);
	put16(p, 0);
	put_name(p, question);
	put16(p, type);
	put16(p, 1);
}

/* owner NULL: a pointer to the question. */
static void record(struct packet *p, const char *owner, unsigned type, uint32_t ttl,
		   const void *data, size_t len)
{
	if (owner)
		put_name(p, owner);
	else
		put16(p, 0xc00c);
	put16(p, type);
	put16(p, 1);
	put32(p, ttl);
	put16(p, (unsigned)len);
	memcpy(p->b + p->n, data, len);
	p->n += len;
}

static void record_a(struct packet *p, const char *owner, const char *addr, uint32_t ttl)
{
	uint8_t raw[16];
	bool v6 = strchr(addr, ':');

	inet_pton(v6 ? AF_INET6 : AF_INET, addr, raw);
	record(p, owner, v6 ? 28 : 1, ttl, raw, v6 ? 16 : 4);
}

static void record_cname(struct packet *p, const char *owner, const char *target, uint32_t ttl)
{
	struct packet name = { .n = 0 };

	put_name(&name, target);
	record(p, owner, 5, ttl, name.b, name.n);
}

static void record_opt(struct packet *p)
{
	static const uint8_t opt[] = { 0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0 };

	memcpy(p->b + p->n, opt, sizeof(opt));
	p->n += sizeof(opt);
	p->b[11] = 1;
}

/* Question and answer over the wire; true when the client got every byte. */
static bool deliver(int srv, int cli, const struct packet *p)
{
	union lab_addr from;
	socklen_t len = sizeof(from);
	uint8_t got[4096];

	return send(cli, "?", 1, 0) == 1 &&
	       recvfrom(srv, got, sizeof(got), 0, &from.sa, &len) == 1 &&
	       sendto(srv, p->b, p->n, 0, &from.sa, len) == (ssize_t)p->n &&
	       recv(cli, got, sizeof(got), 0) == (ssize_t)p->n && memcmp(got, p->b, p->n) == 0;
}

static uint32_t learned(const char *addr, struct sp_host *h)
{
	uint8_t a[16];

	lab_canonical(addr, a);
	memset(h, 0, sizeof(*h));
	return kern_host_find(k, a, h) == 0 ? h->provider : 0;
}

static const struct kern_name names[] = {
	{ "api.openai.com", false, 1 },
	{ "openai.azure.com", true, 2 },
	{ "*-aiplatform.googleapis.com", false, 3 },
	{ "bedrock-runtime.*.amazonaws.com", false, 4 },
	{ "*.*.inference.ai.azure.com", false, 5 },
	{ "*.*-*.prediction.vertexai.goog", false, 6 },
	{ "generativelanguage.googleapis.com", false, 7 },
};

static void simple(void)
{
	static const struct {
		const char *why, *name, *addr;
		uint32_t provider;
	} rows[] = {
		{ "exact name", "api.openai.com", "192.0.2.1", 1 },
		{ "IPv6", "api.openai.com", "2001:db8::1", 1 },
		{ "upper case", "API.OpenAI.COM", "192.0.2.2", 1 },
		{ "below an exact name is another name", "x.api.openai.com", "192.0.2.3", 0 },
		{ "suffix", "my-company.openai.azure.com", "192.0.2.4", 2 },
		{ "the suffix itself", "openai.azure.com", "192.0.2.5", 2 },
		{ "a suffix ends at a label", "notopenai.azure.com", "192.0.2.6", 0 },
		{ "partial label", "us-east5-aiplatform.googleapis.com", "192.0.2.7", 3 },
		{ "nothing before the partial label", "-aiplatform.googleapis.com", "192.0.2.8",
		  0 },
		{ "the rest of googleapis.com", "storage.googleapis.com", "192.0.2.9", 0 },
		{ "exact beside a wildcard", "generativelanguage.googleapis.com", "192.0.2.10", 7 },
		{ "label in the middle", "bedrock-runtime.us-east-1.amazonaws.com", "192.0.2.11",
		  4 },
		{ "one label only", "bedrock-runtime.a.b.amazonaws.com", "192.0.2.12", 0 },
		{ "another service", "s3.us-east-1.amazonaws.com", "192.0.2.13", 0 },
		{ "two labels", "dep.eastus.inference.ai.azure.com", "192.0.2.14", 5 },
		{ "one of two labels", "eastus.inference.ai.azure.com", "192.0.2.15", 0 },
		{ "two pieces in a label", "e1.us-central1-123.prediction.vertexai.goog",
		  "192.0.2.16", 6 },
		{ "a piece missing", "e1.uscentral1.prediction.vertexai.goog", "192.0.2.17", 0 },
		{ "no provider", "www.example.com", "192.0.2.18", 0 },
		{ "loopback answers (filters) are nobody's", "api.openai.com", "127.0.0.5", 0 },
		{ "0.0.0.0 neither", "api.openai.com", "0.0.0.0", 0 },
		{ "a mapped AAAA is its IPv4", "api.openai.com", "::ffff:192.0.2.19", 1 },
	};
	struct packet p;
	struct sp_host h;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		start(&p, rows[i].name, strchr(rows[i].addr, ':') ? 28 : 1, 1);
		record_a(&p, NULL, rows[i].addr, 60);
		t_ok(deliver(server, client, &p), "%s: the answer arrives", rows[i].why);
		t_int(learned(rows[i].addr, &h), rows[i].provider, "%s: %s", rows[i].why,
		      rows[i].name);
		t_int(kern_name_match(k, slice_str(rows[i].name)) == rows[i].provider ||
			      rows[i].provider == 0, 1, "%s: same by kern_name_match", rows[i].why);
	}
	t_ok(learned("192.0.2.2", &h) && strcmp(h.name, "api.openai.com") == 0 &&
		     h.flags == SP_HOST_DNS,
	     "the name is kept in lower case");
}

static void chain(void)
{
	struct packet p;
	struct sp_host h;
	uint64_t now;

	start(&p, "llm.corp.example", 1, 4);
	record_cname(&p, NULL, "corp.privatelink.example", 300);
	record_cname(&p, "corp.privatelink.example", "corp.openai.azure.com", 20);
	record_a(&p, "corp.openai.azure.com", "192.0.2.50", 600);
	record_a(&p, "corp.openai.azure.com", "192.0.2.51", 10);
	record_opt(&p);
	now = clock_mono_ns();
	t_ok(deliver(server, client, &p), "a CNAME chain with EDNS");
	t_int(learned("192.0.2.50", &h), 2, "a vanity name is known by its target");
	t_str(h.name, "llm.corp.example", "under the name that was asked");
	t_int((h.expires_ns - now + 500000000) / 1000000000, 20, "for the least TTL of the chain");
	t_int(learned("192.0.2.51", &h), 2, "every address of the answer");
	t_int((h.expires_ns - now + 500000000) / 1000000000, 10, "or the record's own");

	start(&p, "api.openai.com", 1, 3);
	record_cname(&p, NULL, "api.openai.com.cdn.example", 60);
	record_a(&p, "api.openai.com.cdn.example", "192.0.2.52", 60);
	record(&p, NULL, 16, 60, "\4text", 5);
	t_ok(deliver(server, client, &p) && learned("192.0.2.52", &h) == 1,
	     "the question names it");

	start(&p, "api.openai.com", 1, 20);
	for (int i = 0; i < 20; i++) {
		char addr[32];

		snprintf(addr, sizeof(addr), "198.51.100.%d", i + 1);
		record_a(&p, NULL, addr, 60);
	}
	t_ok(deliver(server, client, &p), "20 addresses in an answer");
	t_ok(learned("198.51.100.1", &h) == 1 && learned("198.51.100.20", &h) == 1,
	     "all are learned");
	start(&p, "api.openai.com", 1, 1);
	record_a(&p, NULL, "192.0.2.53", 0x80000005);
	t_ok(deliver(server, client, &p) && learned("192.0.2.53", &h) == 1 &&
		     h.expires_ns < clock_mono_ns() + 1000000000,
	     "a TTL with the top bit set is 0 (RFC 2181)");
}

static void not_answers(void)
{
	struct packet p;
	struct sp_host h;

	start(&p, "api.openai.com", 1, 1);
	record_a(&p, NULL, "192.0.2.60", 60);
	p.b[2] = 0x01;
	t_ok(deliver(server, client, &p) && !learned("192.0.2.60", &h), "a query teaches nothing");
	p.b[2] = 0x81;
	p.b[3] = 0x83;
	t_ok(deliver(server, client, &p) && !learned("192.0.2.60", &h), "NXDOMAIN neither");
	p.b[3] = 0x80;
	p.b[5] = 2;
	t_ok(deliver(server, client, &p) && !learned("192.0.2.60", &h), "two questions neither");
	p.b[5] = 1;
	t_ok(deliver(server, client, &p) && learned("192.0.2.60", &h) == 1,
	     "the same as an answer does");
	/* A dot inside a label is not the border of one. */
	start(&p, "api.openai.com", 1, 0);
	p.n = 12;
	p.b[7] = 1;
	p.b[p.n++] = 14;
	memcpy(p.b + p.n, "api.openai.com", 14);
	p.n += 14;
	p.b[p.n++] = 0;
	put16(&p, 1);
	put16(&p, 1);
	record_a(&p, NULL, "192.0.2.61", 60);
	t_ok(deliver(server, client, &p) && !learned("192.0.2.61", &h), "dots inside a label");
}

static void loops(void)
{
	struct packet p;
	struct sp_host h;

	start(&p, "api.openai.com", 1, 1);
	p.n = 12;
	put16(&p, 0xc00c); /* the question points at itself */
	put16(&p, 1);
	put16(&p, 1);
	record_a(&p, NULL, "192.0.2.70", 60);
	t_ok(deliver(server, client, &p) && !learned("192.0.2.70", &h), "a pointer to itself");
	start(&p, "a.example", 1, 2);
	put16(&p, 0xc00c);
	put16(&p, 5);
	put16(&p, 1);
	put32(&p, 60);
	put16(&p, 4);
	put16(&p, 0xc000 | (unsigned)(p.n + 2)); /* forward, and back again */
	put16(&p, 0xc000 | (unsigned)(p.n - 2));
	record_a(&p, NULL, "192.0.2.71", 60);
	t_ok(deliver(server, client, &p) && !learned("192.0.2.71", &h), "two pointers in a circle");
}

/* Random bytes, cut answers, flipped bytes: each packet arrives, nothing is learned by accident. */
static void garbage(void)
{
	struct packet good, p;
	struct sp_host h;
	int lost = 0, wrong = 0;
	unsigned seed = 7;

	start(&good, "api.openai.com", 1, 2);
	record_cname(&good, NULL, "x.openai.azure.com", 60);
	record_a(&good, "x.openai.azure.com", "192.0.2.80", 60);
	for (size_t cut = 1; cut < good.n; cut++) {
		p = good;
		p.n = cut;
		lost += !deliver(server, client, &p);
		wrong += learned("192.0.2.80", &h) != 0;
	}
	t_int(lost, 0, "cut answers arrive");
	t_int(wrong, 0, "and teach nothing");
	for (int i = 0; i < 20000; i++) {
		p.n = 1 + (size_t)rand_r(&seed) % 600;
		for (size_t j = 0; j < p.n; j++)
			p.b[j] = (uint8_t)rand_r(&seed);
		if (i % 2 && p.n > 12) {
			p.b[2] = 0x81;
			p.b[3] = 0x80;
			p.b[4] = 0;
			p.b[5] = 1;
		}
		lost += !deliver(server, client, &p);
	}
	for (int i = 0; i < 20000; i++) {
		p = good;
		for (int j = rand_r(&seed) % 4; j >= 0; j--)
			p.b[(size_t)rand_r(&seed) % p.n] = (uint8_t)rand_r(&seed);
		lost += !deliver(server, client, &p);
	}
	t_int(lost, 0, "40,000 hostile packets arrive");
}

static void over_ipv6(void)
{
	struct packet p;
	struct sp_host h;
	union lab_addr a;
	socklen_t len = lab_addr(&a, "::1", 53);
	int srv = socket(AF_INET6, SOCK_DGRAM, 0), cli = socket(AF_INET6, SOCK_DGRAM, 0);

	t_ok(bind(srv, &a.sa, len) == 0 && connect(cli, &a.sa, len) == 0, "a resolver on ::1");
	start(&p, "api.openai.com", 28, 1);
	record_a(&p, NULL, "2001:db8::77", 60);
	t_ok(deliver(srv, cli, &p) && learned("2001:db8::77", &h) == 1, "answers over IPv6");
	close(srv);
	close(cli);
}

static void replaced(void)
{
	struct packet p;
	struct sp_host h;
	static const struct kern_name other[] = { { "llm.example.org", false, 9 } };

	t_int(kern_names_set(k, other, 1), 0, "the table is replaced");
	start(&p, "api.openai.com", 1, 1);
	record_a(&p, NULL, "233.252.0.90", 60);
	t_ok(deliver(server, client, &p) && !learned("233.252.0.90", &h), "the old names are gone");
	start(&p, "llm.example.org", 1, 1);
	record_a(&p, NULL, "233.252.0.91", 60);
	t_ok(deliver(server, client, &p) && learned("233.252.0.91", &h) == 9, "the new are there");
	t_int(kern_names_set(k, NULL, 0), 0, "an empty table");
	t_int(kern_name_match(k, SLICE("llm.example.org")), 0, "matches nothing");
	t_int(kern_names_set(k, (struct kern_name[]){ { "", false, 1 } }, 1), -EINVAL,
	      "an empty pattern");
}

static void static_first(void)
{
	struct packet p;
	struct sp_host h;

	lab_host(k, "192.0.2.95", 3, "prefetched.example");
	start(&p, "api.openai.com", 1, 1);
	record_a(&p, NULL, "192.0.2.95", 60);
	t_ok(deliver(server, client, &p) && learned("192.0.2.95", &h) == 3,
	     "a forged answer does not move an address that user space put");
}

static void test(void)
{
	union lab_addr a;
	socklen_t len = lab_addr(&a, "127.0.0.1", 53);

	k = lab_open(lab_cgroup, NULL, false);
	if (!k)
		return;
	t_int(kern_names_set(k, names, ARRAY_LEN(names)), 0, "names");
	server = socket(AF_INET, SOCK_DGRAM, 0);
	client = socket(AF_INET, SOCK_DGRAM, 0);
	t_ok(bind(server, &a.sa, len) == 0 && connect(client, &a.sa, len) == 0,
	     "a resolver on port 53");
	simple();
	chain();
	not_answers();
	loops();
	garbage();
	over_ipv6();
	static_first();
	replaced();
	t_ok(lab_count(k, SP_COUNT_DNS_ANSWERS) > 20 && lab_count(k, SP_COUNT_DNS_MATCHED) > 20,
	     "counted");
	kern_close(k);
}

int main(void)
{
	return lab_run(test);
}
