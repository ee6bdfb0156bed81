#!/usr/bin/env bash
# Launches the engine on a prepared machine: check, jitter, plan, apply, launch inside the control group
# with dropped privileges, audit; restore, whatever ends it. `bot4 host` does it; here are order and traps.
set -uo pipefail
usage() {
    cat <<'TEXT'
usage: launch.sh [options] [-- ARGS of `bot4 run`]
  --dry-run          check, jitter and plan; change nothing, start nothing (no root needed)
  --undo             only put back what a killed launcher left changed
  --no-tune          touch no host setting: check, start, audit (no root needed)
  --cpus LIST        CPUs for the engine (default: all, isolated too; of more than 12, all but CPU 0's core)
  --mode M           how strictly the host is judged: live, paper (default), ci
  --waive ID:REASON  a row that may be as it is; may be given again
  --user NAME        run the engine as NAME, with NAME's home for its state
example: sudo deploy/launch.sh --mode live --user bot4 -- --config trade.toml
The binary is $BOT4_BIN, else the newer of target/dist/bot4 and target/release/bot4, or bot4 in the path.
Exit code: the engine's own; 1 too when the audit or the restoring failed; 2 too when launch.sh refuses.
TEXT
}
say() { printf '== %s\n' "$*"; }
die() { echo "launch: $*" >&2 && exit 2; }
allowed() { awk '/^Cpus_allowed_list/ {print $2}' /proc/self/status; } && export -f allowed
expand() { tr , '\n' <<<"$1" | while IFS=- read -r a b; do seq "$a" "${b:-$a}"; done | sort; }
machine=${BOT4_SYS_CPU:-/sys/devices/system/cpu} dry=0 tune=1 undo=0 cpus='' user='' mode=paper waive=() pid='' stop='' group='' bad=0 as=()
while (($#)); do
    case $1 in
        --dry-run) dry=1 ;; --no-tune) tune=0 ;; --undo) undo=1 ;; --) shift; break ;;
        --cpus) cpus=${2:-} ;; --user) user=${2:-} ;; --mode) mode=${2:-} ;;
        --waive) waive+=(--waive "${2:-}") ;; --help | -h) usage; exit 0 ;;
        *) die "unknown option $1; arguments of the engine follow -- (see --help)" ;;
    esac
    case $1 in --cpus | --user | --mode | --waive) (($# > 1)) || die "$1 needs a value"; shift ;; esac
    shift
done
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
bot4=${BOT4_BIN:-}
for file in "$here/../target/dist/bot4" "$here/../target/release/bot4"; do # the one that was built last
    if [[ -z ${BOT4_BIN:-} && -x $file && (-z $bot4 || $file -nt $bot4) ]]; then bot4=$file; fi
done
bot4=$(realpath -q -- "${bot4:-$(command -v bot4)}")
[[ -x $bot4 ]] || die "${BOT4_BIN:+$BOT4_BIN is none: }no binary: set BOT4_BIN, or cargo build --profile dist (or --release)"
say "binary $bot4"
((dry || !tune || EUID == 0)) || die "host settings need root; --no-tune starts without, --dry-run only looks"
id -u -- "${user:-$EUID}" >/dev/null || die "no user $user"
state=/run/bot4 && if ((EUID)); then state=${XDG_RUNTIME_DIR:-/tmp}/bot4-$UID; fi
if ((!dry)); then # one launcher at a time, and no second engine beside one that lost its launcher
    if ! mkdir -p "$state" || ! [[ -O $state ]] || ! exec 9>"$state/launch.lock"; then die "cannot use $state"; fi
    flock -n 9 || die "another launch is running ($state/launch.lock)"
    old=$(cat "$state/pid" 2>/dev/null || echo 0)
    ! grep -qz -- --ready-file "/proc/$old/cmdline" 2>/dev/null || die "the engine of a dead launcher still runs: kill -TERM $old"
    ((!tune)) || "$bot4" host restore || die "what a dead launcher changed is not put back"
    ((!undo)) || exit 0
fi
if [[ -z $cpus ]]; then # a process starts off isolated CPUs: the kernel grants what of them its cpuset has
    cpus=$(taskset -c "$(sed 's/..*/&,/' "$machine/isolated" 2>/dev/null)$(allowed)" bash -c allowed) || cpus=$(allowed)
    core=$(cat "$machine/cpu0/topology/thread_siblings_list" 2>/dev/null) # kept for the kernel's own work
    if (($(expand "$cpus" | wc -l) > 12)); then cpus=$(comm -23 <(expand "$cpus") <(expand "${core:-0}") | sort -n | paste -sd,); fi
fi
look=(--cpus "$cpus" --mode "$mode" ${waive[@]+"${waive[@]}"})
for ((i = 1; i <= $#; i++)); do # what the engine is told, the checks are told too
    case ${!i} in --config=* | --lanes=*) look+=("${!i}") ;; --config | --lanes) n=$((i + 1)) && look+=("${!i}" "${!n:-}") ;; esac
done
say "check: CPUs $cpus, mode $mode" # what still fails after apply is refused by the engine, in live mode
"$bot4" host check "${look[@]}" || (($? == 1)) || die "bot4 host check refuses; nothing was changed"
say "jitter" && { "$bot4" host jitter --cpus "$cpus" --for 2s || die "no sample of CPUs $cpus"; }
if ((tune)); then say "plan" && { "$bot4" host plan "${look[@]}" || die "no plan"; }; fi
if ((dry)); then say "nothing was changed" && exit 0; fi
ready=$(mktemp -d) || die "no folder"
# shellcheck disable=SC2317 # these two are called by the traps
finish() {
    local code=$?
    trap - EXIT && trap '' TERM INT HUP
    if [[ -n $pid ]] && kill -TERM "$pid" 2>/dev/null; then wait "$pid"; fi
    rm -rf "$ready" "$state/pid"
    if ((tune)); then say "restore" && { "$bot4" host restore || ((code)) || code=1; }; fi
    exit "$code"
}
# shellcheck disable=SC2317
forward() { stop=$1 && if [[ -n $pid ]]; then kill -"$1" "$pid"; fi 2>/dev/null; }
trap finish EXIT && trap 'forward TERM' TERM HUP && trap 'forward INT' INT
if ((tune)); then
    say "apply" && { "$bot4" host apply "${look[@]}" || [[ $mode != live ]] || die "the host is not as it must be"; }
    if exec 8>/dev/cpu_dma_latency; then printf '\0\0\0\0' >&8; fi 2>/dev/null # held at 0: no deep sleep
    for group in /sys/fs/cgroup/bot4 /sys/fs/cgroup/cpuset/bot4 ''; do if [[ -d $group ]]; then break; fi; done
fi
if [[ -n $user ]]; then chown "$user" "$ready" && as=(setpriv --reuid "$user" --regid "$(id -g "$user")" --init-groups -- env HOME="$(getent passwd "$user" | cut -d: -f6)" USER="$user"); fi
[[ -z $stop ]] || exit 143
say "launch: bot4 run $*${group:+ in $group}${user:+ as $user}"
set -m # its own process group: a Ctrl-C reaches it once, through us
(   exec 9>&- </dev/null # fd 8 stays: a hold that lasts as long as the engine, whoever it runs as
    if [[ -n $group ]]; then echo "$BASHPID" >"$group/cgroup.procs" || exit 2; fi # before any pinning
    exec ${as[@]+"${as[@]}"} taskset -c "$cpus" "$bot4" run "$@" --ready-file "$ready/ready.json"
) &
pid=$! && set +m && echo "$pid" >"$state/pid"
if [[ -n $stop ]]; then forward "$stop"; fi # it came between
for _ in {1..600}; do if [[ -s $ready/ready.json ]] || ! kill -0 "$pid" 2>/dev/null; then break; else sleep 0.1; fi; done
say "audit"
"$bot4" host audit --ready-file "$ready/ready.json" --mode "$mode" ${waive[@]+"${waive[@]}"} || bad=1
if [[ -n $stop ]] || ! kill -0 "$pid" 2>/dev/null; then bad=0; fi # it ended meanwhile
if ((bad)) && kill -TERM "$pid" 2>/dev/null; then say "audit FAILED: the engine is stopped"; fi
{ while kill -0 "$pid"; do wait "$pid"; done; wait "$pid"; code=$?; } 2>/dev/null
pid='' && say "engine: exit $code" && exit $((code ? code : bad))
