#!/usr/bin/env bash
# Tests of the scripts in this folder, with a stand-in for the engine (one pinned lane, the ready
# file, a `host` that keeps one setting in a file) and for perf (a machine that counts everything).
# Needs no build. With BOT4_REAL=FILE also a launch of the real program, its settings put back.
# usage: deploy/test.sh
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
passed=0

fail() {
    echo "FAILED: $1" >&2
    sed 's/^/    /' "$tmp/out" >&2
    exit 1
}
ok() {
    passed=$((passed + 1))
    echo "ok  $1"
}

"$here/systemd/verify.sh" >"$tmp/out" 2>&1 || fail "the units"
ok "systemd accepts the units, or is not here"

# The stand-in. Its host has one setting, which apply turns from 0 to 1 with a record of the way back,
# as `bot4 host` does. Its engine pins itself, says so, and lives for FAKE_SECONDS or until TERM or INT
# (then exit 7). Every call is noted.
cat >"$tmp/bot4" <<'FAKE'
#!/usr/bin/env bash
dir=$(dirname "$0")
echo "$*" >>"$dir/calls"
case "$1 ${2:-}" in
    "host check") exit "${FAKE_CHECK:-0}" ;;
    "host jitter" | "host plan") exit 0 ;;
    "host apply") echo 0 >"$dir/undo"; echo 1 >"$dir/setting"; exit "${FAKE_APPLY:-0}" ;;
    "host restore")
        if [[ -e $dir/undo ]]; then mv "$dir/undo" "$dir/setting"; echo "put back"; fi
        exit "${FAKE_RESTORE:-0}" ;;
    "host audit")
        ready=$(sed 's/.*--ready-file \([^ ]*\).*/\1/' <<<"$*")
        pid=$(sed 's/.*"pid":\([0-9]*\).*/\1/' "$ready")
        taskset -pc "$pid" | grep -q ": ${FAKE_SAYS:-$FAKE_CPU}\$" ;;
    "run "*)
        while (($# > 1)); do [[ $1 == --ready-file ]] && ready=$2; shift; done
        setpriv --pdeathsig KILL sleep 60 & # a child that dies with its parent, as the embedded venue
        trap 'exit 7' TERM INT
        taskset -pc "$FAKE_CPU" $$ >/dev/null
        id -un >"$dir/user"
        printf '{"pid":%d, "lanes":[{"name":"folded", "tid":%d, "cpu":%d}]}\n' $$ $$ "$FAKE_CPU" >"$ready.tmp"
        mv "$ready.tmp" "$ready"
        for ((i = ${FAKE_SECONDS:-1} * 10; i > 0; i--)); do sleep 0.1; done
        exit "${FAKE_EXIT:-0}" ;;
    *) exit 9 ;;
esac
FAKE
chmod +x "$tmp/bot4"
chmod 777 "$tmp" # another user writes here, too
echo 0 >"$tmp/setting"
cpu=$(awk '/^Cpus_allowed_list/ {print $2}' /proc/self/status)
FAKE_CPU=${cpu%%[-,]*}
export FAKE_CPU BOT4_BIN=$tmp/bot4 XDG_RUNTIME_DIR=$tmp
tune=() state=/run/bot4
((EUID == 0)) || tune=(--no-tune) state=$tmp/bot4-$UID
launch() {
    rm -f "$tmp/calls" "$tmp/user"
    "$here/launch.sh" "$@" >"$tmp/out" 2>&1
}
calls() { sed -E 's/^(host [a-z]+|run).*/\1/' "$tmp/calls" | paste -sd, | sed 's/host //g'; }
unchanged() { [[ $(cat "$tmp/setting") == 0 && ! -e $tmp/undo && ! -e $state/pid ]]; }

launch --dry-run -- --for 5s --lanes 2 --config a.toml --config=b.toml || fail "dry run"
if ! unchanged || ! grep -q 'nothing was changed' "$tmp/out"; then fail "a dry run changed something"; fi
[[ $(calls) == check,jitter,plan ]] || fail "a dry run looks, samples and plans: $(calls)"
grep -q -- "^host plan .*--lanes 2 --config a.toml --config=b.toml" "$tmp/calls" || fail "the plan is for the engine's own arguments"
ok "a dry run changes nothing"

# A process starts off isolated CPUs; launch.sh takes them, as far as its cpuset has them. Above 12
# CPUs, CPU 0's core is not among them.
mkdir "$tmp/cpu" && last=$(awk -F'[-,]' '/^Cpus_allowed_list/ {print $NF}' <(sed 's/\t/,/g' /proc/self/status))
default() { # CPUs that the machine isolates
    echo "$1" >"$tmp/cpu/isolated"
    BOT4_SYS_CPU=$tmp/cpu taskset -c "$FAKE_CPU" "$here/launch.sh" --dry-run >"$tmp/out" 2>&1 || fail "dry run"
    sed -n 's/^== check: CPUs \([^ ]*\),.*/\1/p' "$tmp/out"
}
[[ $(default '') == "$FAKE_CPU" ]] || fail "nothing is isolated: its own CPUs"
if [[ $last != "$FAKE_CPU" ]]; then
    wide=$(default "$last-4000")
    [[ $wide == "$FAKE_CPU"[-,]"$last" ]] || fail "isolated CPUs are taken too, those it has: $wide"
fi
ok "isolated CPUs are among those of the engine"

for wrong in "--nonsense" "--cpus" "--user no-such-user"; do
    # shellcheck disable=SC2086 # words
    launch $wrong; [[ $? == 2 ]] || fail "$wrong must be refused"
done
FAKE_CHECK=2 launch "${tune[@]}"; [[ $? == 2 ]] || fail "what the check refuses is refused"
[[ $(calls) != *apply* && $(calls) != *run* ]] || fail "after a refusal nothing is changed or started"
ok "bad usage and a refused check change nothing"

FAKE_EXIT=5 launch "${tune[@]}" --waive a.b:why -- --for 1s; [[ $? == 5 ]] || fail "the engine's exit code is passed on"
if ((EUID == 0)); then
    [[ $(calls) == restore,check,jitter,plan,apply,run,audit,restore ]] || fail "in this order: $(calls)"
else
    [[ $(calls) == check,jitter,run,audit ]] || fail "in this order: $(calls)"
fi
grep -q -- '^host audit .*--waive a.b:why' "$tmp/calls" || fail "waivers are passed on"
unchanged || fail "settings are put back after a normal end"
ok "a run is audited, its exit code passed on, its settings put back"

FAKE_CHECK=1 launch "${tune[@]}" || fail "failed rows are for apply to mend and for the engine to judge"
if ((EUID == 0)); then
    FAKE_APPLY=1 launch --mode live; [[ $? == 2 ]] || fail "live: a host that cannot be set is refused"
    [[ $(calls) != *run* ]] || fail "and nothing is started"
    unchanged || fail "and put back"
    FAKE_APPLY=1 launch --mode paper || fail "paper goes on"
    FAKE_RESTORE=1 launch; [[ $? == 2 ]] || fail "a dead launcher's settings come first"
    launch --user nobody; grep -q nobody "$tmp/user" || fail "the engine runs as the user"
fi
ok "what the host refuses is refused in live mode; the engine runs as --user"

FAKE_SAYS=4000 FAKE_SECONDS=30 launch "${tune[@]}"; code=$?
if [[ $code == 0 ]] || ! grep -q 'audit FAILED' "$tmp/out"; then fail "a lane on the wrong CPU must fail the audit"; fi
unchanged || fail "settings are put back after a failed audit"
ok "a failed audit stops the engine"

# Starts launch.sh in the background, sets $launcher and waits until the lanes were audited. Job
# control gives it a group of its own: without, INT would be ignored in it.
launch_in_background() {
    rm -f "$tmp/calls"
    set -m
    FAKE_SECONDS=30 "$here/launch.sh" "${tune[@]}" >"$tmp/out" 2>&1 &
    launcher=$!
    set +m
    for _ in {1..100}; do grep -q '^host audit' "$tmp/calls" 2>/dev/null && sleep 0.3 && return; sleep 0.1; done
    fail "the lanes should be audited within ten seconds"
}

for signal in TERM INT; do
    launch_in_background
    kill -"$signal" "$launcher"
    wait "$launcher"; [[ $? == 7 ]] || fail "$signal must reach the engine"
    unchanged || fail "settings are put back after $signal"
done
ok "TERM and INT are forwarded and the engine's answer is awaited"

launch_in_background
kill -KILL "$(cat "$state/pid")"
wait "$launcher"; [[ $? == 137 ]] || fail "a killed engine is exit 137"
unchanged || fail "settings are put back after a killed engine"
ok "a killed engine's settings are put back"

if ((EUID == 0)); then
    for next in launch "launch --undo"; do
        launch_in_background
        engine=$(cat /run/bot4/pid)
        kill -KILL "$launcher"; wait "$launcher" 2>/dev/null
        unchanged && fail "the killed launcher should have left its settings behind"
        $next; [[ $? == 2 ]] || fail "an orphaned engine must be stopped first"
        kill -TERM "$engine"
        for _ in {1..50}; do kill -0 "$engine" 2>/dev/null || break; sleep 0.1; done
        $next || fail "$next works then"
        grep -q 'put back' "$tmp/out" || fail "$next undoes the dead one's settings"
        [[ $next == launch || $(calls) == restore ]] || fail "--undo starts nothing: $(calls)"
        rm -f /run/bot4/pid
        unchanged || fail "settings are put back after a killed launcher"
    done
    ok "a killed launcher's settings are undone by the next launch, and by --undo"
else
    echo "skipped: the undo tests need root"
fi

# The settings that the real program may touch here, as text.
snapshot() {
    (cd /proc/sys && grep -rs . vm/nr_hugepages vm/stat_interval vm/swappiness kernel/timer_migration \
        kernel/numa_balancing kernel/nmi_watchdog kernel/watchdog_cpumask net/core/busy_poll net/core/busy_read)
    grep -s . /sys/kernel/mm/transparent_hugepage/{enabled,defrag} /sys/kernel/mm/ksm/run /proc/irq/*/smp_affinity_list
    find /sys/fs/cgroup -maxdepth 3 -name 'bot4*' 2>/dev/null
}
if [[ -x ${BOT4_REAL:-} ]] && ((EUID == 0)); then
    snapshot >"$tmp/before"
    BOT4_BIN=$BOT4_REAL XDG_STATE_HOME=$tmp/state launch --mode ci -- --for 5s --lanes 2; code=$?
    snapshot >"$tmp/after"
    diff "$tmp/before" "$tmp/after" || fail "the real program's settings are put back"
    for word in check jitter plan apply launch audit restore; do grep -q "^== $word" "$tmp/out" || fail "$word is told"; done
    [[ $code == 0 ]] || fail "the real program ran, was audited and restored: $code"
    ok "the real program runs, is audited, and leaves no setting behind"
else
    echo "skipped: no \$BOT4_REAL, or not root"
fi
if command -v perf >/dev/null && perf stat -x, -e task-clock -- true >/dev/null 2>&1; then
    taskset -c "$FAKE_CPU" sleep 30 &
    sleeper=$!
    "$here/perf-session.sh" --pid "$sleeper" --seconds 1 --out "$tmp/session" >"$tmp/out" 2>&1 || fail "a session on a live process"
    kill "$sleeper"
    wait "$sleeper" 2>/dev/null
    json=$(cat "$tmp/session/summary.json")
    said=$(sed -n 's/^hw_counters: //p' "$tmp/out")
    jq -e --argjson said "$said" '.schema == 2 and .hw_counters == $said and (.host.interrupts > 0) and
        (.threads[0].events | has("context-switches")) and (.messages | all(. == null))' <<<"$json" >/dev/null ||
        fail "summary.json is whole, and agrees with the screen: $json"
    jq -e '.cpus | length == 1' <<<"$json" >/dev/null || fail "the thread's CPU is counted: $json"
    jq -e '.sha256 | length == 64' "$tmp/session/manifest.json" >/dev/null || fail "the manifest names the program"
    grep -q "| sleep (main) | $sleeper | $FAKE_CPU |" "$tmp/session/report.md" || fail "the report has the thread's row"
    "$here/perf-session.sh" --pid 4194305 --seconds 1 --out "$tmp/session" >"$tmp/out" 2>&1 && fail "no such process"
    ok "a perf session counts a thread and says what it cannot count"
else
    echo "skipped: perf is not installed or not permitted"
fi

# A machine that counts everything: two threads, each event 1000 and 2000 a pass; more than four
# hardware events at a time would be multiplexed.
mkdir "$tmp/bin"
cat >"$tmp/bin/perf" <<'FAKE'
#!/usr/bin/env bash
while (($#)); do
    case $1 in -e) events=$2 ;; -p) pid=$2 ;; -o) out=$2 ;; esac
    shift
done
if [[ -z ${out:-} ]]; then echo "5,,$events,1,100.00,," >&2; exit 0; fi
percent=100.00
IFS=, read -r -a list <<<"${events//[\{\}]/}"
if [[ $events == "{"* ]] && ((${#list[@]} > 4)); then percent=50.00; fi
for event in "${list[@]}"; do
    printf 'zz-lane-%d,2000,,%s,1,%s,,\n' "$((pid + 1))" "$event" "$percent"
    printf 'lane-%d,1000,,%s,1,%s,,\n' "$pid" "$event" "$percent"
done >"$out"
FAKE
chmod +x "$tmp/bin/perf"
PATH=$tmp/bin:$PATH "$here/perf-session.sh" --pid $$ --seconds 1 --out "$tmp/all" >"$tmp/out" 2>&1 || fail "a session where all is counted"
json=$(cat "$tmp/all/summary.json")
[[ $(grep -c "(main) | $$ |" "$tmp/all/report.md") == 2 ]] || fail "24 columns are two tables"
jq -e '.passes == 4 and .hw_counters and .unsupported == [] and (.multiplexed | not)' <<<"$json" >/dev/null || fail "all is counted in 4 passes: $json"
jq -e --argjson tid "$(($$ + 1))" '.threads[] | select(.tid == $tid) | .events["LLC-load-misses"] == 2000' <<<"$json" >/dev/null || fail "a hardware count lands on its thread"
PATH=$tmp/bin:$PATH "$here/perf-session.sh" --pid $$ --seconds 1 --out "$tmp/all" --sets core,os >"$tmp/out" 2>&1 || fail "two sets"
jq -e '.passes == 2 and ([.threads[].events | has("LLC-loads")] | any | not)' "$tmp/all/summary.json" >/dev/null || fail "what is not asked for is not counted"
PATH=$tmp/bin:$PATH "$here/perf-session.sh" --pid $$ --seconds 1 --out "$tmp/all" --sets core,nonsense >"$tmp/out" 2>&1
[[ $? == 2 ]] || fail "a set that is none is refused"
ok "hardware events are counted in groups of four, none multiplexed"

# What a message cost: 10 messages, two threads of which one only computes.
printf '7,bot4,0\n8,parse.0_book.1,1\n' >"$tmp/names"
printf 'instructions,10\ncycles,\n' >"$tmp/messages"
printf '7,500,instructions,100.00\n8,1500,instructions,100.00\n8,3,cycles,100.00\n' >"$tmp/counts"
awk -F, -v s=2 -v main=7 -f "$here/perf/report.awk" "$tmp/names" "$tmp/messages" "$tmp/counts" >"$tmp/out"
grep -q '^| instructions | 200 | 150 |$' "$tmp/out" || fail "a message costs 200 instructions, 150 of them where only is computed"
if grep -q '^| cycles |.*|.*|$' "$tmp/out"; then fail "nobody knows how many messages the cycles were for"; fi
# Samples become stacks, stacks a picture.
printf 'parse.0 12 \n\t 55aa inner<T>+0x1f\n\t 55bb outer+0x2\n\nparse.0 12 \n\t 55aa inner<T>+0x1e\n\t 55bb outer+0x2\n\nbook.0 13 \n\n' |
    awk -f "$here/perf/fold.awk" | LC_ALL=C sort >"$tmp/out"
[[ $(paste -sd'|' "$tmp/out") == 'book.0;[unknown] 1|parse.0;outer;inner<T> 2' ]] || fail "equal stacks are one line"
awk -v title=t -f "$here/perf/flame.awk" "$tmp/out" >"$tmp/flame.svg" || fail "a picture"
grep -q '<title>inner&lt;T&gt;: 2 samples, 66.7 %</title><rect x="400.0" .* width="800.0"' "$tmp/flame.svg" || fail "two thirds are two thirds wide"
awk -f "$here/perf/flame.awk" /dev/null >/dev/null && fail "no sample is no picture"
ok "counts become figures a message, samples become a flame graph"
echo "$passed groups passed"
