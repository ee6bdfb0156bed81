#!/usr/bin/env bash
# Proves from outside that every lane of a running engine is where its ready file says: thread
# there, allowed on exactly the planned CPU, with the planned name. Prints every thread.
# usage: audit.sh READY_FILE      exit: 0 all as planned, 1 not, 2 bad input
set -uo pipefail
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

[[ $# == 1 && -s $1 ]] || { echo "usage: audit.sh READY_FILE (as written by bot4 run --ready-file)" >&2; exit 2; }
text=$(tr -d '\n' <"$1")
pid=$(grep -oE '"pid" *: *[0-9]+' <<<"$text" | grep -oE '[0-9]+' | head -1)
lanes=$(grep -oE '\{[^{}]*"tid"[^{}]*\}' <<<"$text")
[[ -n $pid && -n $lanes ]] || { echo "audit: $1 names no pid or no lanes" >&2; exit 2; }
[[ -d /proc/$pid/task ]] || { echo "audit: process $pid is gone" >&2; exit 1; }

# One field of one lane's JSON object.
field() { sed -nE "s/.*\"$1\" *: *\"?([^\",}]*)\"?.*/\1/p" <<<"$2" | tr -d ' '; }
row() { printf '%-16s %8s %5s %10s  %s\n' "$@"; }

bad=0 tids=' '
row thread tid plan allowed verdict
while read -r lane; do
    tid=$(field tid "$lane") name=$(field name "$lane") plan=$(field cpu "$lane")
    tids+="$tid "
    task=/proc/$pid/task/$tid
    mask=$(allowed_of "$task/status")
    verdict=ok
    if [[ -z $mask ]]; then
        verdict=MISSING
    elif [[ $plan != null && $mask != "$plan" ]]; then
        verdict='WRONG CPU'
    elif [[ $tid != "$pid" && $(value "$task/comm") != "${name:0:15}" ]]; then
        verdict="WRONG NAME $(value "$task/comm")" # the main thread keeps the program's name
    fi
    [[ $verdict == ok ]] || bad=1
    row "$name" "$tid" "$plan" "${mask:--}" "$verdict"
done <<<"$lanes"
for task in "/proc/$pid/task"/*; do
    tid=${task##*/}
    [[ $tids == *" $tid "* ]] || row "$(value "$task/comm")" "$tid" - "$(allowed_of "$task/status")" helper
done
exit "$bad"
