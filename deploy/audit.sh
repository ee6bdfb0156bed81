#!/usr/bin/env bash
# Proves from outside that every lane of a running engine is where its ready file says: thread
# there, allowed on exactly the planned CPU, with the planned name. Then lists every other thread
# and child process: `helper` is one that the engine declares, it waits for the disk and is not
# pinned; `UNDECLARED` is a thread that nobody planned, listed but not a failure.
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
# The CPU a thread last ran on: the 37th field behind the name, which may hold blanks.
on_of() { sed 's/.*) //' "$1/stat" 2>/dev/null | cut -d' ' -f37; }
row() { printf '%-18s %8s %5s %8s %5s  %s\n' "$@"; }
helpers=' journal-sync journal-prepare capture '

bad=0 tids=' '
row thread tid plan allowed on verdict
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
    row "$name" "$tid" "$plan" "${mask:--}" "$(on_of "$task")" "$verdict"
done <<<"$lanes"
for task in "/proc/$pid/task"/*; do
    tid=${task##*/}
    name=$(value "$task/comm")
    if [[ $tids == *" $tid "* || ! -d $task ]]; then continue; fi
    verdict=UNDECLARED
    if [[ $helpers == *" $name "* ]]; then verdict=helper; fi
    row "$name" "$tid" - "$(allowed_of "$task/status")" "$(on_of "$task")" "$verdict"
done
for status in /proc/[0-9]*/status; do
    [[ $(awk '/^PPid/ {print $2}' "$status" 2>/dev/null) == "$pid" ]] || continue
    child=${status%/status}
    read -r -a words < <(tr '\0' ' ' <"$child/cmdline")
    row "${words[0]##*/} ${words[1]:-}" "${child#/proc/}" - "$(allowed_of "$status")" "$(on_of "$child")" 'child process'
done
exit "$bad"
