#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The installed package on another kernel than the host's: kernel.sh SUITE PACKAGE.deb boots the suite's own kernel in QEMU, without
# KVM (which the machines of our CI have not, or not whole), the root of root.sh with the package installed as its initramfs. TAP, as
# what runs within says it (inside_kernel.sh). It takes one to three minutes.
set -u
cd "$(dirname "$0")/../.." || exit 1
suite=$1 package=$2
roots=${HEARTH_ROOTS:-build/roots}
root=$roots/kernel-$suite-$$
. tests/install/tap.sh

[ "$(id -u)" = 0 ] || skip "no rights: roots are made by root"
[ "$(dpkg --print-architecture)" = amd64 ] || skip "this is not amd64"
command -v qemu-system-x86_64 >/dev/null || skip "there is no qemu-system-x86_64"

# shellcheck disable=SC2317 # by the trap
finish() { rm -rf --one-file-system "$root" "$root.cpio" "$root.console"; }
trap finish EXIT
sh tests/install/root.sh "$suite" "$package" >&2 || exit 1
if [ ! -f "$roots/$suite.vmlinuz" ]; then
	mkdir "$root"
	mmdebstrap --quiet --variant=extract --include=linux-image-cloud-amd64 "$suite" "$root" >&2 || exit 1
	cp "$root"/boot/vmlinuz-* "$roots/$suite.vmlinuz"
	rm -rf --one-file-system "$root"
fi

mkdir "$root"
tar -C "$root" -xf "$roots/$suite.tar"
cp "$package" "$root/root/now.deb"
chroot "$root" dpkg -i /root/now.deb >&2 || exit 1
cp tests/install/inside_kernel.sh tests/install/steps.sh tests/install/tap.sh "$BUILD/tests/live/targets/burn" "$root/root/"
rm -rf "$root/usr/share/doc" "$root/usr/share/locale" "$root/var/cache/apt" "$root/var/lib/apt/lists" "$root/root/now.deb"
ln -sf /lib/systemd/systemd "$root/init"
cat >"$root/etc/systemd/system/inside.service" <<'END'
[Unit]
After=multi-user.target
[Service]
Type=exec
ExecStart=/bin/sh /root/inside_kernel.sh
ExecStopPost=/bin/sh -c 'sed "s/^/TAP /" /root/result.tap >/dev/ttyS0; systemctl poweroff --no-block'
[Install]
WantedBy=multi-user.target
END
mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
ln -s ../inside.service "$root/etc/systemd/system/multi-user.target.wants/inside.service"
(cd "$root" && find . -xdev -print0 | cpio --quiet --null -o -H newc) >"$root.cpio"

timeout -k 10 540 qemu-system-x86_64 -accel tcg,thread=multi -cpu max -smp 2 -m 2560 -nographic -no-reboot -nic none \
	-kernel "$roots/$suite.vmlinuz" -initrd "$root.cpio" -append "console=ttyS0 panic=-1 quiet systemd.show_status=false" \
	</dev/null >"$root.console" 2>&1
cp "$root.console" "$roots/$suite-kernel.log"
tr -d '\r' <"$root.console" | sed -n 's/^.*TAP \(ok\|not ok\|#\|1\.\.\)/\1/p' >"$root.console.tap"
cat "$root.console.tap"
grep -q '^1\.\.' "$root.console.tap"
code=$?
rm -f "$root.console.tap"
[ "$code" = 0 ] || tail -n 30 "$root.console" | sed 's/^/# /'
exit "$code"
