#!/usr/bin/env bash
# Whatever goes wrong with the provider reaches the client as a failure with a clear reason, never as a
# whole answer, and never as a page behind a bad certificate.
# shellcheck source=tests/e2e/lib.sh
. "${0%/*}/lib.sh"
# shellcheck source=tests/e2e/clients.sh
. "${0%/*}/clients.sh"

ask() { # UNIT FAULT [curl options]
	ask_openai --unit "$1" -- '{"model":"gpt-4o-mini","messages":[{"role":"user","content":"hello there"}]}' -H "x-lab-fault: $2" -i "${@:3}"
}
stream() { ask_openai --unit "$1" -- '{"model":"gpt-4o-mini","stream":true,"messages":[{"role":"user","content":"hello there"}]}' -H "x-lab-fault: $2" -N -i "${@:3}"; }
shape() { said "^HTTP/1.1 $1" && said '^x-should-retry: '"$2" && said '^[Cc]ontent-[Tt]ype: application/json' && said '"error": ?\{.*"message": ?"sallyport: '"$3"; }
# The client failed, or was told.
not_whole() { [ "$RC" -ne 0 ] || said '^HTTP/1.1 502'; }
head_of() { printf '%s /v1/models HTTP/1.1\\r\\nHost: api.openai.com\\r\\n\\r\\n' "$1"; }

story "A provider's trouble is told as such"
clients_ready
lab_daemon_start --upstream-timeout 1 --policy "$HERE/85-upstream-faults.json"
lab_in sallyport trust install >/dev/null
run ask asks.service fast
step "(all is well)" rc 0 and said '^HTTP/1.1 200'

lab_provider_stop
run ask asks.service x -4
step "refused connection: 502 in the provider's shape" shape 502 true 'cannot connect to 198\.18\.0\.10:443: Connection refused' \
	and eventually 10 audit '.[0].status == 502 and .[0].action == "failed" and (.[0].reason | contains("Connection refused"))'
run client -- openai_chat hello
step "the SDK shows the reason" rc 1 and told 'InternalServerError: 502 sallyport: cannot connect'
run lab_client curl -sSi https://api.anthropic.com/v1/messages -d '{"model":"claude-sonnet-4-20250514","max_tokens":9,"messages":[]}'
step "anthropic's shape" said '^HTTP/1.1 502' and said '"type": ?"error"' and said 'Connection refused'
lab_provider_start
run ask asks.service fast
step "as soon as it is back requests work" said '^HTTP/1.1 200'

for what in reset stall plain; do
	lab_control "accept $what"
	run ask asks.service x
	step "instead of TLS: $what" shape 502 '(true|false)' '.*' and upstream 'length == 0' and eventually 10 audit '.[0].status == 502 and (.[0].reason | length > 10)'
done
lab_control
# One that sallyport's own CA signed (whoever gets hold of it must not stand in for a provider).
cp -r "$LAB_CERTS" "$LAB/certs"
LAB_CERTS=$LAB/certs
openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout "$LAB/own.key" -subj /CN=api.openai.com 2>/dev/null |
	openssl x509 -req -days 3 -CA "$LAB/state/ca/int.crt" -CAkey "$LAB/state/ca/int.key" -set_serial 77 -out "$LAB/own.crt" -extfile <(
		printf '%s\n' basicConstraints=critical,CA:FALSE extendedKeyUsage=serverAuth subjectAltName=DNS:api.openai.com
	) 2>/dev/null
cat "$LAB/own.crt" "$LAB/own.key" >"$LAB_CERTS/bad/own.pem"
for cert in expired notyet wronghost selfsigned otherroot nochain clientonly weakkey own; do
	lab_control "cert * bad/$cert"
	lab_provider_stop && lab_provider_start # it forgets its sessions: a resumed one shows no certificate
	run ask asks.service x
	step "certificate $cert: refused with the reason" shape 502 false 'TLS with api.openai.com failed: certificate' and upstream 'length == 0' \
		and eventually 10 audit '.[0].status == 502 and (.[0].reason | contains("certificate"))'
