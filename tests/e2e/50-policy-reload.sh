#!/usr/bin/env bash
# A file with a mistake is refused with the place and the remedy: at start the daemon says so and ends,
# while it runs the old rules stay.
# shellcheck source=tests/e2e/lib.sh
. "${0%/*}/lib.sh"
# shellcheck source=tests/e2e/clients.sh
. "${0%/*}/clients.sh"

write() { printf '%s' "$1" >"$LAB/files/policy.json"; }
try_start() {
	lab_in timeout -k 2 20 sallyport daemon --cgroup "$LAB_INSIDE_CGROUP" --state /var/lib/sallyport --run /run/sallyport \
		--upstream-ca "$LAB_ROOT_CA" "$@"
}
ask() { ask_openai --unit any.service -- '{"model":"gpt-4o-mini","messages":[{"role":"user","content":"hi"}]}' "$@"; }
asks_again() { run ask && said 'Scripted answer'; }
good='{"version":1,"mode":"enforce","rules":[{"id":"one","action":"allow"}]}'
none='{"version":1,"mode":"enforce","rules":[{"id":"none","action":"block","reason":"closed today"}]}'
bad='{"version":1,"mode":"enforce","rules":[{"id":"x","acton":"allow","mode":"enforse"}]}'

story "A file with a mistake changes nothing"
clients_ready
mkdir "$LAB/files"
cp "$LAB_ROOT"/policies/*.json "$LAB/files/"

write "$bad"
run try_start --policies "$LAB/files"
step "a policy with a mistake: the daemon does not start, and names file, place and remedy" rc 3 \
	and told 'policy\.json' and told 'rules\[0\]\.acton' and told 'rules\[0\]\.mode: "enforse" is none of observe, monitor, enforce'
write '{"version":1,'
run try_start --policies "$LAB/files"
step "a policy that is no JSON" rc 3 and told 'policy\.json.*line 1'
write "$good"
for f in providers prices; do
	mv "$LAB/files/$f.json" "$LAB/files/$f.good"
	head -c 1000 "$LAB/files/$f.good" >"$LAB/files/$f.json"
	run try_start --policies "$LAB/files"
	step "a $f file cut short" rc 3 and told "$f\\.json.*line [0-9]+"
	rm "$LAB/files/$f.json"
	run try_start --policies "$LAB/files"
	step "... and none at all" rc 3 and told "$f\\.json"
	mv "$LAB/files/$f.good" "$LAB/files/$f.json"
done
step "nothing is left of them" not lab_in test -e /sys/fs/bpf/sallyport

lab_daemon_start --policies "$LAB/files"
lab_in sallyport trust install >/dev/null
run ask
step "(rules are in force)" rc 0 and said 'Scripted answer'
write "$bad"
run lab_in sallyport reload
step "a reload with a mistake says no and where" rc 1 and told 'rules\[0\]\.acton' and told 'old rules'
run ask
step "... the old rules stay" rc 0 and said 'Scripted answer'
kill -HUP "$LAB_DAEMON"
step "by SIGHUP the log says it" eventually 10 logged 'reload refused, the old rules stay.*' and logged 'rules\[0\]\.acton'
run ask
step "... the old rules stay" rc 0 and said 'Scripted answer'
write "$none"
run lab_in sallyport reload
step "a good file is taken" rc 0
run ask -i
step "... and holds at once" said '^HTTP/1.1 400' and said 'closed today' and eventually 10 audit '.[0].rule == "none"'
write "$good"
kill -HUP "$LAB_DAEMON"
step "by SIGHUP too" eventually 10 asks_again
step "reloads are in the audit log" eventually 10 audit '[.[] | select(.kind == "admin" and .note == "rules reloaded")] | length >= 2' 100
