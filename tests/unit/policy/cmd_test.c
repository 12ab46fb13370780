/* The commands over the policy, as a person calls them: exit status and what is printed. */
#include "base/clock.h"
#include "base/file.h"
#include "cli/cli.h"
#include "spend/ledger.h"
#include "tests/t.h"

#include <getopt.h>
#include <jansson.h>
#include <unistd.h>

static char dir[] = "/tmp/sallyport-cmd-XXXXXX";

static const char good[] =
	"{\"version\":1,\"mode\":\"enforce\",\"contact\":\"it@example.com\",\"rules\":["
	"{\"id\":\"no-o1\",\"to\":{\"model\":\"o1*\"},\"action\":\"block\",\"reason\":\"too dear\"}],"
	"\"budgets\":[{\"id\":\"all\",\"per\":\"day\",\"usd\":5},"
	"{\"id\":\"each\",\"per\":\"month\",\"tokens\":1000,\"each\":\"caller\","
	"\"at_limit\":{\"downgrade\":\"gpt-4o-mini\"}}]}";
static const char bad[] = "{\"version\":1,\"rules\":[{\"id\":\"a\",\"action\":\"blok\"},"
			  "{\"id\":\"b\",\"to\":{\"provider\":\"opnai\"}}]}";

static const char *path(const char *name)
{
	static char out[4][128];
	static unsigned next;

	next = (next + 1) % 4;
	(void)snprintf(out[next], sizeof(out[next]), "%s/%s", dir, name);
	return out[next];
}

static void put(const char *name, const char *text)
{
	t_int(file_replace(path(name), slice_str(text), 0600), 0, "writes %s", name);
}

/* Runs a command with its output in `text`; NULL ends the arguments. */
static int run(int (*cmd)(int, char **), struct buf *text, const char *const *args)
{
	char *argv[24];
	int argc = 0, out = dup(STDOUT_FILENO), r;

	while (args[argc] && argc < 23) {
		argv[argc] = (char *)args[argc];
		argc++;
	}
	argv[argc] = NULL;
	(void)fflush(stdout);
	if (out < 0 || !freopen(path("out"), "w", stdout))
		return -1;
	optind = 0;
	r = cmd(argc, argv);
	(void)fflush(stdout);
	(void)dup2(out, STDOUT_FILENO);
	(void)close(out);
	buf_clear(text);
	(void)file_read(path("out"), text);
	(void)buf_append(text, slice_of("", 1));
	return r;
}

#define ARGS(...) ((const char *const[]){ __VA_ARGS__, NULL })
#define SAYS(text, what) (strstr((text)->data + (text)->off, what) != NULL)

static void test_check(struct buf *text)
{
	t_int(run(cmd_policy, text, ARGS("policy", "check", path("good.json"))), EXIT_FINE, "a good file");
	t_ok(SAYS(text, "fine"), "is said to be");
	t_int(run(cmd_policy, text, ARGS("policy", "check", path("bad.json"))), EXIT_NO, "a bad one");
	t_ok(SAYS(text, "bad.json: rules[0].action: \"blok\" is none of allow, block\n"),
	     "names file, place and remedy");
	t_ok(SAYS(text, "rules[1].to.provider: no provider \"opnai\"") && SAYS(text, "2 mistakes"),
	     "all in one run");
	t_int(run(cmd_policy, text, ARGS("policy", "check", "--json", path("bad.json"))), EXIT_NO,
	      "the same as JSON");
	t_ok(SAYS(text, "\"ok\":false"), "says no");
	t_int(run(cmd_policy, text, ARGS("policy", "check", path("none.json"))), EXIT_SYSTEM, "no file");
	t_int(run(cmd_policy, text, ARGS("policy", "chek")), EXIT_USAGE, "no such verb");
	t_int(run(cmd_policy, text, ARGS("policy", "--help")), EXIT_FINE, "help");
	for (int i = 0; i < 3; i++) {
		static const char *const ours[] = { "policies/observe.json", "policies/monitor.json",
						    "policies/enforce.json" };

		t_int(run(cmd_policy, text, ARGS("policy", "check", ours[i])), EXIT_FINE, "%s", ours[i]);
		t_ok(!SAYS(text, "warning"), "%s: without a warning", ours[i]);
	}
	t_int(run(cmd_policy, text, ARGS("policy", "types")), EXIT_FINE, "lists the types");
	t_ok(SAYS(text, "CREDIT_CARD\n"), "that a policy may name");
}

