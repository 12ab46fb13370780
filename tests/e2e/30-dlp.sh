#!/usr/bin/env bash
# What must not leave does not leave, in whatever framing, coding or part of a request; what comes back
# is masked or cut on its way. Monitor mode changes no byte.
# shellcheck source=tests/e2e/lib.sh
. "${0%/*}/lib.sh"
# shellcheck source=tests/e2e/clients.sh
. "${0%/*}/clients.sh"

chat=https://api.openai.com/v1/chat/completions
card='4111 1111 1111 1111'
post() { # [lab_client options] -- URL FILE [curl options]
	local options=()
	while [ "$1" != -- ]; do options+=("$1"); shift; done
	local url=$2 file=$3
	shift 3
	lab_client "${options[@]}" curl -sS "$url" -H 'Content-Type: application/json' "$@" --data-binary "@$file"
}
hello='{"model":"gpt-4o-mini","messages":[{"role":"user","content":"hi"}]}'
raw() { lab_client --unit "$1" /usr/bin/python3 "$HERE/../clients/raw.py" "${@:2}"; }
request() { printf 'POST /v1/chat/completions HTTP/1.1\\r\\nHost: api.openai.com\\r\\nContent-Type: application/json\\r\\nContent-Length: %d\\r\\n\\r\\n%s' ${#1} "$1"; }

story "DLP holds in every shape of request and answer"
clients_ready

# An answer without the daemon, to compare with.
printf '%s' '{ "model" : "lab-echo-5",  "stream":true, "messages":[ {"role":"user","content":"card '"$card"' key AKIAIOSFODNN7TTTTTTT"} ] , "x_unknown": [1.50,"é"] }' >"$LAB/ask"
run lab_client curl -sS --cacert "$LAB_ROOT_CA" "$chat" -H 'Content-Type: application/json' -H 'Accept-Encoding: gzip' --data-binary "@$LAB/ask"
plain() { sed -E 's/"id":"[^"]*"//;s/"created":[0-9]+//' "$1"; }
plain "$LAB/out" >"$LAB/direct.reply"
tail -n 1 "$LAB/provider.jsonl" | jq '.head, .body' >"$LAB/direct.request"

lab_daemon_start --max-body 32 --policy "$HERE/30-dlp.json"
lab_in sallyport trust install >/dev/null
run post --unit watched.service -- "$chat" "$LAB/ask" -H 'Accept-Encoding: gzip'
tail -n 1 "$LAB/provider.jsonl" | jq '.head, .body' >"$LAB/monitor.request"
step "monitor mode changes no byte of the request" cmp "$LAB/direct.request" "$LAB/monitor.request"
step "... nor of the answer" cmp "$LAB/direct.reply" <(plain "$LAB/out")
step "... and records what it would have done" eventually 10 audit '.[0].action == "allowed" and .[0].would == "blocked" and
	([.[0].findings[] | select(.where == "request") | .type] | sort == ["AWS_KEY","CREDIT_CARD"]) and
	([.[0].findings[] | select(.where == "response") | .type] | sort == ["AWS_KEY","CREDIT_CARD"])'

for who in openai_chat openai_responses anthropic_messages; do
	for n in 2 9 30; do
		run client --unit answers.service --env "MODEL=lab-echo-$n" -- "$who" stream "card $card end, $card"
		step "$who: cards in a stream of $n bytes an event are masked" rc 0 and said 'card \[CREDIT_CARD\] end, \[CREDIT_CARD\]' and upstream '.[0].body | contains("4111")'
	done
done
# The provider says what the request may not: only in the answer is there a key.
printf 'Your key is AKIAIOSFODNN7TTTTTTT, keep it.' >"$LAB/answers/key"
for who in openai_chat openai_responses anthropic_messages; do
	run client --env MODEL=lab-file-key+delta-7 -- "$who" stream "what is my key"
	step "$who: a stream with a blocked type is cut, and the SDK raises" rc 1 and told 'Error: .*the answer held data that the policy blocks' \
		and not said 'AKIAIOSFODNN7TTTTTTT' and eventually 10 audit '.[0].action == "cut"'
	run client --env MODEL=lab-file-key -- "$who" "what is my key"
	step "$who: an answer with a blocked type is refused" rc 1 and told '400.*the provider.s answer held data' and not told 'AKIA'
	step "... and still paid for" eventually 10 audit '.[0].tokens.output > 0'
done
run ask_openai --unit answers.service -- '{"model":"lab-tool+echo-3","stream":true,"messages":[{"role":"user","content":"card '"$card"'"}]}' -N
step "a card in a tool call's arguments is masked" rc 0 and eventually 10 audit '.[0].action == "redacted" and .[0].findings[-1].where == "response"'

printf '%s' '{ "model":"gpt-4o-mini",   "temperature":1.0, "messages":[{"role":"user","content":"é😀 '"$card"' \u00e9\/"}], "unknown_field":{"b":1,"a":[ ]}, "z":1e5}' >"$LAB/ask"
run post -- "$chat" "$LAB/ask"
step "but for the mask every byte stays" upstream "$(jq -Rs "sub(\"$card\"; \"[CREDIT_CARD]\")" "$LAB/ask")"' == .[0].body'

for what in \
	'a system prompt|{"model":"gpt-4o-mini","messages":[{"role":"system","content":"C"},{"role":"user","content":"x"}]}' \
	'a tool result|{"model":"gpt-4o-mini","messages":[{"role":"tool","tool_call_id":"1","content":"C"},{"role":"user","content":"x"}]}' \
	'tool arguments|{"model":"gpt-4o-mini","messages":[{"role":"assistant","tool_calls":[{"id":"1","type":"function","function":{"name":"f","arguments":"{\"a\":\"C\"}"}}]},{"role":"user","content":"x"}]}' \
	'an unknown member|{"model":"gpt-4o-mini","new_thing":{"deep":["C"]},"messages":[{"role":"user","content":"x"}]}'; do
	printf '%s' "${what#*|}" | sed "s/C\([\"\\\\]\)/$card\1/" >"$LAB/ask"
	run post -- "$chat" "$LAB/ask"
	step "${what%%|*} is inspected" rc 0 and upstream '.[0].body | (contains("4111") | not) and contains("[CREDIT_CARD]")'
done
printf '%s' '{"model":"claude-sonnet-4-20250514","max_tokens":9,"system":[{"type":"text","text":"'"$card"'"}],"messages":[{"role":"user","content":[{"type":"tool_result","tool_use_id":"t","content":[{"type":"text","text":"'"$card"'"}]}]}]}' >"$LAB/ask"
run post -- https://api.anthropic.com/v1/messages "$LAB/ask"
step "anthropic: system prompt and tool result are inspected" rc 0 and upstream '.[0].body | (contains("4111") | not) and ([scan("CREDIT_CARD")] | length == 2)'
printf 'purpose=%s' "$card" >"$LAB/ask"
run post -- https://api.openai.com/v1/some/new/endpoint "$LAB/ask" -H 'Content-Type: text/plain'
step "an unknown endpoint is scanned as text" upstream '.[0].body == "purpose=[CREDIT_CARD]"'

printf '%s' '{"model":"gpt-4o-mini","messages":[{"role":"user","content":"'"$card"'"}]}' >"$LAB/ask"
gzip -kf "$LAB/ask"
run post -- "$chat" "$LAB/ask.gz" -H 'Content-Encoding: gzip'
step "a gzip body is inspected, and edited plain" rc 0 and upstream '.[0] | (.headers["content-encoding"] == null) and (.body | contains("[CREDIT_CARD]"))'
printf '%s' "$hello" | gzip >"$LAB/ask.gz"
run post -- "$chat" "$LAB/ask.gz" -H 'Content-Encoding: gzip'
step "a clean one goes on as it came" rc 0 and upstream '.[0] | .headers["content-encoding"] == "gzip" and .bytes == '"$(stat -c %s "$LAB/ask.gz")"
run post -- "$chat" "$LAB/ask.gz" -H 'Content-Encoding: quark'
step "a coding we cannot read is refused" said 'could not be inspected' and upstream 'length == 0'
head -c 20 "$LAB/ask.gz" >"$LAB/cut.gz"
run post -- "$chat" "$LAB/cut.gz" -H 'Content-Encoding: gzip'
step "a gzip body cut short is refused" said 'could not be inspected' and upstream 'length == 0'
run post -- "$chat" "$LAB/ask" -H 'Transfer-Encoding: chunked'
step "a chunked body is inspected" rc 0 and upstream '.[0].body | contains("[CREDIT_CARD]")'
run post -- "$chat" /dev/null
step "an empty body goes on" upstream 'length == 1 and .[0].bytes == 0'

python3 -c 'import sys; sys.stdout.write("{\"model\":\"gpt-4o-mini\",\"messages\":[{\"role\":\"user\",\"content\":\"" + "lorem ipsum " * 170000 + sys.argv[1] + "\"}]}")' "$card" >"$LAB/ask"
run post -- "$chat" "$LAB/ask" -H 'Expect: 100-continue' -v -o "$LAB/reply"
step "2 MB with Expect: 100-continue" rc 0 and told '< HTTP/1.1 100' and upstream '.[0] | (.body | endswith("[CREDIT_CARD]\"}]}")) and (.headers.expect == null)'

urls=()
for _ in {1..50}; do urls+=("$chat" -o /dev/null); done
run lab_client curl -sS "${urls[@]}" -d "$hello" -w '%{http_code} %{num_connects}\n'
step "50 requests over one connection" rc 0 and upstream 'length == 50 and ([.[].conn] | unique | length == 1)' \
	and test "$(sort "$LAB/out" | uniq -c | tr -s ' \n' ' ')" = " 49 200 0 1 200 1 "
run raw pipe.service --for 3 api.openai.com "$(request "$hello")$(request "$hello")$(request "${hello/hi/$card}")"
step "three pipelined requests are answered in order" test "$(grep -o 'HTTP/1.1 200' "$LAB/out" | wc -l)" = 3 \
	and upstream 'length == 3 and (.[2].body | contains("[CREDIT_CARD]"))'
run lab_client curl -sSI https://api.openai.com/v1/models https://api.openai.com/v1/models -m 5 -w 'conns %{num_connects}\n'
step "HEAD has no body and leaves the connection usable" rc 0 and said '^conns 0'
run lab_client curl -sS -0 "$chat" -d "${hello/\{/\{\"stream\":true,}" -i
step "an HTTP/1.0 client gets a stream without chunks" rc 0 and said 'data: \[DONE\]' and not said '^Transfer-Encoding'
run ask_openai --env X=1 -- '{"model":"lab-gzip","messages":[{"role":"user","content":"'"$card"'"}]}' --compressed
step "an answer that may be edited is asked for without coding" rc 0 and said 'CREDIT_CARD'
run ask_openai --unit asks.service -- '{"model":"lab-gzip+echo","messages":[{"role":"user","content":"mail joe.doe@corp.example"}]}' --compressed
step "where answers are only logged a gzip answer goes on, and is read" rc 0 and said 'joe.doe' and eventually 10 audit '.[0].tokens.output > 0 and
	any(.[0].findings[]; .where == "response" and .type == "EMAIL_ADDRESS")'

{ printf '{"model":"gpt-4o-mini","messages":[{"role":"user","content":"'; head -c $(((32 << 20) - 80)) /dev/zero | tr '\0' a; printf '"}]}'; } >"$LAB/ask"
run post -- "$chat" "$LAB/ask" -H 'x-lab-fault: fast' -o /dev/null -w '%{http_code}'
step "32 MiB are inspected" rc 0 and said 200 and eventually 10 audit '.[0].bytes_out > 33000000 and .[0].status == 200'
head -c $((6 << 20)) /dev/zero | tr '\0' b >>"$LAB/ask"
run post -- "$chat" "$LAB/ask" -H 'x-lab-fault: fast'
step "38 MiB are refused where the rule fails closed" said 'could not be inspected' and eventually 10 audit '.[0].status == 400'
run post --unit open.service -- "$chat" "$LAB/ask" -H 'x-lab-fault: fast' -o /dev/null -w '%{http_code}'
step "... and pass unread, and recorded, where it fails open" rc 0 and said 200 and eventually 10 audit '.[0].bytes_out > 39000000 and
	(.[0].reason | contains("without inspection"))'

run lab_in sallyport audit verify
step "the chain holds" rc 0
step "no prompt, card, key or header value in any log" not grep -rE '4111|AKIAIOSF|lorem ipsum|sk-lab|joe\.doe' "$LAB/daemon.log" "$LAB/state/audit.jsonl"
