#!/usr/bin/env bash
# Checks the units of this folder with systemd's own tools: they must be accepted without a word,
# with the machine's settings laid over too, and the engine's exposure must be 2.0 at most. A unit
# with a planted mistake must be refused. Needs no systemd that runs.
# usage: verify.sh      exit: 0 fine, or no systemd-analyze here; 1 not
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
command -v systemd-analyze >/dev/null || { echo "skipped: no systemd-analyze here"; exit 0; }
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT

# The unit $1 as it will be read; the program need not be installed here. $2: with the drop-in.
stage() {
    rm -rf "$tmp/units"
    mkdir "$tmp/units"
    local unit
    for unit in "$here"/*.service; do
        sed 's#/usr/bin/bot4 #/bin/true #' "$unit" >"$tmp/units/${unit##*/}"
    done
    if [[ ${1:-} == machine ]]; then cp -r "$here/bot4.service.d" "$tmp/units/"; fi
}
accepted() {
    local said
    if said=$(cd "$tmp/units" && systemd-analyze verify --man=no ./*.service 2>&1) && [[ -z $said ]]; then
        return 0
    fi
    echo "$said"
    return 1
}
exposure() { # at most $1 tenths
    (cd "$tmp/units" && systemd-analyze security --offline=true --threshold="$1" ./bot4.service) >"$tmp/out" 2>&1
}

for with in alone machine; do
    stage "$with"
    accepted || { echo "the units are not accepted ($with)" >&2; exit 1; }
    exposure 20 || { grep -v '^✓' "$tmp/out"; echo "bot4.service is exposed above 2.0 ($with)" >&2; exit 1; }
    echo "ok  units $with: $(sed -n 's/^.*Overall/overall/p' "$tmp/out")"
done
if exposure 10; then echo "the exposure was not measured: no service is below 1.0" >&2; exit 1; fi
echo 'WatchdogSecs=5' >>"$tmp/units/bot4.service"
if accepted >/dev/null; then echo "a key that systemd does not know was not seen" >&2; exit 1; fi
echo "ok  a planted mistake is seen"
