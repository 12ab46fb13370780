/* What the formats share: how numbers, times and callers read, and the standing texts. */
#include "discover/report.h"

#include "base/clock.h"

#include <inttypes.h>
#include <stdio.h>

const char *const report_not_seen[] = {
	"AI services that are not in the catalogue: a private gateway, a reseller's own host name, "
	"a "
	"model that runs on this node.",
	"Traffic inside a VPN, a tunnel or a forward proxy: the kernel sees the tunnel's address "
	"only.",
	"Names hidden from this node by DNS over HTTPS together with an encrypted ClientHello, "
	"unless the "
	"address is known otherwise.",
	"Connections that were open before watching began, until they are opened again.",
	"What passed through unread: its volume is counted, its content is not known.",
	"Whatever people do in a browser on another machine, and whatever root does to switch this "
	"off.",
	NULL,
};

const char report_distrust_remedy[] =
	"Run `sallyport trust install` and restart these programs. Where one keeps a certificate "
	"store of "
	"its own (Java, a snap, a pinned client), give it the CA file by the option its maker "
	"names, or add "
	"a rule with \"mode\": \"observe\" for it, so that it is watched without being inspected.";

const char *report_standing_name(enum standing s)
{
	return s == STANDING_SANCTIONED	    ? "sanctioned"
	       : s == STANDING_UNSANCTIONED ? "unsanctioned"
					    : "not judged";
}

const char *report_program(const struct report_caller *c)
{
	const char *slash = strrchr(c->exe, '/');

	if (slash && slash[1])
		return slash + 1;
	return c->exe[0] ? c->exe : "unknown program";
}

const char *report_home(const struct report_caller *c)
{
	return c->container[0] ? c->container : c->unit[0] ? c->unit : c->slice;
}

const char *report_user(const struct report_caller *c, char out[48])
{
	if (c->user[0])
		(void)snprintf(out, 48, "%s", c->user);
	else
		(void)snprintf(out, 48, "uid %" PRIu32, c->uid);
	return out;
}

void report_minute(uint64_t ns, char out[17])
{
	char text[CLOCK_TEXT_LEN];

	clock_format(ns, text);
	text[10] = ' ';
	slice_copy(out, 17, slice_str(text));
}

void report_number(int64_t n, char out[32])
{
	char digits[24];
	int len = snprintf(digits, sizeof(digits), "%" PRId64, n), k = 0;

	for (int i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0 && digits[i - 1] != '-')
			out[k++] = ',';
		out[k++] = digits[i];
	}
	out[k] = '\0';
}

/* Three digits and a unit, in steps of a thousand. */
static void in_units(int64_t n, const char *const *units, size_t n_units, char out[32])
{
	double v = (double)n / 1000;
	size_t u = 0;

	while (v >= 999.5 && u + 1 < n_units) {
		v /= 1000;
		u++;
	}
	(void)snprintf(out, 32, v < 99.95 ? "%.1f %s" : "%.0f %s", v, units[u]);
}

void report_short(int64_t n, char out[32])
{
	static const char *const units[] = { "k", "M", "G" };

	if (n < 100000)
		report_number(n, out);
	else
		in_units(n, units, ARRAY_LEN(units), out);
}

void report_bytes(int64_t n, char out[32])
{
	static const char *const units[] = { "kB", "MB", "GB", "TB", "PB" };

	if (n < 1000)
		(void)snprintf(out, 32, "%" PRId64 " B", n);
	else
		in_units(n, units, ARRAY_LEN(units), out);
}

void report_money(int64_t microusd, char out[32])
{
	char whole[32];

	report_number(microusd / 1000000, whole);
	if (microusd == 0 || microusd >= 10000)
		(void)snprintf(out, 32, "$%.24s.%02d", whole, (int)(microusd / 10000 % 100));
	else
		(void)snprintf(out, 32, "$0.%06d", (int)(microusd % 1000000));
}

const char *report_join(struct arena *a, const struct report_list *l, size_t max)
{
	size_t n = MIN(l->n, max), more = l->n - n + l->more;
	const char *all = n ? l->item[0] : "";

	for (size_t i = 1; i < n && all; i++)
		all = arena_printf(a, "%s, %s", all, l->item[i]).ptr;
	if (more && all)
		all = arena_printf(a, "%s and %zu more", all, more).ptr;
	return all ? all : "";
}
