/* Names and addresses for the kernel's tables. */
#include "discover/known.h"

#include "base/file.h"
#include "net/sock.h"

#include <errno.h>
#include <stdlib.h>

#define HOSTS_FILE_MAX (4U << 20)

bool known_is_owner(const struct catalog *c, const struct catalog_host *h)
{
	struct catalog_match m;

	return !h->exact || !catalog_find(c, slice_str(h->pattern), &m) || m.provider->number == h->provider;
}

int known_names(struct kern *k, const struct catalog *c)
{
	const struct catalog_host *h;
	size_t n = catalog_hosts(c, &h), n_names = 0;
	cleanup(freep) struct kern_name *names = calloc(n + 1, sizeof(*names));

	if (!names)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		if (known_is_owner(c, &h[i]))
			names[n_names++] = (struct kern_name){ h[i].pattern, h[i].suffix, h[i].provider };
	return kern_names_set(k, names, n_names);
}

static bool next_word(struct slice *line, struct slice *word)
{
	size_t n = 0;

	*line = slice_trim(*line);
	while (n < line->len && line->ptr[n] != ' ' && line->ptr[n] != '\t')
		n++;
	*word = slice_sub(*line, 0, n);
	*line = slice_from(*line, n);
	return n > 0;
}

static void hosts_line(struct slice line, const struct catalog *c, known_each_fn *each, void *ctx)
{
	long comment = slice_find(line, SLICE("#"));
	struct catalog_match match;
	struct sock_addr addr;
	struct slice word;
	char ip[64];

	if (comment >= 0)
		line = slice_sub(line, 0, (size_t)comment);
	if (line.len && line.ptr[line.len - 1] == '\r')
		line.len--;
	if (!next_word(&line, &word))
		return;
	slice_copy(ip, sizeof(ip), word);
	if (word.len >= sizeof(ip) || sock_addr_parse(ip, &addr) < 0)
		return;
	while (next_word(&line, &word))
		if (catalog_find(c, word, &match))
			each(ctx, addr.ip, match.provider->number, word);
}

void known_hosts_each(struct slice text, const struct catalog *c, known_each_fn *each, void *ctx)
{
	while (text.len) {
		long end = slice_find(text, SLICE("\n"));
		size_t n = end < 0 ? text.len : (size_t)end;

		hosts_line(slice_sub(text, 0, n), c, each, ctx);
		text = slice_from(text, n + 1);
	}
}

static void host_put(void *ctx, const uint8_t addr[16], uint32_t provider, struct slice name)
{
	(void)kern_host_put(ctx, addr, provider, name, 0);
}

int known_hosts_file(struct kern *k, const struct catalog *c, const char *path)
{
	struct buf text;
	int r;

	buf_init(&text, HOSTS_FILE_MAX);
	r = file_read(path, &text);
	if (r == 0)
		known_hosts_each(buf_slice(&text), c, host_put, k);
	buf_done(&text);
	return r == -ENOENT ? 0 : r;
}
