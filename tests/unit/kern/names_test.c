/* The automaton against the plain meaning of every pattern in policies/providers.json. */
#include "base/clock.h"
#include "base/file.h"
#include "base/json.h"
#include "kern/load.h"
#include "tests/t.h"

#include <regex.h>

#define NAMES_MAX 4096

static struct kern_name names[NAMES_MAX];
static regex_t regexes[NAMES_MAX];
static size_t n;

static size_t literals(const char *p)
{
	size_t stars = 0;

	for (const char *s = p; *s; s++)
		stars += *s == '*';
	return strlen(p) - stars;
}

static void add(const char *entry)
{
	char re[1024] = "^", host[300] = "";
	bool suffix = entry[0] == '.';

	for (const char *p = entry; *p; p++) { /* "{region}" is a '*' */
		snprintf(host + strlen(host), sizeof(host) - strlen(host), "%c",
			 *p == '{' ? '*' : *p);
		if (*p == '{')
			p = strchr(p, '}');
	}

	if (strcmp(host, "*") == 0 || n == NAMES_MAX)
		return; /* any host, told by port: nothing a name can tell */
	for (size_t i = 0; i < n; i++)
		if (strcmp(names[i].pattern, host + suffix) == 0 && names[i].suffix == suffix)
			return; /* the first of two equals wins, in both */
	for (const char *p = host + suffix; *p; p++)
		snprintf(re + strlen(re), sizeof(re) - strlen(re),
			 *p == '*'   ? "[a-z0-9-]+"
			 : *p == '.' ? "\\."
				     : "%c",
			 *p);
	strcat(re, "$");
	names[n] = (struct kern_name){ strdup(host + suffix), suffix, (uint32_t)n + 1 };
	t_int(regcomp(&regexes[n], re, REG_EXTENDED | REG_NOSUB), 0, "oracle of %s", host);
	n++;
}

/* Exact, then wildcard, then the longest suffix. */
static uint32_t oracle(const char *host)
{
	uint32_t best = 0;
	size_t best_len = 0;

	for (size_t i = 0; i < n; i++)
		if (!strchr(names[i].pattern, '*') && strcmp(names[i].pattern, host) == 0)
			return names[i].provider;
	for (size_t i = 0; i < n; i++)
		if (strchr(names[i].pattern, '*') && literals(names[i].pattern) > best_len &&
		    regexec(&regexes[i], host, 0, NULL, 0) == 0) {
			best = names[i].provider;
			best_len = literals(names[i].pattern);
		}
	if (best)
		return best;
	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(names[i].pattern), have = strlen(host);

		if (names[i].suffix && have > len && host[have - len - 1] == '.' &&
		    len > best_len && strcmp(host + have - len, names[i].pattern) == 0) {
			best = names[i].provider;
			best_len = len;
		}
	}
	return best;
}

static const struct names_row *rows;
static size_t n_rows, compared, wrong;

static void compare(const char *host)
{
	uint32_t got = names_walk(rows, n_rows, slice_str(host)), want = oracle(host);

	compared++;
	if (got == want)
		return;
	if (wrong++ < 10)
		printf("# %s: got %s, want %s\n", host, got ? names[got - 1].pattern : "none",
		       want ? names[want - 1].pattern : "none");
}

/* The pattern with its stars filled, and names beside it. */
static void around(const char *pattern)
{
	static const char *const fill[] = { "a", "us-east-1", "", "a.b", "-", "a_b", "xn--p1ai" };
	char host[512], other[600];

	for (size_t f = 0; f < ARRAY_LEN(fill); f++) {
		host[0] = '\0';
		for (const char *p = pattern; *p; p++)
			snprintf(host + strlen(host), sizeof(host) - strlen(host),
				 *p == '*' ? "%s" : "%.1s", *p == '*' ? fill[f] : p);
		compare(host);
		snprintf(other, sizeof(other), "x%s", host);
		compare(other);
		snprintf(other, sizeof(other), "x.%s", host);
		compare(other);
		snprintf(other, sizeof(other), "a_b.c-d.%s", host);
		compare(other);
		snprintf(other, sizeof(other), "%s.evil.example", host);
		compare(other);
		compare(host[0] ? host + 1 : "");
		if (strchr(host, '.'))
			compare(strchr(host, '.') + 1);
	}
}

static void load(void)
{
	struct mistakes m;
	struct buf text;
	size_t i;
	json_t *p, *doc;

	mistakes_init(&m, "providers.json");
	buf_init(&text, 4 << 20);
	t_int(file_read("policies/providers.json", &text), 0, "catalogue");
	doc = jread_text(buf_slice(&text), &m);
	json_array_foreach(json_object_get(doc, "providers"), i, p) {
		const char *role;
		json_t *list, *h;
		size_t j;

		json_object_foreach(json_object_get(p, "hosts"), role, list)
			json_array_foreach(list, j, h) {
			const char *host = json_string_value(
				json_is_object(h) ? json_object_get(h, "host") : h);

			if (host)
				add(host);
			}
	}
	json_decref(doc);
	buf_done(&text);
	mistakes_done(&m);
}

int main(void)
{
	struct names_row *made = NULL;
	uint64_t began;

	load();
	t_ok(n > 1000, "%zu patterns", n);
	began = clock_mono_ns();
	t_int(names_compile(names, n, &made, &n_rows), 0, "the whole catalogue compiles");
	printf("# %zu patterns, %zu states, %zu KiB, %llu us\n", n, n_rows,
	       n_rows * sizeof(*made) / 1024, (unsigned long long)(clock_mono_ns() - began) / 1000);
	rows = made;
	for (size_t i = 0; i < n; i++)
		around(names[i].pattern);
	t_int(wrong, 0, "the automaton says what the patterns mean (%zu names)", compared);
	t_int(names_walk(rows, n_rows, SLICE("API.OpenAI.com")) != 0, 1, "case does not matter");
	free(made);
	for (size_t i = 0; i < n; i++) {
		free((char *)names[i].pattern);
		regfree(&regexes[i]);
	}
	return t_done();
}
