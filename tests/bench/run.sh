#!/usr/bin/env bash
# make bench [BENCH="--quick --write --without-sallyport --rounds N"]
#
# Interleaves rounds of direct, nginx (TLS-to-TLS, pooled upstream) and sallyport inside the lab: proxy on
# CPU 0, load and provider on CPU 1, DLP, budgets and audit on. Compares by the proxy's CPU time and
# prints every figure beside its limit; exit 1 when one is missed. --write puts the table into README.md.
set -u
HERE=$(cd "${0%/*}" && pwd)
# shellcheck source=tests/lab/lab.sh
. "$HERE/../lab/lab.sh"

rounds=3 seconds=3 write='' systems=(direct nginx sallyport)
while [ $# -gt 0 ]; do
	case $1 in
	--quick) rounds=1 seconds=1 ;;
	--write) write=1 ;;
	--without-sallyport) systems=(direct nginx) ;;
	--rounds) rounds=$2; shift ;;
	--seconds) seconds=$2; shift ;;
	*) echo "usage: run.sh [--quick] [--write] [--without-sallyport] [--rounds N] [--seconds N]" >&2; exit 2 ;;
	esac
	shift
done
[ "$(nproc)" -ge 2 ] || lab_die "needs two CPUs: one for the proxy, one for load and provider"

LAB_PIN=(taskset -c 1)
LAB_DAEMON_PIN=(taskset -c 0)
LAB_NOLOG=1
LAB_TIMEOUT=300
lab_up
results=$LAB/results.jsonl
load=$LAB_BUILD/tests/bench/load

# Runs in the node's network but in the world's cgroup, where no program is attached.
outside() { # UNIT COMMAND...
	local cgroup=$LAB_CGROUP/world/$1
	shift
	mkdir -p "$cgroup"
	(
		echo "$BASHPID" >"$cgroup/cgroup.procs"
		exec nsenter -t "$LAB_NODE" -n -- "$@" </dev/null
	)
}

nginx_start() {
	mkdir -p "$LAB/nginx"
	cp -r "$LAB_CERTS" "$LAB/nginx/certs"
	cp "$HERE/nginx.conf" "$LAB/nginx/"
	outside nginx taskset -c 0 nginx -p "$LAB/nginx" -c nginx.conf >"$LAB/nginx.err" 2>&1 &
	disown $!
	lab_wait 10 test -s "$LAB/nginx/nginx.pid" || lab_die "nginx did not start: $(cat "$LAB/nginx.err")"
}

# one SYSTEM CASE LOAD-ARGUMENTS...: one measurement, a line of results.
one() {
	local system=$1 case=$2 line
	shift 2
	case $system in
	direct) line=$(outside load taskset -c 1 "$load" "$@" --connect 198.18.0.10:443) ;;
	nginx) line=$(outside load taskset -c 1 "$load" "$@" --connect 127.0.0.1:8443 --of "$LAB_CGROUP/world/nginx") ;;
	sallyport)
		line=$(lab_client --unit bench.service taskset -c 1 "$load" "$@" \
			--of "$LAB_INSIDE_CGROUP/system.slice/sallyport.service")
		;;
	esac
	[ -n "$line" ] || { lab_say "$system $case: no result"; return; }
	jq -c --arg system "$system" --arg case "$case" '{$system, $case} + .' <<<"$line" >>"$results"
}

round() {
	local s
	for s in "${systems[@]}"; do one "$s" ka1 ka --clients 1 --seconds "$seconds"; done
	for s in "${systems[@]}"; do one "$s" ka32 ka --clients 32 --seconds "$seconds"; done
	for s in "${systems[@]}"; do one "$s" sse sse --clients 100 --chunks 50 --every 20 --seconds "$seconds"; done
	for s in "${systems[@]}"; do one "$s" new new --clients 8 --seconds "$seconds"; done
	for s in "${systems[@]}"; do one "$s" resumed new --clients 8 --resume --seconds "$seconds"; done
	for s in "${systems[@]}"; do one "$s" big ka --clients 8 --body 262144 --seconds "$seconds"; done
}

nginx_start
for s in "${systems[@]}"; do
	[ "$s" != sallyport ] || lab_daemon_start --config "$HERE/policy.json" --workers 1 || exit 1
done
sleep 1
# Memory first: a heap that has seen load does not shrink.
for s in "${systems[@]}"; do [ "$s" = direct ] || one "$s" idle idle --clients 8; done
# A second of requests brings in the code and fills the ring of records, so that what follows is what each
# connection holds.
for s in "${systems[@]}"; do [ "$s" = direct ] || one "$s" warm ka --clients 8 --seconds 2; done
for s in "${systems[@]}"; do [ "$s" = direct ] || one "$s" pairs idle --clients 500; done
for r in $(seq "$rounds"); do
	[ -t 2 ] && printf '\rround %d of %d ' "$r" "$rounds" >&2
	round
done
[ -t 2 ] && printf '\r' >&2

connect=
if [ -x "$LAB_BUILD/tests/bench/connect_bench" ]; then
	connect=$("$LAB_BUILD/tests/bench/connect_bench" 2>/dev/null |
		sed -n 's/^TCP connect().* added *\(-\{0,1\}[0-9]*\) ns.*/\1/p')
fi

table() {
	jq -rs --arg connect "$connect" -f "$HERE/table.jq" "$results"
}
echo
table
missed=$(table | grep -c '| MISSED |$')
if [ -n "$write" ]; then
	{
		sed '/^<!-- figures -->$/q' "$HERE/README.md"
		printf '\n%s, %s x %s, kernel %s, %s, nginx %s; medians of %d rounds of %d s (smallest-largest).\n\n' \
			"$(date +%F)" "$(nproc)" "$(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -n 1)" "$(uname -r)" \
			"$(openssl version | cut -d' ' -f1,2)" "$(nginx -v 2>&1 | sed 's/.*nginx.//')" "$rounds" "$seconds"
		table
	} >"$LAB/README.new" && cp "$LAB/README.new" "$HERE/README.md"
fi
[ "$missed" -eq 0 ]
