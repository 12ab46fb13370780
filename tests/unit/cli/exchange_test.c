/* `sallyport exchange`: what is said of a recorded exchange, and that bad recordings are refused. */
#include "tests/t.h"

#include "base/file.h"
#include "cli/exchange.h"

#include <errno.h>

#define CARD "4111 1111 1111 1111"

static struct exchange_rules rules;
static struct catalog *catalog;
static struct prices *prices;
static struct dlp *dlp;

static void load_all(void)
{
	struct mistakes m;
	struct buf text;

	mistakes_init(&m, "policies");
	buf_init(&text, 32U << 20);
	t_ok(file_read("policies/providers.json", &text) == 0 &&
		     catalog_load(buf_slice(&text), &m, &catalog) == 0, "catalogue");
	buf_clear(&text);
	t_ok(file_read("policies/prices.json", &text) == 0 &&
		     prices_load(buf_slice(&text), &m, &prices) == 0, "prices");
	t_ok(dlp_new(slice_of(NULL, 0), &m, &dlp) == 0, "detectors");
	t_ok(dlp_scratch_new(dlp, &rules.scratch) == 0, "scratch");
	rules.catalog = catalog;
	rules.prices = prices;
	rules.dlp = dlp;
	buf_done(&text);
	mistakes_done(&m);
}

/* The line that is printed, parsed again; NULL and *err where it is refused. */
static json_t *said_of(const char *recording, int *err)
{
	json_t *in = json_loads(recording, 0, NULL), *line = NULL;
	struct exchange x;
	struct buf out;

	t_ok(in != NULL, "a test's recording is JSON: %s", recording);
	buf_init(&out, 1U << 20);
	*err = exchange_read(in, &rules, &x);
	if (*err == 0 && exchange_write(&x, &rules, &out) == 0)
		line = json_loadb(out.data, out.len, 0, NULL);
	exchange_done(&x);
	buf_done(&out);
	json_decref(in);
	return line;
}

/* `want` is a JSON object; each of its members must be equal in the line. */
static void check(const char *why, const char *recording, const char *want)
{
	int err;
	json_t *line = said_of(recording, &err), *w = json_loads(want, 0, NULL), *v;
	const char *key;

	t_ok(line && w, "%s: %d", why, err);
	json_object_foreach(w, key, v) {
		char *got = json_dumps(json_object_get(line, key), JSON_ENCODE_ANY);

		t_ok(json_equal(v, json_object_get(line, key)), "%s: %s is %s", why, key,
		     got ? got : "missing");
		free(got);
	}
	json_decref(line);
	json_decref(w);
}

#define CHAT "\"method\":\"POST\",\"url\":\"https://api.openai.com/v1/chat/completions?x=1#f\""
#define REQUEST(content)                                                                           \
	"\"request_body\":\"{\\\"model\\\":\\\"gpt-4o-mini\\\",\\\"messages\\\":[{\\\"role\\\":"           \
	"\\\"user\\\",\\\"content\\\":\\\"" content "\\\"}]}\""

static void test_said(void)
{
	check("a whole answer",
	      "{\"id\":7," CHAT "," REQUEST("my card " CARD) ",\"response_status\":200,\"response_body\":"
	      "\"{\\\"model\\\":\\\"gpt-4o-mini-2024-07-18\\\",\\\"choices\\\":[],\\\"usage\\\":{"
	      "\\\"prompt_tokens\\\":1000000,\\\"completion_tokens\\\":1,\\\"total_tokens\\\":1000001}}\"}",
	      "{\"id\":7,\"provider\":\"openai\",\"host\":\"api.openai.com\",\"endpoint\":\"chat\","
	      "\"dialect\":\"openai-chat\",\"model\":\"gpt-4o-mini-2024-07-18\",\"stream\":false,"
	      "\"input_tokens\":1000000,\"output_tokens\":1,\"cached_tokens\":null,"
	      "\"cost_microusd\":150001,\"estimated\":false,\"tool_calls\":[],\"findings\":["
	      "{\"type\":\"CREDIT_CARD\",\"where\":\"request\",\"count\":1}],\"decision\":\"allow\"}");
	check("a card over two events, no usage: an estimate",
	      "{\"id\":\"s\"," CHAT "," REQUEST("hi") ",\"response_status\":200,\"stream\":true,"
	      "\"response_headers\":{\"content-type\":\"text/event-stream\"},\"response_body\":"
	      "\"data: {\\\"choices\\\":[{\\\"delta\\\":{\\\"content\\\":\\\"card 4111 1111 \\\"}}]}\\n\\n"
	      "data: {\\\"choices\\\":[{\\\"delta\\\":{\\\"content\\\":\\\"1111 1111 ok\\\"}}]}\\n\\n\"}",
	      "{\"stream\":true,\"model\":\"gpt-4o-mini\",\"input_tokens\":null,\"output_tokens\":null,"
	      "\"estimated\":true,\"findings\":[{\"type\":\"CREDIT_CARD\",\"where\":\"response\","
	      "\"count\":1}]}");
	check("a refused request costs nothing",
	      "{" CHAT "," REQUEST("hi") ",\"response_status\":401,\"response_body\":"
	      "\"{\\\"error\\\":{\\\"message\\\":\\\"no\\\"}}\"}",
	      "{\"id\":null,\"cost_microusd\":0,\"estimated\":false,\"input_tokens\":null}");
	check("a local server by its port, a model in the path",
	      "{\"url\":\"http://127.0.0.1:11434/model/us.x-v1%3A0/converse\",\"method\":\"POST\"}",
	      "{\"provider\":\"ollama\",\"endpoint\":\"converse\",\"model\":\"us.x-v1:0\","
	      "\"dialect\":\"generic\"}");
	check("base64", "{" CHAT ",\"request_body\":\"eyJtb2RlbCI6Im0ifQ==\",\"request_encoding\":\"base64\"}",
	      "{\"model\":\"m\"}");
	check("nobody's host", "{\"url\":\"https://example.org/v1/messages\",\"method\":\"POST\"}",
	      "{\"provider\":null,\"dialect\":\"anthropic-messages\"}");
	check("nothing at all", "{}", "{\"provider\":null,\"host\":null,\"dialect\":\"generic\"}");
}

static void test_refused(void)
{
	static const struct { const char *recording; int err; } rows[] = {
		{ "[]", -EINVAL },
		{ "{" CHAT ",\"request_body\":\"!\",\"request_encoding\":\"base64\"}", -EBADMSG },
		{ "{" CHAT ",\"request_body\":\"x\",\"request_headers\":{\"content-encoding\":\"gzip\"}}",
		  -EBADMSG },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		int err;

		json_decref(said_of(rows[i].recording, &err));
		t_int(err, rows[i].err, "%s", rows[i].recording);
	}
}

int main(void)
{
	load_all();
	if (dlp && catalog && prices) {
		test_said();
		test_refused();
	}
	dlp_scratch_free(rules.scratch);
	dlp_unref(dlp);
	prices_unref(prices);
	catalog_unref(catalog);
	return t_done();
}
