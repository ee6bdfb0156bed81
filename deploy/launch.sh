#!/usr/bin/env bash
# Launches the engine on a prepared machine: reports the host, reserves huge pages, makes a cpuset,
# starts `bot4 run`, proves from outside that every lane is where the engine says (audit.sh), and
# undoes exactly what it touched when the engine ends. What the settings mean: tuning.md.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source-path=SCRIPTDIR source=lib.sh
source "$here/lib.sh"

usage() {
    cat <<'TEXT'
usage: launch.sh [options] [-- ARGS of `bot4 run`]
  --dry-run          print host and plan, change nothing, start nothing (no root needed)
  --no-tune          start and audit only, touch no host setting (no root needed)
  --cpus LIST        CPUs for the engine, e.g. 1-11 (default: all allowed; above 12, all but CPU 0's core)
  --huge-pages N     2 MiB pages to have free before the start (default: 320, at most a quarter of the free memory)
  --user NAME        run the engine as NAME
  --ready-timeout S  seconds to wait for all lanes to run (default 60)
example: deploy/launch.sh --huge-pages 512 -- --for 5m --report report.json
The binary is $BOT4_BIN, else target/dist/bot4, else target/release/bot4.
exit: the engine's own code; 1 audit or undo failed; 2 refused
TEXT
}

die() {
    echo "launch: $*" >&2
    exit 2
}

dry=0 tune=1 cpus='' pages='' user='' timeout=60
while (($#)); do
    case $1 in
        --dry-run) dry=1 ;;
        --no-tune) tune=0 ;;
        --cpus | --huge-pages | --user | --ready-timeout)
            (($# > 1)) || die "$1 needs a value"
            case $1 in
                --cpus) cpus=$2 ;;
                --huge-pages) pages=$2 ;;
                --user) user=$2 ;;
                --ready-timeout) timeout=$2 ;;
            esac
            shift ;;
        --help | -h) usage; exit 0 ;;
        --) shift; break ;;
        *) die "unknown option $1; arguments of the engine follow -- (see --help)" ;;
    esac
    shift
done
[[ ${pages:-0} =~ ^[0-9]+$ && $timeout =~ ^[0-9]+$ ]] || die "--huge-pages and --ready-timeout take whole numbers"
bin=''
for candidate in "${BOT4_BIN:-}" "$here/../target/dist/bot4" "$here/../target/release/bot4"; do
    if [[ -z $bin && -n $candidate && -x $candidate ]]; then bin=$candidate; fi
done

# --- host ---------------------------------------------------------------------------------------
sys=/sys/devices/system/cpu
allowed=$(expand "$(allowed_of /proc/self/status)")
online=$(expand "$(value $sys/online)")
core_of_0=$(expand "$(value $sys/cpu0/topology/thread_siblings_list 0)")
say host "$(awk -F': ' '/^model name/ {print $2; exit}' /proc/cpuinfo), Linux $(uname -r)"
say cpus "online $online; allowed $allowed"
say cores "$(cat $sys/cpu[0-9]*/topology/thread_siblings_list 2>/dev/null | sort -nu | paste -sd' ' -)"
say isolated "isolcpus $(value $sys/isolated none), nohz_full $(value $sys/nohz_full none)"
say governor "$(value $sys/cpu0/cpufreq/scaling_governor 'not ours to set (no cpufreq)')"
say pages "THP $(value /sys/kernel/mm/transparent_hugepage/enabled), huge pages $(value /proc/sys/vm/nr_hugepages)"
say swap "$(awk '/^SwapTotal/ {print $2}' /proc/meminfo) kB"
say clock "$(value /sys/devices/system/clocksource/clocksource0/current_clocksource)"
say binary "${bin:-none}"

# --- plan ---------------------------------------------------------------------------------------
if [[ -z $cpus ]]; then
    for c in $allowed; do
        if (($(wc -w <<<"$allowed") <= 12)) || [[ " $core_of_0 " != *" $c "* ]]; then cpus+="$c,"; fi
    done
fi
cpus=$(expand "$cpus")
[[ -n $cpus ]] || die "--cpus names no CPU"
for c in $cpus; do [[ " $allowed " == *" $c "* ]] || die "CPU $c is not allowed here (allowed: $allowed)"; done
list=${cpus// /,}
# The embedded default needs about 280, each further instrument 6: see tuning.md, Memory.
quarter=$(awk '/^MemAvailable/ {print int($2 / 4 / 2048)}' /proc/meminfo)
pages=${pages:-$((quarter < 320 ? quarter : 320))}
free=$(awk '/^HugePages_Free/ {print $2}' /proc/meminfo)
had=$(value /proc/sys/vm/nr_hugepages 0)
want=$((had + (pages > free ? pages - free : 0)))
v2=$(awk '$3 == "cgroup2" {print $2; exit}' /proc/mounts)
v1=$(awk '$3 == "cgroup" && $4 ~ /(^|,)cpuset(,|$)/ {print $2; exit}' /proc/mounts)
mode=none root=''
if [[ -n $v2 ]] && grep -qw cpuset "$v2/cgroup.controllers" 2>/dev/null; then
    root=$v2 mode=v2
    if [[ $cpus != "$online" ]]; then mode='v2-isolated'; fi
elif [[ -n $v1 ]]; then
    root=$v1 mode=v1
fi
dir=$root/bot4
case $mode in
    v2-isolated) say plan "cpuset $dir on $list, isolated partition" ;;
    v2) say plan "cpuset $dir on $list; not isolated: a partition must leave the kernel a CPU (see --cpus)" ;;
    v1) say plan "cpuset $dir on $list; confined, not isolated: cgroup v1 has no partitions" ;;
    none) say plan "no cpuset controller here: the engine's own pinning is all there is" ;;
