#!/usr/bin/env bash
# The units of this folder under a systemd that runs: boots an emulated machine of two CPUs with this
# machine's systemd, the release binary and gate12.sh's kernel, and shows that the tune unit applies
# and restores, that the engine unit waits for its word, is started again when it dies or hangs,
# and is left alone when policy refuses it or it halts. The guest's part: boot-guest.sh.
# usage: boot.sh [KEEP]    leaves initramfs and console in the folder KEEP
# The binary is $BOT4_BIN, else target/release/bot4. exit: 0 all of it; 1 not; 2 it could not run
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
die() {
    echo "boot: $*" >&2
    exit 2
}
for need in qemu-system-x86_64 busybox cpio strip systemctl; do
    command -v "$need" >/dev/null || die "$need is missing"
done
bin=${BOT4_BIN:-$here/../../target/release/bot4}
[[ -x $bin ]] || die "no binary: set BOT4_BIN, or cargo build --release"
kernel=$("$here/../gate12.sh" --kernel)

work=${1:-$(mktemp -d)}
mkdir -p "$work"
[[ -n ${1:-} ]] || trap 'rm -rf "$work"' EXIT
root=$work/root
rm -rf "$root"
mkdir -p "$root"/{bin,proc,sys,dev,tmp,run,etc/bot4,etc/systemd/system,var/lib,usr/share/bot4,usr/bin,lib/systemd/system}
put() { # FILE...: programs at their own paths, and the libraries that they load
    local file library
    for file; do
        for library in $(ldd "$file" 2>/dev/null | grep -oE '/[^ ]+') "$file"; do
            mkdir -p "$root$(dirname "$library")"
            cp -Lu "$library" "$root$library"
        done
    done
}
cp "$(command -v busybox)" "$root/bin/busybox"
put "$root/bin/busybox"
rm -rf "${root:?}/$root"
ln -s busybox "$root/bin/sh"
put /lib/systemd/systemd /lib/systemd/systemd-journald "$(command -v systemctl)"
strip -o "$root/usr/bin/bot4" "$bin"
put "$bin"
rm -rf "${root:?}$(dirname "$(realpath "$bin")")"
cp -L /lib/systemd/system/*.target /lib/systemd/system/systemd-journald*.{service,socket} "$root/lib/systemd/system/"
cp -r "$here/../config" "$root/usr/share/bot4/config"
cp "$here"/*.service "$root/etc/systemd/system/"
# An emulated machine may be silent for longer than a real one.
printf '[journal]\nstall_max = "30s"\n' >"$root/etc/bot4/site.toml"
mkdir "$root/etc/systemd/system/bot4.service.d"
printf '[Service]\nTimeoutAbortSec=5s\n' >"$root/etc/systemd/system/bot4.service.d/guest.conf"
echo 'root:x:0:0::/root:/bin/sh
bot4:x:990:990::/var/lib/bot4:/bin/false' >"$root/etc/passwd"
echo 'root:x:0:
bot4:x:990:' >"$root/etc/group"
: >"$root/etc/machine-id"
cat >"$root/etc/systemd/system/proof.service" <<'UNIT'
[Service]
Type=oneshot
ExecStart=/bin/busybox sh /bin/proof
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyS0
TimeoutStartSec=infinity
UNIT
mkdir "$root/etc/systemd/system/multi-user.target.wants"
ln -s ../proof.service "$root/etc/systemd/system/multi-user.target.wants/"
ln -sf /lib/systemd/system/multi-user.target "$root/etc/systemd/system/default.target"
install -m 755 "$here/boot-guest.sh" "$root/init"
install -m 755 "$here/boot-guest.sh" "$root/bin/proof"
for applet in $(busybox --list); do
    [[ -e $root/bin/$applet ]] || ln -s busybox "$root/bin/$applet"
done
(cd "$root" && find . | cpio -o -H newc --quiet) >"$work/initramfs"

: >"$work/results"
begun=$SECONDS
timeout -k 5 "${BOT4_BOOT_TIMEOUT:-900}" qemu-system-x86_64 -accel tcg,thread=multi -cpu Haswell -smp 2 -m 2G \
    -nodefaults -no-user-config -display none -no-reboot -kernel "$kernel" -initrd "$work/initramfs" \
    -append "console=ttyS0 panic=-1 systemd.unified_cgroup_hierarchy=1 systemd.show_status=0 systemd.log_target=console systemd.default_standard_output=kmsg" \
    -serial "file:$work/console" -serial "file:$work/results" 2>"$work/qemu.err" </dev/null ||
    echo "boot: the machine did not end by itself (status $?)" >&2
tr -d '\r' <"$work/results" | while read -r word id found; do printf '%-7s %-16s %s\n' "$word" "$id" "$found"; done
good=$(grep -c '^ok ' "$work/results" || true)
echo "boot: $good of 11 hold, $((SECONDS - begun)) s"
if ((good != 11)); then
    tail -n 40 "$work/console" >&2
    exit 1
fi
