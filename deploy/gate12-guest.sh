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
