#!/usr/bin/env bash
# A counting session on a running engine, thread by thread and CPU by CPU. Every event is probed
# alone first; what this machine does not count is listed, never guessed. Hardware events run in
# groups of at most four, one group a pass, so that nothing is multiplexed: a pass takes --seconds.
# Where there is no PMU, callgrind tells instructions and simulated cache misses a message instead.
# Reads only; perf mounts tracefs as a side effect, which is undone.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

usage() {
    cat <<'TEXT'
usage: perf-session.sh --pid PID --seconds N --out DIR [options]
  --sets LIST      of core,cache,tlb,os,topdown (default: all)
  --record         also a profile of the lanes: folded stacks and a flame graph; and, where perf
                   can, how long threads waited for their CPU
  --callgrind      callgrind figures also where there is a PMU; --no-callgrind: nowhere
  --bot4 FILE      the program for them (default: the process's own)
example: deploy/perf-session.sh --pid "$(pgrep -ox bot4)" --seconds 10 --out /tmp/session --record
The oldest bot4 is the engine, its child is the embedded venue; after launch.sh also in /run/bot4/pid.
DIR gets report.md, summary.json, manifest.json, the raw counts, and with --record flame.svg.
exit: 0 done; 1 nothing could be counted or the engine ended; 2 bad usage
TEXT
}
die() {
    echo "perf-session: $2" >&2
    exit "$1"
}

pid='' seconds='' out='' sets=core,cache,tlb,os,topdown record=0 callgrind=auto bot4=''
while (($#)); do
    case $1 in
        --pid | --seconds | --out | --sets | --bot4)
            (($# > 1)) || die 2 "$1 needs a value"
            case $1 in
                --pid) pid=$2 ;; --seconds) seconds=$2 ;; --out) out=$2 ;;
                --sets) sets=$2 ;; --bot4) bot4=$2 ;;
            esac
            shift ;;
        --record) record=1 ;;
        --callgrind) callgrind=yes ;;
        --no-callgrind) callgrind=no ;;
        --help | -h) usage; exit 0 ;;
        *) usage >&2; die 2 "unknown option $1" ;;
    esac
    shift
done
[[ $pid =~ ^[0-9]+$ && $seconds =~ ^[1-9][0-9]*$ && -n $out ]] || { usage >&2; exit 2; }
[[ ,$sets, =~ ^,((core|cache|tlb|os|topdown),)+$ ]] || die 2 "--sets takes core, cache, tlb, os and topdown"
for tool in perf jq; do command -v "$tool" >/dev/null || die 2 "$tool is not installed (deploy/setup.sh)"; done
[[ -d /proc/$pid/task ]] || die 2 "no process $pid"
mkdir -p "$out" || die 2 "cannot make $out"
program=$(readlink "/proc/$pid/exe") arguments=$(tr '\0' ' ' <"/proc/$pid/cmdline")
sha256=$(sha256sum "/proc/$pid/exe" | cut -d' ' -f1)
work=$(mktemp -d)

had_tracefs=$(awk '$3 == "tracefs"' /proc/mounts)
# shellcheck disable=SC2317 # called by the trap
clean() {
    rm -rf "$work"
    if [[ -z $had_tracefs ]] && grep -q ' /sys/kernel/tracing tracefs ' /proc/mounts; then
        umount /sys/kernel/tracing 2>/dev/null
    fi
}
trap clean EXIT

wanted() { [[ ,$sets, == *,$1,* ]]; }
hardware=() software=()
if wanted core; then hardware+=(cycles instructions branches branch-misses); fi
if wanted cache; then hardware+=(L1-dcache-load-misses LLC-loads LLC-load-misses cache-misses); fi
if wanted tlb; then hardware+=(dTLB-loads dTLB-load-misses iTLB-load-misses); fi
if wanted os; then
    software=(task-clock context-switches cpu-migrations minor-faults major-faults
        raw_syscalls:sys_enter sched:sched_wakeup irq_vectors:local_timer_entry
        irq_vectors:reschedule_entry irq:irq_handler_entry irq:softirq_entry tlb:tlb_flush)
