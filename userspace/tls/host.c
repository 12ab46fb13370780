/* Host names. */
#include "tls/host.h"

#include <arpa/inet.h>
#include <errno.h>

static bool read_address(struct host *h, struct slice name)
{
	if (name.len > 2 && name.ptr[0] == '[' && name.ptr[name.len - 1] == ']')
		name = slice_sub(name, 1, name.len - 1);
	if (name.len >= INET6_ADDRSTRLEN)
		return false;
	slice_copy(h->text, sizeof(h->text), name);
	if (strlen(h->text) != name.len)
		return false;
	if (inet_pton(AF_INET, h->text, h->ip) == 1)
		h->ip_len = 4;
	else if (inet_pton(AF_INET6, h->text, h->ip) == 1)
		h->ip_len = 16;
	if (!h->ip_len)
		return false;
	/* One spelling an address, as it keys caches. */
	(void)inet_ntop(h->ip_len == 4 ? AF_INET : AF_INET6, h->ip, h->text, sizeof(h->text));
	return true;
}

static bool is_label_byte(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

int host_init(struct host *h, struct slice name)
{
	size_t label = 0;
	struct host out = { 0 };

	if (read_address(&out, name)) {
		*h = out;
		return 0;
	}
	if (name.len && name.ptr[name.len - 1] == '.')
		name.len--;
	if (!name.len || name.len > 253)
		return -EINVAL;
	for (size_t i = 0; i < name.len; i++) {
		unsigned char c = (unsigned char)name.ptr[i];

		if (c >= 'A' && c <= 'Z')
			c += 'a' - 'A';
		if (c == '.' ? label == 0 : !is_label_byte(c))
			return -EINVAL;
		label = c == '.' ? 0 : label + 1;
		if (label > 63)
			return -EINVAL;
		out.text[i] = (char)c;
	}
	/* A last label of digits only is a misspelt address to every resolver. */
	if (label == 0 || strspn(strrchr(out.text, '.') ? strrchr(out.text, '.') + 1 : out.text,
				 "0123456789") == label)
		return -EINVAL;
	out.text[name.len] = '\0';
	*h = out;
	return 0;
}

bool host_under(const char *name, const char *suffix)
{
	size_t n = strlen(name), s = strlen(suffix);

	return n >= s && strcmp(name + n - s, suffix) == 0 && (n == s || name[n - s - 1] == '.');
}
