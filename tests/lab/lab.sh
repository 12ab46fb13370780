# shellcheck shell=bash
# The lab: a private stretch of network, files and cgroup in which the daemon, unmodified clients, a
# scripted provider and a resolver run. Source it, call lab_up; everything goes away at the end, also
# after ctrl-C or kill -9 of the script. Nothing of the machine is changed. tests/lab/README.md
# explains the parts and the functions.
#
#   . tests/lab/lab.sh; lab_up; lab_daemon_start --mode enforce; lab_client curl https://api.openai.com/
#
# Needs bash 5, root, kernel 5.14 or later (cgroup.kill).

LAB_ROOT=$(cd "${BASH_SOURCE[0]%/*}/../.." && pwd)
LAB_BUILD=${LAB_BUILD:-$LAB_ROOT/build}
LAB_SALLYPORT=${LAB_SALLYPORT:-$LAB_BUILD/sallyport}
LAB_TIMEOUT=${LAB_TIMEOUT:-60} # seconds a client may take
LAB=                           # the lab's folder; empty while there is none
LAB_CERTS=$LAB_BUILD/lab/certs
LAB_ROOT_CA= # the provider's root, once the lab is up
LAB_INSIDE_CGROUP= # the cgroup to attach to, as seen inside
LAB_DAEMON=        # pid

lab_say() { printf 'lab: %s\n' "$*" >&2; }

lab_die() {
	lab_say "$*"
	exit 1
}

# Waits until a command succeeds: lab_wait SECONDS COMMAND...
lab_wait() {
	local tries=$(($1 * 20))
	shift
	while ! "$@" >/dev/null 2>&1; do
		[ $((tries--)) -gt 0 ] || return 1
		sleep 0.05
	done
}

# Where cgroup v2 is mounted: /sys/fs/cgroup, or below it on a hybrid host.
lab_cgroup_mount() { awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts; }

lab_up() {
	[ "$(id -u)" -eq 0 ] || lab_die "needs root"
	[ -x "$LAB_BUILD/tests/fake/provider" ] || lab_die "run make tools first"
	trap lab_down EXIT
	trap 'exit 129' HUP
	trap 'exit 130' INT
	trap 'exit 143' TERM
	local mount
	mount=$(lab_cgroup_mount)
	[ -n "$mount" ] || lab_die "no cgroup v2 mount"
	"$LAB_ROOT/tests/lab/certs.sh" "$LAB_CERTS" || lab_die "cannot make certificates"
	LAB_ID=sp-lab-$$
	LAB=${TMPDIR:-/tmp}/$LAB_ID
	LAB_CGROUP=$mount/$LAB_ID
	LAB_INSIDE_CGROUP=$mount
	lab_sweep "$LAB" "$LAB_CGROUP" # of an earlier process with this id
	mkdir -p "$LAB"/{home,log,state,run,pid,private,answers} || lab_die "cannot make $LAB"
	mkdir -p "$LAB_CGROUP/world" "$LAB_CGROUP/node/system.slice/sallyport.service"
	chmod 755 "$LAB"
	cp "$LAB_ROOT/tests/lab/zone" "$LAB/zone"
	cp "$LAB_CERTS/root.pem" "$LAB/root.pem" # the repository may stand where the lab's users cannot look
	LAB_ROOT_CA=$LAB/root.pem
	: >"$LAB/control"
	lab_reaper
	if ! lab_hold node -m -n -C || ! lab_hold world -n; then
		lab_die "cannot make namespaces"
	fi
	if ! lab_files || ! lab_network || ! lab_fakes; then
		lab_die "cannot set the lab up"
	fi
}

# Ends what is left if the script dies without a word (kill -9): it watches the script's process.
lab_reaper() {
	(
		trap '' HUP INT TERM
		started=$(lab_started $$)
		while [ "$(lab_started $$)" = "$started" ]; do sleep 0.3; done
		lab_sweep "$LAB" "$LAB_CGROUP"
	) </dev/null >/dev/null 2>&1 &
	LAB_REAPER=$!
	disown "$LAB_REAPER"
}

# Start time of a process: with the pid it names a process for good.
lab_started() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20; }

