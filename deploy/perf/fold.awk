# Folds the samples of `perf script -F comm,tid,ip,sym` into one line a stack: thread;outer;...;inner N.
/^[^ \t]/ {thread = $1; frames = ""; open = 1; next}
/^[ \t]+[0-9a-f]+ / {
    name = $0
    sub(/^[ \t]+[0-9a-f]+ /, "", name)
    sub(/\+0x[0-9a-f]+$/, "", name)
    gsub(/;/, ":", name)
    frames = ";" name frames
    next
}
/^[ \t]*$/ {if (open) count[thread (frames == "" ? ";[unknown]" : frames)]++; open = 0}
END {
    if (open) count[thread (frames == "" ? ";[unknown]" : frames)]++
    for (stack in count) print stack, count[stack]
}
