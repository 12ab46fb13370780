/* What the kernel would do is never less than what the policy may ask for: random policies, random
 * callers, and the kernel's own walk over the scopes (bpf/sallyport.h: sp_modes). */
#include "fixture.h"

#include "base/text.h"
#include "ident/cgroup.h"

static unsigned state = 20261120;

static unsigned pick(unsigned n)
{
	state = state * 1664525U + 1013904223U;
	return (state >> 8) % n;
}

static const char *const providers[] = { "openai", "anthropic", "azure-openai", "gemini" };
static const char *const cgroups[] = {
	"/system.slice/billing.service",
	"/system.slice/build-1.service",
	"/system.slice/build-2.service/inner",
	"/user.slice/user-1000.slice/user@1000.service/app.slice/app-code.scope",
	"/user.slice/user-1000.slice/session-3.scope",
	"/user.slice/user-1001.slice/user@1001.service/init.scope",
	"/user.slice/user-1001.slice/user@1001.service/billing.service",
	"/user.slice/user-1001.slice/user@1001.service/mine/system.slice/build-2.service",
	"/system.slice",
	"/kube/pod-1/work",
	"/kube/pod-2",
	"/",
};
static const char *const units[] = { "billing.service", "build-*.service", "user@*.service",
				     "user@*.service/app-*.scope", "build-2.service", "/kube/pod-*",
				     "/kube/*/work",	"user.slice",	   "user-1000.slice" };
static const char *const exes[] = { "/usr/bin/curl", "/usr/bin/python3*", "/opt/*" };
static const char *const exe_of[] = { "/usr/bin/curl", "/usr/bin/python3.11", "/opt/agent/bin", "" };

/* Members of a selector, each with some likelihood. */
static void random_selector(struct buf *b)
{
	const char *lead = "";

	(void)buf_str(b, ",\"who\":{");
	if (pick(3) == 0) {
		(void)buf_printf(b, "\"uid\":[%u,%u]", 1000 + pick(3), 1000 + pick(3));
		lead = ",";
	}
	if (pick(3) == 0) {
		(void)buf_printf(b, "%s\"unit\":[\"%s\"", lead, units[pick(ARRAY_LEN(units))]);
		(void)buf_printf(b, pick(2) ? "]" : ",\"%s\"]", units[pick(ARRAY_LEN(units))]);
		lead = ",";
	}
	if (pick(5) == 0) {
		(void)buf_printf(b, "%s\"slice\":\"%s\"", lead, pick(2) ? "user-*.slice" : "system.slice");
		lead = ",";
	}
	if (pick(4) == 0)
		(void)buf_printf(b, "%s\"exe\":\"%s\"", lead, exes[pick(ARRAY_LEN(exes))]);
	(void)buf_str(b, "},\"to\":{");
	lead = "";
	if (pick(2) == 0) {
		(void)buf_printf(b, "\"provider\":[\"%s\",\"%s\"]", providers[pick(3)], providers[pick(3)]);
		lead = ",";
	}
	if (pick(4) == 0) {
		(void)buf_printf(b, "%s\"model\":\"gpt-*\"", lead);
		lead = ",";
	}
	if (pick(5) == 0)
		(void)buf_printf(b, "%s\"host\":\"*.openai.com\"", lead);
	(void)buf_str(b, "}");
}

static struct policy *random_policy(void)
{
	static const char *const modes[] = { "observe", "monitor", "enforce" };
	struct policy *p;
	struct buf b;
	unsigned n = pick(8);

	buf_init(&b, 1U << 20);
	(void)buf_printf(&b, "{\"version\":1,\"mode\":\"%s\",\"rules\":[", modes[pick(3)]);
	for (unsigned i = 0; i < n; i++) {
		unsigned mode = pick(3);

		(void)buf_printf(&b, "%s{\"id\":\"r%u\",\"mode\":\"%s\"%s", i ? "," : "", i, modes[mode],
				 mode && pick(3) == 0 ? ",\"fail\":\"closed\"" : "");
		random_selector(&b);
		(void)buf_str(&b, "}");
	}
	(void)buf_str(&b, "]}");
	(void)buf_append(&b, slice_of("", 1));
	p = fixture_policy(b.data);
	buf_done(&b);
	return p;
}

