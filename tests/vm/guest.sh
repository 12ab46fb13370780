#!/usr/bin/env bash
# Runs inside the virtual machine, as a unit of its systemd: what an operator does with an installed
# sallyport, from the first start to the uninstall. What it prints goes to the second serial port, which
# run.sh reads. Steps and checks are those of tests/e2e/lib.sh; the "lab" is this whole machine.
set -u
# shellcheck source=tests/e2e/lib.sh
. /opt/sallyport/tests/e2e/lib.sh

LAB=/run/vm LAB_ROOT_CA=$LAB_CERTS/root.pem
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
: >"$LAB/provider.jsonl"
at "the machine"
run uname -r
step "Debian's 6.1 kernel ($(uname -r)) under systemd $(systemctl --version | awk 'NR == 1 { print $2 }')" said '^6\.1\.' and test "$(cat /proc/1/comm)" = systemd
step "the provider and the resolver are there" world
step "a name resolves" getent ahostsv4 api.openai.com
for user in sallyport sallyport-recorder sallyport-signer; do
	step "systemd-sysusers made $user" getent passwd $user
done
systemd-analyze verify sallyport.service sallyport-report.service sallyport-report.timer 2>&1 | grep -v "Command 'man " >"$LAB/verify"
step "the units are well-formed" not test -s "$LAB/verify"
run sallyport doctor
cat "$LAB/out"
step "doctor: this kernel is fit" rc 0 and not said ' NO '

at "observe"
filters >"$LAB/filters"
cp "$bundle" "$LAB/bundle"
run systemctl enable --now sallyport
step "systemctl enable --now sallyport" rc 0 and active
step "ready by sd_notify" test "$(property Type) $(property SubState)" = "notify running"
step "its processes are users of their own ($(runs_as))" test "$(runs_as)" = "root sallyport sallyport-recorder "
run sallyport status
step "status: observe" rc 0 and said 'strictest mode observe'
run direct watched.service
step "a TLS client keeps the provider's certificate" rc 0 and said '^200 198\.18\.0\.10' and upstream '.[0].body | contains("4111")'
run sallyport callers --json
step "and is in the list of callers" rc 0 and said 'watched\.service'
step "no listener" test "$(listeners)" = 0
step "no CA" not test -e /var/lib/sallyport/ca/ca.crt
step "nft, iptables, rules, sysctls are as before" diff "$LAB/filters" <(filters)
step "the trust store is as before" cmp "$bundle" "$LAB/bundle"
run systemd-analyze security --no-pager "$unit"
tail -n 1 "$LAB/out"
step "systemd-analyze security: an exposure of at most 4" test "$(awk '/Overall exposure/ { print $(NF - 2) < 4.05 }' "$LAB/out")" = 1

at "enforce"
jq '.mode = "enforce" | .dlp = {"request": {"CREDIT_CARD": "redact"}} | .contact = "security@example.com"' \
	/usr/share/sallyport/observe.json >/etc/sallyport/policy.json
run systemctl reload sallyport
step "systemctl reload" rc 0 and active
step "starts the data path" eventually 20 test "$(listeners)" -gt 0
step "the signer too ($(runs_as))" test "$(runs_as)" = "root sallyport sallyport-recorder sallyport-signer "
run sallyport trust install
step "trust install" rc 0
run ask billing.service
step "a client of billing.service gets its answer, seeing the provider's address" rc 0 and said '^200 198\.18\.0\.10'
step "... without the card" upstream 'length == 1 and (.[0].body | (contains("4111") | not) and contains("[CREDIT_CARD]"))'
step "... and the record names the unit" eventually 10 record '.who.unit == "billing.service" and .who.exe == "/usr/bin/curl" and
	.provider == "openai" and .action == "redacted"'
run in_unit other.service curl -sS -m 20 --cacert "$LAB_ROOT_CA" https://not-ai.example.com/
step "another host keeps its certificate" rc 0
step "pins in bpffs" test -d /sys/fs/bpf/sallyport
echo '{"version":1,"mode":"enfroce"}' >/etc/sallyport/policy.json.bad
cp /etc/sallyport/policy.json /etc/sallyport/policy.json.good
cp /etc/sallyport/policy.json.bad /etc/sallyport/policy.json
run systemctl reload sallyport
step "a mistake fails the reload, and the old policy holds" not rc 0 and active and serves
cp /etc/sallyport/policy.json.good /etc/sallyport/policy.json
rm /etc/sallyport/policy.json.*

run systemctl restart sallyport
step "systemctl restart: its files are still the recorder's" rc 0 and active and eventually 20 serves

at "faults"
for part in worker recorder signer; do
	old=$(role $part)
	kill -9 "$old"
	step "the $part killed: another comes, and it serves" eventually 40 other $part "$old" and eventually 20 serves
done
step "... under the same monitor" test "$(property NRestarts)" = 0
old=$(main_pid)
kill -9 "$old"
step "the monitor killed: systemd starts it again" eventually 40 other_main "$old" and eventually 20 serves
step "... once" test "$(property NRestarts)" = 1
old=$(main_pid) from=$SECONDS
kill -STOP "$old"
sleep 4
run ask billing.service
step "the monitor stuck: what fails closed is refused" rc 7
step "... the watchdog has it started again" eventually 80 other_main "$old"
step "... ($((SECONDS - from)) s) and it serves" eventually 20 serves
step "... for that reason" grep -q 'watchdog' <(journalctl -b --no-pager -u "$unit")
run sallyport audit verify
step "one chain through all of it" rc 0

at "stop and start"
run systemctl stop sallyport
step "stop" rc 0 and test "$(property ActiveState) $(property Result)" = "inactive success"
run ask billing.service
step "... what fails closed holds" rc 7
run systemctl start sallyport
step "start" rc 0 and eventually 10 serves
run systemctl start sallyport-report.service
step "the daily report" rc 0 and grep -rq 'billing.service' /var/lib/sallyport/reports/
systemctl stop sallyport
run sallyport disarm
step "disarm" rc 0 and said 'disarmed' and not test -e /sys/fs/bpf/sallyport
run direct billing.service
step "... and clients go to the provider" rc 0 and said '^200 198' and upstream '.[0].body | contains("4111")'
step "no complaint of the kernel" not grep -E 'WARNING:|BUG:|Oops|segfault|type=1326' <(dmesg)

at "the kernel's own tests on this kernel"
for t in "$src"/build/tests/bpf/*_test; do program "$t"; done
while read -r story; do
	[ -z "$story" ] || for t in "$src"/tests/e2e/"$story"*.sh; do program "$t"; done
done <"$src/stories"

at "uninstall"
systemctl start sallyport
run sallyport trust remove
step "trust remove leaves the store as it was" rc 0 and cmp "$bundle" "$LAB/bundle"
run make -s -C "$src" uninstall
step "make uninstall, running in enforce mode" rc 0
step "... no process, no pin, no listener" not pgrep -x sallyport and not test -e /sys/fs/bpf/sallyport and test "$(listeners)" = 0
step "... no unit" not systemctl cat "$unit"
find / -xdev \( -path "$src" -o -path /var/log -o -path /run -o -path /tmp \) -prune -o -iname '*sallyport*' -print | sort >"$LAB/left"
step "... and no file but what the operator wrote and what was recorded" \
	test "$(grep -v '^/var/lib/sallyport/' "$LAB/left" | tr '\n' ' ')" = "/etc/sallyport /var/lib/sallyport "
cat "$LAB/left"
run direct billing.service
step "... clients go to the provider" rc 0 and said '^200'
