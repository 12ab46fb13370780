#!/usr/bin/env bash
# What was recorded becomes a report: for people, programs, spreadsheets and tickets.
# shellcheck source=tests/e2e/lib.sh
. "${0%/*}/lib.sh"

policy=$HERE/20-intercept.json
ask() { # CLIENT-OPTIONS... -- TEXT
	local options=()
	while [ "$1" != -- ]; do options+=("$1") && shift; done
	lab_client "${options[@]}" "${curl:-curl}" -sS https://api.openai.com/v1/chat/completions \
		-d "{\"model\":\"gpt-4o-mini\",\"messages\":[{\"role\":\"user\",\"content\":\"$2\"}]}" >"$LAB/answer"
}
report() { lab_in sallyport report --policy "$policy" "$@"; }
caller() { json ".callers[] | select($1)"; }
reported() { report --json >"$LAB/out" 2>"$LAB/err" && json "$1"; }

story "The report names who uses AI without approval, what it cost and what was found"
run report
step "before the daemon ever ran: says so" rc 3 and told 'has the daemon run'
lab_daemon_start --policy "$policy"
run lab_in sallyport trust install
ask --unit billing.service --uid 1001 -- "my card is 4111 1111 1111 1111"
ask --unit billing.service --uid 1001 -- "no secrets"
ask --unit wild.service --uid 1002 -- "the key AKIAIOSFODNN7REALKEY"
# Whoever names a program may not write in our report.
evil="$LAB/home/=cmd|calc <img src=x onerror=alert(1)>"
cp "$(command -v curl)" "$evil"
chmod 755 "$evil"
curl=$evil ask --unit wild.service --uid 1003 -- "hello"
# One that does not trust the CA.
lab_client --unit pinned.service --uid 1001 python3 -c "import ssl, sys, urllib.request
urllib.request.urlopen('https://api.anthropic.com/v1/models', context=ssl.create_default_context(cafile='$LAB_ROOT_CA'))" >"$LAB/answer" 2>&1

step "every caller is in it" eventually 8 reported '(.callers | length) >= 4'
step "the approved one" caller '.unit == "billing.service" and .standing == "sanctioned" and .requests == 2 and .redacted == 1 and
	.tokens_in > 0 and .cost_microusd > 0 and .models == ["gpt-4o-mini"]'
step "the unapproved ones first" json '.callers[0].standing == "unsanctioned"' and
	caller '.unit == "wild.service" and .user == "bob" and .standing == "unsanctioned" and .blocked == 1'
step "findings by type, without the text" json '.findings | map(.type) | contains(["CREDIT_CARD", "AWS_KEY"])' \
	and not said 'AKIA|4111'
step "who does not trust the CA" caller '.unit == "pinned.service" and .distrust'
step "headline figures are the sums" json '.totals.requests == ([.callers[].requests] | add) and .totals.blocked >= 1 and
	.totals.cost_microusd == ([.callers[].cost_microusd] | add) and .totals.callers == (.callers | map(.caller) | unique | length)'
step "every connection is accounted for" json '.coverage.attempts >= 5 and .coverage.mode == "enforce" and .coverage.unexplained == 0'
step "price table and catalogue have dates" json '.prices_date > "2026" and .catalog_date > "2026"'

run report --format csv
step "csv: a table" rc 0 and python3 - "$LAB/out" <<'CHECK'
import csv, sys
rows = list(csv.DictReader(open(sys.argv[1], newline="")))
assert len(rows) >= 4 and all(None not in r and None not in r.values() for r in rows), rows
assert {"standing", "program", "user", "provider", "jurisdiction", "requests", "cost_microusd"} <= set(rows[0])
assert any("=cmd" in r["program"] for r in rows), "the hostile one is there"
assert not any(v[:1] in "=+-@\t" and v for r in rows for v in r.values()), "no cell starts a formula"
CHECK
run report -o "$LAB/report.html"
step "html: prints its path" rc 0 and said "^$LAB/report.html\$"
step "html: one page, nothing fetched, no script, the hostile name is text" python3 - "$LAB/report.html" <<'CHECK'
import html.parser, re, sys
text = open(sys.argv[1]).read()
class Page(html.parser.HTMLParser):
	void = {"meta", "rect", "line", "br"}
	open, seen = [], set()
	def handle_starttag(self, tag, attrs):
		self.seen.add(tag)
		for name, value in attrs:
			assert name not in ("src", "href", "srcset", "action") and not name.startswith("on"), (tag, name)
		if tag not in self.void:
			self.open.append(tag)
	def handle_endtag(self, tag):
		assert self.open and self.open.pop() == tag, tag
	def handle_startendtag(self, tag, attrs):
		pass
p = Page()
p.feed(text)
assert not p.open and {"table", "th", "h1"} <= p.seen and not {"script", "img", "iframe", "link"} & p.seen, p.seen
assert not re.search(r"https?://|//[a-z]|url\(|@import", text), "an address"
assert "&lt;img src=x onerror=alert(1)&gt;" in text
CHECK
run report --format md
step "md: a table, the hostile name is text" rc 0 and said '^\| --- ' and said '\\<img src=x' and said '# AI traffic of'
run report --since 2020-01-01 --format json
step "since a day" rc 0 and json '.from == "2020-01-01T00:00:00.000Z"'
run report --format pdf
step "a format that is none" rc 2 and told 'html, json, csv, md'
run report --since soon
step "a time that is none" rc 2
run lab_in sh -c "sallyport report --policy '$policy' --format json | head -c 1 >/dev/null; echo done"
step "a reader that goes away is no crash" said "done"
lab_daemon_stop
run report --json
step "without the daemon it says that the counters are missing" rc 0 and json '.coverage == null and (.callers | length) >= 4'