static void random_who(struct principal *who)
{
	const char *cgroup = cgroups[pick(ARRAY_LEN(cgroups))];

	memset(who, 0, sizeof(*who));
	who->uid = 999 + pick(5);
	slice_copy(who->cgroup, sizeof(who->cgroup), slice_str(cgroup));
	slice_copy(who->exe, sizeof(who->exe), slice_str(exe_of[pick(ARRAY_LEN(exe_of))]));
	(void)cgroup_unit(slice_str(cgroup), who->unit, sizeof(who->unit), who->slice,
			  sizeof(who->slice));
}

static const struct policy_scope *find(const struct policy_scope *s, size_t n,
				       enum sp_scope_kind kind, uint32_t uid, const char *unit,
				       const char *provider)
{
	const struct policy_scope *any = NULL;

	for (size_t i = 0; i < n; i++) {
		if (s[i].kind != kind || (kind == SP_SCOPE_UID && s[i].uid != uid) ||
		    (kind == SP_SCOPE_CGROUP && strcmp(s[i].unit, unit) != 0))
			continue;
		if (s[i].provider && strcmp(s[i].provider, provider) == 0)
			return &s[i];
		if (!s[i].provider)
			any = &s[i];
	}
	return any;
}

/* The cgroup at the end of `path` is one of those the pattern names: as ident/cgroup.c finds them. */
static bool names_cgroup(const char *pattern, struct slice path)
{
	char unit[256], in[256];
	const char *last = path.ptr + path.len;
	bool own = cgroup_unit(path, unit, sizeof(unit), in, sizeof(in)) == path.len;

	if (*pattern == '/')
		return text_glob(pattern, path);
	if (own && unit[0])
		return text_glob(pattern, slice_str(unit));
	while (last > path.ptr && last[-1] != '/')
		last--;
	return !unit[0] && slice_is(slice_of(last, path.len - (size_t)(last - path.ptr)), in) &&
	       text_glob(pattern, slice_str(in));
}

/* The kernel's walk. With several patterns on one cgroup `lowest` takes the weakest entry: any must do. */
static struct policy_scope kernel(const struct policy *p, const struct principal *who,
				  const char *provider)
{
	const struct policy_scope *s, *one;
	struct policy_scope best = { 0 };
	size_t n = policy_scopes(p, &s);
	struct slice path = slice_str(who->cgroup);
	bool found = false;

	while (path.len > 1) {
		for (size_t i = 0; i < n; i++) {
			if (s[i].kind != SP_SCOPE_CGROUP || !names_cgroup(s[i].unit, path))
				continue;
			one = find(s, n, SP_SCOPE_CGROUP, 0, s[i].unit, provider);
			if (!found || one->mode < best.mode)
				best.mode = one->mode;
			best.fail_closed = found ? best.fail_closed && one->fail_closed :
						   one->fail_closed;
			found = true;
		}
		if (found)
			return best;
		while (path.len && path.ptr[path.len - 1] != '/')
			path.len--;
		path.len -= path.len > 0;
	}
	one = find(s, n, SP_SCOPE_UID, who->uid, NULL, provider);
	if (!one)
		one = find(s, n, SP_SCOPE_ANY, 0, NULL, provider);
	return one ? *one : best;
}

/* Where the policy was made for the kernel to tell callers apart, it is told exactly. */
static void test_exact(void)
{
	struct policy *p = fixture_policy(
		"{\"version\":1,\"mode\":\"enforce\",\"rules\":["
		"{\"id\":\"off\",\"mode\":\"observe\",\"who\":{\"unit\":\"build-*.service\"}},"
		"{\"id\":\"uid\",\"mode\":\"monitor\",\"who\":{\"uid\":1000},\"to\":{\"provider\":\"openai\"}},"
		"{\"id\":\"gem\",\"mode\":\"observe\",\"to\":{\"provider\":\"gemini\"}}]}");
	struct principal who = { .uid = 1000, .cgroup = "/system.slice/build-1.service" };

	t_int(kernel(p, &who, "openai").mode, SP_MODE_OBSERVE, "a unit that is left alone, though all "
							       "others are enforced");
	slice_copy(who.cgroup, sizeof(who.cgroup), SLICE("/system.slice/other.service"));
	t_int(kernel(p, &who, "openai").mode, SP_MODE_MONITOR, "a uid at one provider");
	t_int(kernel(p, &who, "anthropic").mode, SP_MODE_ENFORCE, "the same at another");
	t_int(kernel(p, &who, "gemini").mode, SP_MODE_OBSERVE, "a provider that is left alone");
	who.uid = 7;
	t_int(kernel(p, &who, "openai").mode, SP_MODE_ENFORCE, "another uid");
	t_ok(kernel(p, &who, "openai").fail_closed, "enforce fails closed");
	policy_unref(p);
}

