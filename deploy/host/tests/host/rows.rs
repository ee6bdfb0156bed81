//! Every row: as it should be, broken, waived; and on a machine where nothing is there.

use std::collections::BTreeSet;
use std::path::Path;

use bot4_host::row::Class;
use bot4_host::samples::FifoTrial;
use bot4_host::{Mode, Need, Report, Root, Samples, Sight, State, Waivers, rows};

use crate::machine::{Machine, set_mode};

/// Breaks a machine.
pub type Break = fn(&mut Machine);

/// For each row what breaks it. Every row must be here, and must be the only reason it is.
pub const BREAKS: &[(&str, Break)] = &[
    ("memory.huge_pages", |m| {
        m.put("/proc/meminfo", "MemTotal: 65000000 kB\nHugePages_Free: 10");
        m.put("/proc/sys/vm/nr_hugepages", "12");
    }),
    ("memory.total", |m| m.put("/proc/meminfo", "MemTotal: 1000000 kB\nHugePages_Free: 300")),
    ("memory.lock", |m| m.put("/proc/self/status", "CapEff:\t0\nCpus_allowed_list:\t0-11")),
    ("memory.swap", |m| m.put("/proc/swaps", "Filename Type\n/dev/sdb1 partition 1 0 -2")),
    ("memory.thp", |m| {
        m.put("/sys/kernel/mm/transparent_hugepage/enabled", "[always] madvise never");
    }),
    ("memory.khugepaged", |m| {
        m.put("/sys/kernel/mm/transparent_hugepage/khugepaged/defrag", "1");
    }),
    ("memory.ksm", |m| m.put("/sys/kernel/mm/ksm/run", "1")),
    ("memory.compaction", |m| m.put("/proc/sys/vm/compaction_proactiveness", "20")),
    ("memory.swappiness", |m| m.put("/proc/sys/vm/swappiness", "60")),
    ("memory.zone_reclaim", |m| m.put("/proc/sys/vm/zone_reclaim_mode", "1")),
    ("memory.numa_balancing", |m| m.put("/proc/sys/kernel/numa_balancing", "1")),
    ("memory.node", |m| m.put("/sys/class/net/eth0/device/numa_node", "1")),
    ("isolation.cpus", |m| m.put("/sys/devices/system/cpu/isolated", "3-11")),
    ("isolation.tick", |m| m.put("/sys/devices/system/cpu/nohz_full", "")),
    ("isolation.rcu", |m| m.put("/proc/cmdline", "root=/dev/sda1 rcu_nocbs=4-11")),
    ("isolation.workqueues", |m| m.put("/sys/devices/virtual/workqueue/cpumask", "fff")),
    ("isolation.writeback", |m| m.put("/sys/bus/workqueue/devices/writeback/cpumask", "fff")),
    ("irq.affinity", |m| m.put("/proc/irq/24/smp_affinity_list", "0-11")),
    ("irq.rate", |m| m.samples.hot_irqs_per_s = Some(4.0)),
    ("irq.balance", |m| {
        m.put("/proc/77/comm", "irqbalance");
        m.put("/etc/default/irqbalance", "IRQBALANCE_BANNED_CPULIST=3-11");
    }),
    ("irq.watchdog", |m| m.put("/proc/sys/kernel/nmi_watchdog", "1")),
    ("irq.watchdog_cpus", |m| m.put("/proc/sys/kernel/watchdog_cpumask", "0-11")),
    ("irq.timer_migration", |m| m.put("/proc/sys/kernel/timer_migration", "1")),
    ("irq.stat_interval", |m| m.put("/proc/sys/vm/stat_interval", "1")),
    ("net.busy_poll", |m| m.put("/proc/sys/net/core/busy_poll", "0")),
    ("net.busy_read", |m| m.put("/proc/sys/net/core/busy_read", "0")),
    ("net.slow_start", |m| m.put("/proc/sys/net/ipv4/tcp_slow_start_after_idle", "1")),
    ("net.rmem", |m| m.put("/proc/sys/net/core/rmem_max", "212992")),
    ("net.rps", |m| m.put("/sys/class/net/eth0/queues/rx-0/rps_cpus", "00f")),
    ("net.xps", |m| m.put("/sys/class/net/eth0/queues/tx-0/xps_cpus", "fff")),
    ("net.retries", |m| m.put("/proc/sys/net/ipv4/tcp_retries2", "15")),
    ("net.coalesce", |m| {
        m.put("/cards/eth0/adaptive-rx", "on");
        m.put("/cards/eth0/rx-usecs", "20");
    }),
    ("net.rings", |m| m.put("/cards/eth0/rx", "1024")),
    ("net.shaped", |m| m.put("/cards/eth0/shaped", "3")),
    ("power.governor", |m| {
        m.put("/sys/devices/system/cpu/cpu3/cpufreq/scaling_governor", "powersave");
    }),
    ("power.idle_states", |m| {
        m.put("/sys/devices/system/cpu/cpu4/cpuidle/state1/latency", "133");
    }),
    ("power.latency", |m| {
        std::fs::remove_file(m.place("/dev/cpu_dma_latency")).expect("removed");
    }),
    ("power.mitigations", |m| m.put("/proc/cmdline", "mitigations=off rcu_nocbs=2-11")),
    ("kernel.flavour", |m| m.put("/sys/kernel/realtime", "1")),
    ("kernel.rt_runtime", |m| m.put("/proc/sys/kernel/sched_rt_runtime_us", "-1")),
    ("kernel.pressure", |m| m.put("/proc/pressure/cpu", "some avg10=7.50 avg60=0.00")),
    ("kernel.perf", |m| m.put("/proc/sys/kernel/perf_event_paranoid", "4")),
    ("kernel.cmdline", |m| {
        let manifest = m.need.manifest.as_mut().expect("a manifest");
        manifest.cmdline = Some("other words".into());
    }),
    ("kernel.heavy_tasks", |m| m.samples.heavy = Some(vec![("cc1 (9)".into(), 99.0)])),
    ("cpus.allowed", |m| m.put("/sys/fs/cgroup/cpuset.cpus.effective", "0-10")),
    ("cpus.quota", |m| m.put("/sys/fs/cgroup/engine.slice/cpu.max", "200000 100000")),
    ("cpus.cores", |m| {
        // A machine whose CPUs 4 and 5 are one core; both lanes are hot.
        for cpu in [4, 5] {
            m.put(
                &format!("/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list"),
                "4-5",
            );
        }
    }),
    ("cpus.steal", |m| m.samples.steal_pct = Some(3.5)),
    ("cpus.threads", |m| m.put("/sys/fs/cgroup/engine.slice/pids.max", "20")),
    ("cpus.siblings", |m| {
        m.put("/sys/devices/system/cpu/online", "0-12");
        m.put("/sys/devices/system/cpu/cpu6/topology/thread_siblings_list", "6,12");
    }),
    ("cpus.policy", |m| {
        let text = std::fs::read_to_string(m.place("/proc/self/stat")).expect("text");
        m.put("/proc/self/stat", text.replacen(" 20 0 1", " 39 19 1", 1).trim_end());
    }),
    ("rt.group", |m| m.samples.fifo = Some(FifoTrial::Refused("EPERM".into()))),
    ("clock.source", |m| m.put("/proc/cpuinfo", "flags\t: constant_tsc avx2")),
    ("clock.sync", |m| m.samples.clock.as_mut().expect("asked").max_error_us = 16_000_000),
    ("clock.smear", |m| {
        m.put("/etc/chrony/chrony.conf", "server 169.254.169.123\npool pool.example iburst");
    }),
    ("clock.venue", |m| m.samples.venue_offset_us = Some(450_000)),
    ("process.files", |m| limits(m, "Max open files            1024")),
    ("process.core", |m| limits(m, "Max core file size        unlimited")),
    ("process.keys", |m| set_mode(&m.need.keys[0], 0o644)),
    ("process.binary", |m| m.need.identity.binary_sha256 = Some("cc".into())),
    ("disk.free", |m| m.samples.disk_free = Some(1 << 20)),
    ("disk.sync", |m| m.samples.sync_p99_us = Some(40_000)),
    ("process.secrets", |m| m.put("/proc/self/environ", "HOME=/\0VENUE_API_KEY=abc\0")),
    ("process.journal", |m| {
        set_mode(m.need.journal.as_deref().expect("a folder"), 0o755);
    }),
];

