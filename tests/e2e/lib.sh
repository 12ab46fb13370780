# shellcheck shell=bash
# The form of a story: one operator's tale a file, NN-name.sh, told in steps.
#
#	. "${0%/*}/lib.sh"
#	story "A card number does not leave the machine"
#	lab_daemon_start --mode enforce --policy "$HERE/30-card.json"
#	run lab_client --unit billing.service curl -sS https://api.openai.com/v1/chat/completions -d '...'
#	step "the client gets its answer" rc 0 and said 'Scripted answer'
#	step "the card stayed here" upstream 'length == 1 and (.[0].body | contains("4111") | not)'
#
# `run` keeps what a command printed; `step` makes one assertion of checks joined by "and". A check is
# any command; those below read what the last `run` left. On a failure every log of the lab is shown.
# Numbers: 00 lab, 10 discover, 20 intercept, 30 dlp, 40 budgets, 50 policy, 60 audit, 90 crash.
set -u
HERE=$(cd "${0%/*}" && pwd)
# shellcheck source=tests/lab/lab.sh
. "$HERE/../lab/lab.sh"

story_passed=0 story_failed=0 story_mark=0

# story TITLE: sets the lab up; the summary and the end of the lab come by themselves.
story() {
	printf '# %s\n' "$1"
	if [ "$(id -u)" -ne 0 ]; then
		printf 'ok # skipped: needs root\n# 0 passed, 0 failed\n'
		exit 0
	fi
	lab_up
	trap story_end EXIT
}

story_end() {
	local rc=$?
	trap '' HUP INT TERM
	if [ "$rc" -ne 0 ]; then
		story_failed=$((story_failed + 1))
		printf 'not ok - the story broke off (exit %d)\n' "$rc"
	fi
	[ "$story_failed" -eq 0 ] || [ -z "$LAB" ] || lab_logs
	lab_down
	printf '# %d passed, %d failed\n' "$story_passed" "$story_failed"
	[ "$story_failed" -eq 0 ] || exit 1
	exit 0
}

# Runs a command and keeps $RC, its output in $LAB/out and $LAB/err, and marks the provider's log.
run() {
	mark
	"$@" >"$LAB/out" 2>"$LAB/err" </dev/null
	RC=$?
}

# From here on `upstream` looks.
mark() { story_mark=$(wc -l <"$LAB/provider.jsonl" 2>/dev/null || echo 0); }

# step WHAT CHECK [and CHECK]...
step() {
	local what=$1 check=() word
	shift
	for word in "$@" and; do
		if [ "$word" != and ]; then
			check+=("$word")
			continue
		fi
		if ! "${check[@]}" >"$LAB/check" 2>&1; then
			story_failed=$((story_failed + 1))
			printf 'not ok - %s\n  failed: %s\n' "$what" "${check[*]}"
			head -c 2000 "$LAB/check" | sed 's/^/  /'
			story_show
			return 0
		fi
		check=()
	done
	story_passed=$((story_passed + 1))
	printf 'ok - %s\n' "$what"
}

story_show() {
	local f
	printf '  last run: exit %s\n' "${RC:-none}"
	for f in out err; do
		[ -s "$LAB/$f" ] || continue
		printf '  --- %s\n' "$f"
		head -c 3000 "$LAB/$f" | sed 's/^/  /'
		printf '\n'
	done
}

# --- checks ---
rc() { [ "${RC:-}" = "$1" ]; }
said() { grep -Eq -- "$1" "$LAB/out"; }       # stdout, extended regular expression
told() { grep -Eq -- "$1" "$LAB/err"; }       # stderr
json() { jq -e "$1" "$LAB/out"; }             # stdout as JSON
logged() { grep -Eq -- "$1" "$LAB/daemon.log"; }
not() { ! "$@"; }

# What the provider was asked since the last run, as an array of requests: upstream 'length == 1'
upstream() {
	tail -n "+$((story_mark + 1))" "$LAB/provider.jsonl" 2>/dev/null |
		jq -se "[.[] | select(.event == \"request\")] | $1"
}

# The last N (1) records as an array: audit '.[0].action == "blocked"' [N]
audit() { tail -n "${2:-1}" "$LAB/state/audit.jsonl" | jq -se "$1"; }

# Checks again until it holds: eventually SECONDS CHECK...
eventually() {
	local tries=$(($1 * 10))
	shift
	until "$@"; do
		[ $((tries--)) -gt 0 ] || return 1
		sleep 0.1
	done
}
