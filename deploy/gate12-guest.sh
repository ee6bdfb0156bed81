#!/bin/busybox sh
# The first process of gate12.sh's machine: measures, and writes each part as one line of JSON to
# the second serial line. What it says for a person goes to the console. Judged outside, gate12.jq.
# shellcheck shell=dash
/bin/busybox --install -s /bin
export PATH=/bin HOME=/tmp XDG_STATE_HOME=/tmp XDG_RUNTIME_DIR=/run
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mkdir -p /dev/shm
mount -t tmpfs shm /dev/shm
mount -t tmpfs run /run
mount -t cgroup2 cgroup /sys/fs/cgroup
ip link set lo up
planted=$(grep -o 'planted=[a-z-]*' /proc/cmdline | cut -d= -f2)

say() { echo "guest $(cut -d' ' -f1 /proc/uptime) s: $*"; }
# part NAME STATUS FILE: FILE holds JSON on one line or several.
part() {
    say "$1 ended with $2"
    [ -s "$3" ] || echo null >"$3"
    {
        printf '{"part":"%s","at_s":%s,"status":%s,"said":' "$1" "$(cut -d' ' -f1 /proc/uptime)" "$2"
        tr -d '\n' <"$3"
        echo '}'
    } >/dev/ttyS1
}
# Whatever starts here may use the CPUs that the kernel keeps for itself; the engine gets them all.
everywhere() { taskset 0xfff "$@"; }

cpu=/sys/devices/system/cpu
flag() { if grep -m1 '^flags' /proc/cpuinfo | grep -qw "$1"; then echo true; else echo false; fi; }
cat >/tmp/machine <<JSON
{"kernel": "$(uname -r)", "online": "$(cat $cpu/online)",
 "cores": $(cat $cpu/cpu*/topology/thread_siblings_list | sort -u | wc -l),
 "isolated": "$(cat $cpu/isolated)", "nohz_full": "$(cat $cpu/nohz_full)",
 "rcu_nocbs": "$(grep -o 'rcu_nocbs=[0-9,-]*' /proc/cmdline | cut -d= -f2)",
 "clocksource": "$(cat $cpu/../clocksource/clocksource0/current_clocksource)",
 "constant_tsc": $(flag constant_tsc), "nonstop_tsc": $(flag nonstop_tsc),
 "avx2": $(flag avx2), "avx512f": $(flag avx512f)}
JSON
part machine 0 /tmp/machine