fi

# perf counts the event for a trivial command: supported and permitted.
counts() {
    local line
    line=$(perf stat -x, -e "$1" -- true 2>&1) || return 1
    [[ $line != *"<not "* && $line == *","*"$1"* ]]
}
keep_hw=() keep_sw=() unsupported=()
for event in ${hardware[@]+"${hardware[@]}"}; do if counts "$event"; then keep_hw+=("$event"); else unsupported+=("$event"); fi; done
for event in ${software[@]+"${software[@]}"}; do if counts "$event"; then keep_sw+=("$event"); else unsupported+=("$event"); fi; done
topdown=0
if wanted topdown; then
    if perf stat --topdown -a -- true >/dev/null 2>&1; then topdown=1; else unsupported+=(topdown); fi
fi
((${#keep_hw[@]} + ${#keep_sw[@]})) || die 1 "nothing can be counted (perf_event_paranoid is $(cat /proc/sys/kernel/perf_event_paranoid))"
hw_counters=false
if ((${#keep_hw[@]})); then hw_counters=true; fi
echo "hw_counters: $hw_counters"
if ((${#unsupported[@]})); then echo "not counted here: ${unsupported[*]}"; fi

# --- what the engine and the host say before and after ---------------------------------------------
names=$(for task in "/proc/$pid/task"/*; do printf '%s,%s,%s\n' "${task##*/}" "$(tr -c 'A-Za-z0-9._:\n-' '_' <"$task/comm")" "$(awk '/^Cpus_allowed_list/ {print $2}' "$task/status" | tr , ' ')"; done 2>/dev/null)
echo "$names" >"$work/names.csv"
cpus=$(awk -F, '$3 ~ /^[0-9]+$/ {print $3}' <<<"$names" | sort -nu | paste -sd, -)
pure=$(awk -F, '$2 ~ /^(parse(\.[0-9])?|book(\.[0-9])?|signal|risk)(_(parse(\.[0-9])?|book(\.[0-9])?|signal|risk))?$/ {print $1}' <<<"$names" | paste -sd, -)
# The engine's own state folder, so that it can be asked.
mapfile -t of_engine < <(tr '\0' '\n' <"/proc/$pid/environ" 2>/dev/null | grep -E '^(XDG_STATE_HOME|HOME)=')
# Sleeps through a pass and asks the engine before and after how many messages it has read.
cat >"$work/pass.sh" <<'TEXT'
ask() { # seconds pid file [VARIABLE=...] program
    if [[ -n $4 ]]; then env "${@:4}" status --json | jq -r --argjson pid "$2" 'select(.pid == $pid) | .market.messages // empty'; fi
}
{ ask "$@" >"$3.before"; sleep "$1"; ask "$@" >"$3.after"; } 2>/dev/null
TEXT
asked=()
if [[ ${program##*/} == bot4* ]]; then asked=(${of_engine[@]+"${of_engine[@]}"} "$program"); fi
pass=(bash "$work/pass.sh" "$seconds" "$pid" "$work/messages" ${asked[@]+"${asked[@]}"})
value() { cat "$1" 2>/dev/null || printf '%s' "$2"; }
host() { # the host's counters, as JSON
    jq -n --arg steal "$(awk '$1 == "cpu" {print $9}' /proc/stat)" \
        --arg intr "$(awk '$1 == "intr" {print $2}' /proc/stat)" \
        --arg soft "$(while read -r _ dropped squeezed _; do echo $((16#$dropped)) $((16#$squeezed)); done </proc/net/softnet_stat | awk '{d += $1; s += $2} END {print d, s}')" \
        --arg tcp "$(awk '/^Tcp:/ {if (seen++) print $13}' /proc/net/snmp)" \
        --arg psi "$(awk '/^some/ {sub(/.*total=/, ""); print}' /proc/pressure/cpu 2>/dev/null)" \
        '{steal_ticks: $steal, interrupts: $intr, packets_dropped: ($soft / " ")[0], softirq_squeezed: ($soft / " ")[1],
          tcp_retransmits: $tcp, cpu_waited_us: $psi} | with_entries(.value = (.value | try tonumber catch null))'
}

# --- passes ---------------------------------------------------------------------------------------
: >"$out/counts.csv"
: >"$out/cpus.csv"
: >"$work/messages.csv"
count() { # events: one pass over all threads, as tid,count,event,percent
    local before after
    perf stat -x, --no-big-num --per-thread -p "$pid" -e "$1" -o "$work/pass.csv" -- "${pass[@]}" || return 1
    before=$(value "$work/messages.before" '') after=$(value "$work/messages.after" '')
    awk -F, '/^#/ || NF < 4 {next} {n = split($1, part, "-"); print part[n] "," $2 "," $4 "," $6}' "$work/pass.csv" >"$work/pass"
    cat "$work/pass" >>"$out/counts.csv"
    awk -F, -v n="${before:+${after:+$((after - before))}}" '!seen[$3]++ {print $3 "," n}' "$work/pass" >>"$work/messages.csv"
}
host_before=$(host) passes=0
if ((${#keep_sw[@]})); then
    echo "pass: software events and tracepoints, $seconds s"
    count "$(IFS=,; echo "${keep_sw[*]}")" || die 1 "perf failed; does process $pid still run?"
    passes=1
fi
for ((i = 0; i < ${#keep_hw[@]}; i += 4)); do
    group=("${keep_hw[@]:i:4}")
    echo "pass: ${group[*]}, $seconds s"
    count "{$(IFS=,; echo "${group[*]}")}" || die 1 "perf failed; does process $pid still run?"
    passes=$((passes + 1))
done
if [[ -n $cpus ]] && ((${#keep_sw[@]})); then
    echo "pass: everything on CPUs $cpus, $seconds s"
    if perf stat -x, --no-big-num -a -A -C "$cpus" -e "$(IFS=,; echo "${keep_sw[*]}")" -o "$work/pass.csv" -- sleep "$seconds"; then
        awk -F, '/^#/ || NF < 4 {next} {sub(/^CPU/, "", $1); print $1 "," $2 "," $4}' "$work/pass.csv" >"$out/cpus.csv"
    fi
fi
if ((topdown)); then perf stat --topdown -a ${cpus:+-C "$cpus"} -o "$out/topdown.txt" -- sleep "$seconds" || rm -f "$out/topdown.txt"; fi
host_after=$(host)

# Proof that lanes that only compute call the kernel for nothing. One that shares its CPU parks.
calls=null
if [[ -n $pure ]]; then
    if timeout -s INT 2 perf trace -s -t "$pure" -o "$out/syscalls.txt" >/dev/null 2>&1 || (($? == 124)); then
        calls=$(awk '/^ +[a-z_0-9]+ +[0-9]+ / {n += $2} END {print n + 0}' "$out/syscalls.txt" 2>/dev/null || echo null)
    fi
fi

# --- profile ---------------------------------------------------------------------------------------
if ((record)); then
    event=cpu-clock
    if [[ " ${keep_hw[*]-} " == *" cycles "* ]]; then event=cycles; fi
    tids=$(awk -F, '$3 ~ /^[0-9]+$/ {print $1}' <<<"$names" | paste -sd, -)
    echo "profile: $event at 99 Hz, $seconds s"
    if perf record -q -F 99 -e "$event" --call-graph dwarf,8192 -t "${tids:-$pid}" -o "$work/perf.data" -- sleep "$seconds" >/dev/null 2>&1; then
        perf script -i "$work/perf.data" -F comm,tid,ip,sym 2>/dev/null | awk -f "$here/perf/fold.awk" |
            tr ';' '\001' | LC_ALL=C sort | tr '\001' ';' >"$out/stacks.folded"
        awk -v title="pid $pid, $event" -f "$here/perf/flame.awk" "$out/stacks.folded" >"$out/flame.svg" ||
            { rm -f "$out/flame.svg"; echo "profile: no sample: the lanes did not run"; }
    else
        echo "profile: perf cannot record here"
    fi
    # How long each thread waited for its CPU, as the scheduler saw it. Not every perf can on every kernel.
    if { perf sched record -o "$work/sched.data" -- sleep 2; } >/dev/null 2>&1; then
        perf sched timehist -s -p "$pid" -i "$work/sched.data" >"$out/sched.txt" 2>/dev/null || rm -f "$out/sched.txt"
    fi
fi

# --- callgrind: what a message costs in instructions, on the simulated venue's market ----------------
simulated() { # seconds: messages, instructions, misses of the first and of the last level
    XDG_STATE_HOME=$work "$bot4" record --config "$work/observe.toml" --out "$work/capture.$1" --for "$1s" >/dev/null 2>&1 || return 1
    valgrind --tool=callgrind --cache-sim=yes --callgrind-out-file="$work/cg.$1" "$bot4" replay --json "$work/capture.$1" >"$work/replayed.$1" 2>/dev/null || return 1
    # Ir Dr Dw I1mr D1mr D1mw ILmr DLmr DLmw
    echo "$(jq -s '.[0].messages' "$work/replayed.$1") $(awk '/^(summary|totals):/ {print $2, $5 + $6 + $7, $8 + $9 + $10; exit}' "$work/cg.$1")"
}
simulate() {
    command -v valgrind >/dev/null || { echo "callgrind: valgrind is not installed"; return 1; }
    printf '[venue]\nname = "binance"\nmode = "observe"\nembedded = true\nsymbols = ["BTCUSDT", "ETHUSDT"]\n' >"$work/observe.toml"
    local less more
    less=$(simulated 2) && more=$(simulated 12) || return 1
    # Starting and making the books cost the same both times: the difference is messages alone.
    awk '{if (NR == 1) {n = $1; a = $2; b = $3; c = $4; next}
        n = $1 - n; if (n <= 0) exit 1
        printf "{\"messages\":%d,\"instructions\":%.1f,\"first_level_misses\":%.3f,\"last_level_misses\":%.4f}", n, ($2 - a) / n, ($3 - b) / n, ($4 - c) / n}' <<<"$less"$'\n'"$more"
}
callgrind_json=null
if [[ $callgrind == yes || ($callgrind == auto && $hw_counters == false) ]]; then
    if [[ -z $bot4 && ${program##*/} == bot4* ]]; then bot4=$program; fi
    if [[ -x $bot4 ]]; then
        echo "callgrind: two and twelve seconds of the simulated market, read, parsed and kept as books"
        told=$(simulate) || told+=$'\nnull'
        callgrind_json=$(tail -1 <<<"$told")
        jq -e . <<<"$callgrind_json" >/dev/null 2>&1 || callgrind_json=null
    fi
fi

# --- summary.json, manifest.json, report.md -----------------------------------------------------------
host_check() { # what the engine's own table says of the host
    local said=''
    if ((${#asked[@]})); then said=$(env "${asked[@]}" host check --json 2>/dev/null | jq -c . 2>/dev/null); fi
    echo "${said:-null}"
}
list() { jq -cn '$ARGS.positional' --args -- "$@"; }
csv() { jq -Rc 'split(",")' "$1" | jq -sc "$2"; }
jq -cn --argjson pid "$pid" --argjson seconds "$seconds" --argjson passes "$passes" --argjson hw "$hw_counters" \
    --argjson unsupported "$(list ${unsupported[@]+"${unsupported[@]}"})" --argjson before "$host_before" --argjson after "$host_after" \
    --argjson names "$(csv "$work/names.csv" 'map({key: .[0], value: {name: .[1], cpus: .[2]}}) | from_entries')" \
    --argjson counts "$(csv "$out/counts.csv" .)" --argjson cpus "$(csv "$out/cpus.csv" .)" \
    --argjson messages "$(csv "$work/messages.csv" 'map({key: .[0], value: (.[1] | tonumber? // null)}) | from_entries')" \
    --argjson calls "$calls" --argjson callgrind "$callgrind_json" '
    def events: map({key: .[2], value: (.[1] | tonumber? // null)}) | from_entries;
    {schema: 2, pid: $pid, seconds_per_pass: $seconds, passes: $passes, hw_counters: $hw, unsupported: $unsupported,
     host: ($after | with_entries(.value = (if .value == null or $before[.key] == null then null else .value - $before[.key] end))),
     messages: $messages,
     threads: ($counts | group_by(.[0]) | map({tid: (.[0][0] | tonumber), name: $names[.[0][0]].name, cpus: $names[.[0][0]].cpus, events: events})),
     cpus: ($cpus | group_by(.[0]) | map({cpu: (.[0][0] | tonumber), events: events})),
     compute_lanes: {system_calls_in_2_s: $calls}, callgrind_a_message: $callgrind,
     multiplexed: ($counts | any(.[1] != "" and (.[1] | test("^[0-9.]+$")) and .[3] != "100.00"))}' >"$out/summary.json" ||
    die 1 "cannot write $out/summary.json"
jq -n --arg program "$program" --arg sha256 "$sha256" --arg kernel "$(uname -r)" \
    --arg cpu "$(awk -F': ' '/^model name/ {print $2; exit}' /proc/cpuinfo)" --arg cmdline "$(cat /proc/cmdline)" --arg perf "$(perf --version)" \
    --arg arguments "$arguments" --argjson unsupported "$(list ${unsupported[@]+"${unsupported[@]}"})" \
    --argjson check "$(host_check)" \
    '{program: $program, sha256: $sha256, arguments: $arguments, cpu: $cpu, kernel: $kernel, kernel_arguments: $cmdline, perf: $perf, unsupported: $unsupported, host_check: $check}' >"$out/manifest.json"
{
    echo "# perf session on pid $pid"
    echo
    echo "- host: $(awk -F': ' '/^model name/ {print $2; exit}' /proc/cpuinfo), Linux $(uname -r)"
    echo "- \`hw_counters: $hw_counters\`$( [[ $hw_counters == true ]] || echo ': this machine counts no cycles, instructions or cache events; no count below stands in for them')"
    echo "- $passes $( ((passes == 1)) && echo pass || echo passes) of $seconds s; figures are a second, migrations and faults are totals of a pass"
    echo "- not counted here: ${unsupported[*]:-nothing, all events are there}"
    echo "- whole host meanwhile: $(jq -r '.host | to_entries | map("\(.key) \(.value // "unknown")") | join(", ")' "$out/summary.json") (a tick of steal is 10 ms)"
    echo "- counting costs time where a thread switches or calls the kernel: take no latency figures from this time"
    if [[ $calls != null ]]; then echo "- lanes that only compute made $calls system calls in 2 s (syscalls.txt)$( ((calls == 0)) || echo '; a lane that shares its CPU parks, and parking is a call')"; fi
    if [[ $callgrind_json != null ]]; then
        jq -r '"- callgrind, \(.messages) messages of the simulated market read from a capture, parsed and kept as books, a message: \(.instructions) instructions, \(.first_level_misses) misses of the first level, \(.last_level_misses) of the last (simulated caches)"' <<<"$callgrind_json"
    fi
    awk -F, -v s="$seconds" -v main="$pid" -f "$here/perf/report.awk" "$work/names.csv" "$work/messages.csv" "$out/counts.csv"
    if [[ -s $out/cpus.csv ]]; then
        printf '\n## CPUs of the lanes, whoever ran there\n\n| CPU | %s |\n|---|%s\n' "$(jq -r '[.cpus[0].events | keys_unsorted[] | sub("^.*:"; "")] | join(" | ")' "$out/summary.json")" \
            "$(jq -r '[.cpus[0].events | keys[] | "---:|"] | add' "$out/summary.json")"
        jq -r --argjson s "$seconds" '.cpus[] | "| \(.cpu) | \([.events[] | if . == null then "idle" else (. / $s | round | tostring) end] | join(" | ")) |"' "$out/summary.json"
    fi
    if [[ -s $out/flame.svg ]]; then printf '\n![flame graph](flame.svg)\n'; fi
    cat "$here/perf/reading.md"
} >"$out/report.md"
echo "wrote $out/report.md, $out/summary.json and $out/manifest.json"
