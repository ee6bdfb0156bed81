#!/usr/bin/env bash
# A counting session on a running engine, thread by thread. Every event is probed alone first;
# what this machine does not count is listed, never guessed. Hardware events run in groups of at
# most four, one group a pass, so that nothing is multiplexed: a pass takes --seconds.
# Writes DIR/report.md, DIR/summary.json and the raw counts. Reads only; perf mounts tracefs as a
# side effect, which is undone.
set -uo pipefail

usage() {
    cat <<'TEXT'
usage: perf-session.sh --pid PID --seconds N --out DIR
example: deploy/perf-session.sh --pid "$(pgrep -ox bot4)" --seconds 10 --out /tmp/session
The oldest bot4 is the engine, its child is the embedded venue; after launch.sh also in /run/bot4/pid.
exit: 0 done; 1 nothing could be counted or the engine ended; 2 bad usage
TEXT
}
die() {
    echo "perf-session: $2" >&2
    exit "$1"
}

pid='' seconds='' out=''
while (($#)); do
    case $1 in
        --pid | --seconds | --out)
            (($# > 1)) || die 2 "$1 needs a value"
            case $1 in --pid) pid=$2 ;; --seconds) seconds=$2 ;; --out) out=$2 ;; esac
            shift ;;
        --help | -h) usage; exit 0 ;;
        *) usage >&2; die 2 "unknown option $1" ;;
    esac
    shift
done
[[ $pid =~ ^[0-9]+$ && $seconds =~ ^[1-9][0-9]*$ && -n $out ]] || { usage >&2; exit 2; }
command -v perf >/dev/null || die 2 "perf is not installed (deploy/setup.sh)"
[[ -d /proc/$pid/task ]] || die 2 "no process $pid"
mkdir -p "$out" || die 2 "cannot make $out"

had_tracefs=$(awk '$3 == "tracefs"' /proc/mounts)
# shellcheck disable=SC2317 # called by the trap
clean() {
    if [[ -z $had_tracefs ]] && grep -q ' /sys/kernel/tracing tracefs ' /proc/mounts; then
        umount /sys/kernel/tracing 2>/dev/null
    fi
}
trap clean EXIT

hardware=(cycles instructions branches branch-misses L1-dcache-load-misses LLC-loads LLC-load-misses
    cache-misses dTLB-loads dTLB-load-misses iTLB-load-misses)
software=(task-clock context-switches cpu-migrations minor-faults major-faults
    raw_syscalls:sys_enter sched:sched_wakeup irq_vectors:local_timer_entry
    irq_vectors:reschedule_entry irq:irq_handler_entry irq:softirq_entry tlb:tlb_flush)

