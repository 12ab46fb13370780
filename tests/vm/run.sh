#!/usr/bin/env bash
# Boots Debian 12 with its own 6.1 kernel and systemd in QEMU, with sallyport installed in it, and runs
# guest.sh there. No KVM and no network are needed after the first build. run.sh BUILD-DIR [STORY]...
# further stories of tests/e2e (15 25) are run inside too. VM_TIMEOUT=seconds.
set -euo pipefail
build=$(realpath "${1:?usage: run.sh BUILD-DIR [STORY]...}")
shift
root=$(cd "${0%/*}/../.." && pwd)
vm=$build/vm
limit=${VM_TIMEOUT:-600}

skip() { echo "skipped: check-vm: $*"; echo "0 passed, 0 failed"; exit 0; }
[ "$(id -u)" -eq 0 ] || skip "needs root (debootstrap, owners of files)"
for tool in qemu-system-x86_64 debootstrap mke2fs; do
	command -v $tool >/dev/null || skip "no $tool here: apt-get install qemu-system-x86 debootstrap e2fsprogs"
done
mkdir -p "$vm"
exec 9>"$vm/.lock"
flock -n 9 || { echo "check-vm: another one is running below $vm" >&2; exit 1; }

tmp=$vm/run
trap 'rm -rf "$tmp"' EXIT
trap 'exit 130' HUP INT TERM
"$root/tests/vm/base.sh" "$vm/base"
"$root/tests/lab/certs.sh" "$build/lab/certs"

# Hard links to the base: what is written below is a new file, never one of the base's changed in place.
rm -rf "$tmp"
cp -al "$vm/base" "$tmp"
make -s -C "$root" B="$build" DESTDIR="$tmp" install >/dev/null
src=$tmp/opt/sallyport
mkdir -p "$src/build/gen" "$src/build/tests" "$src/build/lab" "$src/build/clients" "$src/userspace/cli"
cp -a "$root"/{Makefile,bpf,policies,systemd,tests} "$src/"
cp -a "$root"/userspace/cli/*.[158] "$src/userspace/cli/"
cp -a "$build/sallyport" "$src/build/"
cp -a "$build"/gen/*.bpf.o "$src/build/gen/"
cp -a "$build"/tests/fake "$build"/tests/bpf "$src/build/tests/"
cp -a "$build/lab/certs" "$src/build/lab/"
find "$src/build" -name '*.[oda]' ! -name '*.bpf.o' -delete
printf '%s\n' "$@" >"$src/stories"
put() { rm -f "$tmp/$1"; mkdir -p "$tmp/${1%/*}"; cat >"$tmp/$1"; }
# Not a first boot: its presets would enable what an operator is to enable.
echo 5a11790571a14c0fb1d3b3d5a1170c0d | put etc/machine-id
echo vm | put etc/hostname
echo "nameserver 198.18.0.53" | put etc/resolv.conf
cp "$root/tests/vm/vm-test.service" "$tmp/etc/systemd/system/"
mkdir -p "$tmp/etc/systemd/system/multi-user.target.wants"
ln -s ../vm-test.service "$tmp/etc/systemd/system/multi-user.target.wants/"
# An emulated CPU is some twenty times slower: a reload takes longer than the unit's ten seconds.
printf '[Service]\nWatchdogSec=30\n' | put etc/systemd/system/sallyport.service.d/vm.conf
# Few roots, as every change of the store hashes all of them; the lab's is the world's public one.
printf 'mozilla/%s\n' ISRG_Root_X1.crt DigiCert_Global_Root_G2.crt | put etc/ca-certificates.conf
put usr/local/share/ca-certificates/lab.crt <"$build/lab/certs/root.pem"
chroot "$tmp" update-ca-certificates --fresh >/dev/null 2>&1
# Users and folders as on an update of /usr: by systemd, at boot.
rm -f "$tmp/etc/.updated" "$tmp/var/.updated"
rm -f "$vm/disk.img"
mke2fs -qF -t ext4 -O ^has_journal -m 0 -d "$tmp" "$vm/disk.img" 900M >/dev/null

: >"$vm/results.log"
echo "booting $(cd "$tmp/boot" && echo vmlinuz-*), at most $limit s; console: $vm/console.log"
started=$SECONDS
timeout --foreground -k 5 "$limit" setpriv --pdeathsig KILL nice -n 5 qemu-system-x86_64 \
	-accel tcg,thread=multi -cpu max,la57=off -m 1024 -smp 2 -nodefaults -display none -no-reboot -nic none \
	-kernel "$tmp"/boot/vmlinuz-* -initrd "$tmp"/boot/initrd.img-* -device virtio-rng-pci \
	-append "root=/dev/vda rw console=ttyS0 loglevel=4 panic=-1 systemd.show_status=false" \
	-drive "file=$vm/disk.img,if=virtio,format=raw,cache=unsafe" \
	-serial "file:$vm/console.log" -serial "file:$vm/results.log" 9>&- </dev/null &
wait $! && rc=0 || rc=$?
tr -d '\r' <"$vm/results.log" >"$vm/results" && mv "$vm/results" "$vm/results.log"
rm -f "$vm/disk.img"

cat "$vm/results.log"
passed=$(grep -c '^ok - ' "$vm/results.log" || true)
failed=$(grep -c '^not ok - ' "$vm/results.log" || true)
while read -r _ p _ f _; do # of the programs that ran inside
	passed=$((passed + p)) failed=$((failed + f))
done < <(grep -E '^ran: [0-9]+ passed, [0-9]+ failed$' "$vm/results.log" || true)
if ! grep -q '^end of tests$' "$vm/results.log"; then
	failed=$((failed + 1))
	echo "not ok - the machine did not come to the end (exit $rc after $((SECONDS - started)) s)"
	tail -n 40 "$vm/console.log"
fi
echo "virtual machine: $((SECONDS - started)) s"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
