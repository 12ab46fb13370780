#!/usr/bin/env bash
# Runs inside the virtual machine, as a unit of its systemd: what an operator does with an installed
# sallyport, from the first start to the uninstall. What it prints goes to the second serial port, which
# run.sh reads. Steps and checks are those of tests/e2e/lib.sh; the "lab" is this whole machine.
set -u
# shellcheck source=tests/e2e/lib.sh
. /opt/sallyport/tests/e2e/lib.sh

LAB=/run/vm
unit=sallyport.service
chat=https://api.openai.com/v1/chat/completions
bundle=/etc/ssl/certs/ca-certificates.crt
src=/opt/sallyport
export LANG=C.UTF-8 HOME=/root SYSTEMD_PAGER='' PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
cd / || exit 1

finish() {
	[ "$story_failed" -eq 0 ] || { journalctl -b --no-pager -o short-monotonic -u "$unit" | tail -n 80; dmesg | tail -n 20; }
	echo "end of tests"
	sync
}

# Another network: the provider on every address of 198.18.0.0/16, the resolver on 198.18.0.53.
world() {
	ip netns add world
	ip link add host0 type veth peer name eth0 netns world
	ip addr add 198.19.0.2/24 dev host0
	ip link set host0 up
	ip -n world link set lo up
	ip -n world addr add 198.19.0.1/24 dev eth0
	ip -n world link set eth0 up
	ip -n world route add local 198.18.0.0/16 dev lo
	ip route add default via 198.19.0.1
	: >"$LAB/control"
	systemd-run -q --unit=fake-provider -p NetworkNamespacePath=/run/netns/world "$src/build/tests/fake/provider" --listen :443 \
		--certs "$LAB_CERTS" --control "$LAB/control" --answers "$LAB" --log "$LAB/provider.jsonl" --pidfile "$LAB/provider.pid"
	systemd-run -q --unit=fake-resolver -p NetworkNamespacePath=/run/netns/world "$src/build/tests/fake/resolver" --listen :53 \
		--zone "$src/tests/lab/zone" --log "$LAB/resolver.jsonl" --pidfile "$LAB/resolver.pid"
	lab_wait 20 test -s "$LAB/provider.pid" && lab_wait 20 test -s "$LAB/resolver.pid"
}

# A program of a unit of its own, which systemd starts: in_unit NAME COMMAND...
in_unit() { local name=$1; shift; systemd-run -q --wait --pipe --collect --unit="$name" "$@"; }
ask() { # UNIT [CURL-OPTIONS]
	local name=$1
	shift
	in_unit "$name" curl -sS -m 30 "$chat" -H 'Authorization: Bearer sk-vm' -w '\n%{http_code} %{remote_ip}\n' \
		-d '{"model":"gpt-4o-mini","messages":[{"role":"user","content":"my card is 4111 1111 1111 1111"}]}' "$@"
}
direct() { ask "$1" --cacert "$LAB_ROOT_CA" --capath /nonexistent; } # the provider's own certificate only
active() { [ "$(systemctl is-active "$unit")" = active ]; }
property() { systemctl show -P "$1" "$unit"; }
main_pid() { property MainPID; }
pids() { cat /sys/fs/cgroup/system.slice/sallyport.service/cgroup.procs; }
runs_as() { pids | xargs -I{} stat -c %U /proc/{} 2>/dev/null | sort -u | tr '\n' ' '; }
role() { pgrep -P "$(main_pid)" -f "role $1 "; }
other() { [ -n "$(role "$1")" ] && [ "$(role "$1")" != "$2" ]; }
other_main() { active && [ "$(main_pid)" != "$1" ] && [ "$(main_pid)" != 0 ]; }
listeners() { ss -Hltnp | grep -c sallyport; }
filters() { nft list ruleset; iptables-save; ip6tables-save; ip rule; sysctl -a 2>/dev/null | grep -E '^net\.ipv4\.(ip_forward|conf\..*(route_localnet|rp_filter))'; }
serves() { run ask billing.service && said '^200'; }
record() { tail -n 1 /var/lib/sallyport/audit.jsonl | jq -e "$1"; }
program() { # of the kernel's own tests
	"$@" >"$LAB/program" 2>&1
	local rc=$? line
	line=$(grep -E '^# [0-9]+ passed, [0-9]+ failed$' "$LAB/program" | tail -n 1)
	grep -vE '^ok' "$LAB/program" | head -n 60 | sed "s,^,${1##*/}: ,"
	if [ -n "$line" ]; then echo "ran: ${line#\# }"; else [ $rc -eq 0 ] && echo "ran: 1 passed, 0 failed"; fi
	[ $rc -eq 0 ] || { story_failed=$((story_failed + 1)); [ -n "$line" ] || echo "not ok - ${1##*/} (exit $rc)"; }
}
at() { printf '# %s s: %s\n' "$(cut -d. -f1 /proc/uptime)" "$*"; }

trap finish EXIT
mkdir -p "$LAB"
at "the machine"
run uname -r
step "Debian's 6.1 kernel ($(uname -r)) under systemd $(systemctl --version | awk 'NR == 1 { print $2 }')" said '^6\.1\.' and test "$(cat /proc/1/comm)" = systemd
step "the provider and the resolver are there" world
step "a name resolves" getent ahostsv4 api.openai.com
for user in sallyport sallyport-recorder sallyport-signer; do
	step "systemd-sysusers made $user" getent passwd $user
done
step "the units are well-formed" systemd-analyze verify sallyport.service sallyport-report.service sallyport-report.timer
run sallyport doctor
cat "$LAB/out"
step "doctor: this kernel is fit" rc 0 and not said ' NO '

at "observe"
filters >"$LAB/filters"
run systemctl enable --now sallyport
step "systemctl enable --now sallyport" rc 0 and active
cat "$LAB/err"
step "ready by sd_notify" test "$(property Type) $(property SubState)" = "notify running"
cat /proc/uptime
finish_early() { :; }
