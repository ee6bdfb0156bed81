#!/usr/bin/env bash
# Tests of the scripts in this folder, with a stand-in for the engine (one pinned lane, the ready
# file, a plan of 3 huge pages) and for perf (a machine that counts everything). Needs no build. As
# root it also proves that every host setting is put back: after a normal end, a failed audit, a
# killed engine and a killed launcher. usage: deploy/test.sh
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

# The settings that launch.sh may touch, as text.
snapshot() {
    cat /proc/sys/vm/nr_hugepages
    find /sys/fs/cgroup -maxdepth 3 -name 'bot4*' 2>/dev/null
    cat /sys/fs/cgroup/cgroup.subtree_control 2>/dev/null
}

# The stand-in: pins itself, says so, lives for FAKE_SECONDS or until TERM or INT (then exit 7).
cat >"$tmp/bot4" <<'FAKE'
#!/usr/bin/env bash
if [[ ${1:-} == check ]]; then
    case " $* " in *" --lanes 99 "*) echo "99 lanes cannot be placed" >&2; exit 2 ;; esac
    case " $* " in *" --json "*) echo '{"lanes":[], "huge_pages":3}' ;; *) echo "lanes (1 CPU)" ;; esac
    exit 0
fi
[[ ${1:-} == run ]] || exit 9
while (($# > 1)); do [[ $1 == --ready-file ]] && ready=$2; shift; done
setpriv --pdeathsig KILL sleep 60 & # a child that dies with its parent, as the embedded venue
trap 'exit 7' TERM INT
taskset -pc "$FAKE_CPU" $$ >/dev/null
printf '{"pid":%d, "lanes":[{"name":"folded", "tid":%d, "cpu":%d}]}\n' $$ $$ "${FAKE_SAYS:-$FAKE_CPU}" >"$ready.tmp"
mv "$ready.tmp" "$ready"
for ((i = ${FAKE_SECONDS:-1} * 10; i > 0; i--)); do sleep 0.1; done
exit "${FAKE_EXIT:-0}"
FAKE
chmod +x "$tmp/bot4"
cpu=$(awk '/^Cpus_allowed_list/ {print $2}' /proc/self/status)
FAKE_CPU=${cpu%%[-,]*}
export FAKE_CPU BOT4_BIN=$tmp/bot4 XDG_RUNTIME_DIR=$tmp
tune=(--huge-pages 2) state=/run/bot4
((EUID == 0)) || tune=(--no-tune) state=$tmp/bot4-$UID
launch() { "$here/launch.sh" "$@" >"$tmp/out" 2>&1; }
before=$(snapshot)
unchanged() { [[ $(snapshot) == "$before" ]]; }

launch --dry-run -- --for 5s || fail "dry run"
if ! unchanged || ! grep -q 'nothing was changed' "$tmp/out"; then fail "dry run changed something"; fi
ok "a dry run changes nothing"

launch --cpus 4000; [[ $? == 2 ]] || fail "an absent CPU must be refused"
launch --nonsense; [[ $? == 2 ]] || fail "an unknown option must be refused"
ok "bad usage is refused"

FAKE_EXIT=5 launch "${tune[@]}" -- run --for 1s; [[ $? == 5 ]] || fail "the engine's exit code is passed on"
grep -q 'every lane is where the plan says' "$tmp/out" || fail "audit passes"
unchanged || fail "settings are put back after a normal end"
ok "a run is audited, its exit code passed on, its settings put back"

grep -qE '^ *folded +[0-9]+ +[0-9]+ +[0-9]+ +[0-9]+ +ok$' "$tmp/out" || fail "the lane has its row"
grep -qE '^ *sleep 60 .* child process$' "$tmp/out" || fail "the engine's child process has its row"

launch "${tune[@]}" -- --lanes 99; [[ $? == 2 ]] || fail "what the engine's check refuses is refused"
grep -q 'nothing was changed' "$tmp/out" || fail "a refusal says that nothing was changed"
launch --dry-run -- --lanes 1 || fail "dry run with lanes"
grep -qE 'the engine needs 3,' "$tmp/out" || fail "the plan asks the engine how many huge pages it needs"
ok "the plan is the engine's own; what it refuses changes nothing"

FAKE_SAYS=4000 FAKE_SECONDS=30 launch "${tune[@]}"; code=$?
if [[ $code == 0 ]] || ! grep -q 'WRONG CPU' "$tmp/out"; then fail "a lane on the wrong CPU must fail the audit"; fi
unchanged || fail "settings are put back after a failed audit"
ok "a lane on the wrong CPU fails the audit and stops the engine"

# Starts launch.sh in the background, sets $launcher and waits until the lanes were audited. Job
# control gives it a group of its own: without, INT would be ignored in it.
launch_in_background() {
    rm -f "$tmp/out"
    set -m
    FAKE_SECONDS=30 "$here/launch.sh" "${tune[@]}" >"$tmp/out" 2>&1 &
    launcher=$!
    set +m
    for _ in {1..100}; do grep -q 'every lane' "$tmp/out" 2>/dev/null && return; sleep 0.1; done
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
    launch_in_background
    engine=$(cat /run/bot4/pid)
    kill -KILL "$launcher"; wait "$launcher" 2>/dev/null
    unchanged && fail "the killed launcher should have left its settings behind"
    launch "${tune[@]}"; [[ $? == 2 ]] || fail "an orphaned engine must be stopped first"
    kill -TERM "$engine"
    for _ in {1..50}; do kill -0 "$engine" 2>/dev/null || break; sleep 0.1; done
    launch "${tune[@]}" || fail "the next launch works"
    grep -q 'undoing its settings first' "$tmp/out" || fail "the next launch undoes the dead one's settings"
    unchanged || fail "settings are put back after a killed launcher"
    ok "a killed launcher's settings are undone by the next launch"

    launch_in_background
    engine=$(cat /run/bot4/pid)
    kill -KILL "$launcher"; wait "$launcher" 2>/dev/null
    launch --undo; [[ $? == 2 ]] || fail "--undo leaves a running engine its settings"
    kill -TERM "$engine"
    for _ in {1..50}; do kill -0 "$engine" 2>/dev/null || break; sleep 0.1; done
    launch --undo || fail "--undo works"
    unchanged || fail "--undo puts the settings back"
    ok "--undo puts back what a killed launcher left, and starts nothing"
else
    echo "skipped: the undo tests need root"
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
