#!/usr/bin/env bash
# What may be spent is held to the token, whoever hangs up or is killed.
# shellcheck source=tests/e2e/lib.sh
. "${0%/*}/lib.sh"
# shellcheck source=tests/e2e/clients.sh
. "${0%/*}/clients.sh"

# ask UNIT MODEL USAGE [curl options]: a small request of at most 100 tokens; the provider says USAGE.
ask() {
	local unit=$1 model=$2 usage=$3
	shift 3
	ask_openai --unit "$unit" -- '{"model":"'"$model"'","max_tokens":100,"messages":[{"role":"user","content":"hi"}]}' \
		-H "x-lab-fault: $usage" "$@"
}
# spent BUDGET JQ: what the command says of an account
spent() { lab_in sallyport budget --policy "$HERE/40-budget.json" --json | jq -se "[.[] | select(.budget == \"$1\")] | $2"; }
child() { pgrep -P "$LAB_DAEMON" -f "role $1 "; }
restarted() { [ -n "$(child "$1")" ] && [ "$(child "$1")" != "$2" ]; }

story "Budgets are exact"
clients_ready
lab_daemon_start --policy "$HERE/40-budget.json"
lab_in sallyport trust install >/dev/null

run ask tokens.service gpt-4o-mini usage-300-100
step "what the provider counted is spent" rc 0 and eventually 10 spent tokens '.[0].spent_tokens == 400'
run ask tokens.service gpt-4o-mini usage-300-100
step "under 80 % nothing is said" rc 0 and not logged 'warning line'
run ask tokens.service gpt-4o-mini usage-300-100
step "80 % warns in log and record" rc 0 and logged 'budget passed its warning line budget=tokens percent=80' \
	and eventually 10 audit '.[0].reason == "budget \"tokens\" passed 80 %" and .[0].action == "allowed"'
run ask tokens.service gpt-4o-mini usage-300-100 -i
step "100 % is refused with 400 in the provider's shape" said '^HTTP/1.1 400' \
	and said '"message": ?"sallyport: the budget \\"tokens\\" is used up for this day' and said '"code": ?"budget_exceeded"' \
	and said '^x-should-retry: false' and upstream 'length == 0'
step "... and the record says so" eventually 10 audit '.[0].action == "blocked" and .[0].status == 400 and .[0].cost_microusd == 0'
before=$(wc -l <"$LAB/state/audit.jsonl")
run client --unit tokens.service -- openai_chat "hello"
step "openai's SDK shows it, once" rc 1 and told 'BadRequestError: 400 sallyport: the budget "tokens" is used up.*finance@example.com' \
	and upstream 'length == 0'
run client --unit tokens.service -- anthropic_messages "hello"
step "anthropic's SDK shows it, once" rc 1 and told 'BadRequestError: 400.*the budget \\"tokens\\" is used up' and upstream 'length == 0' \
	and eventually 10 audit 'length == '$((before + 2))' and .[-1].action == "blocked"' 10000
sleep 0.5
step "neither tried again" audit 'length == '$((before + 2)) 10000
run ask watched.service gpt-4o-mini usage-3-1
step "in monitor mode it goes on, and is recorded" rc 0 and upstream 'length == 1' \
	and eventually 10 audit '.[0].would == "blocked" and .[0].action == "allowed" and (.[0].reason | contains("used up"))'

run ask dollars.service gpt-4o usage-400-80 # 400 * 2.5 + 80 * 10 = 1800 micro-dollars
step "money is counted in micro-dollars" rc 0 and eventually 10 spent dollars '.[0].spent_microusd == 1800' \
	and spent month '.[0].spent_microusd == 1800' and audit '.[0].cost_microusd == 1800'
run ask dollars.service gpt-4o usage-400-80
step "what could cost more than is left is refused" said 'budget \\"dollars\\" is used up' and upstream 'length == 0'
run ask dollars.service gpt-4o-mini usage-400-80
step "a cheaper request still fits" rc 0 and upstream 'length == 1'

run ask each.service gpt-4o-mini usage-350-100
run ask each.service gpt-4o-mini usage-350-100
step "a caller's own budget ends with it" said 'budget \\"each\\" is used up'
run lab_client --unit each.service --uid 1002 curl -sS https://api.openai.com/v1/chat/completions -H 'x-lab-fault: usage-1-1' \
	-d '{"model":"gpt-4o-mini","max_tokens":100,"messages":[{"role":"user","content":"hi"}]}'
step "another caller has their own" rc 0 and upstream 'length == 1'

