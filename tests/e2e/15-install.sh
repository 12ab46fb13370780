#!/usr/bin/env bash
# make install puts everything in place and overwrites nothing an operator wrote; uninstall takes it away.
# shellcheck source=tests/e2e/lib.sh
. "${0%/*}/lib.sh"

put() { make -s -C "$LAB_ROOT" B="$LAB_BUILD" DESTDIR="$LAB/root" "$@"; }
root=
refused() { lab_client curl -sS -m 5 --cacert "$LAB_ROOT_CA" https://api.openai.com/v1/models; [ $? -eq 7 ]; }
there() { local f; for f in "$@"; do [ -s "$root$f" ] || { echo "no $f"; return 1; }; done; }
story "What is installed is complete, and goes without a trace"
root=$LAB/root

run put install
step "installed" rc 0 and said 'systemctl enable --now sallyport'
step "binary and kernel programs" there /usr/bin/sallyport /usr/lib/sallyport/{connect,dns,egress,origin}.bpf.o and test -x "$root/usr/bin/sallyport"
step "policies and data" there /usr/share/sallyport/{providers,prices,observe,monitor,enforce,schema}.json
step "manual pages" there /usr/share/man/man1/sallyport.1 /usr/share/man/man8/sallyport.8 /usr/share/man/man5/sallyport-policy.5
step "units, users, folders" there /usr/lib/systemd/system/sallyport{.service,-report.service,-report.timer} \
	/usr/lib/sysusers.d/sallyport.conf /usr/lib/tmpfiles.d/sallyport.conf
run "$root/usr/bin/sallyport" policy check "$root/etc/sallyport/policy.json"
step "the first policy is good" rc 0
step "and observes" jq -e '.mode == "observe"' "$root/etc/sallyport/policy.json"
step "its schema is where it says" test -s "$root$(jq -r '.["$schema"]' "$root/etc/sallyport/policy.json")"

# shellcheck disable=SC2016 # for the inner shell
lab_in sh -c 'for u in sallyport:990 sallyport-recorder:991 sallyport-signer:992; do
	echo "${u%:*}:x:${u#*:}:${u#*:}::/:/usr/sbin/nologin" >>/etc/passwd
	echo "${u%:*}:x:${u#*:}:" >>/etc/group
done'
lab_in cp -r "$root/etc/sallyport" /etc/
lab_in mkdir -p /usr/local/share
lab_in cp -r "$root/usr/share/sallyport" /usr/local/share/
LAB_SALLYPORT=$root/usr/bin/sallyport
lab_daemon_start --no-prefetch --policy /etc/sallyport/policy.json
run lab_in "$root/usr/bin/sallyport" status
step "what was installed runs, in observe mode" rc 0 and said 'strictest mode observe'
lab_daemon_stop

echo '{"version":1,"mode":"monitor"}' >"$root/etc/sallyport/policy.json"
run put install
step "an operator's policy is not overwritten" rc 0 and jq -e '.mode == "monitor"' "$root/etc/sallyport/policy.json"
run put uninstall
step "uninstalled" rc 0
step "only what the operator wrote is left" test "$(find "$root" -type f | sed "s,^$root,,")" = /etc/sallyport/policy.json
run put install PREFIX=/usr/local
step "another prefix" rc 0 and there /usr/local/bin/sallyport /usr/local/lib/systemd/system/sallyport.service \
	and grep -q '^ExecStart=/usr/local/bin/sallyport daemon' "$root/usr/local/lib/systemd/system/sallyport.service"

if command -v systemd-analyze >/dev/null; then
	# As installed; the only complaints allowed are of what is not on this machine.
	for unit in sallyport.service sallyport-report.service sallyport-report.timer; do
		systemd-analyze verify "$LAB_ROOT/systemd/$unit" 2>&1 | grep -vE "is not executable: No such file|Command 'man " >"$LAB/verify"
		step "systemd-analyze verify $unit" not test -s "$LAB/verify"
	done
else
	echo "# skipped: systemd-analyze verify (not on this machine)"
fi
if command -v systemd-sysusers >/dev/null; then
	mkdir -p "$root/etc"
	run systemd-sysusers --root="$root" "$LAB_ROOT/systemd/sallyport.sysusers"
	step "the users can be made" rc 0 and grep -q '^sallyport-recorder:' "$root/etc/passwd" \
		and grep -q '^sallyport-signer:' "$root/etc/passwd" and grep -q '^sallyport:' "$root/etc/group"
fi

# The rights of the unit are enough: the daemon in enforce mode with that bounding set.
set=$(sed -n 's/^CapabilityBoundingSet=//p' "$LAB_ROOT/systemd/sallyport.service" | tr '[:upper:]' '[:lower:]' | sed 's/cap_/+/g; s/ /,/g')
LAB_DAEMON_PIN=(setpriv --no-new-privs "--bounding-set=-all,$set" --inh-caps=-all)
LAB_SALLYPORT=$LAB_BUILD/sallyport
lab_daemon_start --policy "$HERE/20-intercept.json"
run lab_in sallyport trust install
run lab_client --unit billing.service --uid 1001 curl -sS https://api.openai.com/v1/chat/completions \
	-d '{"model":"gpt-4o-mini","messages":[{"role":"user","content":"card 4111 1111 1111 1111"}]}'
step "enforces with the unit's rights alone" rc 0 and said 'CREDIT_CARD'
step "as four users" test "$(lab_daemon_pids | xargs -I{} stat -c %u /proc/{} 2>/dev/null | sort -u | tr '\n' ' ')" = "0 990 991 992 "
lab_daemon_stop
step "and ends in order" not logged 'did not end'
step "what fails closed holds without it" eventually 4 refused
run lab_in sallyport disarm
step "until it is disarmed" rc 0 and said 'disarmed' and lab_client curl -sS --cacert "$LAB_ROOT_CA" https://api.openai.com/v1/models
run lab_in sallyport disarm
step "twice is fine" rc 0 and said 'nothing is armed'
