#!/usr/bin/env bash
# The ground the other stories stand on: the lab works, is closed, and leaves nothing behind.
# shellcheck source=tests/e2e/lib.sh
. "${0%/*}/lib.sh"

# Folder, cgroup or process that carries the lab's name.
lab_traces() {
	find "${TMPDIR:-/tmp}" "$(lab_cgroup_mount)" -maxdepth 1 -name "sp-lab-$1" 2>/dev/null
	grep -lsa "[s]p-lab-$1/" /proc/[0-9]*/cmdline /proc/[0-9]*/cgroup | sed "\\,/$$/,d"
}
gone() { [ -z "$(lab_traces "$1")" ]; }

# Starts a lab of its own, ends it by a signal after so many ms, and looks for what is left.
ends_clean() { # SIGNAL MILLISECONDS
	local pid
	(
		trap - INT # a background command ignores it otherwise
		exec env --default-signal=INT,QUIT bash -c ". '$LAB_ROOT/tests/lab/lab.sh'
			lab_up
			lab_client sleep 30"
	) &
	pid=$!
	disown "$pid"
	sleep "$(printf '%d.%03d' $(($2 / 1000)) $(($2 % 1000)))"
	kill "-$1" "$pid" 2>/dev/null
	lab_wait 15 lab_is_gone "$pid" && eventually 10 gone "$pid"
}

story "The lab is closed and leaves nothing behind"

step "a provider's name leads to the lab's provider" \
	test "$(lab_client getent ahostsv4 api.openai.com | awk 'NR == 1 { print $1 }')" = 198.18.0.10
run lab_client --unit billing.service --uid 1001 curl -sS --cacert "$LAB_ROOT_CA" \
	https://api.openai.com/v1/chat/completions -d '{"model":"gpt-4o","messages":[{"role":"user","content":"hello"}]}'
step "an unmodified curl gets an answer over IPv4 or IPv6" rc 0 and said 'You said: hello'
step "the provider logs what arrived" upstream 'length == 1 and .[0].sni == "api.openai.com"' \
	and upstream '.[0].body | fromjson | .messages[0].content == "hello"'
run lab_client curl -sS --cacert "$LAB_ROOT_CA" https://api.anthropic.com/v1/messages \
	-d '{"model":"lab-echo-2","stream":true,"messages":[{"role":"user","content":"abcdef"}]}'
step "a stream comes in its dialect's order" rc 0 and said '"text":"cd"' and said 'event: message_stop'
lab_control 'cert api.openai.com bad/expired'
run lab_client curl -sS --cacert "$LAB_ROOT_CA" https://api.openai.com/v1/models
step "a bad certificate can be asked for" rc 60 and told 'expired'
lab_control
lab_zone 'extra.example.com 60 CNAME api.openai.com'
step "a name can be added while it runs" lab_client getent hosts extra.example.com
run lab_client --unit billing.service --uid 1001 cat /proc/self/cgroup
step "a client runs in its unit" said '^0::/system.slice/billing.service$'
run lab_client curl -sS -m 3 http://192.0.2.1/
step "no packet leaves the lab" not rc 0
lab_in sh -c 'echo LAB=1 >>/etc/environment; touch /var/lib/lab-was-here /usr/local/share/lab-was-here'
run lab_client env
step "/etc is the lab's own" said '^LAB=1$' and not grep -q LAB=1 /etc/environment \
	and not test -e /var/lib/lab-was-here and not test -e /usr/local/share/lab-was-here
lab_provider_stop
run lab_client curl -sS https://api.openai.com/
step "a stopped provider refuses" rc 7
for ms in 20 150 $((RANDOM % 400)) $((400 + RANDOM % 800)) 1500; do
	step "SIGINT after $ms ms leaves nothing" ends_clean INT "$ms"
done
step "kill -9 leaves nothing either" ends_clean KILL 900
