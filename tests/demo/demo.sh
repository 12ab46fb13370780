#!/usr/bin/env bash
# make demo: the main job told live, in a private lab, with unmodified clients. Needs root; on a terminal
# it takes its time (DEMO_FAST=1: no pauses), without one it runs to its end. Exit 0 only when every step
# went as told. Ctrl-C at any moment leaves nothing behind but build/.
. "${0%/*}/../e2e/lib.sh"
# shellcheck source=tests/e2e/clients.sh
. "$HERE/../e2e/clients.sh"
# shellcheck source=tests/demo/stage.sh
. "$HERE/stage.sh"

REPORT=$LAB_BUILD/demo/report.html
CARD='4111 1111 1111 1111' # the schemes' test number
KEY=AKIAIOSFODNN7TTTTTTT
DONE='' SUMMARY=''

main() {
	stage_init
	[ "$(id -u)" -eq 0 ] || { echo "demo: needs root, for namespaces and eBPF: sudo make demo" >&2; exit 1; }
	printf '%s\n' "${BOLD}sallyport: every AI call of a node seen, governed and accounted for$NONE"
	say "A node and a provider are set up in a private lab on this machine: own network, own files, own cgroup." \
		"No packet leaves it, and nothing else is touched. Ctrl-C ends it and removes it.${PACE:+ Any key shortens a pause.}"
	lab_up
	trap finale EXIT
	node_up
	observe
	monitor
	enforce
	leaks
	stream
	unapproved
	budget
	proof
	DONE=1
}

# --- the node ---

# The programs; a store that knows the provider, as a machine's knows the public CAs.
node_up() {
	clients_ready
	cd "$LAB/apps" || exit 1
	lab_in cp "$LAB_ROOT_CA" /usr/local/share/ca-certificates/scripted-provider.crt
	lab_in update-ca-certificates >"$LAB/store.log" 2>&1
	store_sums >"$LAB/store.before"
	lab_in mkdir -p /etc/sallyport
	lab_in cp "$LAB_ROOT/policies/providers.json" "$LAB_ROOT/policies/prices.json" "$HERE/policy.json" /etc/sallyport/
	# The first packets on a new link wait for neighbours to be found: no part of the story.
	lab_in bash -c ': >/dev/tcp/198.18.0.10/443; : >/dev/tcp/2001:db8:18::10/443' 2>/dev/null
}
store_sums() { lab_in sh -c 'find /etc/ssl/certs /usr/local/share/ca-certificates /etc/environment | sort; sha256sum /etc/ssl/certs/ca-certificates.crt /etc/environment'; }

# The policy's mode, changed as an operator would.
mode_set() { root "sed -i 's/\"mode\": \"[a-z]*\"/\"mode\": \"$1\"/' /etc/sallyport/policy.json && sallyport reload"; }

# Who signed the certificate that a program is shown.
ISSUER="curl -sv https://api.openai.com/v1/models 2>&1 | grep 'issuer: '"
data_path_is() { is "$1 true" "$(status_of '"\(.mode) \(.workers_alive)"')"; }
status_of() { lab_in sallyport status --json | jq -r "$1"; }
# chat MODEL TEXT: a curl line
chat() {
	printf '%s' "curl -s https://api.openai.com/v1/chat/completions -H \"Authorization: Bearer \$OPENAI_API_KEY\"" \
		" --json '{\"model\":\"$1\",\"messages\":[{\"role\":\"user\",\"content\":\"$2\"}]}'"
}

# --- the scenes ---

observe() {
	scene 1 "Observe: who talks to AI on this node?" "Five programs go about their work. The daemon starts as after \
installation, in observe: eBPF only, no redirect, no certificate, nothing that could break. Lines behind > are \`sallyport tail\`."
	# The part of the public CAs is played by the lab's provider: Node brings its own list of them.
	STAGE_ENV=(--env OPENAI_API_KEY=sk-lab --env "NODE_EXTRA_CA_CERTS=$LAB_ROOT_CA")
	lab_daemon_start --policy /etc/sallyport/policy.json || exit 1
	tail_start
	play carol report.service "$(chat gpt-4o-mini 'Sum up the sales of May') | jq -r .choices[0].message.content"
	live report.service
	play alice billing.service '/usr/bin/python3 requests_chat.py "Is invoice 8812 overdue?"'
	live billing.service
	play bob support.service 'node openai_chat.mjs "Answer ticket 4711 politely"'
	live support.service
	play carol research.service 'node anthropic_messages.mjs "Find papers on eBPF"'
	live research.service
	play root wiki-bot.service '/usr/bin/python3 requests_chat.py "Translate the start page"'
	live wiki-bot.service
	table 'sallyport callers'
	step "every caller is named: unit, program, user, provider" callers_are \
		"billing.service python3 alice openai" "report.service curl carol openai" "research.service node carol anthropic" \
		"support.service node bob openai" "wiki-bot.service python3 root openai"
	play carol report.service "$ISSUER"
	live report.service
	step "nothing was changed: the provider's own certificate, no connection redirected, no CA made" \
		said 'issuer: .*CN=Scripted provider intermediate' and is 0 "$(status_of .kernel.redirected)" and is "" "$(ls "$LAB/state/ca")"
}
callers_are() {
	is "$(printf '%s\n' "$@")" "$(lab_in sallyport callers --json |
		jq -r '[.unit, (.exe | sub(".*/"; "") | sub("3\\..*"; "3")), .user, .provider] | join(" ")' | sort)"
}

