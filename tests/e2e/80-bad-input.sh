#!/usr/bin/env bash
# Whatever a caller sends: a clear refusal or the fail mode of the rule, never a request that the
# provider and we could read in two ways. And callers that do not trust the CA.
# shellcheck source=tests/e2e/lib.sh
. "${0%/*}/lib.sh"
# shellcheck source=tests/e2e/clients.sh
. "${0%/*}/clients.sh"

raw() { lab_client --unit "$1" /usr/bin/python3 "$HERE/../clients/raw.py" "${@:2}"; }
untouched() { upstream 'length == 0'; }
host='Host: api.openai.com\r\n'
post='POST /v1/chat/completions HTTP/1.1\r\n'$host
body='{"model":"gpt-4o-mini","messages":[]}' # 37 bytes

story "Bad input is refused, or passed by the rule's fail mode, and recorded"
clients_ready
lab_daemon_start --policy "$HERE/80-bad-input.json"
lab_in sallyport trust install >/dev/null

# --- before TLS ---
run lab_client curl -sSi http://api.openai.com:443/v1/models
step "plain HTTP on 443 is told off" said '^HTTP/1.1 400' and said 'over TLS' and untouched \
	and eventually 10 audit '.[0].kind == "refused" and (.[0].reason | contains("plain HTTP"))'
run raw any.service --plain api.openai.com '\x00\xff\x13random bytes that are no hello\r\n\r\n'
step "bytes that are no TLS: the connection ends" told 'closed|reset' and untouched and eventually 10 audit '.[0].kind == "refused" and (.[0].reason | contains("ClientHello"))'
run raw any.service --plain --for 3 api.openai.com '\x16\x03\x01\x40\x00\x01\x01\x00\x00\x03\x03' 'a*16377' '\x16\x03\x01\x40\x00' 'a*16384' '\x16\x03\x01\x40\x00' 'a*16384'
step "an oversized ClientHello: the connection ends" told 'closed|reset' and eventually 10 audit '.[0].kind == "refused" and (.[0].reason | contains("ClientHello"))'
run raw watched.service --plain api.openai.com '\x00\xff\x13random bytes\r\n\r\n'
step "monitor mode passes them, and says so" eventually 10 audit '.[0].kind == "spliced" and (.[0].reason | contains("ClientHello"))'
run raw any.service --sni - api.openai.com "GET /v1/models HTTP/1.1\\r\\n$host\\r\\n" --for 1
step "without a server name the DNS answer says whose it is" said '^HTTP/1.1 200' and eventually 10 audit '.[0].host == "api.openai.com" and .[0].status == 200'
run raw any.service --hello api.openai.com "GET /v1/models HTTP/1.1\\r\\n$host\\r\\n" --for 1
step "a ClientHello byte by byte is read" said '^HTTP/1.1 200' and upstream 'length == 1'

# --- HTTP that could be read in two ways ---
while IFS='|' read -r what request status; do
	run raw any.service --for 2 api.openai.com "$request"
	step "HTTP, $what: $status and closed" said "^HTTP/1.1 ${status/,/|}" and told '^closed' and untouched and eventually 10 audit '.[0].action == "blocked"'
done <<CASES
Content-Length and Transfer-Encoding|${post}Content-Length: 4\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n0\\r\\n\\r\\nGET /x HTTP/1.1\\r\\n$host\\r\\n|400
two lengths|${post}Content-Length: 4\\r\\nContent-Length: 5\\r\\n\\r\\nabcde|400
a list of lengths|${post}Content-Length: 4, 5\\r\\n\\r\\nabcde|400
a signed length|${post}Content-Length: +4\\r\\n\\r\\nabcd|400
an unknown transfer coding|${post}Transfer-Encoding: xchunked\\r\\n\\r\\n0\\r\\n\\r\\n|(400,501)
chunked twice|${post}Transfer-Encoding: chunked, chunked\\r\\n\\r\\n0\\r\\n\\r\\n|(400,501)
a vertical tab before chunked|${post}Transfer-Encoding: \\x0bchunked\\r\\n\\r\\n0\\r\\n\\r\\n|(400,501)
a space before the colon|${post}Content-Length : 4\\r\\n\\r\\nabcd|400
a folded header|${post}X-A: b\\r\\n Content-Length: 4\\r\\n\\r\\nabcd|400
bare LF|POST /v1/chat/completions HTTP/1.1\\nHost: api.openai.com\\n\\n|400
NUL in a value|${post}X-A: a\\x00b\\r\\n\\r\\n|400
no Host|GET /v1/models HTTP/1.1\\r\\n\\r\\n|400
two Hosts|GET /v1/models HTTP/1.1\\r\\n${host}Host: api.anthropic.com\\r\\n\\r\\n|400
a chunk size that overflows|${post}Transfer-Encoding: chunked\\r\\n\\r\\nfffffffffffffffff\\r\\nx|400
a chunk without its end|${post}Transfer-Encoding: chunked\\r\\n\\r\\n3\\r\\nabcde\\r\\n0\\r\\n\\r\\n|400
version 2.0|GET /v1/models HTTP/2.0\\r\\n$host\\r\\n|(400,505)
a head without end|GET /v1/models HTTP/1.1\\r\\n${host}X-A: $(printf '%070000d' 0)\\r\\n|(400,431)
no HTTP at all|\\x00\\x01\\x02\\x03\\r\\n\\r\\n|400
CASES
run raw any.service --for 1 api.openai.com "${post}Content-Length: 100\\r\\n\\r\\n$body"
step "a body shorter than its length is never forwarded" untouched
run raw any.service --for 2 api.openai.com "${post}Content-Length: 37\\r\\n\\r\\n${body}smuggled\\r\\n\\r\\n"
step "what follows a body must be a request" said '^HTTP/1.1 200' and said 'malformed HTTP' and told closed and upstream 'length == 1'