# Starts a process that holds new namespaces open, in its own cgroup: lab_hold NAME UNSHARE-OPTIONS...
lab_hold() {
	local name=$1 pidfile=$LAB/pid/$1.holder
	shift
	(
		echo "$BASHPID" >"$LAB_CGROUP/$name/cgroup.procs"
		echo "$BASHPID" >"$pidfile.new"
		exec setpriv --pdeathsig KILL unshare "$@" --propagation private \
			sh -c "mv '$pidfile.new' '$pidfile'; exec sleep infinity"
	) </dev/null &
	disown $!
	lab_wait 5 test -s "$pidfile" || return 1
	read -r "LAB_${name^^}" <"$pidfile"
}

lab_in_world() { nsenter -t "$LAB_WORLD" -n -- "$@"; }

# Runs a command as root inside the lab, outside any unit: lab_in sallyport status
lab_in() {
	nsenter -t "$LAB_NODE" -m -n -C --wdns="$PWD" -- env PATH="$LAB_BUILD:$PATH" "$@"
}

# /etc and /var are overlays, /run, /tmp's siblings and bpffs are new: `trust install`, pins, state and
# sockets of the lab never touch the machine's.
lab_files() {
	nsenter -t "$LAB_NODE" -m -C -- bash -s "$LAB" "$LAB_INSIDE_CGROUP" <<-'INSIDE'
		set -eu
		lab=$1 cgroup=$2
		umount "$cgroup" 2>/dev/null || umount -l "$cgroup"
		mount -t cgroup2 none "$cgroup"
		mount -t tmpfs -o mode=755 lab "$lab/private"
		for d in etc var usr/local; do
			mkdir -p "$lab/private/$d/upper" "$lab/private/$d/work"
			mount -t overlay lab -o "lowerdir=/$d,upperdir=$lab/private/$d/upper,workdir=$lab/private/$d/work" "/$d"
		done
		mount -t tmpfs -o mode=755 lab /run
		mkdir -p /run/sallyport /var/lib/sallyport /var/log/sallyport /run/lock
		mount --bind "$lab/run" /run/sallyport
		mount --bind "$lab/state" /var/lib/sallyport
		mount --bind "$lab/log" /var/log/sallyport
		mountpoint -q /sys/fs/bpf && umount /sys/fs/bpf
		mount -t bpf bpf /sys/fs/bpf
		rm -f /etc/resolv.conf /etc/environment
		: >/etc/environment
		echo 'nameserver 198.18.0.53' >/etc/resolv.conf
		printf '%s\n' '127.0.0.1 localhost' '::1 localhost' >/etc/hosts
		sed -i '/^hosts:/d' /etc/nsswitch.conf
		echo 'hosts: files dns' >>/etc/nsswitch.conf
		for u in alice:1001 bob:1002 carol:1003; do
			sed -i "/^${u%:*}:/d;/^[^:]*:[^:]*:${u#*:}:/d" /etc/passwd /etc/group
			echo "${u%:*}:x:${u#*:}:${u#*:}::$lab/home/${u%:*}:/bin/bash" >>/etc/passwd
			echo "${u%:*}:x:${u#*:}:" >>/etc/group
			mkdir -p "$lab/home/${u%:*}"
			chown "${u#*:}:${u#*:}" "$lab/home/${u%:*}"
		done
	INSIDE
}

# node 198.19.0.2 ---- veth ---- 198.19.0.1 world, where every address of 198.18/16 is the provider's
lab_network() {
	nsenter -t "$LAB_NODE" -n -- ip -batch - <<-NODE &&
		link set lo up
		link add eth0 type veth peer name eth0 netns $LAB_WORLD
		addr add 198.19.0.2/24 dev eth0
		addr add 2001:db8:19::2/64 dev eth0 nodad
		link set eth0 up
		route add default via 198.19.0.1
	NODE
		lab_in_world ip -batch - <<-WORLD &&
			link set lo up
			addr add 198.19.0.1/24 dev eth0
			addr add 2001:db8:19::1/64 dev eth0 nodad
			link set eth0 up
			route add local 198.18.0.0/16 dev lo
			route add local 2001:db8:18::/48 dev lo
		WORLD
		nsenter -t "$LAB_NODE" -n -- ip -6 route add default via 2001:db8:19::1
}