/// Puts `line` before the limits, where it is found first.
fn limits(m: &Machine, line: &str) {
    let text = std::fs::read_to_string(m.place("/proc/self/limits")).expect("text");
    m.put("/proc/self/limits", &format!("{line} x y\n{text}"));
}

/// Rows that break with another one, because they look at the same thing.
const TOGETHER: [(&str, &str); 1] = [("cpus.cores", "cpus.siblings")];

#[test]
fn every_row_is_ok_on_a_machine_that_is_right() {
    for (id, state) in Machine::good().states(Mode::Live, &[]) {
        assert_eq!(state, State::Ok, "{id}");
    }
}

#[test]
fn every_row_says_when_it_is_broken_and_only_then() {
    let listed: BTreeSet<&str> = BREAKS.iter().map(|(id, _)| *id).collect();
    let all: BTreeSet<&str> = rows::all().map(|row| row.id).collect();
    assert_eq!(listed, all, "every row has its way to break");
    for (id, breaks) in BREAKS {
        let mut machine = Machine::good();
        breaks(&mut machine);
        let class = rows::find(id).expect("a row").class;
        let hard = if class == Class::Fail { State::Fail } else { State::Warn };
        for (mode, want) in [(Mode::Live, hard), (Mode::Paper, hard), (Mode::Ci, State::Warn)] {
            let states = machine.states(mode, &[]);
            assert_eq!(states[id], want, "{id} in {}", mode.name());
            for (other, state) in states {
                let with = TOGETHER.contains(&(*id, other));
                assert!(other == *id || with || state == State::Ok, "{id} breaks {other}");
            }
        }
        let waiver = format!("{id}:a test");
        assert_eq!(machine.states(Mode::Live, &[&waiver])[id], State::Waived, "{id}");
    }
}