static void test_order(void)
{
	struct policy *p = fixture_policy(
		"{\"version\":1,\"rules\":["
		"{\"id\":\"exe\",\"mode\":\"enforce\",\"who\":{\"exe\":\"/usr/bin/curl\"}},"
		"{\"id\":\"uid\",\"mode\":\"observe\",\"who\":{\"uid\":1000}},"
		"{\"id\":\"unit\",\"mode\":\"observe\",\"who\":{\"unit\":\"billing.service\"}}]}");
	struct principal who = { .uid = 1000, .cgroup = "/system.slice/billing.service" };

	t_int(kernel(p, &who, "openai").mode, SP_MODE_ENFORCE, "a narrower rule behind weakens nothing");
	policy_unref(p);
}

/* More uids than the kernel's map should carry: the scopes give way to ANY. */
static void test_many(void)
{
	struct principal who = { .uid = 1299, .cgroup = "/" };
	struct policy *p;
	struct buf b;

	buf_init(&b, 1U << 20);
	(void)buf_str(&b, "{\"version\":1,\"rules\":[{\"id\":\"a\",\"mode\":\"enforce\",\"who\":{\"uid\":[1");
	for (unsigned i = 1000; i < 1300; i++)
		(void)buf_printf(&b, ",%u", i);
	(void)buf_str(&b, "]}}]}");
	(void)buf_append(&b, slice_of("", 1));
	p = fixture_policy(b.data);
	t_int(kernel(p, &who, "openai").mode, SP_MODE_ENFORCE, "301 uids");
	policy_unref(p);
	buf_done(&b);
}

int main(void)
{
	size_t bad = 0, bad_fail = 0, equal = 0, rounds = 0;

	test_exact();
	test_order();
	test_many();
	for (int i = 0; i < 3000; i++) {
		struct policy *p = random_policy();

		t_ok(p, "random policy %d loads", i);
		for (int k = 0; p && k < 40; k++, rounds++) {
			const char *provider = providers[pick(ARRAY_LEN(providers))];
			struct principal who;
			struct facts f = { .who = &who, .provider = provider };
			struct policy_scope s;
			struct decision d, later;

			random_who(&who);
			f.host = pick(3) ? pick(2) ? SLICE("api.openai.com") : SLICE("x.example") :
					   (struct slice){ NULL, 0 };
			policy_on_connect(p, &f, &d);
			s = kernel(p, &who, provider);
			bad += s.mode < d.mode;
			bad_fail += d.fail_closed && !s.fail_closed;
			equal += s.mode == d.mode;
			/* and what the request brings is never beyond what was said at connect */
			f.endpoint = "chat";
			f.host = pick(2) ? SLICE("api.openai.com") : SLICE("x.example");
			policy_on_connect(p, &f, &d);
			f.model = pick(2) ? SLICE("gpt-4o") : SLICE("claude");
			policy_decide(p, &f, &later);
			bad += later.mode > d.mode || (later.fail_closed && !d.fail_closed);
		}
		policy_unref(p);
	}
	t_int(bad, 0, "the kernel's mode is at least the policy's, %zu times", rounds);
	t_int(bad_fail, 0, "and it fails closed where the policy may");
	t_ok(equal * 10 > rounds * 6, "and equal for most callers: %zu of %zu", equal, rounds);
	printf("# kernel mode equal to the policy's for %zu of %zu callers\n", equal, rounds);
	return t_done();
}