# Starts one of the fakes in the world: lab_fake NAME ARGUMENTS...
lab_fake() {
	local name=$1 pidfile=$LAB/pid/$1.pid
	shift
	rm -f "$pidfile"
	(
		echo "$BASHPID" >"$LAB_CGROUP/world/cgroup.procs"
		exec nsenter -t "$LAB_WORLD" -n -- "${LAB_PIN[@]}" "$LAB_BUILD/tests/fake/$name" "$@" \
			--pidfile "$pidfile"
	) </dev/null >>"$LAB/$name.err" 2>&1 &
	disown $!
	lab_wait 5 test -s "$pidfile" || { cat "$LAB/$name.err" >&2; return 1; }
}
LAB_PIN=() # for benchmarks: a taskset command before the fakes

lab_fakes() { lab_provider_start && lab_resolver_start; }

# The log is $LAB/provider.jsonl unless LAB_NOLOG is set (benchmarks).
lab_provider_start() {
	local log=(--log "$LAB/provider.jsonl")
	[ -z "${LAB_NOLOG:-}" ] || log=()
	lab_fake provider --listen :443 --certs "$LAB_CERTS" --control "$LAB/control" \
		--answers "$LAB/answers" "${log[@]}"
}

# After it a connect to any provider is refused, until lab_provider_start.
lab_provider_stop() { lab_stop_pid "$(cat "$LAB/pid/provider.pid")"; }

lab_resolver_start() {
	lab_fake resolver --listen :53 --zone "$LAB/zone" --log "$LAB/resolver.jsonl"
}

lab_stop_pid() { # PID [SECONDS]
	kill "$1" 2>/dev/null || return 0
	lab_wait "${2:-5}" lab_is_gone "$1" || { kill -9 "$1" 2>/dev/null; return 1; }
}
# Gone, or a zombie nobody waited for.
lab_is_gone() { [ ! -e "/proc/$1/exe" ] || grep -q '^State:.Z' "/proc/$1/status"; }

# Replaces the provider's control file (tests/fake/lib/world.h): lab_control 'fault * stall' ...
lab_control() {
	printf '%s\n' "$@" >"$LAB/control.new" && mv "$LAB/control.new" "$LAB/control"
}

# Adds names: lab_zone 'new.example.com 60 A 198.18.0.99' ...
lab_zone() {
	{ cat "$LAB/zone"; printf '%s\n' "$@"; } >"$LAB/zone.new" && mv "$LAB/zone.new" "$LAB/zone"
}

# What arrived at the provider, JSON a line; with an argument, through jq -r.
lab_provider_log() {
	if [ $# -eq 0 ]; then cat "$LAB/provider.jsonl"; else jq -r "$@" "$LAB/provider.jsonl"; fi
}

# Runs an unmodified program as the node's user would:
#   lab_client [--unit NAME.service] [--slice NAME.slice] [--uid N] [--env K=V]... COMMAND...
# The environment is empty but for PATH, HOME, LANG and what the lab's /etc/environment says.
lab_client() {
	local unit=run-lab.scope slice=system.slice uid=0 home=$LAB/home cgroup extra=()
	while [[ ${1:-} == --* ]]; do
		case $1 in
		--unit) unit=$2 ;;
		--slice) slice=$2 ;;
		--uid) uid=$2 ;;
		--env) extra+=("$2") ;;
		*) lab_die "lab_client: no option $1" ;;
		esac
		shift 2
	done
	cgroup=$LAB_CGROUP/node/$slice/$unit
	mkdir -p "$cgroup"
	local as=()
	if [ "$uid" -ne 0 ]; then
		as=(setpriv "--reuid=$uid" "--regid=$uid" --clear-groups)
		home=$(nsenter -t "$LAB_NODE" -m -- getent passwd "$uid" | cut -d: -f6)
	fi
	mapfile -t etc < <(nsenter -t "$LAB_NODE" -m -- sed -n 's/^\([A-Za-z_]*=\)"\{0,1\}\([^"]*\)"\{0,1\}$/\1\2/p' /etc/environment)
	(
		echo "$BASHPID" >"$cgroup/cgroup.procs"
		exec nsenter -t "$LAB_NODE" -m -n -C --wdns="$PWD" -- env -i --default-signal=INT,QUIT PATH="${LAB_PATH:-/usr/local/bin:/usr/bin:/bin}" \
			HOME="$home" LANG=C.UTF-8 TERM="${TERM:-dumb}" "${etc[@]}" "${extra[@]}" \
			timeout -k 2 "$LAB_TIMEOUT" "${as[@]}" "$@"
	) <&0 &
	LAB_CLIENT=$!
	wait "$LAB_CLIENT"
}
LAB_CLIENT=

