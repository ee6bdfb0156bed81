#!/usr/bin/env bash
# The twelve-CPU gate: boots an emulated machine of 6 cores with 2 threads each, with a kernel that
# leaves CPUs 2-11 alone, runs the release binary in it and judges what the guest measured. No
# hardware, network or kernel module of this machine is used. The guest's part: gate12-guest.sh.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

usage() {
    cat <<'TEXT'
usage: gate12.sh [--json FILE] [--keep DIR] [--mends | --planted WHAT]
  --json FILE     write the verdict and what the guest said as JSON here
  --keep DIR      leave initramfs, console and results in DIR
  --mends         instead of the gate: every row of the host's table whose mend is a command is put
                  wrong, and mended by that command alone; some minutes
  --kernel        print the kernel's path, fetched where it is missing, and end
  --planted WHAT  plant a violation that the gate must find:
                    no-isolation  boot without isolcpus, nohz_full and rcu_nocbs
                    unpinned      the lane that spins, and one of the engine's, may use every CPU
                    noise         somebody else's task on the CPU of a hot lane
                    untouched     `bot4 host apply` is not run
The binary is $BOT4_BIN, else the newer of target/dist/bot4 and target/release/bot4. The kernel is Debian's
linux-image-cloud-amd64, kept in ${XDG_CACHE_HOME:-~/.cache}/bot4 (apt-get download, once).
exit: 0 every promise holds; 1 one does not; 2 the gate could not run
TEXT
}
die() {
    echo "gate12: $*" >&2
    exit 2
}

json='' keep='' planted='' mends=0 only_kernel=0
while (($#)); do
    case $1 in
        --json | --keep | --planted)
            (($# > 1)) || die "$1 needs a value"
            case $1 in --json) json=$2 ;; --keep) keep=$2 ;; --planted) planted=$2 ;; esac
            shift ;;
        --mends) mends=1 ;;
        --kernel) only_kernel=1 ;;
        --help | -h) usage; exit 0 ;;
        *) die "unknown option $1 (see --help)" ;;
    esac
    shift
done
case $planted in '' | no-isolation | unpinned | noise | untouched) ;; *) die "--planted $planted: no such violation (see --help)" ;; esac
if ((mends)); then planted=mends; fi
for need in qemu-system-x86_64 busybox cpio jq strip dpkg-deb; do
    command -v "$need" >/dev/null || die "$need is missing: deploy/setup.sh installs it"
done
bin=${BOT4_BIN:-}
if [[ -z $bin ]]; then # the newer one: a build of last week is not what is to be judged
    for candidate in "$here/../target/dist/bot4" "$here/../target/release/bot4"; do
        if [[ -x $candidate && (-z $bin || $candidate -nt $bin) ]]; then bin=$candidate; fi
    done
fi
[[ -x $bin ]] || die "no binary: set BOT4_BIN, or cargo build --release"
bin=$(realpath "$bin")