static void test_explain(struct buf *text)
{
	t_int(run(cmd_policy, text, ARGS("policy", "explain", "--policy", path("good.json"), "--host",
					 "API.openai.com", "--model", "o1-mini", "--uid", "0")),
	      EXIT_NO, "a request that would be refused");
	t_ok(SAYS(text, "decision: block by rule no-o1, mode enforce: too dear"), "and why");
	t_ok(SAYS(text, "budgets[1] each: applies: 1000 tokens a month, each caller"), "and its budgets");
	t_int(run(cmd_policy, text, ARGS("policy", "explain", "--policy", path("good.json"), "--provider",
					 "openai", "--model", "gpt-4o", "--json")),
	      EXIT_FINE, "one that would pass");
	t_ok(SAYS(text, "\"rule\":\"default\""), "as JSON");
	t_int(run(cmd_policy, text, ARGS("policy", "explain", "--uid", "-1")), EXIT_USAGE, "no uid");
	t_int(run(cmd_policy, text, ARGS("policy", "explain", "--policy", path("good.json"), "--provider",
					 "opnai")),
	      EXIT_USAGE, "no provider of that name");
}

static void state_write(void)
{
	uint64_t now_s = clock_wall_ns() / 1000000000ULL;
	struct budget_account all = { .id = "all", .window_s = budget_window_s(false, now_s) };
	struct budget_account each = { .id = "each", .caller = 0xabc,
				       .window_s = budget_window_s(true, now_s) };
	struct budget_claim claim = { .account = all, .limit_microusd = -1, .limit_tokens = -1 };
	struct budget_table *t = NULL;
	struct reservation r;
	struct db *d = NULL;
	int which, warn;

	t_int(db_open(path("ledger.db"), false, &d), 0, "a ledger");
	t_int(ledger_init(d), 0, "with tables");
	t_int(ledger_book(d, &all, 1, 4000000, 10), 0, "4 dollars");
	t_int(ledger_book(d, &each, 1, 7, 999), 0, "999 tokens");
	t_int(budget_table_open(path("budgets.shm"), &t), 0, "a table");
	t_int(ledger_restore(d, t, now_s), 0, "from the ledger");
	t_int(budget_reserve(t, &claim, 1, 500000, 5, &r, &which, &warn), 0, "a request in flight");
	budget_table_close(t);
	db_close(d);
}

static void test_budget(struct buf *text)
{
	t_int(run(cmd_budget, text, ARGS("budget", "--policy", path("good.json"), "--state", path("none"))),
	      EXIT_FINE, "no daemon yet");
	t_ok(SAYS(text, "5.00") && SAYS(text, "0%"), "shows the limits");
	state_write();
	t_int(run(cmd_budget, text, ARGS("budget", "--policy", path("good.json"), "--state", dir, "--json")),
	      EXIT_FINE, "with what was spent");
	t_ok(SAYS(text, "\"budget\":\"all\"") && SAYS(text, "\"spent_microusd\":4000000,"
							     "\"reserved_microusd\":500000,"
							     "\"limit_microusd\":5000000"),
	     "spent, in flight, limit");
	t_ok(SAYS(text, "\"requests\":1,\"used_percent\":80"), "requests, and 80 per cent");
	t_ok(SAYS(text, "\"caller\":\"0000000000000abc\"") && SAYS(text, "\"used_percent\":99"),
	     "an account of one caller");
	t_int(run(cmd_budget, text, ARGS("budget", "--policy", path("bad.json"))), EXIT_SYSTEM,
	      "a policy that does not load");
}

int main(void)
{
	static const char *const files[] = { "good.json", "bad.json", "out", "ledger.db", "ledger.db-wal",
					     "ledger.db-shm", "budgets.shm" };
	struct buf text;

	if (!mkdtemp(dir))
		return 1;
	(void)setenv("SALLYPORT_POLICIES", "policies", 1);
	buf_init(&text, 1U << 20);
	put("good.json", good);
	put("bad.json", bad);
	test_check(&text);
	test_explain(&text);
	test_budget(&text);
	buf_done(&text);
	for (size_t i = 0; i < ARRAY_LEN(files); i++)
		(void)unlink(path(files[i]));
	(void)rmdir(dir);
	return t_done();
}