# Starts the daemon and waits until it is ready; further options are added to its command line.
lab_daemon_start() {
	: >"$LAB/notify.log"
	rm -f "$LAB/pid/notify"
	lab_in_node_unit ready.service "$LAB_BUILD/tests/fake/ready" "$LAB/pid/notify" "$LAB/notify.log" &
	disown $!
	lab_wait 5 test -S "$LAB/pid/notify" || return 1
	lab_in_node_unit sallyport.service env NOTIFY_SOCKET="$LAB/pid/notify" \
		"${LAB_DAEMON_PIN[@]}" "$LAB_SALLYPORT" daemon --cgroup "$LAB_INSIDE_CGROUP" \
		--state /var/lib/sallyport --run /run/sallyport --policies "$LAB_ROOT/policies" \
		--upstream-ca "$LAB_ROOT_CA" "$@" >>"$LAB/daemon.log" 2>&1 &
	LAB_DAEMON=$!
	disown "$LAB_DAEMON"
	lab_wait "${LAB_READY:-15}" lab_daemon_spoke
	if ! grep -q '^READY=1' "$LAB/notify.log"; then
		lab_say "the daemon did not become ready:"
		tail -n 20 "$LAB/daemon.log" >&2
		return 1
	fi
}
LAB_DAEMON_PIN=() # for benchmarks: a taskset command before the daemon
lab_daemon_spoke() { grep -q '^READY=1' "$LAB/notify.log" || lab_is_gone "$LAB_DAEMON"; }

# Runs in the foreground, in the named unit of system.slice, as root, inside the lab's namespaces.
lab_in_node_unit() {
	local cgroup=$LAB_CGROUP/node/system.slice/$1
	shift
	mkdir -p "$cgroup"
	echo "$BASHPID" >"$cgroup/cgroup.procs"
	exec nsenter -t "$LAB_NODE" -m -n -C --wdns="$PWD" -- env -i --default-signal=INT,QUIT PATH="$PATH" LANG=C.UTF-8 HOME=/root "$@" </dev/null
}

# Ends the daemon as systemd would: SIGTERM, then SIGKILL after 10 s (which is a failure).
lab_daemon_stop() {
	[ -n "$LAB_DAEMON" ] || return 0
	local pid=$LAB_DAEMON
	LAB_DAEMON=
	lab_stop_pid "$pid" 10 || { lab_say "the daemon ignored SIGTERM"; return 1; }
}

# The processes of the daemon, children included.
lab_daemon_pids() { cat "$LAB_CGROUP/node/system.slice/sallyport.service/cgroup.procs"; }

# Prints every log of the lab, for a story that failed.
lab_logs() {
	local f
	for f in "$LAB"/daemon.log "$LAB"/*.err "$LAB"/log/* "$LAB"/provider.jsonl; do
		[ -s "$f" ] || continue
		printf -- '--- %s\n' "${f#"$LAB"/}"
		tail -n "${LAB_LOG_LINES:-60}" "$f" | cut -c1-600
	done
}

lab_down() {
	trap '' HUP INT TERM # a second ctrl-C must not stop the clean-up
	if [ -n "$LAB" ]; then
		lab_daemon_stop 2>/dev/null
		[ -z "${LAB_KEEP:-}" ] || { rm -rf "$LAB_KEEP"; cp -a "$LAB" "$LAB_KEEP"; }
		lab_sweep "$LAB" "$LAB_CGROUP"
		[ -z "${LAB_REAPER:-}" ] || kill -9 "$LAB_REAPER" 2>/dev/null
		[ -z "$LAB_CLIENT" ] || wait "$LAB_CLIENT" 2>/dev/null # or bash tells of its death
		LAB=
	fi
	trap - EXIT HUP INT TERM
}

# Ends every process of the lab's cgroup (namespaces, mounts and pins end with them), removes cgroup
# and folder: lab_sweep FOLDER CGROUP
lab_sweep() {
	local folder=$1 cgroup=$2 tries=100
	if [ -d "$cgroup" ]; then
		echo 1 >"$cgroup/cgroup.kill"
		while grep -q '^populated 1' "$cgroup/cgroup.events" && [ $((tries--)) -gt 0 ]; do sleep 0.05; done
		find "$cgroup" -depth -type d -exec rmdir {} + 2>/dev/null
	fi
	rm -rf "$folder"
}