monitor() {
	scene 2 "Monitor: what would have been stopped?" "The same policy, one word changed, no restart. Connections now go \
through the proxy and are inspected. What the rules say is recorded; no byte is changed."
	mode_set monitor
	step "the daemon changes its mode while it runs" eventually 5 data_path_is monitor
	play bob support.service 'node openai_chat.mjs "Answer ticket 4712 politely"'
	live 'support.service.*(passed unread|allowed)'
	step "a program that does not trust the CA yet is not broken: tried once, learned, passed unread" \
		rc 0 and said 'You said: Answer' and live_says 'support.service.*passed unread'
	root 'sallyport trust install'
	STAGE_ENV=(--env OPENAI_API_KEY=sk-lab)
	play carol report.service "$ISSUER"
	step "from now on programs are shown certificates of this node's own CA, and accept them" said 'issuer: .*sallyport'
	play alice billing.service "/usr/bin/python3 requests_chat.py 'Refund to card $CARD'"
	live 'billing.service.*allowed'
	step "the card number went out unchanged, on record as what enforce would mask" \
		rc 0 and upstream "length == 1 and (.[0].body | contains(\"$CARD\"))" \
		and record billing.service '.action == "allowed" and .would == "redacted" and .findings[0].type == "CREDIT_CARD"'
}

enforce() {
	scene 3 "Enforce: the same programs, nothing in them changed" "From here the rules act. Each program reads its answer \
through sallyport and does not know."
	mode_set enforce
	play carol report.service "$(chat gpt-4o-mini 'Sum up the sales of June') | jq -r .choices[0].message.content"
	live report.service
	step "curl is answered, and billed" went_through report.service
	play alice billing.service '/usr/bin/python3 requests_chat.py "Is invoice 8813 overdue?"'
	live billing.service
	step "Debian's requests is answered" went_through billing.service
	play bob support.service 'node openai_chat.mjs "Answer ticket 4713 politely"'
	live support.service
	step "the official openai SDK, $(version openai), is answered" went_through support.service
	play carol research.service 'node anthropic_messages.mjs "Find papers on TLS"'
	live research.service
	step "the official @anthropic-ai/sdk, $(version @anthropic-ai/sdk), is answered" went_through research.service
	local sources="requests_chat.py openai_chat.mjs anthropic_messages.mjs"
	root "wc -l $sources; grep -Ei 'base_?url|proxy|ca_?cert|verify' $sources || echo none"
	step "their sources, so many lines, name no base URL, no proxy, no CA" said ' openai_chat.mjs$' and said '^none$'
	play bob support.service "env | cut -d= -f1 | sort | tr '\\n' ' '"
	step "nor does the environment, but for the four CA variables that trust install wrote" \
		not said '(BASE_URL|_HOST|PROXY|proxy)' \
		and said 'DENO_TLS_CA_STORE GRPC_DEFAULT_SSL_ROOTS_FILE_PATH HOME LANG NODE_EXTRA_CA_CERTS .*REQUESTS_CA_BUNDLE'
}
went_through() { # UNIT: answered, one request upstream, on record as allowed with a price
	rc 0 && said 'You said: ' && upstream 'length == 1' &&
		record "$1" '.kind == "exchange" and .action == "allowed" and .sanctioned and .cost_microusd > 0'
}
version() { jq -r .version "$CLIENTS/node_modules/$1/package.json"; }

