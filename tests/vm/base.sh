#!/usr/bin/env bash
# A Debian 12 with its own 6.1 cloud kernel and the libraries that build/sallyport wants, as a folder:
# base.sh DIR. Made once, some minutes; again when the list below changes.
set -euo pipefail
dir=${1:?usage: base.sh DIR}
mirror=${VM_MIRROR:-http://deb.debian.org/debian}
packages="systemd systemd-sysv dbus udev kmod initramfs-tools linux-image-cloud-amd64
	libbpf1 libelf1 libssl3 libjansson4 libnghttp2-14 libvectorscan5 libpcre2-8-0 libnl-3-200 libnl-route-3-200
	libnl-idiag-3-200 libsqlite3-0 libsystemd0 libseccomp2 libcap2 zlib1g libbrotli1 libzstd1
	ca-certificates curl openssl jq iproute2 nftables iptables procps util-linux make python3-minimal"
modules="virtio_pci virtio_blk ext4"

want="$packages $modules $mirror"
if [ "$(cat "$dir.made" 2>/dev/null)" = "$want" ]; then
	exit 0
fi
echo "building $dir with debootstrap (once, some minutes)"
rm -rf "$dir.new" "$dir" "$dir.made"
mkdir -p "$dir.new"

# The kernel's package makes the initramfs: only what this machine needs, or TCG unpacks it for ever.
early="systemd,systemd-sysv"
debootstrap --variant=minbase --include="$early" bookworm "$dir.new" "$mirror" >"$dir.log" 2>&1 || {
	tail -n 20 "$dir.log" >&2
	exit 1
}
mkdir -p "$dir.new/etc/initramfs-tools/conf.d"
printf 'MODULES=list\nCOMPRESS=gzip\n' >"$dir.new/etc/initramfs-tools/conf.d/vm"
# shellcheck disable=SC2086 # a module a line
printf '%s\n' $modules >"$dir.new/etc/initramfs-tools/modules"
printf '#!/bin/sh\nexit 101\n' >"$dir.new/usr/sbin/policy-rc.d"
chmod 755 "$dir.new/usr/sbin/policy-rc.d"
# shellcheck disable=SC2086 # a list
chroot "$dir.new" env DEBIAN_FRONTEND=noninteractive apt-get -y -qq --no-install-recommends \
	-o Dpkg::Options::=--force-confold -o Dpkg::Options::=--force-unsafe-io install $packages >>"$dir.log" 2>&1 </dev/null || {
	tail -n 20 "$dir.log" >&2
	exit 1
}
rm -rf "$dir.new"/usr/sbin/policy-rc.d "$dir.new"/var/cache/apt/*.bin "$dir.new"/var/cache/apt/archives/*.deb \
	"$dir.new"/var/lib/apt/lists/* "$dir.new"/usr/share/doc/* "$dir.new"/usr/share/locale/* "$dir.new"/usr/share/man/*
mv "$dir.new" "$dir"
printf '%s' "$want" >"$dir.made"
