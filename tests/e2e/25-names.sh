#!/usr/bin/env bash
# A provider's name leads into the proxy however the address was learned: an answer, a chain, a
# wildcard, /etc/hosts, the catalogue read at start, or at last the name in the ClientHello.
# shellcheck source=tests/e2e/lib.sh
. "${0%/*}/lib.sh"

issuer() { # HOST [curl options]: who signed what the client is shown
	local host=$1
	shift
	lab_client curl -sv -o /dev/null "$@" "https://$host/" 2>&1 | grep -i 'issuer:'
}
ours() { issuer "$@" | grep -q "$OUR_CA"; }
theirs() { local line; line=$(issuer "$@") && [ -n "$line" ] && ! grep -q "$OUR_CA" <<<"$line"; }

story "However an address was learned, its provider's connections are redirected"
lab_in sh -c "echo '198.18.0.99 api.groq.com' >>/etc/hosts"
lab_zone 'api.cohere.com 300 A 198.18.0.98'
lab_daemon_start --policy "$HERE/25-names.json"
run lab_in sallyport trust install
step "the CA is trusted in the lab" rc 0

OUR_CA="O=sallyport;"
step "a plain answer, IPv4" ours api.openai.com -4
step "a plain answer, IPv6" ours api.openai.com -6
step "upper case" ours API.OpenAI.com
step "a chain of CNAMEs" ours api.mistral.ai -4
step "a wildcard: company.openai.azure.com" ours company.openai.azure.com
step "a region in the middle: Bedrock" ours bedrock-runtime.us-east-1.amazonaws.com
step "a region in front: Vertex" ours us-central1-aiplatform.googleapis.com -4
step "/etc/hosts" ours api.groq.com
step "a host that is no AI is left alone" theirs not-ai.example.com -k
step "the catalogue was resolved at start: an address nobody asked for is known" eventually 30 \
	ours api.cohere.com --resolve api.cohere.com:443:198.18.0.98
run lab_client curl -sS -m 5 --resolve api.perplexity.ai:443:198.18.0.97 https://api.perplexity.ai/
step "an address that no answer gave: the ClientHello names it, the connection ends at once" not rc 0 and not rc 28
step "... and the retry is redirected" ours api.perplexity.ai --resolve api.perplexity.ai:443:198.18.0.97
run lab_client curl -sS -m 5 -k --resolve www.example.org:443:198.18.0.10 https://www.example.org/v1/models -H 'Host: api.openai.com'
step "a false name to a provider's address is refused" not rc 0 and upstream 'length == 0'
run lab_in sallyport status --json
step "all of it is accounted for" json '.kernel.redirected == .proxy.accepted - .proxy.dialled and .kernel.hello_late >= 1'
