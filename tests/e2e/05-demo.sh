#!/usr/bin/env bash
# make demo keeps its word: without a terminal it tells the whole story to its last line, and ctrl-C at
# any moment leaves nothing behind.
# shellcheck source=tests/e2e/lib.sh
. "${0%/*}/lib.sh"

DEMO=$LAB_ROOT/tests/demo/demo.sh
out=$(mktemp)

# Folder, cgroup or process of the lab of that process.
traces() {
	find "${TMPDIR:-/tmp}" "$(lab_cgroup_mount)" -maxdepth 1 -name "sp-lab-$1" 2>/dev/null
	grep -lsa "[/]sp-lab-$1/" /proc/[0-9]*/cmdline /proc/[0-9]*/cgroup /proc/[0-9]*/mountinfo
}
gone() { [ -z "$(traces "$1")" ]; }

demo_start() {
	(
		trap - INT # a background command ignores it otherwise
		exec env --default-signal=INT,QUIT "$DEMO" </dev/null >"$out" 2>&1
	) &
	DEMO_PID=$!
	disown "$DEMO_PID"
}

ends_clean() { # MILLISECONDS
	demo_start
	sleep "$(printf '%d.%03d' $(($1 / 1000)) $(($1 % 1000)))"
	kill -INT "$DEMO_PID"
	lab_wait 20 lab_is_gone "$DEMO_PID" && eventually 10 gone "$DEMO_PID"
}

ends_as_told() {
	local last
	last=$(tail -n 1 "$out")
	[[ $last =~ ^demo:\ ([0-9]+)\ of\ ([0-9]+)\ steps\ as\ expected$ ]] &&
		[ "${BASH_REMATCH[1]}" -eq "${BASH_REMATCH[2]}" ] && [ "${BASH_REMATCH[2]}" -ge 25 ]
}
report_is_there() { test -s "$(tail -n 2 "$out" | sed -n '1s/^The discovery report: //p')"; }

story "The demo runs to its end, and ends at once when told to"
started=$SECONDS
"$DEMO" </dev/null >"$out" 2>&1
RC=$?
took=$((SECONDS - started))
step "without a terminal every step goes as told, and the last line says so" rc 0 and ends_as_told
step "the line before it names the report" report_is_there
step "it takes less than three minutes, also on a busy machine" test "$took" -lt 180
step "no colour without a terminal" not grep -q $'\e' "$out"
[ "$story_failed" -eq 0 ] || tail -n 100 "$out"
for ms in $((RANDOM % 600)) $((600 + RANDOM % 5000)) $((6000 + RANDOM % 9000)); do
	step "SIGINT after $ms ms leaves nothing" ends_clean "$ms"
done
rm -f "$out"