# perf counts the event for a trivial command: supported and permitted.
counts() {
    local line
    line=$(perf stat -x, -e "$1" -- true 2>&1) || return 1
    [[ $line != *"<not "* && $line == *","*"$1"* ]]
}
keep_hw=() keep_sw=() unsupported=()
for event in "${hardware[@]}"; do if counts "$event"; then keep_hw+=("$event"); else unsupported+=("$event"); fi; done
for event in "${software[@]}"; do if counts "$event"; then keep_sw+=("$event"); else unsupported+=("$event"); fi; done
((${#keep_hw[@]} + ${#keep_sw[@]})) || die 1 "nothing can be counted (perf_event_paranoid is $(cat /proc/sys/kernel/perf_event_paranoid))"
hw_counters=false
if ((${#keep_hw[@]})); then hw_counters=true; fi
echo "hw_counters: $hw_counters"
if ((${#unsupported[@]})); then echo "not counted here: ${unsupported[*]}"; fi

steal() { awk '$1 == "cpu" {print $9}' /proc/stat; }
interrupts() { awk '$1 == "intr" {print $2}' /proc/stat; }
: >"$out/counts.csv"
count() { # events: one pass over all threads, as tid,count,event
    perf stat -x, --no-big-num --per-thread -p "$pid" -e "$1" -o "$out/pass.csv" -- sleep "$seconds" || return 1
    awk -F, '/^#/ || NF < 4 {next} {n = split($1, part, "-"); print part[n] "," $2 "," $4 "," $6}' "$out/pass.csv" >>"$out/counts.csv"
    rm -f "$out/pass.csv"
}
steal_before=$(steal) intr_before=$(interrupts)
passes=0
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
steal_ticks=$(($(steal) - steal_before)) intr=$(($(interrupts) - intr_before))

# --- summary.json and report.md -----------------------------------------------------------------
quoted() { (($# == 0)) || printf '"%s"\n' "$@" | paste -sd, -; }
names=$(for task in "/proc/$pid/task"/*; do printf '%s,%s,%s\n' "${task##*/}" "$(tr -c 'A-Za-z0-9._:\n-' '_' <"$task/comm")" "$(awk '/^Cpus_allowed_list/ {print $2}' "$task/status" | tr , ' ')"; done 2>/dev/null)
{
    printf '{"schema":1,"pid":%s,"seconds_per_pass":%s,"passes":%s,"hw_counters":%s,' "$pid" "$seconds" "$passes" "$hw_counters"
    printf '"unsupported":[%s],"steal_ticks":%s,"host_interrupts":%s,"threads":[' "$(quoted ${unsupported[@]+"${unsupported[@]}"})" "$steal_ticks" "$intr"
    awk -F, 'NR == FNR {name[$1] = $2; cpus[$1] = $3; next}
        {if (!($1 in seen)) {order[++n] = $1; seen[$1] = ""}
         if ($2 !~ /^[0-9.]+$/) $2 = "null"; else if ($4 != "100.00") {multiplexed = 1}
         seen[$1] = seen[$1] (seen[$1] == "" ? "" : ",") "\"" $3 "\":" $2}
        END {for (i = 1; i <= n; i++) {t = order[i]
             printf "%s{\"tid\":%s,\"name\":\"%s\",\"cpus\":\"%s\",\"events\":{%s}}", (i > 1 ? "," : ""), t, name[t], cpus[t], seen[t]}
             printf "],\"multiplexed\":%s}\n", (multiplexed ? "true" : "false")}' <(echo "$names") "$out/counts.csv"
} >"$out/summary.json" || die 1 "cannot write $out/summary.json"
{
    echo "# perf session on pid $pid"
    echo
    echo "- host: $(awk -F': ' '/^model name/ {print $2; exit}' /proc/cpuinfo), Linux $(uname -r)"
    echo "- \`hw_counters: $hw_counters\`$( [[ $hw_counters == true ]] || echo ' — this machine counts no cycles, instructions or cache events; nothing below stands in for them')"
    echo "- $passes $( ((passes == 1)) && echo pass || echo passes) of $seconds s; figures are a second, migrations and faults are totals of a pass"
    echo "- not counted here: ${unsupported[*]:-nothing, all events are there}"
    echo "- whole host meanwhile: $intr interrupts, $steal_ticks ticks of 10 ms stolen by the hypervisor"
    echo "- counting costs time where a thread switches or calls the kernel: take no latency figures from this time"
    # One row a thread in order of tid, which is the order of lanes; one column an event.
    awk -F, -v s="$seconds" -v main="$pid" '
        function short(e) {sub(/^.*:/, "", e); sub(/^local_timer_entry$/, "timer", e)
            sub(/^reschedule_entry$/, "reschedule", e); sub(/^irq_handler_entry$/, "irq", e)
            sub(/^softirq_entry$/, "softirq", e); sub(/^sys_enter$/, "syscalls", e)
            sub(/^sched_wakeup$/, "wakeups", e); sub(/^context-switches$/, "switches", e)
            sub(/^cpu-migrations$/, "migrations", e); sub(/^task-clock$/, "CPU %", e); return e}
        function total(e) {return e ~ /faults$|migrations$/}
        function cell(e, v) {if (v !~ /^[0-9.]+$/) return "idle"
            if (e == "task-clock") return sprintf("%.1f", v / s / 10)
            return total(e) ? sprintf("%d", v) : sprintf("%.0f", v / s)}
        NR == FNR {name[$1] = $2; cpus[$1] = $3; next}
        {if (!($3 in known)) {known[$3] = 1; event[++columns] = $3}
         if (!($1 in seen)) {seen[$1] = 1; tid[++rows] = $1}
         count[$1, $3] = $2}
        END {for (i = 2; i <= rows; i++) for (j = i; j > 1 && tid[j] + 0 < tid[j - 1] + 0; j--) {
                 t = tid[j]; tid[j] = tid[j - 1]; tid[j - 1] = t}
             for (from = 1; from <= columns; from += 12) {
                 head = "| thread | tid | cpus |"; line = "|---|---|---|"
                 last = from + 11 < columns ? from + 11 : columns
                 for (c = from; c <= last; c++) {
                     head = head " " short(event[c]) (total(event[c]) || event[c] == "task-clock" ? "" : "/s") " |"
                     line = line "---:|"}
                 printf "\n%s\n%s\n", head, line
                 for (i = 1; i <= rows; i++) {t = tid[i]
                     printf "| %s%s | %s | %s |", name[t], (t == main ? " (main)" : ""), t, cpus[t]
                     for (c = from; c <= last; c++) printf " %s |", cell(event[c], count[t, event[c]])
                     printf "\n"}}
             printf "\n## Stands out\n\n"
             for (i = 1; i <= rows; i++) {t = tid[i]
                 if (cpus[t] !~ /^[0-9]+$/) continue
                 for (c = 1; c <= columns; c++) if (total(event[c]) && count[t, event[c]] > 0) {
                     printf "- %s, pinned to CPU %s: %d %s in a pass\n", name[t], cpus[t], count[t, event[c]], event[c]; n++}}
             if (!n) print "- nothing: no pinned thread migrated or faulted"}' <(echo "$names") "$out/counts.csv"
    cat <<'TEXT'

## Reading it

- The main thread keeps the program's name; it is the control lane.
- A lane that spins has a CPU % near 100 and no switches, migrations or faults. A lane that shares its CPU
  yields and parks: thousands of switches and calls a second are its way of waiting, not load.
- `idle`: the thread did not run during the pass.
- `timer/s` of a spinning lane near the kernel's HZ (100 to 1000): the tick still runs on that CPU. Lanes that
  park set timers of their own, which show here too.
- `syscalls/s` of a spinning parse, book, signal or risk lane should be 0; wire and execution poll their sockets.
- `minor-faults` of the journal lane: the kernel asks again for each page of a segment after it was synced.
- `irq/s` and `softirq/s` are charged to whoever ran when the interrupt came.
TEXT
} >"$out/report.md"
echo "wrote $out/report.md and $out/summary.json"
