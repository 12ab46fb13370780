#!/usr/bin/env bash
# A full disk and a log that somebody took away: nothing that was acknowledged is lost, the chain holds.
# shellcheck source=tests/e2e/lib.sh
. "${0%/*}/lib.sh"
# shellcheck source=tests/e2e/clients.sh
. "${0%/*}/clients.sh"

ask() { lab_client --unit "$1" curl -sS https://api.openai.com/v1/models -H 'x-lab-fault: fast' "${@:2}"; }
audit() { tail -n "${2:-1}" "$state/audit.jsonl" | jq -se "$1"; }
exchanges() { test "$(grep -c '"kind":"exchange"' "$state/audit.jsonl")" "$@"; }

story "The audit log survives a full disk and its own removal"
clients_ready
lab_in mount -t tmpfs -o size=26m,mode=755 state /var/lib/sallyport
state=/proc/$LAB_NODE/root/var/lib/sallyport
lab_daemon_start --workers 1 --policy "$HERE/60-audit.json"
lab_in sallyport trust install >/dev/null
run ask any.service -o /dev/null
step "(one exchange)" rc 0 and eventually 10 exchanges -eq 1

rm "$state/audit.jsonl"
run ask any.service -o /dev/null
step "a log that was taken away is begun again" rc 0 and eventually 10 test -s "$state/audit.jsonl" and eventually 10 exchanges -eq 1
step "... and says so" audit 'any(.[]; .kind == "admin" and (.note | test("removed|missing|gone|again|new file")))' 100
step "... and its chain goes on" eventually 10 lab_in sallyport audit verify

lab_in dd if=/dev/zero of=/var/lib/sallyport/filler bs=64k 2>/dev/null
run ask any.service -o /dev/null -w '%{http_code}'
step "with a full disk requests go on while the spool has room" rc 0 and said 200
step "... and the operator is told, with the remedy" eventually 10 logged '(error|warning) recorder: .*No space left.*place=.*(free|room)'
run lab_client --unit any.service curl -sSf --fail-early 'https://api.openai.com/v1/models?[1-30000]' -H 'x-lab-fault: fast' -o /dev/null -w '%{http_code}\n'
step "once it is full, a rule that fails closed refuses" rc 22 and told 'error: 400'
sent=$(grep -c 200 "$LAB/out")
run ask any.service -i
step "... with the reason" said '^HTTP/1.1 400' and said 'could not be inspected' and said 'record'
run ask open.service -o /dev/null -w '%{http_code}'
step "... one that fails open goes on" rc 0 and said 200
run ask watched.service -o /dev/null -w '%{http_code}'
step "... and so does monitor mode" rc 0 and said 200
lab_in rm /var/lib/sallyport/filler
lab_in mount -o remount,size=200m /var/lib/sallyport
step "after room is made every exchange that was acknowledged is there ($sent)" eventually 20 exchanges -ge $((sent + 2))
run ask any.service -o /dev/null -w '%{http_code}'
step "... and new ones are recorded" said 200 and eventually 10 exchanges -ge $((sent + 3))
run lab_in sallyport audit verify
step "... in one chain" rc 0
run lab_in sallyport status --json
step "refused records are counted, not hidden" json '.proxy.records_refused > 0'
