//! Memory: pages for the arenas, nothing that moves or swaps them.

use crate::row::{Change, Class, Found, RULE, Row, Rule, Scope, Sight, Style, UNMEASURED, by_hand};

/// Memory beside the arenas: program, libraries, helpers, page cache of the journal, MiB.
const BESIDE_MIB: u64 = 1_024;
const NR_HUGE_PAGES: &str = "/proc/sys/vm/nr_hugepages";

/// The rows.
pub const ROWS: &[Row] = &[
    Row {
        id: "memory.huge_pages",
        class: Class::Fail,
        scope: Scope::Runtime,
        why: "arenas on 2 MiB pages: fewer TLB misses, never swapped, never moved",
        mend: "sysctl -w vm.nr_hugepages=N soon after boot (boot line: hugepagesz=2M hugepages=N); \
               `bot4 check` prints N",
        undo: "sysctl -w vm.nr_hugepages=OLD",
        risk: "the memory is nobody else's; late after boot fewer may be granted",
        measured: "262 pages taken by 12 lanes and given back; p50 of tick_to_trade, five runs of \
                   8 s each on a shared guest of 2 CPUs: 24 to 66 us with, 24 to 35 us on \
                   transparent ones, 22 to 65 us on 4 KiB pages: no difference above its noise",
        rule: Rule::Look { check: huge_pages, changes: more_huge_pages },
    },
    Row {
        id: "memory.total",
        class: Class::Fail,
        scope: Scope::Cloud,
        why: "arenas are populated at the start; a machine that is too small ends the engine later",
        mend: "take a larger machine, or fewer instruments",
        undo: "none",
        risk: "none",
        measured: RULE,
        rule: Rule::Look { check: total, changes: by_hand },
    },
    Row {
        id: "memory.lock",
        class: Class::Fail,
        scope: Scope::Hand,
        why: "memory that may not be locked can be taken away and faulted in again",
        mend: "LimitMEMLOCK=infinity in the unit, `ulimit -l unlimited`, or CAP_IPC_LOCK",
        undo: "the old limit",
        risk: "none",
        measured: UNMEASURED,
        rule: Rule::Look { check: lock, changes: by_hand },
    },
    Row {
        id: "memory.swap",
        class: Class::Fail,
        scope: Scope::Hand,
        why: "a page that was swapped out comes back in milliseconds",
        mend: "swapoff -a, and no swap in /etc/fstab",
        undo: "swapon -a",
        risk: "a machine short of memory ends programs instead of slowing down",
        measured: "not measured on this host: it has no swap",
        rule: Rule::Look { check: swap, changes: by_hand },
    },
    Row {
        id: "memory.thp",
        class: Class::Warn,
        scope: Scope::Runtime,
        why: "transparent huge pages only for those who ask, so that nobody's memory is compacted \
              in front of a lane",
        mend: "echo madvise > /sys/kernel/mm/transparent_hugepage/enabled",
        undo: "echo OLD > /sys/kernel/mm/transparent_hugepage/enabled",
        risk: "other programs may get fewer huge pages",
        measured: "as memory.huge_pages: 24 to 35 us with transparent pages",
        rule: Rule::Word {
            path: "/sys/kernel/mm/transparent_hugepage/enabled",
            good: &["madvise", "never"],
        },
    },
    Row {
        id: "memory.khugepaged",
        class: Class::Warn,
        scope: Scope::Runtime,
        why: "the kernel's collector of huge pages locks the memory that it moves",
        mend: "echo 0 > /sys/kernel/mm/transparent_hugepage/khugepaged/defrag",
        undo: "echo OLD > /sys/kernel/mm/transparent_hugepage/khugepaged/defrag",
        risk: "long-lived programs get fewer huge pages",
        measured: UNMEASURED,
        rule: Rule::Number {
            path: "/sys/kernel/mm/transparent_hugepage/khugepaged/defrag",
            good: |n| n == 0,
            want: "0",
            set: "0",
        },
    },
    Row {
        id: "memory.ksm",
        class: Class::Warn,
        scope: Scope::Runtime,
        why: "merging of equal pages scans memory and makes written pages fault",
        mend: "echo 0 > /sys/kernel/mm/ksm/run",
        undo: "echo OLD > /sys/kernel/mm/ksm/run",
        risk: "virtual machines on this host need more memory",
        measured: UNMEASURED,
        rule: Rule::Number {
            path: "/sys/kernel/mm/ksm/run",
            good: |n| n == 0,
            want: "0",
            set: "0",
        },
    },
    Row {
        id: "memory.compaction",
        class: Class::Warn,
        scope: Scope::Runtime,
        why: "compaction ahead of need moves pages and interrupts every CPU to forget them",
        mend: "sysctl -w vm.compaction_proactiveness=0",
        undo: "sysctl -w vm.compaction_proactiveness=OLD",
        risk: "huge pages that are wanted later are harder to get",
        measured: UNMEASURED,
        rule: Rule::Number {
            path: "/proc/sys/vm/compaction_proactiveness",
            good: |n| n == 0,
            want: "0",
            set: "0",
        },
    },
    Row {
        id: "memory.swappiness",
        class: Class::Warn,
        scope: Scope::Runtime,
        why: "the page cache is given back before anybody's memory is",
        mend: "sysctl -w vm.swappiness=1",
        undo: "sysctl -w vm.swappiness=OLD",
        risk: "none without swap",
        measured: UNMEASURED,
        rule: Rule::Number {
            path: "/proc/sys/vm/swappiness",
            good: |n| n <= 10,
            want: "at most 10",
            set: "1",
        },
    },
    Row {
        id: "memory.zone_reclaim",
        class: Class::Warn,
        scope: Scope::Runtime,
        why: "a node that is full takes memory from the other instead of cleaning up in front of us",
        mend: "sysctl -w vm.zone_reclaim_mode=0",
        undo: "sysctl -w vm.zone_reclaim_mode=OLD",
        risk: "none on one node",
        measured: UNMEASURED,
        rule: Rule::Number {
            path: "/proc/sys/vm/zone_reclaim_mode",
            good: |n| n == 0,
            want: "0",
            set: "0",
        },
    },
    Row {
        id: "memory.numa_balancing",
        class: Class::Warn,
        scope: Scope::Runtime,
        why: "the balancer unmaps pages to see who uses them: faults on hot lanes",
        mend: "sysctl -w kernel.numa_balancing=0",
        undo: "sysctl -w kernel.numa_balancing=OLD",
        risk: "programs that are not pinned lie on the wrong node for longer",
        measured: "not measured on this host: 0 from the start",
        rule: Rule::Number {
            path: "/proc/sys/kernel/numa_balancing",
            good: |n| n == 0,
            want: "0",
            set: "0",
        },
    },
    Row {
        id: "memory.node",
        class: Class::Warn,
        scope: Scope::Hand,
        why: "a ring between two nodes costs a hop for each message",
        mend: "plan the lanes on the CPUs of one node: the network card's",
        undo: "none",
        risk: "none",
        measured: "not measured on this host: it has one node",
        rule: Rule::Look { check: node, changes: by_hand },
    },
];

