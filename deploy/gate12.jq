# From the parts that the guest wrote (gate12-guest.sh) to a verdict for each promise.
def part($name): map(select(.part == $name)) | last // {};
def promise($id; $holds; $found): {id: $id, holds: ($holds // false), found: $found};
# All `count` numbers of a list are there and zero.
def zeros($count): length == $count and all(. == 0);
# What a running machine can have, row by row.
def runtime: .said.checks // [] | map(select(.scope == "runtime"));
def wrong: map(select(.state == "warn" or .state == "fail"));
def audited($id): .said.audit.checks // [] | map(select(.id == $id)) | last // {state: "not looked at"};

part("machine").said as $machine
| (part("check_before") | runtime) as $before
| (part("check_after") | runtime) as $after
| (part("check_restored") | runtime) as $restored
| part("apply") as $apply
| part("restore") as $restore
| part("run") as $run
| part("audit") as $audit
| part("ticks").said as $ticks
| ($audit.said.audit.threads // [] | map(select(.lane != null))) as $lanes
| ($lanes | map(select(.allowed == (.plan | tostring) and .cpu == .plan))) as $pinned
| ([$run.said.lanes[]? | {name, faults: (.minor_faults_after_seal + .major_faults_after_seal)}]) as $faults
| ($ticks.hot // []) as $hot
| ($hot + [$ticks.reference // empty]) as $rounds
| ($rounds | map(.broken | map(select(contains("timer interrupts") | not))) | add // []) as $unquiet
| (part("mends").said // []) as $mends
| [
    promise("machine";
        $machine.online == "0-11" and $machine.cores == 6
            and ([$machine.isolated, $machine.nohz_full, $machine.rcu_nocbs] | all(. == "2-11"));
        "CPUs \($machine.online), \($machine.cores) cores, isolated \($machine.isolated), nohz_full \($machine.nohz_full), rcu_nocbs \($machine.rcu_nocbs)"),
    promise("host-apply";
        $apply.status == 0 and ($after | length) > 10 and ($before | wrong | length) > 0 and ($after | wrong) == [];
        "\($before | wrong | length) of \($before | length) rows that apply can mend were not ok, \($after | wrong | length) are not after it\($after | wrong | map("; " + .id + ": " + .found) | add // "")"),
    promise("host-restore";
        $restore.status == 0 and ($restored | length) == ($before | length)
            and ($restored | map([.id, .state])) == ($before | map([.id, .state]));
        "\($restore.said.restored // [] | length) changes taken back, \(($restored | map([.id, .state])) - ($before | map([.id, .state])) | length) rows differ from before apply"),
    promise("engine";
        $run.status == 0 and ($run.said | .market.messages > 1000 and .orders.open_at_end == 0 and .orders.unknown == 0
            and ([.reconcile[]] | all(. == 0)) and .journal.lost == 0 and .hot_allocations == 0);
        "exit \($run.status), \($run.said.market.messages) messages, \($run.said.orders.sent) orders sent, \($run.said.hot_allocations) hot allocations"),
    promise("lanes-pinned";
        ($lanes | length) == 12 and $pinned == $lanes and ($lanes | map(.plan) | sort) == [range(12)];
        "\($pinned | length) of \($lanes | length) lanes are on their CPU and may use no other; \($lanes | map(.plan) | unique | length) CPUs"),
    promise("lanes-moved"; ($audit | audited("audit.migrations").state) == "ok";
        "hot lanes: \($audit | audited("audit.migrations").found)"),
    promise("lanes-faults";
        ($audit | audited("audit.faults").state) == "ok" and ($faults | map(.faults) | zeros(12));
        "hot lanes: \($audit | audited("audit.faults").found); all lanes, from warm-up to the end: \($faults | map(select(.faults > 0) | "\(.name) \(.faults)") | join(", ") | if . == "" then "none" else . end)"),
    promise("helpers"; ($audit | audited("audit.helpers").state) == "ok";
        "other threads and children: \($audit | audited("audit.helpers").found)"),
    promise("ticks-hot";
        ($hot | map(.cpu) | sort) == [range(2; 12)]
            and ($hot | all(.seconds >= 2 and .turns > 1000 and .timer_per_s <= 2));
        "\($hot | length) lanes spun \($hot | map(.seconds) | min) s at least: \($hot | map(.timer_per_s) | max) timer interrupts a second at most (2 allowed)"),
    promise("ticks-reference";
        $ticks.reference | .cpu == 0 and .turns > 1000 and .timer_per_s >= 50;
        "the same spin on CPU 0: \($ticks.reference.timer_per_s) timer interrupts a second (50 at least)"),
    promise("spin-quiet";
        ($rounds | length) == 11 and ($rounds | all(.migrations == 0 and .faults == 0)) and $unquiet == [];
        "\($rounds | map(.migrations // 0) | add) moves, \($rounds | map(.faults) | add) faults\($unquiet | map("; " + .) | add // ", all pinned")"),
    promise("tsc-fallback";
        $machine.nonstop_tsc == false and $run.said.host.tsc == "fallback" and $ticks.tsc == "fallback";
        "the TSC is not invariant here; reported: \($run.said.host.tsc)"),
    promise("simd-avx2";
        $machine.avx2 and ($machine.avx512f | not) and $run.said.host.simd == "avx2" and $ticks.simd == "avx2";
        "AVX2 at most here; reported: \($run.said.host.simd)")
  ] as $gate
| (if $planted != "mends" then $gate else
    ($gate | map(select(.id == "machine")))
    + ($mends | map(promise(.id; .state == "ok"; "\(.state) after `\(.command)`")))
    + [promise("mends"; ($mends | length) >= 15; "\($mends | length) rows were wrong and had a command (15 at least)")]
  end) as $promises
| {schema: 1, holds: ($promises | all(.holds)), kernel: $kernel, planted: $planted, wall_s: $wall,
   promises: $promises, parts: .}
