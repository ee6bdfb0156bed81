#!/usr/bin/env bash
# Installs the Debian packages that the build, the tests and the scripts of this folder need.
# Idempotent: what is there is left alone, and when all is there neither root nor network is used.
# Rust itself comes from rustup (rust-version in Cargo.toml); this script says when it is missing.
# usage: deploy/setup.sh [--check]      exit: 0 all there; 1 something is missing; 2 bad usage
set -euo pipefail

# command:package:what it is for
needs=(
    "gcc:gcc:builds the C parts of jemalloc and ring"
    "make:make:builds jemalloc"
    "git:git:names the commit in the run report"
    "flock:util-linux:launch.sh, one launcher at a time"
    "setpriv:util-linux:launch.sh --user"
    "taskset:util-linux:launch.sh asks for the plan on the chosen CPUs"
    "pgrep:procps:finding the engine's pid"
    "shellcheck:shellcheck:checks the scripts"
    "jq:jq:.ci/check-run and perf-session.sh, JSON"
    "strace:strace:tests of failing syncs and of kills at each system call"
    "perf:linux-perf:perf-session.sh, tests of what observers cost"
    "valgrind:valgrind:perf-session.sh and a test, instructions where there is no PMU"
    "systemd-analyze:systemd:checks the units"
    "qemu-system-x86_64:qemu-system-x86:gate12.sh, the machine of twelve CPUs"
    "busybox:busybox-static:gate12.sh, that machine's shell"
    "cpio:cpio:gate12.sh, that machine's files"
)

check=0
case ${1:-} in
    '') ;;
    --check) check=1 ;;
    *) sed -n '2,5s/^# //p' "$0"; exit 2 ;;
esac

missing=()
for need in "${needs[@]}"; do
    IFS=: read -r command package why <<<"$need"
    if command -v "$command" >/dev/null; then
        printf 'ok       %-11s %s\n' "$command" "$why"
    else
        printf 'missing  %-11s %s (package %s)\n' "$command" "$why" "$package"
        missing+=("$package")
    fi
done
if ! echo 'int main(void){return 0;}' | gcc -x c -o /dev/null - 2>/dev/null; then
    echo "missing  C headers   links C programs (package libc6-dev)"
    missing+=(libc6-dev)
fi
rust=0
if command -v cargo >/dev/null; then
    printf 'ok       %-11s %s\n' cargo "$(cargo --version)"
else
    echo "missing  cargo       install Rust with rustup, as your own user"
    rust=1
fi

if ((${#missing[@]} == 0)); then
    echo "every package is there"
    exit "$rust"
fi
mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)
if ((check)); then
    echo "to install: ${missing[*]}"
    exit 1
fi
if ((EUID != 0)); then
    echo "run as root: apt-get install --no-install-recommends ${missing[*]}" >&2
    exit 1
fi
command -v apt-get >/dev/null || { echo "no apt-get here; install: ${missing[*]}" >&2; exit 1; }
echo "installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends "${missing[@]}"
exit "$rust"
