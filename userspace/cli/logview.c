/* Lines of the audit log, chosen and shown. */
#include "cli/logview.h"

#include "base/text.h"
#include "cli/cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int since_parse(const char *text, uint64_t now_ns, uint64_t *out)
{
	static const struct {
		char unit;
		uint64_t s;
	} units[] = { { 's', 1 }, { 'm', 60 }, { 'h', 3600 }, { 'd', 86400 }, { 'w', 604800 } };
	struct tm tm = { 0 };
	uint64_t n;
	char *end;

	end = strptime(text, "%Y-%m-%d", &tm);
	if (end && *end == 'T') {
		char *minute = strptime(end + 1, "%H:%M", &tm);

		end = minute && *minute == ':' ? strptime(minute + 1, "%S", &tm) : minute;
		if (end && *end == 'Z')
			end++;
	}
	if (end && !*end && timegm(&tm) >= 0) {
		*out = (uint64_t)timegm(&tm) * 1000000000U;
		return 0;
	}
	if (*text < '0' || *text > '9')
		return -EINVAL;
	errno = 0;
	n = strtoull(text, &end, 10);
	for (size_t i = 0; i < ARRAY_LEN(units) && !errno && end[0] && !end[1]; i++) {
		if (units[i].unit != *end)
			continue;
		n = n > now_ns / 1000000000U / units[i].s ? 0 : now_ns - n * units[i].s * 1000000000U;
		*out = n;
		return 0;
	}
	return -EINVAL;
}

int logview_read(const struct chain_link *line, struct record *out)
{
	struct buf text;
	json_t *j;
	int r;

	buf_init(&text, CHAIN_LINE_MAX + 2);
	r = buf_str(&text, "{");
	if (r == 0)
		r = buf_append(&text, line->members);
	if (r == 0)
		r = buf_str(&text, "}");
	j = r == 0 ? json_loadb(text.data, text.len, JSON_REJECT_DUPLICATES, NULL) : NULL;
	r = r < 0 ? r : record_read(j, out);
	json_decref(j);
	buf_done(&text);
	return r;
}

static bool matches(const char *glob, const char *text)
{
	return !glob || text_glob(glob, slice_str(text));
}

bool log_filter_matches(const struct log_filter *f, const struct record *r)
{
	char uid[16];

	(void)snprintf(uid, sizeof(uid), "%u", r->who.uid);
	if (r->start_ns < f->since_ns)
		return false;
	if (f->user && (!r->who.pid || (!matches(f->user, r->who.user) && !matches(f->user, uid))))
		return false;
	if (f->action && !matches(f->action, record_kind_name(r->kind)) &&
	    (r->kind == RECORD_ADMIN || !matches(f->action, record_action_name(r->action))))
		return false;
	return matches(f->exe, r->who.exe) && matches(f->unit, r->who.unit) &&
	       matches(f->provider, r->provider) && matches(f->model, r->model);
}

int logview_print(const struct chain_link *line, const struct record *r, bool json, bool date)
{
	struct record_style style = { .color = out_color(COLOR_RED)[0] != '\0', .date = date };
	struct buf out;
	struct slice s;
	int e = 0;

	buf_init(&out, CHAIN_LINE_MAX);
	if (json) {
		/* The line as it stands: "hash" follows what it is of. */
		s = slice_of(line->hashed.ptr, (size_t)(line->hash.ptr + line->hash.len + 2 -
							line->hashed.ptr));
		if (fwrite(s.ptr, 1, s.len, stdout) != s.len || putchar('\n') == EOF)
			e = -EIO;
	} else {
		e = record_text(r, style, &out);
		s = buf_slice(&out);
		if (e == 0 && fwrite(s.ptr, 1, s.len, stdout) != s.len)
			e = -EIO;
	}
	buf_done(&out);
	return e;
}

void logview_money(int64_t microusd, char out[32])
{
	size_t n = (size_t)snprintf(out, 32, "$%lld.%06lld", (long long)(microusd / 1000000),
				    (long long)(microusd % 1000000));

	for (int i = 0; i < 4 && out[n - 1] == '0'; i++)
		out[--n] = '\0';
}