leaks() {
	scene 4 "Secrets: a card number and an AWS key" "The rule for billing masks keys; for everybody else a key is blocked. \
What the provider received is read from the provider's own log."
	play alice billing.service "/usr/bin/python3 requests_chat.py 'Refund $CARD, the upload key is $KEY'"
	live 'billing.service.*redacted'
	say "What left this machine, from the provider's log:"
	upstream '.[0].body | fromjson | .messages[0].content' >"$LAB/out.left"
	show "$LAB/out.left"
	step "neither left: the provider received [CREDIT_CARD] and [AWS_KEY]" \
		upstream "length == 1 and (.[0].body | (contains(\"4111\") or contains(\"$KEY\") | not) and contains(\"[CREDIT_CARD]\") and contains(\"[AWS_KEY]\"))"
	step "on record: who, what was found, what it cost" record billing.service '.who.user == "alice" and .who.pid > 0 and
		(.who.exe | startswith("/usr/bin/python3")) and .action == "redacted" and ([.findings[].type] | sort) == ["AWS_KEY","CREDIT_CARD"] and .cost_microusd > 0'
	play carol research.service "node anthropic_messages.mjs 'Deploy with $KEY'"
	live 'research.service.*blocked'
	step "blocked for everybody else: the SDK shows its own kind of error, asks once, and nothing left" \
		rc 1 and told 'BadRequestError: 400 .*1 AWS_KEY.*security@example.com' and upstream 'length == 0'
}

stream() {
	scene 5 "Streams stay streams" "The answer itself holds a card number this time, in pieces of four bytes. It is masked \
on its way, and nothing waits for the end."
	printf '%s' "The customer paid with card $CARD on May 4; shall I refund it?" >"$LAB/answers/refund"
	lab_control 'fault api.openai.com file-refund+delta-4+every-60'
	live_stream bob support.service 'node openai_chat.mjs stream "Who paid for order 8812?"'
	lab_control
	live 'support.service.*redacted'
	step "it came in $PIECES pieces over $((SPAN / 1000)) ms, the first $((FIRST / 1000)) ms after the provider had the request" \
		test "$PIECES" -ge 10 and test "$SPAN" -ge 500000 and test "$FIRST" -lt "$SPAN"
	step "the card was masked across its pieces" rc 0 and said 'card \[CREDIT_CARD\] on May 4; shall I refund it\?$' and not said 4111
}

