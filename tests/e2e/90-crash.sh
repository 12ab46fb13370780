#!/usr/bin/env bash
# Whichever process is killed or stuck: the rule's fail mode decides, it comes back by itself, and no
# record is lost.
# shellcheck source=tests/e2e/lib.sh
. "${0%/*}/lib.sh"
# shellcheck source=tests/e2e/clients.sh
. "${0%/*}/clients.sh"

chat=https://api.openai.com/v1/chat/completions
hello='{"model":"gpt-4o-mini","messages":[{"role":"user","content":"hi"}]}'
ask() { lab_client --unit "$1" curl -sS -m 8 "$chat" -H 'Authorization: Bearer sk-lab' -d "$hello" -o /dev/null -w '%{http_code} %{ssl_verify_result}\n' "${@:2}"; }
direct() { ask "$1" --cacert "$LAB_ROOT_CA" --capath /nonexistent "${@:2}"; } # the provider's own certificate only
child() { pgrep -P "$LAB_DAEMON" -f "role $1 "; }
restarted() { [ -n "$(child "$1")" ] && [ "$(child "$1")" != "$2" ]; }
serves() { run ask "$1" && said '^200'; }
reconciled() {
	run lab_in sallyport status --json
	json '.workers_alive and .kernel.connects == .kernel.redirected + .kernel.observed + .kernel.failed_open + .kernel.refused'
}
exchanges() { grep -c '"kind":"exchange"' "$LAB/state/audit.jsonl"; }
recorded() { test "$(exchanges)" "$@"; }
lots() { # one after the other, for as long as $LAB/go is there; codes in $LAB/codes.N
	while [ -e "$LAB/go" ]; do ask any.service >>"$LAB/codes.$1" 2>/dev/null; done
}

story "A killed process comes back, and nothing recorded is lost"
clients_ready
lab_daemon_start --policy "$HERE/90-crash.json"
lab_in sallyport trust install >/dev/null
run ask observed.service
run ask watched.service # so that the kernel knows these units before there is trouble
run ask any.service
step "(all is well)" said '^200'

# --- the worker, under load ---
touch "$LAB/go"
for i in 1 2 3; do lots "$i" & done
for _ in 1 2 3; do
	sleep 0.7
	old=$(child worker)
	kill -9 "$old"
	eventually 10 restarted worker "$old"
done
sleep 0.7
rm "$LAB/go"
mapfile -t callers < <(jobs -p)
wait "${callers[@]}"
answered=$(cat "$LAB"/codes.* | grep -c '^200')
step "killed thrice under load the worker comes back" eventually 10 serves any.service
step "... with every answered exchange recorded ($answered)" eventually 10 recorded -ge $((answered + 2))
step "... once" test -z "$(jq -r 'select(.kind == "exchange") | .id' "$LAB/state/audit.jsonl" | sort | uniq -d)"
step "... and nothing that passed uninspected" upstream 'all(.[]; .headers.authorization == "Bearer sk-lab")' and reconciled
step "... and the log names it" logged 'worker ended by signal 9' and audit 'any(.[]; .note == "worker ended unexpectedly and is started again")' 10000
run lab_in sallyport audit verify
step "... in one chain" rc 0

# --- the signer ---
old=$(child signer)
kill -9 "$old"
run ask any.service
step "without a signer cached hosts go on" said '^200'
step "... it comes back" eventually 10 restarted signer "$old"
run lab_client --unit any.service curl -sS -m 8 https://api.mistral.ai/v1/models -o /dev/null -w '%{http_code}\n'
step "... and new hosts are signed for" rc 0

# --- the recorder ---
sleep 0.6 # for what is on its way
before=$(exchanges)
old=$(child recorder)
kill -STOP "$old"
for _ in {1..5}; do ask any.service >/dev/null; done
kill -9 "$old"
for _ in {1..5}; do ask any.service >/dev/null; done
step "without a recorder requests go on, and are recorded later, once" eventually 10 restarted recorder "$old" \
	and eventually 10 recorded -eq $((before + 10))
run lab_in sallyport audit verify
step "... in one chain" rc 0

# --- a worker that hangs ---
old=$(child worker)
kill -STOP "$old"
sleep 3.2
run ask any.service
step "a stuck worker: enforce refuses the connection" rc 7 and told 'refused|Couldn.t connect' and upstream 'length == 0'
run direct watched.service
step "... monitor passes it on" rc 0 and said '^200 0' and upstream 'length == 1'
kill -CONT "$old"
step "... and when it goes on, so do they" eventually 10 serves any.service
step "... all accounted for" reconciled

# --- stop with a rule that fails closed ---
lab_client --unit any.service curl -sS -N "$chat" -d "${hello/\{/\{\"stream\":true,}" -H 'x-lab-fault: big-200+delta-10+every-50' >"$LAB/stream" 2>&1 &
caller=$!
sleep 0.6
lab_daemon_stop
wait "$caller"
step "a stop lets what is under way end" grep -q '\[DONE\]' "$LAB/stream"
step "... and it is recorded as it was" audit '[.[] | select(.kind == "exchange")] | .[-1] | .action == "allowed" and .stream' 20
run ask any.service
step "stopped, rules that fail closed hold" rc 7 and upstream 'length == 0'
run direct watched.service
step "... others go direct" rc 0 and said '^200'
run direct observed.service
step "... also the observed" rc 0 and said '^200'
lab_daemon_start --policy "$HERE/90-crash.json"
run ask any.service
step "started again it serves, with the same CA" said '^200'
step "... and a chain that goes on" lab_in sallyport audit verify
echo 1 >"$LAB_CGROUP/node/system.slice/sallyport.service/cgroup.kill"
sleep 2.5
run ask any.service
step "after kill -9 of everything rules that fail closed hold" rc 7 and upstream 'length == 0'
run direct watched.service
step "... and monitor is as before" rc 0 and said '^200'
lab_daemon_start --policy "$HERE/90-observe.json"
run ask any.service
step "started with a monitor policy it serves again" said '^200'
lab_daemon_stop
run direct any.service
step "stopped without such rules everything is as before" rc 0 and said '^200'
step "... and nothing is left in bpffs" not lab_in test -e /sys/fs/bpf/sallyport
run lab_in sallyport audit verify
step "one chain through all of it" rc 0
