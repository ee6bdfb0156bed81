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
usage: launch.sh [options] [-- [run] ARGS of `bot4 run`]
  --dry-run          print host and plan, change nothing, start nothing (no root needed)
  --undo             only put back what a killed launcher left changed
  --no-tune          start and audit only, touch no host setting (no root needed)
  --cpus LIST        CPUs for the engine, e.g. 1-11 (default: all allowed; above 12, all but CPU 0's core)
  --huge-pages N     2 MiB pages to have free before the start (default: what `bot4 check` asks for, at
                     most half of the free memory; 0: none)
  --user NAME        run the engine as NAME, with NAME's home for its state
  --ready-timeout S  seconds to wait for all lanes to run (default 60)
example: deploy/launch.sh --huge-pages 512 -- --for 5m --report report.json
The binary is $BOT4_BIN, else target/dist/bot4, else target/release/bot4.
exit: the engine's own code (0 done, 1 a promise broken, 2 refused, 79 safety halt, 128 + N killed by
signal N); 1 too when the audit or an undo failed; 2 too when launch.sh itself refuses
TEXT
}

die() {
    echo "launch: $*" >&2
    exit 2
}

dry=0 tune=1 only_undo=0 cpus='' pages='' user='' timeout=60
while (($#)); do
    case $1 in
        --dry-run) dry=1 ;;
        --no-tune) tune=0 ;;
        --undo) only_undo=1 ;;
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
if [[ ${1:-} == run ]]; then shift; fi
[[ ${pages:-0} =~ ^[0-9]+$ && $timeout =~ ^[0-9]+$ ]] || die "--huge-pages and --ready-timeout take whole numbers"
bin=''
for candidate in "${BOT4_BIN:-}" "$here/../target/dist/bot4" "$here/../target/release/bot4"; do
    if [[ -z $bin && -n $candidate && -x $candidate ]]; then bin=$(realpath "$candidate"); fi
done
state=${XDG_RUNTIME_DIR:-/tmp}/bot4-$UID
((EUID == 0)) && state=/run/bot4
undo=$state/undo failed=0 stopping=0 pid='' ready=''

# --- one launcher at a time; a dead one's settings first -----------------------------------------
take_over() {
    mkdir -p "$state" || die "cannot use $state"
    [[ -O $state ]] || die "$state belongs to somebody else"
    exec 9>"$state/launch.lock"
    flock -n 9 || die "another launch is running ($state/launch.lock)"
    local old_pid
    old_pid=$(value "$state/pid" 0)
    if grep -qz -- --ready-file "/proc/$old_pid/cmdline" 2>/dev/null; then
        die "the engine of a dead launcher still runs: stop it first (kill -TERM $old_pid)"
    fi
    if [[ -s $undo ]]; then say state "a launcher died: undoing its settings first"; undo_all; fi
    ((failed)) && die "$undo could not be undone: mend by hand, then remove it"
    rm -f "$state/pid"
}
if ((only_undo)); then
    ((EUID == 0)) || die "only root changed host settings, only root can put them back"
    take_over
    say state "nothing is left changed"
    exit 0
fi

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
# What the engine itself would do with these CPUs and arguments, asked of `bot4 check`.
check=(check) previous=''
for arg in "$@"; do
    case $previous in --config | --lanes) check+=("$previous" "$arg") ;; esac
    case $arg in --config=* | --lanes=*) check+=("$arg") ;; esac
    previous=$arg
done
checked='' need=0
if [[ -n $bin ]]; then
    checked=$(taskset -c "$list" "$bin" "${check[@]}") || die "bot4 ${check[*]} refuses; nothing was changed"
    need=$(taskset -c "$list" "$bin" "${check[@]}" --json | grep -oE '"huge_pages" *: *[0-9]+' | grep -oE '[0-9]+$')
fi
half=$(awk '/^MemAvailable/ {print int($2 / 2 / 2048)}' /proc/meminfo)
need=${need:-0}
pages=${pages:-$((need < half ? need : half))}
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
if ((tune == 0)); then mode=untouched pages=0 want=$had; fi
case $mode in
    untouched) say plan "no host setting is touched (--no-tune)" ;;
    v2-isolated) say plan "cpuset $dir on $list, isolated partition" ;;
    v2) say plan "cpuset $dir on $list; not isolated: a partition must leave the kernel a CPU (see --cpus)" ;;
    v1) say plan "cpuset $dir on $list; confined, not isolated: cgroup v1 has no partitions" ;;
    none) say plan "no cpuset controller here: the engine's own pinning is all there is" ;;
