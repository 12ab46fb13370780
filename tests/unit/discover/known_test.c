/* Two providers list api.openai.com: its addresses are one's, for the kernel as for the worker. */
#include "discover/known.h"
#include "tests/t.h"

#include "base/file.h"

/* An exact name's owners; 1 is right. */
static unsigned owners(const struct catalog *c, const struct catalog_host *hosts, size_t n, const char *name)
{
	unsigned sum = 0;

	for (size_t i = 0; i < n; i++)
		sum += hosts[i].exact && strcmp(hosts[i].pattern, name) == 0 && known_is_owner(c, &hosts[i]);
	return sum;
}

int main(void)
{
	const struct catalog_host *hosts;
	struct catalog_match match;
	struct catalog *c = NULL;
	struct mistakes m;
	struct buf text;
	unsigned shared = 0;
	size_t n;

	buf_init(&text, 16U << 20);
	mistakes_init(&m, "providers.json");
	t_int(file_read("policies/providers.json", &text), 0, "the catalogue is there");
	t_int(catalog_load(buf_slice(&text), &m, &c), 0, "and good");
	n = c ? catalog_hosts(c, &hosts) : 0;
	for (size_t i = 0; i < n; i++) {
		bool own = known_is_owner(c, &hosts[i]);

		if (!hosts[i].exact) {
			t_ok(own, "%s: a pattern is told as it stands", hosts[i].pattern);
			continue;
		}
		shared += !own;
		t_int(owners(c, hosts, n, hosts[i].pattern), 1, "%s: one owner", hosts[i].pattern);
		t_ok(!own || (catalog_find(c, slice_str(hosts[i].pattern), &match) &&
			      match.provider->number == hosts[i].provider),
		     "%s: whose catalog_find() says it is", hosts[i].pattern);
	}
	t_ok(shared > 0, "the shipped catalogue has names of two providers");
	catalog_unref(c);
	mistakes_done(&m);
	buf_done(&text);
	return t_done();
}
