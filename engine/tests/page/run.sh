#!/usr/bin/env bash
# The page of `bot4 watch` in headless Chromium, beside a running engine. Screenshots go to OUT.
# usage: engine/tests/page/run.sh [OUT]     $BOT4_BIN: the program, $CHROMIUM: the browser
# exit: 0 all checks held; 1 one did not; 3 something that the test needs is not installed
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
bot4=${BOT4_BIN:-$here/../../../target/release/bot4}
export CHROMIUM=${CHROMIUM:-/usr/bin/chromium}
missing() { echo "not tested: $1 is missing; $2" >&2; exit 3; }
[ -x "$bot4" ] || missing "$bot4" "cargo build --release, or name it in \$BOT4_BIN"
[ -x "$CHROMIUM" ] || missing "$CHROMIUM" "apt-get install --no-install-recommends chromium fonts-dejavu-core"
command -v npm >/dev/null || missing npm "apt-get install --no-install-recommends nodejs npm"

work=$(mktemp -d)
running=()
clean() {
    for pid in "${running[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait || true
    rm -rf "$work"
}
trap clean EXIT
out=${1:-$work/out}
mkdir -p "$out"
out=$(cd "$out" && pwd)
export XDG_STATE_HOME=$work/state
cp "$here"/package*.json "$here/page.mjs" "$work"
(cd "$work" && npm ci --no-audit --no-fund --ignore-scripts >"$work/npm.log" 2>&1) ||
    { cat "$work/npm.log"; missing "playwright-core" "npm must reach its registry"; }

configs=(--config "$here/../../../deploy/config/demo.toml")
"$bot4" run --for "${BOT4_PAGE_FOR:-4m}" "${configs[@]}" >"$work/run.log" 2>&1 &
running+=($!)
"$bot4" watch --json --listen 127.0.0.1:0 >"$work/watch.json" &
running+=($!)
for _ in $(seq 100); do [ -s "$work/watch.json" ] && break; sleep 0.1; done
url=$(sed -n 's/.*"url":"\([^"]*\)".*/\1/p' "$work/watch.json")
token=$(sed -n 's/.*"act_token_file":"\([^"]*\)".*/\1/p' "$work/watch.json")
[ -n "$url" ] || { echo "bot4 watch did not start"; exit 1; }
(cd "$work" && node page.mjs "$url" "$token" "$out")