fn of_meminfo(sight: &Sight<'_>, key: &str) -> Option<u64> {
    let text = sight.root.field("/proc/meminfo", key)?;
    text.split_whitespace().next()?.parse().ok()
}

fn huge_pages(sight: &Sight<'_>) -> Found {
    let Some(free) = of_meminfo(sight, "HugePages_Free") else {
        return Found::none("this kernel has no huge pages");
    };
    let need = sight.need.huge_pages;
    Found::that(free >= need, format!("{free} free"), format!("{need} of 2 MiB free"))
}

fn more_huge_pages(sight: &Sight<'_>) -> Vec<Change> {
    let Some(free) = of_meminfo(sight, "HugePages_Free") else { return Vec::new() };
    let had = sight.root.number(NR_HUGE_PAGES).and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
    let want = had + sight.need.huge_pages.saturating_sub(free);
    vec![Change::write(NR_HUGE_PAGES, want.to_string(), Style::AtMost)]
}

fn total(sight: &Sight<'_>) -> Found {
    let Some(kib) = of_meminfo(sight, "MemTotal") else {
        return Found::none("/proc/meminfo does not say");
    };
    let (mib, need) = (kib / 1_024, sight.need.huge_pages * 2 + BESIDE_MIB);
    Found::that(mib >= need, format!("{mib} MiB"), format!("{need} MiB"))
}

/// The bit of `CAP_IPC_LOCK`, capabilities(7).
const IPC_LOCK: u64 = 1 << 14;

fn lock(sight: &Sight<'_>) -> Found {
    let need = sight.need.huge_pages << 21;
    let caps = sight.root.field("/proc/self/status", "CapEff").unwrap_or_default();
    if u64::from_str_radix(&caps, 16).is_ok_and(|caps| caps & IPC_LOCK != 0) {
        return Found::that(true, "CAP_IPC_LOCK", "the arenas may be locked");
    }
    let limit = sight.root.field("/proc/self/limits", "Max locked memory").unwrap_or_default();
    let soft = limit.split_whitespace().next().unwrap_or("").to_owned();
    let enough = soft == "unlimited" || soft.parse::<u64>().is_ok_and(|bytes| bytes >= need);
    Found::that(enough, format!("limit {soft}"), format!("{need} bytes or CAP_IPC_LOCK"))
}

fn swap(sight: &Sight<'_>) -> Found {
    let Some(text) = sight.root.text("/proc/swaps") else {
        return Found::that(true, "none", "none");
    };
    let areas: Vec<&str> =
        text.lines().skip(1).filter_map(|line| line.split_whitespace().next()).collect();
    let found = if areas.is_empty() { "none".to_owned() } else { areas.join(", ") };
    Found::that(areas.is_empty(), found, "none")
}

fn node(sight: &Sight<'_>) -> Found {
    const NODES: &str = "/sys/devices/system/node";
    let nodes = sight.root.names(NODES);
    let holds = |name: &String| {
        let number = name.strip_prefix("node").is_some_and(|n| n.parse::<u32>().is_ok());
        let cpus = sight.root.cpus(&format!("{NODES}/{name}/cpulist")).unwrap_or_default();
        number && !cpus.and(&sight.need.hot()).is_empty()
    };
    let with_lanes: Vec<String> = nodes.into_iter().filter(holds).collect();
    // Cards that say where they are; -1 is a machine of one node.
    let cards = sight.root.names("/sys/class/net").into_iter().filter_map(|card| {
        let node = sight.root.number(&format!("/sys/class/net/{card}/device/numa_node"))?;
        (node >= 0).then(|| (card, format!("node{node}")))
    });
    let far: Vec<String> = cards
        .filter(|(_, node)| !with_lanes.contains(node))
        .map(|(card, node)| format!("card {card} on {node}"))
        .collect();
    let found = [with_lanes.clone(), far.clone()].concat().join(", ");
    let want = "hot lanes and network cards on one node";
    match with_lanes.len() {
        0 => Found::none("the machine does not name its nodes, or no lane is hot"),
        n => Found::that(n == 1 && far.is_empty(), found, want),
    }
}