#[test]
fn real_time_is_tried_only_where_it_is_planned() {
    let mut machine = Machine::good();
    machine.samples.fifo = None;
    assert_eq!(machine.states(Mode::Live, &[])["rt.group"], State::Absent, "planned, not tried");
    machine.need.fifo = false;
    let report = machine.report(Mode::Live, &[]);
    let row = report.checks.iter().find(|c| c.row.id == "rt.group").expect("a row");
    assert_eq!((row.state, row.found.found.as_str()), (State::Ok, "not planned"));
}

#[test]
fn a_venue_that_was_asked_in_vain_says_why() {
    let mut machine = Machine::good();
    machine.samples.venue_offset_us = None;
    let found = |machine: &Machine| {
        let report = machine.report(Mode::Live, &[]);
        let row = report.checks.into_iter().find(|c| c.row.id == "clock.venue").expect("a row");
        (row.state, row.found.found)
    };
    assert!(found(&machine).1.contains("--venue-clock"));
    machine.samples.venue_unknown = Some("no route to it".into());
    assert_eq!(found(&machine), (State::Absent, "not measured: no route to it".to_owned()));
}

#[test]
fn whoever_holds_the_latency_will_do() {
    let mut machine = Machine::good();
    let found = |machine: &Machine| {
        let report = machine.report(Mode::Live, &[]);
        let row = report.checks.into_iter().find(|c| c.row.id == "power.latency").expect("a row");
        (row.state, row.found.found)
    };
    assert_eq!(found(&machine), (State::Ok, "the engine will hold it".to_owned()));
    machine.put_latency(0);
    assert_eq!(found(&machine), (State::Ok, "held at 0 us".to_owned()));
    machine.put_latency(50);
    machine.need.cpu_dma_latency_us = None;
    assert_eq!(found(&machine).0, State::Absent, "nobody asks");
    // Where it cannot be read, as by a user who has it by inheritance.
    machine.need.cpu_dma_latency_us = Some(0);
    std::fs::remove_file(machine.place("/dev/cpu_dma_latency")).expect("removed");
    assert_eq!(found(&machine).0, State::Warn);
    std::fs::create_dir_all(machine.place("/proc/self/fd")).expect("made");
    let link = machine.place("/proc/self/fd/8");
    std::os::unix::fs::symlink("/dev/cpu_dma_latency", link).expect("made");
    assert_eq!(found(&machine), (State::Ok, "held by this process".to_owned()));
}

#[test]
fn a_broken_row_comes_with_its_mend() {
    let mut machine = Machine::good();
    machine.samples.steal_pct = Some(9.0);
    machine.put("/proc/sys/vm/swappiness", "60");
    let report = machine.report(Mode::Live, &["memory.swappiness:no swap at all"]);
    let text = report.to_text();
    assert!(text.contains("FAIL    cpus.steal"), "{text}");
    assert!(text.contains("mend: take a dedicated machine"), "{text}");
    assert!(text.contains("waived: no swap at all"), "{text}");
    let json = report.to_json();
    let all = json.as_array().expect("a list");
    let of = |id: &str| all.iter().find(|row| row["id"] == id).expect("a row");
    assert_eq!(of("cpus.steal")["state"], "fail");
    assert_eq!(of("memory.swappiness")["waived"], "no swap at all");
    for key in ["id", "class", "scope", "state", "found", "want", "mend", "undo", "why"] {
        assert!(all.iter().all(|row| row[key].is_string()), "{key}");
    }
    assert_eq!(report.summary().fail, 1);
}

#[test]
fn a_machine_that_says_nothing_is_no_reason_to_panic() {
    let dir = tempfile::tempdir().expect("a folder");
    let (root, need, samples) = (Root::at(dir.path()), Need::default(), Samples::default());
    let report =
        Report::of(&Sight { root: &root, need: &need, samples: &samples }, &Waivers::default());
    assert_eq!(report.checks.len(), rows::all().count());
    // Nor is this one, whatever it is.
    let here = Root::at(Path::new("/"));
    let machine = Machine::good();
    let sight = Sight { root: &here, need: &machine.need, samples: &samples };
    let report = Report::of(&sight, &Waivers::default());
    assert!(report.summary().ok > 0, "{}", report.to_text());
}
