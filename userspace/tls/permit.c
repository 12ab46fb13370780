/* The permitted list: binary search over each suffix of a name, longest first. */
#include "tls/permit.h"

#include <errno.h>
#include <stdlib.h>

static int compare(const void *a, const void *b)
{
	return strcmp(((const struct host *)a)->text, ((const struct host *)b)->text);
}

static long find_exact(const struct permit *p, const char *name)
{
	size_t low = 0, high = p->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int order = strcmp(p->hosts[mid].text, name);

		if (order == 0)
			return (long)mid;
		if (order < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return -1;
}

long permit_find(const struct permit *p, const struct host *host)
{
	const char *name = host->text;

	for (;;) {
		long at = find_exact(p, name);

		if (at >= 0 || host->ip_len)
			return at;
		name = strchr(name, '.');
		if (!name)
			return -1;
		name++;
	}
}

static int read_name(struct host *h, const char *text, struct buf *why)
{
	struct slice s = slice_str(text);

	if (slice_starts(s, SLICE("*.")))
		s = slice_from(s, 2);
	else if (slice_starts(s, SLICE(".")))
		s = slice_from(s, 1);
	if (host_init(h, s) < 0) {
		(void)buf_printf(why, "\"%s\" is no host name; write it without wildcards, as "
				      "example.com", text);
		return -EINVAL;
	}
	if (!h->ip_len && !strchr(h->text, '.') && strcmp(h->text, "localhost") != 0) {
		(void)buf_printf(why, "\"%s\" is a whole top-level domain; name a host below it",
				 text);
		return -EINVAL;
	}
	return 0;
}

/* Below another entry: the other one permits it already. */
static bool is_covered(const struct permit *p, const struct host *h)
{
	struct host parent = *h;
	const char *dot = h->ip_len ? NULL : strchr(h->text, '.');

	if (!dot)
		return false;
	slice_copy(parent.text, sizeof(parent.text), slice_str(dot + 1));
	return permit_find(p, &parent) >= 0;
}

int permit_init(struct permit *p, const char *const *names, size_t n, struct buf *why)
{
	struct permit all = { calloc(n ? n : 1, sizeof(*all.hosts)), 0 };
	struct host *kept = calloc(n ? n : 1, sizeof(*kept));
	size_t n_kept = 0;
	int r = all.hosts && kept ? 0 : -ENOMEM;

	if (r == 0 && n == 0) {
		(void)buf_str(why, "no host is permitted: the catalogue is empty");
		r = -EINVAL;
	}
	for (size_t i = 0; r == 0 && i < n; i++) {
		r = read_name(&all.hosts[all.n], names[i], why);
		all.n++;
	}
	if (r == 0) {
		qsort(all.hosts, all.n, sizeof(*all.hosts), compare);
		for (size_t i = 0; i < all.n; i++)
			if ((i == 0 || compare(&all.hosts[i - 1], &all.hosts[i]) != 0) &&
			    !is_covered(&all, &all.hosts[i]))
				kept[n_kept++] = all.hosts[i];
	}
	free(all.hosts);
	if (r < 0) {
		free(kept);
		return r;
	}
	*p = (struct permit){ kept, n_kept };
	return 0;
}

void permit_done(struct permit *p)
{
	free(p->hosts);
	*p = (struct permit){ 0 };
}