# --- the kernel -----------------------------------------------------------------------------------
cache=${XDG_CACHE_HOME:-$HOME/.cache}/bot4
mkdir -p "$cache"
newest() { apt-cache depends linux-image-cloud-amd64 2>/dev/null | awk '/Depends: linux-image-/ {print $2; exit}'; }
fetch() { # PACKAGE: its kernel into the cache, whole or not at all
    local into
    into=$(mktemp -d "$cache/fetch.XXXXXX")
    if (cd "$into" && apt-get download -qq "$1" && dpkg-deb -x ./*.deb .) >&2; then
        mv "$into"/boot/vmlinuz-* "$cache/"
    fi
    rm -rf "$into"
}
package=$(newest)
kernel=$cache/vmlinuz-${package#linux-image-}
if [[ -z $package || ! -s $kernel ]]; then
    if [[ -z $package ]] && ((EUID == 0)); then
        apt-get update -qq >&2 || true
        package=$(newest)
        kernel=$cache/vmlinuz-${package#linux-image-}
    fi
    if [[ -n $package && ! -s $kernel ]]; then fetch "$package"; fi
fi
if [[ -z $package || ! -s $kernel ]]; then
    kernel=$(find "$cache" -maxdepth 1 -name 'vmlinuz-*' | sort -V | tail -1)
    [[ -n $kernel ]] || die "no kernel: apt-get download linux-image-cloud-amd64 does not work here"
fi

if ((only_kernel)); then echo "$kernel" && exit 0; fi

# --- the machine ----------------------------------------------------------------------------------
work=${keep:-$(mktemp -d)}
mkdir -p "$work"
work=$(realpath "$work")
guest=''
clean() {
    if [[ -n $guest ]]; then kill "$guest" 2>/dev/null || true; fi
    if [[ -z $keep ]]; then rm -rf "$work"; fi
}
trap clean EXIT
root=$work/root
rm -rf "$root"
mkdir -p "$root"/{bin,proc,sys,dev,tmp,run}
put() { # FILE: the program and the libraries it loads, each at its own path
    local library
    for library in $(ldd "$1" 2>/dev/null | grep -oE '/[^ ]+'); do
        mkdir -p "$root$(dirname "$library")"
        cp -L "$library" "$root$library"
    done
}
cp "$(command -v busybox)" "$root/bin/busybox"
put "$root/bin/busybox"
# Debug information is not code: without it the image is a sixth.
strip -o "$root/bin/bot4" "$bin"
put "$bin"
install -m 755 "$here/gate12-guest.sh" "$root/init"
# An emulated disk may be silent for longer than 250 ms.
sed 's/stall_max = "250ms"/stall_max = "30s"/' "$here/config/demo.toml" >"$root/demo.toml"
(cd "$root" && find . | cpio -o -H newc --quiet) >"$work/initramfs"

# A kernel that gives up its TSC while it runs makes every CPU tick again, and this one does, for an
# emulated TSC is late against an emulated HPET: it is told, as on a real machine, not to compare.
quiet='isolcpus=managed_irq,domain,2-11 nohz_full=2-11 rcu_nocbs=2-11'
clock='tsc=reliable'
if [[ $planted == no-isolation ]]; then quiet=''; fi
# The guest counts with this machine's TSC. A busy machine disturbs its calibration, so it is told
# the rate where that is known: without frequency scaling the CPU's is the TSC's.
if [[ ! -e /sys/devices/system/cpu/cpu0/cpufreq ]]; then
    khz=$(awk -F: '/^cpu MHz/ {printf "%d", $2 * 1000; exit}' /proc/cpuinfo)
    if [[ -n $khz ]]; then clock+=" tsc_early_khz=$khz"; fi
fi
# Twelve CPUs on fewer of this machine's: each promise is about counts, none about speed.
machine=(
    -accel "tcg,thread=multi" -cpu Haswell -smp "12,sockets=1,cores=6,threads=2" -m 3G
    -nodefaults -no-user-config -display none -no-reboot
    -kernel "$kernel" -initrd "$work/initramfs"
    -append "console=ttyS0 quiet panic=-1 $clock $quiet planted=${planted:-nothing}"
    -serial "file:$work/console" -serial "file:$work/results"
)
begun=$SECONDS
# boot SECONDS: runs the machine, at most so long. Fails where its first process said nothing in
# time: about one boot in fifty of this emulator stands still while the kernel changes its own
# code under twelve CPUs. A word takes 2 s on a quiet machine; whatever happens after it counts.
boot() {
    local since=$SECONDS
    : >"$work/results"
    timeout -k 5 "$1" qemu-system-x86_64 "${machine[@]}" 2>"$work/qemu.err" </dev/null &
    guest=$!
    while [[ ! -s $work/results ]] && kill -0 "$guest" 2>/dev/null; do
        if ((SECONDS - since >= ${BOT4_GATE12_FIRST_WORD:-60})); then
            kill "$guest" 2>/dev/null || true
            wait "$guest" || true
            guest=''
            return 1
        fi
        sleep 0.2
    done
    wait "$guest" || echo "gate12: the machine did not end by itself (status $?)" >&2
    guest=''
}
for attempt in 1 2 3; do
    if boot "${BOT4_GATE12_TIMEOUT:-$((mends ? 900 : 170))}"; then break; fi
    echo "gate12: boot $attempt stood still before the first process" >&2
    if ((attempt == 3)); then
        tail -n 40 "$work/console" >&2
        die "the machine does not boot"
    fi
done
grep -v "TCG doesn't support requested feature" "$work/qemu.err" >&2 || true

# --- the verdict ----------------------------------------------------------------------------------
# A part that is not JSON is left out: the promises that need it do not hold then.
tr -d '\r' <"$work/results" | jq -cR 'fromjson? // empty' |
    jq -s --arg kernel "${kernel##*/vmlinuz-}" --arg planted "$planted" --argjson wall $((SECONDS - begun)) \
        -f "$here/gate12.jq" >"$work/verdict.json"
if [[ -n $json ]]; then cp "$work/verdict.json" "$json"; fi
jq -r '.promises[] | [if .holds then "ok" else "BROKEN" end, .id, .found] | join("\t")' "$work/verdict.json" |
    while IFS=$'\t' read -r state id found; do printf '%-7s %-16s %s\n' "$state" "$id" "$found"; done
jq -r '"gate12: \(.promises | map(select(.holds)) | length) of \(.promises | length) promises hold, Linux \(.kernel), \(.wall_s) s"' "$work/verdict.json"
if ! jq -e .holds "$work/verdict.json" >/dev/null; then
    if [[ -z $planted || $planted == mends ]]; then tail -n 40 "$work/console" >&2; fi
    exit 1
fi
