# Tables of a perf session: one row a thread in order of tid, which is the order of lanes, one column
# an event; then what one message cost. Inputs, in this order: names.csv (tid,name,cpus),
# messages.csv (event,messages that the engine parsed while it was counted; empty where nobody
# knows), counts.csv (tid,count,event,percent). Variables: s (seconds a pass), main (the process).
function short(e) {sub(/^.*:/, "", e); sub(/^local_timer_entry$/, "timer", e)
    sub(/^reschedule_entry$/, "reschedule", e); sub(/^irq_handler_entry$/, "irq", e)
    sub(/^softirq_entry$/, "softirq", e); sub(/^sys_enter$/, "syscalls", e)
    sub(/^sched_wakeup$/, "wakeups", e); sub(/^context-switches$/, "switches", e)
    sub(/^cpu-migrations$/, "migrations", e); sub(/^task-clock$/, "CPU %", e); return e}
function total(e) {return e ~ /faults$|migrations$/}
function number(v) {return v ~ /^[0-9.]+$/}
function cell(e, v) {if (!number(v)) return "idle"
    if (e == "task-clock") return sprintf("%.1f", v / s / 10)
    return total(e) ? sprintf("%d", v) : sprintf("%.0f", v / s)}
# A lane of parse, book, signal and risk alone: it promises no system call and no page fault.
function computes(n,   part, i, k) {k = split(n, part, "_")
    for (i = 1; i <= k; i++) if (part[i] !~ /^(parse(\.[0-9])?|book(\.[0-9])?|signal|risk)$/) return 0
    return k > 0}
FNR == 1 {file++}
file == 1 {name[$1] = $2; cpus[$1] = $3; next}
file == 2 {messages[$1] = $2; next}
{
    if (!($3 in known)) {known[$3] = 1; event[++columns] = $3}
    if (!($1 in seen)) {seen[$1] = 1; tid[++rows] = $1}
    count[$1, $3] = $2
}
END {
    for (i = 2; i <= rows; i++) for (j = i; j > 1 && tid[j] + 0 < tid[j - 1] + 0; j--) {
        t = tid[j]; tid[j] = tid[j - 1]; tid[j - 1] = t}
    for (from = 1; from <= columns; from += 12) {
        head = "| thread | tid | cpus |"; line = "|---|---|---|"
        last = from + 11 < columns ? from + 11 : columns
        for (c = from; c <= last; c++) {
            head = head " " short(event[c]) (total(event[c]) || event[c] == "task-clock" ? "" : "/s") " |"
            line = line "---:|"}
        printf "\n%s\n%s\n", head, line
        for (i = 1; i <= rows; i++) {
            t = tid[i]
            printf "| %s%s | %s | %s |", name[t], (t == main ? " (main)" : ""), t, cpus[t]
            for (c = from; c <= last; c++) printf " %s |", cell(event[c], count[t, event[c]])
            printf "\n"}}
    printf "\n## A message\n\n"
    for (c = 1; c <= columns; c++) {
        e = event[c]
        if (messages[e] + 0 <= 0) continue
        if (!told++) print "| event | all threads | lanes that only compute |\n|---|---:|---:|"
        all = pure = 0
        for (i = 1; i <= rows; i++) {
            v = count[tid[i], e]
            if (!number(v)) continue
            all += v
            if (computes(name[tid[i]])) pure += v}
        printf "| %s | %.4g | %.4g |\n", (e == "task-clock" ? "CPU time, us" : short(e)), all * (e == "task-clock" ? 1000 : 1) / messages[e], pure * (e == "task-clock" ? 1000 : 1) / messages[e]}
    if (!told) print "Not known: the process did not say how many messages it read."
    printf "\n## Stands out\n\n"
    for (i = 1; i <= rows; i++) {
        t = tid[i]
        if (cpus[t] !~ /^[0-9]+$/) continue
        for (c = 1; c <= columns; c++) if (total(event[c]) && count[t, event[c]] > 0) {
            printf "- %s, pinned to CPU %s: %d %s in a pass\n", name[t], cpus[t], count[t, event[c]], event[c]; n++}}
    if (!n) print "- nothing: no pinned thread migrated or faulted"
}