# As play, character by character as they come: PIECES, SPAN (first to last), FIRST (since the request
# reached the provider), in microseconds.
live_stream() {
	local ch now last=0 began=0 asked
	prompt "$1@$2" '$' "$3"
	mark
	mkfifo "$LAB/stream"
	stage_client "$@" >"$LAB/stream" 2>"$LAB/err" </dev/null &
	PIECES=0
	: >"$LAB/out"
	printf '   | '
	while IFS= read -r -d '' -n 1 ch; do
		now=${EPOCHREALTIME//[.,]/}
		[ "$began" -ne 0 ] || began=$now
		[ $((now - last)) -lt 15000 ] || PIECES=$((PIECES + 1))
		last=$now
		printf '%s' "$ch"
		printf '%s' "$ch" >>"$LAB/out"
	done <"$LAB/stream"
	wait $!
	RC=$?
	SPAN=$((last - began))
	asked=$(upstream '.[0].time | ((.[0:19] + "Z") | fromdateiso8601) * 1000 + (.[20:23] | tonumber)')
	FIRST=$((began - asked * 1000))
	show "$LAB/err"
}

unapproved() {
	scene 6 "A caller that nobody approved" "wiki-bot was found in scene 1. No rule names it, so the default of this policy \
speaks: refused, in the provider's own error shape, so that every client shows the reason and none retries."
	play root wiki-bot.service '/usr/bin/python3 requests_chat.py "Translate the news page"'
	live 'wiki-bot.service python.*blocked'
	play root wiki-bot.service 'node openai_chat.mjs "Translate the news page"'
	live 'wiki-bot.service node.*blocked'
	step "refused, with the reason and whom to ask, and nothing left" rc 1 \
		and told 'BadRequestError: 400 .*no approved use of AI. Ask security@example.com' and upstream 'length == 0'
	step "asked once: the SDK did not retry" is 1 "$(jq -s '[.[] | select(.who.unit == "wiki-bot.service" and .action == "blocked" and .who.comm == "node")] | length' "$LAB/state/audit.jsonl")"
}

budget() {
	scene 7 "A budget: 3 cents a day for the intern" "Before a request leaves, its worst case is reserved; after it the \
provider's own count is booked. At 80 % there is a warning; what no longer fits in the worst case is refused."
	lab_control 'fault api.anthropic.com big-1000'
	seq -f 'line %g of a long log file that nobody has read' 60 >"$CLIENTS/access.log"
	for _ in 1 2 3 4 5 6 7 8; do
		SHOW=1 play carol intern.service "node anthropic_messages.mjs \"Explain: \$(cat access.log)\""
		live intern.service
		[ "$RC" -eq 0 ] || break
	done
	lab_control
	step "a warning at 80 %" in_audit 'budget \\"intern-day\\" passed 80 %'
	step "then refused: the SDK shows the reason, and nothing left" rc 1 \
		and told 'BadRequestError: 400 .*budget .*intern-day.* is used up for this day' and upstream 'length == 0'
	table 'sallyport budget'
	step "the budget held: spent more than half of it, and not a micro-dollar over" \
		test "$(spent intern-day)" -le 30000 and test "$(spent intern-day)" -gt 15000
}
in_audit() { grep -q -- "$1" "$LAB/state/audit.jsonl"; }
spent() { lab_in sallyport budget --json | jq -r "select(.budget == \"$1\") | .spent_microusd"; }

proof() {
	local line
	scene 8 "Proof: nothing slipped by, nothing was rewritten" "The kernel counts connections, the proxy counts what it \
took, the recorder chains one line to the next."
	table 'sallyport status'
	step "every connection is accounted for: attempts = observed + redirected + passed + refused" \
		is 0 "$(status_of '(.kernel.connects - .kernel.redirected - .kernel.observed - .kernel.failed_open - .kernel.refused) + (.kernel.redirected - .proxy.accepted + .proxy.dialled)')"
	root 'sallyport audit verify'
	step "the audit log's chain holds" rc 0
	line=$(grep -n '"action":"blocked".*"wiki-bot.service"' "$LAB/state/audit.jsonl" | head -n 1 | cut -d: -f1)
	root "sed '${line}s/\"action\":\"blocked\"/\"action\":\"allowed\"/' /var/lib/sallyport/audit.jsonl >/run/copy.jsonl"
	root 'sallyport audit verify /run/copy.jsonl'
	step "one word changed in a copy: line $line is named" rc 1 and said "copy.jsonl:$line: "
	step "no card, key or prompt in any log of the daemon" \
		not grep -rqE "4111 ?1111|$KEY|[Rr]efund|Translate|sk-lab" "$LAB/daemon.log" "$LAB/state/audit.jsonl" "$LAB/log"
	step "nor is any of its files for every user to read" is "" "$(find "$LAB/state" -type f -perm /004)"
	root "sallyport report --format html -o $LAB/report.html"
	mkdir -p "${REPORT%/*}" && cp "$LAB/report.html" "$REPORT"
	step "the discovery report: one HTML file, all callers in it, nothing loaded from elsewhere" rc 0 \
		and report_names report billing support research wiki-bot intern and not grep -qiE '(src|href)="?(https?:)?//' "$REPORT"
	SUMMARY=$(summary)
	root 'sallyport trust remove'
	step "trust remove leaves the certificate stores and the environment as they were" rc 0 \
		and is "$(cat "$LAB/store.before")" "$(store_sums)"
}
# What a reader of the audit log can say of it all.
summary() {
	jq -sr '[.[] | select(.who)] as $all | [$all[] | select(.kind == "exchange")] as $x |
		"\($all | map(.who.unit) | unique | length) callers of \($all | map(.provider) | unique | length) providers; " +
		"\($x | length) exchanges inspected, \($x | map(select(.action == "redacted")) | length) masked, " +
		"\($x | map(select(.action == "blocked")) | length) refused; " +
		"$\($x | map(.cost_microusd) | add / 1000000) spent; \($all | map(select(.kind == "seen")) | length) connections only seen, " +
		"\($all | map(select(.kind == "spliced")) | length) passed unread. No program was changed for it."' "$LAB/state/audit.jsonl"
}
report_names() {
	local unit
	for unit in "$@"; do grep -q "$unit.service" "$REPORT" || { echo "no $unit.service in it"; return 1; }; done
}

# --- the end ---

finale() {
	local rc=$? id=$LAB_ID folder=$LAB
	trap '' HUP INT TERM
	[ -n "$DONE" ] || [ "$rc" -ge 128 ] || { STEPS=$((STEPS + 1)); tail -n 20 "$LAB/daemon.log"; }
	cd /
	lab_down
	if [ "$rc" -ge 128 ]; then
		printf '\ndemo: broken off after %d steps; the lab is gone\n' "$STEPS"
		exit "$rc"
	fi
	step "the lab is gone: no process, namespace, mount, cgroup, pin or file of it" is "" "$(traces "$id" "$folder")"
	printf '\n'
	say "$SUMMARY"
	say "For your own node: README.md, Install. It starts in observe, which changes nothing."
	printf '\nThe discovery report: %s\n' "$REPORT"
	printf 'demo: %d of %d steps as expected\n' "$STEPS_GOOD" "$STEPS"
	[ "$STEPS_GOOD" -eq "$STEPS" ] || exit 1
	exit 0
}
traces() { # ID FOLDER
	find "$2" "$(lab_cgroup_mount)/$1" -maxdepth 0 2>/dev/null
	grep -lsa "[/]$1/" /proc/[0-9]*/cmdline /proc/[0-9]*/cgroup /proc/[0-9]*/mountinfo
}

main