esac
if ((tune)); then say plan "vm.nr_hugepages $had -> $want (the engine needs $need, $pages free wanted, $free free)"; fi
if ((pages < need && free < need)); then say plan "fewer huge pages than needed: some arenas will lie on smaller pages"; fi
if [[ -s $undo ]]; then say plan "first: undo what a killed launcher left ($undo)"; fi
say plan "${bin:-bot4} run $*"
# The lanes, without the links that follow.
awk '/^(links|memory)/ {exit} {print "           " $0}' <<<"$checked"
grep '^warning' <<<"$checked" | sed 's/^/           /'
if ((dry)); then say dry-run "nothing was changed"; exit 0; fi
[[ -n $bin ]] || die "no binary: set BOT4_BIN, or cargo build --profile dist (or --release)"
if [[ -n $user ]]; then
    home=$(getent passwd "$user" | cut -d: -f6)
    [[ -n $home ]] || die "no user $user"
    [[ -d $home || -n ${XDG_STATE_HOME:-} ]] || die "$user has no home for the engine's state: set XDG_STATE_HOME"
fi
((tune == 0 || EUID == 0)) || die "host settings need root; --no-tune starts without, --dry-run only looks"

take_over

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
forward() {
    stopping=1
    if [[ -n $pid ]] && kill -"$1" "$pid" 2>/dev/null; then say signal "$1 forwarded"; else exit "$2"; fi
}
trap finish EXIT
trap 'exit 143' TERM HUP
trap 'exit 130' INT

# --- apply ----------------------------------------------------------------------------------------
if ((tune == 0)); then mode=none; fi
if ((want > had)); then
    put /proc/sys/vm/nr_hugepages "$want"
    granted=$(awk '/^HugePages_Free/ {print $2}' /proc/meminfo)
    if ((granted < pages)); then say set "ONLY $granted OF $pages huge pages: memory is fragmented or used"; fi
fi
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
    chown "$user" "$ready" || die "cannot give $ready to $user"
    as=(setpriv --reuid "$user" --regid "$(id -g "$user")" --init-groups -- env HOME="$home" USER="$user")
fi
# A signal between the start and pid= must not leave an engine that nobody watches.
early=''
trap 'early=TERM' TERM HUP
trap 'early=INT' INT
set -m # its own process group: a Ctrl-C reaches it once, through us
(
    exec 9>&- </dev/null
    if [[ $mode != none ]]; then echo "$BASHPID" >"$dir/cgroup.procs" || exit 2; fi
    exec "${as[@]}" "$bin" run "$@" --ready-file "$ready/ready.json"
) &
pid=$!
set +m
trap 'forward TERM 143' TERM HUP
trap 'forward INT 130' INT
echo "$pid" >"$state/pid"
if [[ -n $early ]]; then forward "$early" 143; fi
for ((i = timeout * 10; i > 0; i--)); do
    if [[ -s $ready/ready.json ]] || ! kill -0 "$pid" 2>/dev/null; then break; fi
    sleep 0.1
done
if [[ -s $ready/ready.json ]]; then
    took=$(awk '/^HugetlbPages/ {print int($2 / 2048)}' "/proc/$pid/status" 2>/dev/null)
    say pages "the engine holds ${took:-0} huge pages of 2 MiB"
    if "$here/audit.sh" "$ready/ready.json"; then say audit "every lane is where the plan says"; else failed=1; fi
    if ((failed && stopping)); then
        say audit "not finished: told to stop meanwhile"
        failed=0
    fi
elif ((stopping)); then
    say audit "not done: told to stop before all lanes ran"
elif kill -0 "$pid" 2>/dev/null; then
    say audit "not ready after $timeout s"
    failed=1
else
    say audit "the engine ended before its lanes ran"
fi
if ((failed)) && kill -TERM "$pid" 2>/dev/null; then say audit "FAILED: stopping the engine"; fi
audit_failed=$failed failed=0
# The braces keep the shell's own word on a killed job out of the output.
{
    while kill -0 "$pid"; do wait "$pid"; done
    wait "$pid"
    code=$?
} 2>/dev/null
pid=''
say engine "exit $code"
((audit_failed && code == 0)) && code=1
exit "$code"