esac
say plan "vm.nr_hugepages $had -> $want ($pages free wanted, $free free)"
say plan "${bin:-bot4} run $*"
if ((dry)); then say dry-run "nothing was changed"; exit 0; fi
[[ -n $bin ]] || die "no binary: set BOT4_BIN, or cargo build --profile dist (or --release)"
((tune == 0 || EUID == 0)) || die "host settings need root; --no-tune starts without, --dry-run only looks"

# --- one launcher at a time; a dead one's settings first -----------------------------------------
state=${XDG_RUNTIME_DIR:-/tmp}/bot4-$UID
((EUID == 0)) && state=/run/bot4
mkdir -p "$state" || die "cannot use $state"
exec 9>"$state/launch.lock"
flock -n 9 || die "another launch is running ($state/launch.lock)"
undo=$state/undo failed=0 pid='' ready=''
old_pid=$(value "$state/pid" 0)
if grep -qz -- --ready-file "/proc/$old_pid/cmdline" 2>/dev/null; then
    die "the engine of a dead launcher still runs: stop it first (kill -TERM $old_pid)"
fi
if [[ -s $undo ]]; then say state "a launcher died: undoing its settings first"; undo_all; fi
((failed)) && die "$undo could not be undone: mend by hand, then remove it"

# shellcheck disable=SC2317 # called by the trap
finish() {
    local code=$?
    trap - EXIT
    trap '' TERM INT HUP
    if [[ -n $pid ]] && kill -TERM "$pid" 2>/dev/null; then wait "$pid"; fi
    if [[ -n $ready ]]; then rm -rf "$ready"; fi
    undo_all
    rm -f "$state/pid"
    ((failed && code == 0)) && code=1
    exit "$code"
}
# shellcheck disable=SC2317 # called by the traps
forward() { if [[ -n $pid ]] && kill -"$1" "$pid" 2>/dev/null; then say signal "$1 forwarded"; else exit "$2"; fi; }
trap finish EXIT
trap 'forward TERM 143' TERM HUP
trap 'forward INT 130' INT

# --- apply ----------------------------------------------------------------------------------------
if ((tune == 0)); then mode=none; elif ((want > had)); then put /proc/sys/vm/nr_hugepages "$want"; fi
if [[ $mode == v2* ]] && ! grep -qw cpuset "$root/cgroup.subtree_control"; then
    record cpuset "$root/cgroup.subtree_control" - -
    echo +cpuset >"$root/cgroup.subtree_control" || mode=none
fi
if [[ $mode != none ]]; then
    [[ ! -d $dir ]] || die "$dir exists and is not ours"
    record rmdir "$dir" - -
    if ! { mkdir "$dir" && echo "$list" >"$dir/cpuset.cpus"; }; then die "the kernel refused a cpuset on $list"; fi
    if [[ $mode == v1 ]]; then cat "$root/cpuset.mems" >"$dir/cpuset.mems"; fi
    if [[ $mode == v2-isolated ]]; then echo isolated >"$dir/cpuset.cpus.partition"; fi
    say set "$dir: cpus $(value "$dir/cpuset.cpus"), partition $(value "$dir/cpuset.cpus.partition" none)"
fi

# --- launch and audit -------------------------------------------------------------------------------
ready=$(mktemp -d) || die "no temporary directory"
as=()
if [[ -n $user ]]; then
    chown "$user" "$ready" || die "no user $user"
    as=(setpriv --reuid "$user" --regid "$(id -g "$user")" --init-groups --)
fi
set -m # its own process group: a Ctrl-C reaches it once, through us
(
    exec 9>&- </dev/null
    if [[ $mode != none ]]; then echo "$BASHPID" >"$dir/cgroup.procs" || exit 2; fi
    exec "${as[@]}" "$bin" run "$@" --ready-file "$ready/ready.json"
) &
pid=$!
set +m
echo "$pid" >"$state/pid"
for ((i = timeout * 10; i > 0; i--)); do
    if [[ -s $ready/ready.json ]] || ! kill -0 "$pid" 2>/dev/null; then break; fi
    sleep 0.1
done
if [[ -s $ready/ready.json ]]; then
    if "$here/audit.sh" "$ready/ready.json"; then say audit "every lane is where the plan says"; else failed=1; fi
elif kill -0 "$pid" 2>/dev/null; then
    say audit "not ready after $timeout s"
    failed=1
else
    say audit "the engine ended before its lanes ran"
fi
if ((failed)) && kill -TERM "$pid" 2>/dev/null; then say audit "FAILED: stopping the engine"; fi
audit_failed=$failed failed=0
while kill -0 "$pid" 2>/dev/null; do wait "$pid"; done
wait "$pid"
code=$?
pid=''
say engine "exit $code"
((audit_failed && code == 0)) && code=1
exit "$code"