done
step "the operator is told of it" logged 'upstream refused host=api.openai.com reason=".*expired'
lab_control
lab_provider_stop && lab_provider_start
run ask asks.service fast
step "a mended provider serves again" said '^HTTP/1.1 200'
run ask fresh.service fast
step "... and sessions are resumed as before" said '^HTTP/1.1 200' and eventually 10 audit '.[0].tls_upstream == "TLSv1.3 resumed" or .[0].status == 200'

for unit in asks.service edits.service; do
	while read -r fault status; do
		run ask "$unit" "$fault"
		step "$unit $fault: $status before an answer" shape "$status" true '.*and no answer came' and upstream 'length == 1' \
			and eventually 10 audit '.[0].status == '"$status"' and .[0].action == "failed" and .[0].estimated and .[0].tokens.input > 0'
	done <<-FAULTS
		reset 502
		close 502
		garbage 502
		big-head 502
		two-lengths 502
		stall 504
	FAULTS
	for fault in truncated long-length; do
		run ask "$unit" "$fault"
		step "$unit $fault: no client takes it for whole" not_whole and eventually 10 audit '.[0].action == "failed"'
	done
	run ask "$unit" short-length
	step "$unit short-length: as a direct client would see it" eventually 10 audit '.[0].status == 200'
	run ask "$unit" until-close
	step "$unit until-close: a whole answer without a length is whole" rc 0 and said '^HTTP/1.1 200' and said 'Scripted answer'
	run ask "$unit" bad-json
	step "$unit bad-json" eventually 10 audit '.[0].upstream_status == 200'
	for fault in reset-midstream truncated stall-midstream; do
		run stream "$unit" "$fault"
		step "$unit stream $fault: ends in the dialect's error" said '^HTTP/1.1 200' and said '"error":' and said 'in the middle of the answer' \
			and not said '\[DONE\]' and eventually 10 audit '.[0].action == "failed" and .[0].estimated'
	done
	run stream "$unit" cut
	step "$unit stream cut: what lacks the dialect's end is not booked as free" eventually 10 audit '.[0].estimated and .[0].tokens.output > 0'
done
run client --env MODEL=lab-reset-midstream -- openai_chat stream hello
step "openai's SDK raises in mid-stream" rc 1 and told 'Error: .*in the middle of the answer'
run client --env MODEL=lab-reset-midstream -- openai_responses stream hello
step "... of a response" rc 1 and told 'in the middle of the answer'
run client --env MODEL=lab-reset-midstream -- anthropic_messages stream hello
step "anthropic's too" rc 1 and told 'in the middle of the answer'
run ask asks.service error-429
step "the provider's own errors pass as they are" said '^HTTP/1.1 429' and not said sallyport and eventually 10 audit '.[0].status == 429 and .[0].cost_microusd == 0'

# An idle connection that the provider closes, and one that it closes while the next request is on its way.
lab_client --unit idle.service /usr/bin/python3 "$HERE/../clients/raw.py" --for 4 api.openai.com "$(head_of GET)" +2.5 "$(head_of GET)" >"$LAB/idle" 2>&1 &
caller=$!
sleep 1
lab_provider_stop
lab_provider_start
wait "$caller"
step "an idle connection closed upstream goes unnoticed" test "$(grep -o 'HTTP/1.1 200' "$LAB/idle" | wc -l)" = 2
worker=$(pgrep -P "$LAB_DAEMON" -f 'role worker ')
mark
lab_client --unit race.service /usr/bin/python3 "$HERE/../clients/raw.py" --for 4 api.openai.com "$(head_of GET)" +2.5 "$(head_of GET)" >"$LAB/idle" 2>&1 &
caller=$!
sleep 1.8
kill -STOP "$worker"
lab_provider_stop
lab_provider_start
sleep 1.2
kill -CONT "$worker"
wait "$caller"
step "... nor one that closes as the next request leaves" test "$(grep -o 'HTTP/1.1 200' "$LAB/idle" | wc -l)" = 2 and upstream 'length == 2'

run lab_in sallyport audit verify
step "the chain holds" rc 0
step "no prompt or header value in any log" not grep -rE 'hello there|sk-lab' "$LAB/daemon.log" "$LAB/state/audit.jsonl"
