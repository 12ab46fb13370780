#!/usr/bin/env bash
# Unmodified clients call providers; what they send is inspected, acted on and recorded.
# shellcheck source=tests/e2e/lib.sh
. "${0%/*}/lib.sh"
# shellcheck source=tests/e2e/clients.sh
. "${0%/*}/clients.sh"

card='4111 1111 1111 1111'

story "What an application sends to a provider is inspected, acted on and recorded"
clients_ready
lab_daemon_start --policy "$HERE/20-intercept.json"
run lab_in sallyport trust install
step "trust install puts the CA into the lab's stores" rc 0

for who in requests_chat openai_chat openai_responses anthropic_messages; do
	run client --unit billing.service --uid 1001 -- "$who" "my card is $card"
	step "$who: answered, and the card stayed here" rc 0 and said 'CREDIT_CARD' \
		and upstream 'length == 1 and (.[0].body | (contains("4111") | not) and contains("[CREDIT_CARD]"))'
done
run ask_openai --unit billing.service --uid 1001 -- '{"model":"gpt-4o-mini","messages":[{"role":"user","content":"4111\u00201111\u00201111 1111"}]}'
step "escapes do not hide a card" rc 0 and upstream '.[0].body | contains("1111") | not'
step "the record says who, what and how much" eventually 5 audit '.[0] | .who.unit == "billing.service" and
	.who.user == "alice" and .who.exe == "/usr/bin/curl" and .provider == "openai" and .model == "gpt-4o-mini" and
	.action == "redacted" and .tokens.input > 0 and .cost_microusd > 0 and .rule == "billing" and
	.findings == [{"type":"CREDIT_CARD","where":"request","action":"redact","count":1}]'

for who in openai_chat openai_responses anthropic_messages; do
	run client --unit billing.service --uid 1001 -- "$who" stream "say something"
	step "$who: a stream arrives" rc 0 and said 'You said: say something' and upstream 'length == 1'
done
run client --unit billing.service --env MODEL=lab-echo-3 -- openai_chat stream "card $card end"
step "a card in the answer, three bytes an event, is masked on its way" rc 0 and said 'card \[CREDIT_CARD\] end'

run client --unit billing.service -- openai_chat "key AKIAIOSFODNN7TTTTTTT here"
step "openai's SDK shows the reason of a block, and asks once" rc 1 and told 'BadRequestError: 400 sallyport: .*AWS_KEY.*security@example.com' \
	and upstream 'length == 0'
run client --uid 1002 -- anthropic_messages "hello"
step "anthropic's SDK shows the reason of a refusal, and asks once" rc 1 \
	and told 'BadRequestError: 400.*no contract with Anthropic' and upstream 'length == 0'
run client --unit small.service --env MODEL=gpt-4o -- requests_chat "hello"
step "an unapproved model is refused" rc 1 and told 'HTTP 400: .*only gpt-4o-mini' and upstream 'length == 0'
run client --unit small.service -- requests_chat "hello"
step "the approved model is not" rc 0 and upstream 'length == 1'

for body in '{"model":"gpt-4o-mini","messages":[{"role":"user","content":"x","n":4111111111111111}]}' \
	'{"model":"gpt-4o-mini","messages":[{"role":"user","content":"x","4111 1111 1111 1111":"y"}]}'; do
	run ask_openai --unit billing.service -- "$body"
	step "a card as a number or a name cannot be masked: refused" said 'cannot be masked' and upstream 'length == 0'
done
run lab_client curl -sS "https://api.openai.com/v1/files/4111111111111111?purpose=x"
step "a card in the address is refused, and not recorded" said 'cannot be masked' and upstream 'length == 0' \
	and eventually 5 audit '.[0].path == "[withheld]"'
run lab_client curl -sS -o /dev/null -w '%{remote_ip} %{http_version}' -4 https://api.openai.com/v1/models
step "the application sees the provider's address" said '^198\.18\.'
run lab_client curl -sS -6 https://api.openai.com/v1/models
step "over IPv6 too" rc 0
run lab_client curl -sS --cacert "$LAB_ROOT_CA" https://not-ai.example.com/
step "a host that is no AI keeps its own certificate" rc 0
run lab_client curl -sS -i -H 'Connection: Upgrade' -H 'Upgrade: websocket' -H 'Sec-WebSocket-Version: 13' \
	-H 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==' --http1.1 'https://api.openai.com/v1/realtime?model=x'
step "a WebSocket is answered 426" said '^HTTP/1.1 426' and upstream 'length == 0'
run lab_client curl -sS -i -H 'Host: api.anthropic.com' https://api.openai.com/v1/models
step "a Host that is not the server's name is sent back" said '^HTTP/1.1 421'

run lab_in sallyport audit verify
step "the chain holds" rc 0
run lab_in sallyport status --json
step "the kernel's count and the proxy's agree" json '.kernel.redirected == .proxy.accepted - .proxy.dialled and .kernel.connects ==
	.kernel.redirected + .kernel.observed + .kernel.failed_open + .kernel.refused'
step "no card, key or prompt in any log" not grep -rE '4111|AKIAIOSF|say something|sk-lab' "$LAB/daemon.log" "$LAB/state/audit.jsonl"
run lab_in sallyport trust remove
step "trust remove takes the CA out again" rc 0 and not lab_in grep -rq sallyport /etc/environment
