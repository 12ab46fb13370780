#!/usr/bin/env bash
# Callers who mean ill, or die at the wrong moment: the worker neither spins, nor falls, nor mixes answers.
# shellcheck source=tests/e2e/lib.sh
. "${0%/*}/lib.sh"

worker() { pgrep -P "$LAB_DAEMON" -f 'role worker '; }
ticks() { sed 's/.*) //' "/proc/$(worker)/stat" | awk '{ print $12 + $13 }'; }
# The worker uses less than half a processor for a second.
calm() { local before; before=$(ticks) && sleep 1 && [ $(($(ticks) - before)) -lt 50 ]; }
hostile() { lab_client --unit "$1" /usr/bin/python3 "$LAB_ROOT/tests/clients/hostile.py" "${@:2}"; }

story "A hostile caller harms nobody else"
lab_daemon_start --max-body 1 --policy "$HERE/80-bad-input.json"
lab_in sallyport trust install >/dev/null
first=$(worker)

maps() { find "/proc/$1/fd" -lname 'anon_inode:bpf*' | wc -l; }
for role in recorder signer; do
	step "the $role holds no eBPF map" test "$(maps "$(pgrep -P "$LAB_DAEMON" -f "role $role ")")" = 0
done
step "the worker holds the few maps it was handed, and no more" test "$(maps "$first")" -le 4

for unit in any.service watched.service; do
	hostile "$unit" half-hello 2>/dev/null &
	caller=$!
	sleep 1
	step "$unit: half a ClientHello and an end is no reason to spin" calm
	wait "$caller"
done
hostile any.service half-close 2>/dev/null &
caller=$!
sleep 1.5
step "a spliced connection that nobody reads, with an end on both sides: no spinning" calm
wait "$caller"

nsenter -t "$LAB_NODE" -n -- ip -6 route del default
run hostile any.service pipeline-v6 3000
nsenter -t "$LAB_NODE" -n -- ip -6 route add default via 2001:db8:19::1
step "3,000 pipelined requests to an address without a route: each its 502" said '^502 3000$' and test "$(worker)" = "$first"

run hostile watched.service big-later
step "a body over the limit on a connection whose upstream went to the pool passes in monitor mode" said '^200 400$' and upstream '.[-1].bytes == 3145728'
run hostile any.service big-later
step "... and is refused once in enforce mode" said '^200 400$' and upstream 'length == 1'

run lab_client --unit any.service curl -sS --compressed -w ' %{http_code}\n' -d '{"model":"lab-big-3000000+gzip","messages":[]}' https://api.openai.com/v1/chat/completions \
	--next -sS -w ' %{http_code}\n' https://api.openai.com/v1/models
step "an answer that passed and could not be read is followed by no second one" rc 0 and test "$(grep -c ' 200$' "$LAB/out")" = 2 and not said sallyport
run lab_client --unit any.service curl -sSi -H 'Content-Encoding: identity' -H 'Content-Encoding: gzip' -d x https://api.openai.com/v1/unknown
step "two Content-Encoding lines cannot be inspected" said '^HTTP/1.1 400' and said 'could not be inspected' and upstream 'length == 0'
step "the worker is the same as at the start" test "$(worker)" = "$first"
