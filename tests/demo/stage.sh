# shellcheck shell=bash
# The demo's stage: how it speaks on a terminal and without one, how programs are run before the eyes
# of the audience, and the steps it keeps count of. The checks of a step are those of tests/e2e/lib.sh.

STEPS=0 STEPS_GOOD=0
TAIL_SHOWN=0 # lines of `sallyport tail` on the screen

# Colour and pauses belong to a person at a terminal; width too.
stage_init() {
	local size
	WIDTH=100 PACE='' BOLD='' DIM='' RED='' GREEN='' YELLOW='' BLUE='' NONE=''
	[ -t 1 ] || return 0
	{ size=$(stty size <&3 2>/dev/null) && WIDTH=${size#* }; } 3>&1
	[ "$WIDTH" -ge 60 ] || WIDTH=80
	[ "$WIDTH" -le 110 ] || WIDTH=110
	[ -n "${DEMO_FAST:-}" ] || PACE=1
	if [ -z "${NO_COLOR:-}" ] && [ "${TERM:-dumb}" != dumb ]; then
		BOLD=$'\e[1m' DIM=$'\e[2m' RED=$'\e[31m' GREEN=$'\e[32m' YELLOW=$'\e[33m' BLUE=$'\e[36m' NONE=$'\e[0m'
	fi
}

# Lines folded at words: wrap FIRST-PREFIX NEXT-PREFIX
wrap() {
	awk -v width="$((WIDTH - 1))" -v first="$1" -v next_="$2" '{
		prefix = first
		while (length(prefix $0) > width) {
			room = width - length(prefix)
			for (cut = room; cut > room / 2 && substr($0, cut + 1, 1) != " "; cut--) ;
			if (cut <= room / 2) cut = room
			line = prefix substr($0, 1, cut)
			sub(/ +$/, "", line)
			print line
			$0 = substr($0, cut + 1)
			sub(/^ +/, "")
			prefix = next_
		}
		print prefix $0
	}'
}

# A pause for reading, shorter when a key is pressed: beat SECONDS
beat() {
	[ -n "$PACE" ] || return 0
	if [ -t 0 ]; then
		read -rsn 1 -t "$1" _ || true
	else
		sleep "$1" &
		wait $!
	fi
}

# scene NUMBER TITLE WHAT-IT-IS-ABOUT
scene() {
	[ "$1" = 1 ] || beat 2.5
	local rule
	printf -v rule '%*s' "$((WIDTH - ${#2} - 7))" ''
	printf '\n%s== %s. %s %s%s\n' "$BOLD$BLUE" "$1" "$2" "${rule// /=}" "$NONE"
	say "$3"
	beat 2
}

say() { printf '%s\n' "$*" | wrap '   ' '   '; }

# What a program printed, behind a bar, its first lines: show FILE [LINES]
show() {
	[ -s "$1" ] || return 0
	tr -d '\r' <"$1" | wrap '   | ' '   |   ' | awk -v n="${2:-4}" 'NR <= n; NR == n + 1 { print "   | ..." }'
}

# prompt WHO SIGN COMMAND
prompt() {
	printf '%s %s %s\n' "$1" "$2" "$3" | wrap '   ' '       ' | sed "1s/^   $1/   $DIM$1$NONE/"
}

# A program of the node, run as shown, in a folder with the clients' sources: play USER UNIT COMMAND
# Its output is kept as by run() and shown.
play() {
	prompt "$1@$2" '$' "$3"
	mark
	stage_client "$@" >"$LAB/out" 2>"$LAB/err" </dev/null &
	wait $!
	RC=$?
	show "$LAB/out" "${SHOW:-4}"
	show "$LAB/err" 5
	beat 0.4
}

stage_client() { # USER UNIT COMMAND
	local uid
	case $1 in root) uid=0 ;; alice) uid=1001 ;; bob) uid=1002 ;; carol) uid=1003 ;; esac
	lab_client --unit "$2" --uid "$uid" "${STAGE_ENV[@]}" sh -c "$3"
}
STAGE_ENV=()

