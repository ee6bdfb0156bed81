# shellcheck shell=bash
# Shared by the scripts of this folder; sourced, never run. Undo records: each change of a host
# setting is recorded and synced in the file $undo BEFORE it is made, and undone in reverse order,
# only where the present value is still ours. $failed becomes 1 when something could not be undone.
# The caller sets undo to the file's path and failed to 0.
: "${undo:=}" "${failed:=0}"

say() { printf '%-10s %s\n' "$1" "$2"; }

# The content of file $1, or $2 (default "-") when it is empty or unreadable.
value() {
    local v
    v=$(cat "$1" 2>/dev/null)
    printf '%s' "${v:-${2--}}"
}

# "0-2,5" -> "0 1 2 5": ascending, each once.
expand() {
    local part first last
    for part in ${1//,/ }; do
        first=${part%-*} last=${part#*-}
        [[ $first =~ ^[0-9]+$ && $last =~ ^[0-9]+$ ]] && seq "$first" "$last"
    done | sort -nu | paste -sd' ' -
}

allowed_of() { awk '/^Cpus_allowed_list/ {print $2}' "$1" 2>/dev/null; }

# record KIND PATH OLD NEW
record() {
    if ! { printf '%s\t%s\t%s\t%s\n' "$@" >>"$undo" && sync "$undo"; }; then
        echo "cannot record in $undo: nothing is changed without a way back" >&2
        exit 2
    fi
}

# put PATH VALUE: write a setting and read it back.
put() {
    local old
    old=$(value "$1" '')
    record write "$1" "$old" "$2"
    printf '%s' "$2" 2>/dev/null >"$1" || echo "$1 refused $2" >&2
    say set "$1: $old -> $(value "$1" '')"
}

undo_write() { # PATH OLD NEW
    local now
    now=$(value "$1" '')
    if [[ $now == "$2" ]]; then
        say undo "$1: is $2"
        return
    fi
    # The kernel may have granted fewer huge pages than asked for; any other value is not ours.
    if [[ $now != "$3" && ! ($1 == */nr_hugepages && $now -gt $2 && $now -lt $3) ]]; then
        say undo "$1: is $now, changed by somebody else, left alone"
        return
    fi
    printf '%s' "$2" 2>/dev/null >"$1"
    if [[ $(value "$1" '') == "$2" ]]; then
        say undo "$1: $now -> $2"
    else
        failed=1
        say undo "$1: IS $(value "$1" '') INSTEAD OF $2"
    fi
}

undo_rmdir() { # PATH: a cgroup is busy until its last process is gone
    for _ in {1..20}; do
        [[ -d $1 ]] || break
        rmdir "$1" 2>/dev/null || sleep 0.1
    done
    if [[ -d $1 ]]; then
        failed=1
        say undo "$1: STILL THERE"
    else
        say undo "$1: removed"
    fi
}

undo_all() {
    local kind path old new
    if [[ -s $undo ]]; then
        while IFS=$'\t' read -r kind path old new; do
            case $kind in
                write) undo_write "$path" "$old" "$new" ;;
                rmdir) undo_rmdir "$path" ;;
                cpuset)
                    if printf '%s' -cpuset 2>/dev/null >"$path"; then
                        say undo "$path: -cpuset"
                    else
                        failed=1
                        say undo "$path: -cpuset REFUSED"
                    fi ;;
            esac
        done < <(tac "$undo")
    fi
    ((failed)) || rm -f "$undo"
}
