/* Typed reads over jansson. */
#include "base/json.h"

#include "base/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#define MISTAKES_TEXT_MAX (64U << 10)

void mistakes_init(struct mistakes *m, const char *file)
{
	m->file = file;
	m->n = 0;
	buf_init(&m->text, MISTAKES_TEXT_MAX);
}

void mistakes_done(struct mistakes *m)
{
	buf_done(&m->text);
}

void mistakes_add(struct mistakes *m, const char *place, const char *fmt, ...)
{
	char what[512];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	m->n++;
	(void)buf_printf(&m->text, "%s: %s%s%s\n", m->file, place, *place ? ": " : "", what);
}

json_t *jread_text(struct slice text, struct mistakes *m)
{
	json_error_t e;
	json_t *j = json_loadb(text.ptr ? text.ptr : "", text.len, JSON_REJECT_DUPLICATES, &e);

	if (!j)
		mistakes_add(m, "", "line %d, column %d: %s; mend the JSON there", e.line, e.column,
			     e.text);
	return j;
}

const char *jread_place(char out[PLACE_MAX], const char *place, const char *key)
{
	(void)snprintf(out, PLACE_MAX, "%s%s%s", place, *place ? "." : "", key);
	return out;
}

const char *jread_place_at(char out[PLACE_MAX], const char *place, size_t index)
{
	(void)snprintf(out, PLACE_MAX, "%s[%zu]", place, index);
	return out;
}

static void wrong_type(const char *place, const char *key, const char *want, struct mistakes *m)
{
	char at[PLACE_MAX];

	mistakes_add(m, jread_place(at, place, key), "must be %s", want);
}

const char *jread_string(const json_t *o, const char *place, const char *key, const char *absent,
			 struct mistakes *m)
{
	const json_t *v = json_object_get(o, key);

	if (!v)
		return absent;
	if (json_is_string(v) && strlen(json_string_value(v)) == json_string_length(v))
		return json_string_value(v);
	wrong_type(place, key, "a string in double quotes", m);
	return absent;
}

int64_t jread_int(const json_t *o, const char *place, const char *key, int64_t absent, int64_t min,
		  int64_t max, struct mistakes *m)
{
	const json_t *v = json_object_get(o, key);
	char at[PLACE_MAX];

	if (!v)
		return absent;
	if (json_is_integer(v) && json_integer_value(v) >= min && json_integer_value(v) <= max)
		return json_integer_value(v);
	mistakes_add(m, jread_place(at, place, key), "must be a whole number from %lld to %lld",
		     (long long)min, (long long)max);
	return absent;
}

double jread_number(const json_t *o, const char *place, const char *key, double absent,
		    struct mistakes *m)
{
	const json_t *v = json_object_get(o, key);

	if (!v)
		return absent;
	if (json_is_number(v))
		return json_number_value(v);
	wrong_type(place, key, "a number", m);
	return absent;
}

bool jread_bool(const json_t *o, const char *place, const char *key, bool absent,
		struct mistakes *m)
{
	const json_t *v = json_object_get(o, key);

	if (!v)
		return absent;
	if (json_is_boolean(v))
		return json_is_true(v);
	wrong_type(place, key, "true or false", m);
	return absent;
}

const json_t *jread_object(const json_t *o, const char *place, const char *key, struct mistakes *m)
{
	const json_t *v = json_object_get(o, key);

	if (!v || json_is_object(v))
		return v;
	wrong_type(place, key, "an object: { ... }", m);
	return NULL;
}

const json_t *jread_array(const json_t *o, const char *place, const char *key, struct mistakes *m)
{
	const json_t *v = json_object_get(o, key);

	if (!v || json_is_array(v))
		return v;
	wrong_type(place, key, "a list: [ ... ]", m);
	return NULL;
}

int jread_choice(const json_t *o, const char *place, const char *key, const char *const *names,
		 int absent, struct mistakes *m)
{
	const char *v = jread_string(o, place, key, NULL, m);
	char at[PLACE_MAX], all[256] = "";
	size_t len = 0;

	if (!v)
		return absent;
	for (int i = 0; names[i]; i++) {
		if (strcmp(names[i], v) == 0)
			return i;
		if (len < sizeof(all))
			len += (size_t)snprintf(all + len, sizeof(all) - len, "%s%s", i ? ", " : "",
						names[i]);
	}
	mistakes_add(m, jread_place(at, place, key), "\"%s\" is none of %s", v, all);
	return absent;
}

/* Number of bytes that differ at the ends removed: enough to tell "acton" from "to". */
static size_t difference(const char *a, const char *b)
{
	size_t na = strlen(a), nb = strlen(b), head = 0, tail = 0;

	while (head < na && head < nb && a[head] == b[head])
		head++;
	while (tail < na - head && tail < nb - head && a[na - 1 - tail] == b[nb - 1 - tail])
		tail++;
	return MAX(na, nb) - head - tail;
}

void jread_known(const json_t *o, const char *place, const char *const *known, struct mistakes *m)
{
	char at[PLACE_MAX];
	const char *key;
	json_t *v;

	json_object_foreach((json_t *)o, key, v) {
		const char *near = known[0];
		bool found = *key == '$' || *key == '_';

		for (int i = 0; known[i] && !found; i++) {
			found = strcmp(known[i], key) == 0;
			if (difference(known[i], key) < difference(near, key))
				near = known[i];
		}
		if (found)
			continue;
		if (near && difference(near, key) <= 2)
			mistakes_add(m, jread_place(at, place, key), "unknown; did you mean \"%s\"?",
				     near);
		else
			mistakes_add(m, jread_place(at, place, key),
				     "unknown; remove it (sallyport-policy(5) lists the names)");
	}
}

int jwrite_string(struct buf *out, struct slice s)
{
	static const char hex[] = "0123456789abcdef";
	int r = buf_reserve(out, 2 + s.len * 6);
	char *p;

	if (r < 0)
		return r;
	p = out->data + out->len;
	*p++ = '"';
	for (size_t i = 0; i < s.len;) {
		unsigned char c = (unsigned char)s.ptr[i];
		uint32_t cp;
		size_t n;

		if (c == '"' || c == '\\') {
			*p++ = '\\';
			*p++ = (char)c;
			i++;
		} else if (c < 0x20 || c == 0x7f) {
			memcpy(p, "\\u00", 4);
			p[4] = hex[c >> 4];
			p[5] = hex[c & 15];
			p += 6;
			i++;
		} else if (c < 0x80) {
			*p++ = (char)c;
			i++;
		} else {
			n = text_utf8_next(slice_from(s, i), &cp);
			if (n) {
				memcpy(p, s.ptr + i, n);
				p += n;
			} else {
				memcpy(p, "\xef\xbf\xbd", 3);
				p += 3;
				n = 1;
			}
			i += n;
		}
	}
	*p++ = '"';
	out->len = (size_t)(p - out->data);
	return 0;
}