run ask down.service gpt-4o usage-600-10 # 1600 of 2000
run ask down.service gpt-4o usage-600-10
step "over the limit the cheaper model takes over" rc 0 and upstream 'length == 1 and (.[0].body | fromjson | .model == "gpt-4o-mini")'
step "... the record has both models and the small price" eventually 10 audit '.[0].model_asked == "gpt-4o" and
	(.[0].model | startswith("gpt-4o-mini")) and .[0].cost_microusd == 96 and (.[0].reason | contains("model changed to gpt-4o-mini"))'

mark
for i in {1..20}; do
	ask parallel.service gpt-4o-mini usage-14-100+slow-700 -o /dev/null -w '%{http_code}\n' >"$LAB/parallel.$i" 2>&1 &
done
mapfile -t callers < <(jobs -p)
wait "${callers[@]}"
cat "$LAB"/parallel.* | sort | uniq -c | tr -s ' \n' ' ' >"$LAB/out"
step "of 20 at once exactly the 5 that fit go through" said '^ 5 200 15 400 ' and upstream 'length == 5' \
	and eventually 10 spent five '.[0].spent_tokens == 570 and .[0].reserved_tokens == 0'

run ask_openai --unit stream.service -- '{"model":"lab-usage-50-20","stream":true,"messages":[{"role":"user","content":"hi"}]}' -N
step "a stream's usage is asked for, and the extra chunk stays here" rc 0 and said '\[DONE\]' and not said '"usage":{' and not said '"choices":\[\]' \
	and upstream '.[0].body | fromjson | .stream_options.include_usage' and eventually 10 audit '.[0].tokens.input == 50 and .[0].tokens.output == 20' \
	and spent stream '.[0].spent_tokens == 70'
run ask_openai --unit stream.service -- '{"model":"lab-usage-50-20","stream":true,"stream_options":{"include_usage":true},"messages":[{"role":"user","content":"hi"}]}' -N
step "a client that asked itself gets its chunk" rc 0 and said '"usage":{' and eventually 10 spent stream '.[0].spent_tokens == 140'
run ask_openai --unit stream.service -- '{"model":"lab-big-4000+delta-20+every-100","stream":true,"messages":[{"role":"user","content":"hi"}]}' -N -m 1.5
step "who hangs up in mid-stream pays for what came" rc 28 and eventually 10 audit '.[0].reason == "the client hung up" and .[0].estimated and
	.[0].tokens.output > 10 and .[0].tokens.output < 200 and .[0].tokens.input > 5' and eventually 10 spent stream '.[0].reserved_tokens == 0'
run ask_openai --unit stream.service -- '{"model":"lab-stall","max_tokens":10,"messages":[{"role":"user","content":"hi"}]}' -m 0.7
step "who hangs up before the first byte pays for the question" rc 28 and eventually 10 audit '.[0].estimated and .[0].tokens.input > 5 and .[0].tokens.output == 0'

run ask crash.service gpt-4o-mini usage-300-100
step "(crash: 400 spent)" eventually 10 spent crash '.[0].spent_tokens == 400'
old=$(child recorder)
kill -9 "$old"
run ask crash.service gpt-4o-mini usage-300-100
step "without a recorder requests go on" rc 0
step "... and are booked once it is back" eventually 10 restarted recorder "$old" and eventually 10 spent crash '.[0].spent_tokens == 800' \
	and audit '[.[] | select(.who.unit == "crash.service")] | length == 2' 10000
ask crash.service gpt-4o-mini stall >/dev/null 2>&1 &
step "(crash: one in flight)" eventually 10 spent crash '.[0].reserved_tokens == 114'
old=$(child worker)
kill -9 "$old"
wait $!
step "an exchange that dies with the worker is booked as estimated" eventually 10 restarted worker "$old" \
	and eventually 10 spent crash '.[0].spent_tokens == 914 and .[0].reserved_tokens == 0' \
	and audit '[.[] | select(.who.unit == "crash.service")] | .[-1] | .estimated and .reason == "worker died in mid-flight"' 10000
run ask crash.service gpt-4o-mini usage-300-100
step "the next worker serves" rc 0 and eventually 10 spent crash '.[0].spent_tokens == 1314'
ask crash.service gpt-4o-mini stall >/dev/null 2>&1 &
step "(crash: one in flight)" eventually 10 spent crash '.[0].reserved_tokens == 114'
echo 1 >"$LAB_CGROUP/node/system.slice/sallyport.service/cgroup.kill"
wait $!
lab_daemon_start --policy "$HERE/40-budget.json"
step "after kill -9 of everything the budget is as before" eventually 10 spent crash '.[0].spent_tokens == 1428 and .[0].reserved_tokens == 0'
run ask crash.service gpt-4o-mini usage-300-100
step "... and requests go on" rc 0 and eventually 10 spent crash '.[0].spent_tokens == 1828'
run lab_in sallyport audit verify
step "the chain holds" rc 0