# A command of the operator, run as shown: root COMMAND; its lines folded, or with `table` cut off.
root() {
	root_run "$1"
	show "$LAB/out" 12
	show "$LAB/err"
	beat 0.4
}
table() {
	root_run "$1"
	cut -c "1-$((WIDTH - 6))" "$LAB/out" | sed 's/^/   | /; s/ *$//'
	show "$LAB/err"
	beat 1.2
}
root_run() {
	prompt root '#' "$1"
	mark
	lab_in sh -c "$1" >"$LAB/out" 2>"$LAB/err" </dev/null
	RC=$?
}

# `sallyport tail` runs from the first scene to the last, as on an operator's second screen.
tail_start() {
	: >"$LAB/tail"
	(lab_in_node_unit operator.service "$LAB_SALLYPORT" tail -n 0 >>"$LAB/tail" 2>&1) &
	disown $!
}

# Waits for what the tail is to say (a pattern), then shows all that is new: live PATTERN
live() {
	local all
	TAIL_MARK=$TAIL_SHOWN
	eventually 5 live_says "$1"
	all=$(wc -l <"$LAB/tail")
	sed -n "$((TAIL_SHOWN + 1)),${all}p" "$LAB/tail" | sed 's/^          //' | wrap '   > ' '     ' | sed 's/^   > \([a-z]\)/     \1/' | paint
	TAIL_SHOWN=$all
	beat 0.8
}
# A check: the tail has said it since the last look.
live_says() { tail -n "+$((TAIL_MARK + 1))" "$LAB/tail" | grep -Eq -- "$1"; }
TAIL_MARK=0

paint() {
	if [ -z "$NONE" ]; then
		cat
		return
	fi
	sed -E "s/^   >/   $BLUE>$NONE/; s/ -> ([^ ]+)/ -> $BOLD\1$NONE/
		s/(  |\(enforce: )(allowed)/\1$GREEN\2$NONE/; s/(  |\(enforce: )(redacted)/\1$YELLOW\2$NONE/
		s/(  |\(enforce: )(blocked|refused|failed|cut)/\1$RED\2$NONE/; s/  (seen|passed unread)/  $DIM\1$NONE/
		/found: /s/([A-Z]+_[A-Z_]+)/$YELLOW\1$NONE/g"
}

# step WHAT CHECK [and CHECK]...: one promise, really looked at. What was expected and what was seen
# are told where they differ; the demo goes on.
step() {
	local what=$1 check=() word seen
	shift
	STEPS=$((STEPS + 1))
	for word in "$@" and; do
		if [ "$word" != and ]; then
			check+=("$word")
			continue
		fi
		if ! seen=$("${check[@]}" 2>&1); then
			printf '   %sNOT%s %s\n' "$RED$BOLD" "$NONE" "$what"
			{
				printf 'expected: %s\n' "${check[*]}"
				[ -z "$seen" ] || printf 'seen: %s\n' "$seen" | head -c 1000
				step_seen
			} | wrap '       ' '         '
			return 0
		fi
		check=()
	done
	STEPS_GOOD=$((STEPS_GOOD + 1))
	printf '%s\n' "$what" | wrap '   ok  ' '       ' | sed "1s/^   ok/   $GREEN${BOLD}ok$NONE/"
	beat 0.3
}

step_seen() {
	local f
	[ -n "$LAB" ] || return 0
	printf 'last command: exit %s\n' "${RC:-none}"
	for f in out err; do
		[ ! -s "$LAB/$f" ] || head -c 600 "$LAB/$f" | sed "s/^/its $f: /"
	done
	printf '\nprovider since then: %s\n' "$(upstream '[.[].body]' | head -c 600)"
}

# --- checks, besides those of tests/e2e/lib.sh ---
# is WANTED SEEN
is() {
	[ "$1" = "$2" ] || { printf 'wanted "%s", got "%s"\n' "$1" "$2"; return 1; }
}
# The newest exchange on record for a unit, through jq: record UNIT FILTER
record() {
	eventually 3 record_has "$@" || { tail -n 1 "$LAB/state/audit.jsonl"; return 1; }
}
record_has() {
	jq -se --arg unit "$1" "[.[] | select(.who.unit == \$unit and .kind != \"admin\")] | last | $2" "$LAB/state/audit.jsonl"
}