# --- bodies that cannot be read ---
printf '%s' '{"model":"gpt-4o-mini","messages":[{"role":"user","content":"hel' >"$LAB/truncated"
printf '%s' '{"model":"gpt-4o-mini",}' >"$LAB/invalid"
{ printf '{"model":"gpt-4o-mini","x":'; printf '[%.0s' {1..20000}; printf ']%.0s' {1..20000}; printf '}'; } >"$LAB/deep"
{ printf '\xef\xbb\xbf'; printf '%s' "$body"; } >"$LAB/bom"
printf '%s' "$body" | iconv -t UTF-16 >"$LAB/utf16"
printf '{"model":"gpt-4o-mini","model":"gpt-4o","messages":[{"role":"user","content":"\\ud800 4111 1111 1111 1111"}]}' >"$LAB/surrogate"
for what in truncated invalid deep bom utf16 surrogate; do
	run lab_client --unit any.service curl -sSi https://api.openai.com/v1/chat/completions -H 'Content-Type: application/json' --data-binary "@$LAB/$what"
	step "$what JSON is refused: it was not inspected" said '^HTTP/1.1 400' and said '"message": ?"sallyport: this request could not be inspected' and untouched \
		and eventually 10 audit '.[0].action == "blocked" and (.[0].reason | contains("could not be inspected"))'
	run lab_client --unit watched.service curl -sSi https://api.openai.com/v1/chat/completions -H 'Content-Type: application/json' --data-binary "@$LAB/$what"
	step "... in monitor mode it passes as it is, and is recorded" upstream "length == 1 and .[0].bytes == $(stat -c %s "$LAB/$what")" \
		and eventually 10 audit '.[0].action == "allowed" and (.[0].reason | contains("without inspection"))'
done

# --- callers that do not trust the CA ---
distrusting() { lab_client --unit "$1" curl -sS --cacert "$LAB_ROOT_CA" --capath /nonexistent -w '%{http_code} %{ssl_verify_result}' -o /dev/null https://api.openai.com/v1/models; }
run distrusting any.service
step "enforce: who does not trust the CA is refused" rc 60 and untouched
step "... and the operator is told who, where and what helps" logged 'does not trust our CA exe=/usr/bin/curl host=api.openai.com .*remedy: sallyport trust install' \
	and eventually 10 audit '.[0].kind == "refused" and (.[0].reason | contains("does not trust our CA"))'
run distrusting any.service
step "... the next time too" rc 60 and untouched
lab_in sallyport reload >/dev/null # forgets who distrusts
run distrusting watched.service
step "monitor: the first attempt fails" rc 60
run distrusting watched.service
step "... the second is passed on with the provider's own certificate" rc 0 and said '^200 0' \
	and eventually 10 audit '.[0].kind == "spliced" and (.[0].reason | contains("does not trust our CA"))'
run lab_client --unit watched.service curl -sS -o /dev/null -w '%{http_code}' https://api.anthropic.com/v1/models
step "... while other hosts of that program are inspected" eventually 10 audit '.[0].kind == "exchange" and .[0].host == "api.anthropic.com"'

run lab_in sallyport status --json
step "every connection is accounted for" json '.kernel.redirected == .proxy.accepted - .proxy.dialled and .kernel.connects ==
	.kernel.redirected + .kernel.observed + .kernel.failed_open + .kernel.refused'
run lab_in sallyport audit verify
step "the chain holds" rc 0
step "no card or prompt in any log" not grep -rE '4111|smuggled|random bytes' "$LAB/daemon.log" "$LAB/state/audit.jsonl"
