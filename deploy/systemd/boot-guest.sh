#!/bin/busybox sh
# What runs in boot.sh's machine. As its first process: a root that mounts can be moved in, then
# systemd. As `proof`, a unit: what the units of this folder do under it, a line each.
# shellcheck shell=dash
export PATH=/bin:/usr/bin
if [ $$ = 1 ]; then
    /bin/busybox mkdir -p /new
    /bin/busybox mount -t tmpfs -o mode=0755 root /new
    for name in bin etc lib lib64 usr var root tmp proc sys dev run; do
        if [ -e "/$name" ]; then /bin/busybox cp -a "/$name" /new/; fi
    done
    exec /bin/busybox switch_root /new /lib/systemd/systemd
fi

shown() { systemctl show "$1" -p "$2" --value; }
# told ID RIGHT FOUND: RIGHT is 0 where it is as it should be.
told() {
    if [ "$2" = 0 ]; then word=ok; else word=BROKEN; fi
    echo "$word $1 $3" >/dev/ttyS1
}
is() { [ "$1" = "$2" ]; echo $?; }
# Waits up to $1 s until `$2 ...` is true.
until_true() {
    left=$1
    shift
    until "$@"; do
        left=$((left - 1))
        if [ $left -lt 0 ]; then return 1; fi
        sleep 1
    done
}
of() { [ "$(shown bot4 "$1")" = "$2" ]; }
swappiness() { cat /proc/sys/vm/swappiness; }

before=$(swappiness)
systemctl start bot4-tune
told tune-active "$(is "$(shown bot4-tune ActiveState)" active)" "bot4-tune is $(shown bot4-tune ActiveState)"
told tune-applied "$(is "$(swappiness)" 1)" "vm.swappiness was $before, is $(swappiness)"
pid=$(shown bot4-tune MainPID)
held=$(find "/proc/$pid/fd" -exec readlink {} \; 2>/dev/null | grep -c cpu_dma_latency)
told tune-holds "$(is "$held" 1)" "its process holds /dev/cpu_dma_latency ($held)"

systemctl start bot4
told engine-ready "$(is "$(shown bot4 ActiveState)" active)" \
    "start returned, bot4 is $(shown bot4 ActiveState), it says: $(shown bot4 StatusText)"
user=$(stat -c %U "/proc/$(shown bot4 MainPID)" 2>/dev/null)
told engine-user "$(is "$user" bot4)" "it runs as $user"

# The engine dies: the next start comes by itself.
first=$(shown bot4 MainPID)
kill -KILL "$first"
until_true 90 of NRestarts 1 && until_true 90 of ActiveState active
told killed-restarts "$(is "$(shown bot4 NRestarts)" 1)" \
    "killed, it was started again: $(shown bot4 NRestarts) restart, $(shown bot4 ActiveState)"

# It hangs as a whole: its word stays out, and the manager kills it after ten seconds.
kill -STOP "$(shown bot4 MainPID)"
until_true 90 of NRestarts 2 && until_true 90 of ActiveState active
told hang-restarts "$(is "$(shown bot4 NRestarts)" 2)" \
    "stopped by a signal, it was killed and started again: $(shown bot4 NRestarts) restarts, $(shown bot4 ActiveState)"

systemctl stop bot4
told stopped "$(is "$(shown bot4 Result)" success)" "stopped: result $(shown bot4 Result), status $(shown bot4 ExecMainStatus)"

# A start that policy refuses is not tried again.
cp /etc/bot4/site.toml /tmp/site.toml
printf '\n[host]\nmode = "live"\n' >>/etc/bot4/site.toml
systemctl reset-failed bot4
systemctl start bot4 2>/dev/null
sleep 5
told refused-stays "$(is "$(shown bot4 ExecMainStatus) $(shown bot4 NRestarts) $(shown bot4 ActiveState)" '78 0 failed')" \
    "refused: status $(shown bot4 ExecMainStatus), $(shown bot4 NRestarts) restarts, $(shown bot4 ActiveState)"

# An engine that halts, here by a planted panic on the lane of order entry, is not started again.
cp /tmp/site.toml /etc/bot4/site.toml
command=$(sed -n 's/^ExecStart=//p' /etc/systemd/system/bot4.service)
printf '[Service]\nExecStart=\nExecStart=%s --plant panic\n' "$command" >/etc/systemd/system/bot4.service.d/plant.conf
systemctl daemon-reload
systemctl reset-failed bot4
systemctl start bot4 2>/dev/null
until_true 120 of ActiveState failed
sleep 5
told halted-stays "$(is "$(shown bot4 ExecMainStatus) $(shown bot4 NRestarts) $(shown bot4 ActiveState)" '79 0 failed')" \
    "halted: status $(shown bot4 ExecMainStatus), $(shown bot4 NRestarts) restarts, $(shown bot4 ActiveState)"

systemctl stop bot4-tune
told tune-restored "$(is "$(swappiness)" "$before")" "bot4-tune stopped: vm.swappiness is $(swappiness)"
poweroff -f
