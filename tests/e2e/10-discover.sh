#!/usr/bin/env bash
# Who talks to AI, without a daemon, a CA or a redirect; and an observing daemon changes nothing.
# shellcheck source=tests/e2e/lib.sh
. "${0%/*}/lib.sh"

# The issuer that a client of the lab is shown.
issuer() {
	lab_client sh -c "openssl s_client -connect $1:443 -servername $1 </dev/null 2>/dev/null |
		openssl x509 -noout -issuer"
}
caller() { json ".callers[] | select($1)"; }
watch_start() { # SECONDS OPTION...
	local seconds=$1
	shift
	lab_in sallyport discover --for "${seconds}s" --cgroup "$LAB_INSIDE_CGROUP" "$@" >"$LAB/out" 2>"$LAB/err" </dev/null &
	watching=$!
	disown "$watching"
	eventually 10 grep -q watching "$LAB/err" && sleep 0.7
}
watch_end() {
	while [ -e "/proc/$watching" ]; do sleep 0.1; done
	RC=0
}
fetch='import socket, ssl, sys
c = ssl._create_unverified_context()
s = c.wrap_socket(socket.create_connection((sys.argv[1], 443)), server_hostname=sys.argv[1])
s.sendall(b"GET /v1/models HTTP/1.1\r\nHost: " + sys.argv[1].encode() + b"\r\nConnection: close\r\n\r\n")
while s.recv(65536): pass'

story "discover finds every caller and changes nothing"
theirs=$(issuer api.openai.com)
step "before: the provider's own certificate" grep -q issuer <<<"$theirs"

# One connection that is open before, and stays.
lab_client --unit agent.service --uid 1003 python3 -c "${fetch/Connection: close/X-Lab: x}" generativelanguage.googleapis.com &
disown $!
lab_in sh -c 'echo "198.18.0.61 generativelanguage.googleapis.com" >>/etc/hosts'
sleep 1
watch_start 6 --json
lab_client --unit billing.service --uid 1001 curl -sS --cacert "$LAB_ROOT_CA" https://api.openai.com/v1/models >"$LAB/answer"
for _ in 1 2; do
	lab_client --unit agent.service --uid 1002 python3 -c "$fetch" api.anthropic.com
done
# Gone before anybody can look at /proc.
lab_client --unit brief.service --uid 1001 python3 -c 'import os, socket
s = socket.create_connection(("api.mistral.ai", 443)); os._exit(0)'
lab_client curl -sSk https://not-ai.example.com/ >"$LAB/answer2"
during=$(issuer api.openai.com)
watch_end

step "a curl in its unit, with its bytes" caller '.program == "curl" and .unit == "billing.service" and .user == "alice" and
	.provider == "openai" and .connections == 1 and .bytes_out > 100 and .bytes_in > 100 and (.hosts == ["api.openai.com"])'
step "a Python program, twice" caller '(.program | startswith("python3")) and .unit == "agent.service" and .user == "bob" and
	.provider == "anthropic" and .connections == 2 and (.sha256 | length == 64)'
step "one that ended at once" caller '.unit == "brief.service" and .user == "alice" and .provider == "mistral" and .connections == 1
	and (.program | startswith("python3"))'
step "one that was connected before" caller '.user == "carol" and .provider == "google-gemini" and .connections == 1 and .bytes_out > 0'
step "nobody who talks to others" not caller '.hosts | index("not-ai.example.com")'
step "jurisdiction and name of the provider" caller '.provider == "mistral" and .jurisdiction == "FR" and .provider_name != ""'
step "the provider's own certificate while it watched" test "$theirs" = "$during"
step "no CA, no socket, no state" not test -e "$LAB/state/ca" and not test -e "$LAB/state/ledger.db" \
	and not test -e "$LAB/run/control.sock"
step "no program of ours is left in the kernel" test "$(lab_in sh -c "bpftool cgroup show $LAB_INSIDE_CGROUP 2>/dev/null | grep -c sp_")" = 0
step "it looked up no name" not grep -q cohere "$LAB/resolver.jsonl"

watch_start 30
lab_client --unit billing.service --uid 1001 curl -sS --cacert "$LAB_ROOT_CA" https://api.openai.com/v1/models >"$LAB/answer"
started=$SECONDS
pkill -INT -P "$watching" 2>/dev/null || kill -INT "$watching"
watch_end
step "Ctrl-C ends it early and it still tells" said 'curl +billing.service +alice' and test $((SECONDS - started)) -lt 8

for f in html json csv md; do
	run lab_in sallyport discover --for 1s --cgroup "$LAB_INSIDE_CGROUP" -o "$LAB/seen.$f"
	step "into a .$f file, whose name it prints" rc 0 and said "^$LAB/seen.$f\$" and test -s "$LAB/seen.$f"
done
run lab_in sallyport discover --for 1s --cgroup /nonexistent
step "a cgroup that is none: a sentence, not a crash" rc 3 and told '/nonexistent'
run lab_in sallyport discover --for 1y
step "a time that is none" rc 2 and told '90s, 10m or 2h'
run lab_in setpriv --reuid=1001 --regid=1001 --clear-groups sallyport discover
step "not root: told what to do" rc 3 and told 'root'

# ---- the daemon in observe mode
lab_daemon_start --policy "$LAB_ROOT/policies/observe.json" --no-prefetch
lab_client --unit billing.service --uid 1001 curl -sS --cacert "$LAB_ROOT_CA" https://api.openai.com/v1/models >"$LAB/answer"
observed=$(issuer api.openai.com)
step "observe: the client sees the provider's own certificate" test "$theirs" = "$observed" and grep -q '"object"' "$LAB/answer"
step "observe: no CA is made" not test -e "$LAB/state/ca/ca.key"
step "observe: nothing listens" test -z "$(lab_in ss -Hltn)"
watch_start 3 --json
lab_client --unit agent.service --uid 1002 python3 -c "$fetch" api.anthropic.com
watch_end
step "discover beside an observing daemon" caller '.unit == "agent.service" and .provider == "anthropic" and .connections == 1'
reported() { lab_in sallyport report --format json >"$LAB/out" 2>"$LAB/err" && caller "$1"; }
step "observe: the report lists the caller all the same" \
	eventually 5 reported '.unit == "billing.service" and .program == "curl" and .provider == "openai" and .connections == 1 and .bytes_in > 0'
lab_daemon_stop
step "after: as before" test "$theirs" = "$(issuer api.openai.com)"