# --- each row's own words, run as they stand ------------------------------------------------------
# Each command that `bot4 host check` prints as a mend, for a row that is wrong, with what the text
# leaves open filled in: N pages, LIST and MASK of CPUs that are no hot lane's, every CARD and queue.
looked() { everywhere bot4 host check --config /demo.toml --lanes 12 --window 20ms >/tmp/text; }
state_of() { awk -v id="$1" '$2 == id {print tolower($1)}' /tmp/text; }
spoil() { # VALUE FILE...: a value that the row does not want, where there is such a file
    value=$1
    shift
    for file; do if [ -e "$file" ]; then echo "$value" 2>/dev/null >"$file"; fi; done
}
mend() { # ID COMMAND
    words=$(echo "$2" | sed "s/=N$/=$pages/; s/LIST/0-1/; s/MASK/3/; s#CARD#*#; s#-N/#-*/#; s#/N/#/*/#; s#cpuN#cpu*#; s#stateM#state*#")
    case $words in
        sysctl*) $words ;;
        echo*)
            value=${words#echo }
            # Without quotes: the stars stand for every card, queue or interrupt there is.
            for file in ${words##*> }; do echo "${value%% >*}" >"$file"; done ;;
    esac >/dev/null 2>&1
}
mends() {
    mm=/sys/kernel/mm vm=/proc/sys/vm kernel=/proc/sys/kernel net=/proc/sys/net
    spoil always $mm/transparent_hugepage/enabled
    spoil 1 $mm/transparent_hugepage/khugepaged/defrag $mm/ksm/run $vm/zone_reclaim_mode $vm/stat_interval
    spoil 1 $kernel/numa_balancing $kernel/nmi_watchdog $kernel/timer_migration $net/ipv4/tcp_slow_start_after_idle
    spoil 0 $vm/nr_hugepages $net/core/busy_poll $net/core/busy_read
    spoil 20 $vm/compaction_proactiveness && spoil 60 $vm/swappiness
    spoil 212992 $net/core/rmem_max && spoil 15 $net/ipv4/tcp_retries2
    spoil -1 $kernel/sched_rt_runtime_us && spoil 4 $kernel/perf_event_paranoid
    spoil 0-11 $kernel/watchdog_cpumask /proc/irq/*/smp_affinity_list
    spoil fff /sys/devices/virtual/workqueue/cpumask /sys/bus/workqueue/devices/writeback/cpumask
    spoil fff /sys/class/net/*/queues/rx-*/rps_cpus
    pages=$(everywhere bot4 check --config /demo.toml --lanes 12 | sed -n 's/^memory: \([0-9]*\) huge pages.*/\1/p')
    looked
    awk '/^(WARN|FAIL) / {id = $2} sub(/^ *mend: /, "") {print id, $0}' /tmp/text >/tmp/wrong
    comma=''
    while read -r id text; do
        # The command alone: what follows it is for a person.
        command=$(echo "$text" | sed 's/ soon after .*//; s/ for each .*//; s/;.*//; s/ (.*//')
        case $command in 'sysctl -w '* | 'echo '*'> /'*) ;; *) continue ;; esac
        mend "$id" "$command"
        looked
        printf '%s{"id": "%s", "command": "%s", "state": "%s"}\n' "$comma" "$id" "$command" "$(state_of "$id")"
        comma=,
    done </tmp/wrong
}
if [ "$planted" = mends ]; then
    { echo '['; mends; echo ']'; } >/tmp/mends
    part mends 0 /tmp/mends
    poweroff -f
fi

everywhere bot4 host check --lanes 12 --json >/tmp/check
part check_before $? /tmp/check
if [ "$planted" != untouched ]; then
    everywhere bot4 host apply --lanes 12 --json >/tmp/apply
    part apply $? /tmp/apply
fi
everywhere bot4 host check --lanes 12 --json >/tmp/check
part check_after $? /tmp/check

# --- twelve lanes of an engine that trades ------------------------------------------------------
# Not by the function: the number of the job is to be the engine's.
taskset 0xfff bot4 run --config /demo.toml --for 5m --lanes 12 --report /tmp/report --ready-file /tmp/ready >/tmp/table 2>/tmp/notes &
engine=$!
for _ in $(seq 300); do
    if grep -q trading_after_ms /tmp/ready 2>/dev/null || ! kill -0 $engine; then break; fi
    usleep 100000
done
say "the engine trades"
sleep 1 # warm-up: faults of first times are over
if [ "$planted" = unpinned ]; then
    for task in "/proc/$engine/task"/*; do
        if [ "$(cat "$task/comm")" = signal ]; then taskset -p 0xfff "${task##*/}"; fi
    done
fi
bot4 host audit --ready-file /tmp/ready --for 2s --json >/tmp/audit
part audit $? /tmp/audit
kill -TERM $engine # it cancels, reconciles and reports, however slow this machine is
wait $engine
part run $? /tmp/report
cat /tmp/notes

# --- one lane at a time spins, the others park ----------------------------------------------------
if [ "$planted" = noise ]; then taskset 0x20 sh -c 'while :; do :; done' & fi
unpinned=''
if [ "$planted" = unpinned ]; then unpinned=--unpinned; fi
# shellcheck disable=SC2086 # one option or none
everywhere bot4 host ticks --lanes 12 --for 2s $unpinned --json >/tmp/ticks
part ticks $? /tmp/ticks

bot4 host restore --json >/tmp/restore
part restore $? /tmp/restore
everywhere bot4 host check --lanes 12 --json >/tmp/check
part check_restored $? /tmp/check
say 'done'
poweroff -f
