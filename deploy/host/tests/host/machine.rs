//! A machine of twelve cores, as files: every row is as it should be. Tests break it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bot4_host::identity::Identity;
use bot4_host::samples::{ClockSync, FifoTrial};
use bot4_host::{
    CpuSet, Mode, Need, PlannedLane, Report, Root, Samples, Sight, State, Waivers, ethtool,
};
use tempfile::TempDir;

/// CPUs of the machine; the first two are the kernel's and the waiting lanes'.
pub const CPUS: usize = 12;

/// Stands for the program: the settings of a card are files, one each. As a real card, this one
/// keeps no delay of its own while it is adaptive.
const ETHTOOL: &str = r#"cd "$(dirname "$0")/../../cards/$2" || exit 1
show() { read -r value <"$2"; echo "$1: $value"; }
case $1 in
    -c) show "Adaptive RX" adaptive-rx
        show rx-usecs rx-usecs
        show tx-usecs tx-usecs ;;
    -g) echo "Pre-set maximums:"
        show RX rx-most
        echo "Current hardware settings:"
        show RX rx ;;
    -S) show bw_in_allowance_exceeded shaped ;;
    -C | -G) read -r adaptive <adaptive-rx
        case "$3 $adaptive" in *-usecs\ on) exit 22 ;; esac
        echo "$4" >"$3" ;;
esac
"#;

/// Files that do not depend on the CPU.
const FILES: &[(&str, &str)] = &[
    ("/usr/sbin/ethtool", ETHTOOL),
    ("/cards/eth0/adaptive-rx", "off"),
    ("/cards/eth0/rx-usecs", "0"),
    ("/cards/eth0/tx-usecs", "0"),
    ("/cards/eth0/rx", "8192"),
    ("/cards/eth0/rx-most", "8192"),
    ("/cards/eth0/shaped", "0"),
    ("/sys/devices/system/cpu/online", "0-11"),
    ("/sys/devices/system/cpu/isolated", "2-11"),
    ("/sys/devices/system/cpu/nohz_full", "2-11"),
    ("/sys/devices/system/cpu/cpufreq/boost", "1"),
    ("/sys/devices/system/node/node0/cpulist", "0-11"),
    ("/sys/devices/system/clocksource/clocksource0/current_clocksource", "tsc"),
    ("/sys/devices/virtual/workqueue/cpumask", "003"),
    ("/sys/bus/workqueue/devices/writeback/cpumask", "003"),
    ("/sys/kernel/mm/transparent_hugepage/enabled", "always [madvise] never"),
    ("/sys/kernel/mm/transparent_hugepage/khugepaged/defrag", "0"),
    ("/sys/kernel/mm/ksm/run", "0"),
    ("/sys/class/net/eth0/device/numa_node", "0"),
    ("/sys/class/net/eth0/queues/rx-0/rps_cpus", "000"),
    ("/sys/class/net/eth0/queues/tx-0/xps_cpus", "003"),
    ("/sys/fs/cgroup/cgroup.controllers", "cpuset cpu io memory pids"),
    ("/sys/fs/cgroup/cgroup.subtree_control", "cpu memory pids"),
    ("/sys/fs/cgroup/cpuset.cpus.effective", "0-11"),
    ("/sys/fs/cgroup/engine.slice/cpu.max", "max 100000"),
    ("/sys/fs/cgroup/engine.slice/pids.max", "max"),
    ("/sys/fs/cgroup/engine.slice/pids.current", "2"),
    ("/proc/cpuinfo", "model name\t: A CPU\nflags\t\t: constant_tsc nonstop_tsc avx2\n"),
    (
        "/proc/cmdline",
        "root=/dev/sda1 isolcpus=managed_irq,domain,2-11 nohz_full=2-11 rcu_nocbs=2-11",
    ),
    ("/proc/self/cgroup", "0::/engine.slice"),
    ("/proc/self/status", "Name:\tbot4\nCapEff:\t0000000000004000\nCpus_allowed_list:\t0-11"),
    (
        "/proc/self/limits",
        "Max core file size        0    0    bytes\n\
      Max processes             unlimited  unlimited  processes\n\
      Max open files            65536      65536      files\n\
      Max locked memory         8388608    8388608    bytes",
    ),
    (
        "/proc/self/stat",
        "7 (bot4 host) R 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 0 0 0 0 0 0 0 0 0 0 0 \
      0 0 0 0 0 0 0 0 0 0 0 0",
    ),
    ("/proc/self/cmdline", "bot4\0host\0check"),
    ("/proc/self/environ", "HOME=/root\0PATH=/bin\0"),
    ("/proc/irq/24/smp_affinity_list", "0-1"),
    ("/proc/irq/24/eth0/name", "a folder is an action"),
    ("/proc/irq/25/smp_affinity_list", "0-11"),
    ("/proc/meminfo", "MemTotal:       65000000 kB\nHugePages_Free:      300"),
    ("/proc/swaps", "Filename  Type  Size  Used  Priority"),
    ("/proc/pressure/cpu", "some avg10=0.00 avg60=0.00 avg300=0.00 total=1"),
    ("/proc/pressure/io", "some avg10=0.10 avg60=0.00 avg300=0.00 total=1"),
    ("/proc/sys/kernel/osrelease", "6.12.0"),
    ("/proc/sys/kernel/nmi_watchdog", "0"),
    ("/proc/sys/kernel/watchdog_cpumask", "0-1"),
    ("/proc/sys/kernel/timer_migration", "0"),
    ("/proc/sys/kernel/numa_balancing", "0"),
    ("/proc/sys/kernel/sched_rt_runtime_us", "950000"),
    ("/proc/sys/kernel/perf_event_paranoid", "1"),
    ("/proc/sys/kernel/random/boot_id", "this-boot"),
    ("/proc/sys/vm/nr_hugepages", "300"),
    ("/proc/sys/vm/stat_interval", "10"),
    ("/proc/sys/vm/compaction_proactiveness", "0"),
    ("/proc/sys/vm/swappiness", "1"),
    ("/proc/sys/vm/zone_reclaim_mode", "0"),
    ("/proc/sys/net/core/busy_poll", "50"),
    ("/proc/sys/net/core/busy_read", "50"),
    ("/proc/sys/net/core/rmem_max", "16777216"),
    ("/proc/sys/net/ipv4/tcp_slow_start_after_idle", "0"),
    ("/proc/sys/net/ipv4/tcp_retries2", "8"),
    ("/etc/chrony/chrony.conf", "# comment\nserver 169.254.169.123 prefer iburst\nmakestep 1 3"),
];

/// A folder that stands for a machine, with what an engine needs of it.
pub struct Machine {
    pub dir: TempDir,
    pub need: Need,
    pub samples: Samples,
}

impl Machine {
    /// Every row is as it should be.
    pub fn good() -> Self {
        let mut machine = Self { samples: samples(), ..Self::of(FILES) };
        for cpu in 0..CPUS {
            let of = |file: &str| format!("/sys/devices/system/cpu/cpu{cpu}/{file}");
            machine.put(&of("topology/thread_siblings_list"), &cpu.to_string());
            machine.put(&of("cpufreq/scaling_governor"), "performance");
            // Idle states of some CPUs are enough.
            if !(3..=4).contains(&cpu) {
                continue;
            }
            for (state, name, us) in [(0, "POLL", "0"), (1, "C1", "1")] {
                machine.put(&of(&format!("cpuidle/state{state}/name")), name);
                machine.put(&of(&format!("cpuidle/state{state}/latency")), us);
                machine.put(&of(&format!("cpuidle/state{state}/disable")), "0");
            }
        }
        machine.put_latency(2_000_000_000);
        machine.need = need(&machine);
        machine
    }

    /// Nothing but these files.
    pub fn of(files: &[(&str, &str)]) -> Self {
        let dir = tempfile::tempdir().expect("a folder");
        let machine = Self { dir, need: Need::default(), samples: Samples::default() };
        files.iter().for_each(|(path, text)| machine.put(path, text));
        machine
    }

    /// A file of it.
    pub fn place(&self, path: &str) -> PathBuf {
        self.dir.path().join(path.trim_start_matches('/'))
    }

    /// Writes a file of it.
    pub fn put(&self, path: &str, text: &str) {
        let place = self.place(path);
        std::fs::create_dir_all(place.parent().expect("a folder")).expect("made");
        std::fs::write(place, format!("{text}\n")).expect("written");
    }

    /// What `/dev/cpu_dma_latency` reads, microseconds.
    pub fn put_latency(&self, us: i32) {
        self.put("/dev/cpu_dma_latency", "");
        std::fs::write(self.place("/dev/cpu_dma_latency"), us.to_ne_bytes()).expect("written");
    }

    pub fn root(&self) -> Root {
        Root::at(self.dir.path())
    }

    /// What was measured, and what the cards say now.
    pub fn samples(&self) -> Samples {
        Samples { cards: ethtool::cards(&self.root()), ..self.samples.clone() }
    }

    /// Looks at every row and hands the report on.
    pub fn report(&self, mode: Mode, waivers: &[&str]) -> Report {
        let need = Need { mode, ..self.need.clone() };
        let texts: Vec<String> = waivers.iter().map(|w| (*w).to_owned()).collect();
        let waivers = Waivers::parse(&texts).expect("waivers");
        let samples = self.samples();
        Report::of(&Sight { root: &self.root(), need: &need, samples: &samples }, &waivers)
    }

    /// The state of every row.
    pub fn states(&self, mode: Mode, waivers: &[&str]) -> BTreeMap<&'static str, State> {
        self.report(mode, waivers).checks.iter().map(|c| (c.row.id, c.state)).collect()
    }

    /// Every file with its text, but the engine's own below `/run`.
    pub fn snapshot(&self) -> BTreeMap<PathBuf, String> {
        let mut all = BTreeMap::new();
        let mut folders = vec![self.dir.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).expect("readable").flatten() {
                let path = entry.path();
                if path == self.place("/run") {
                    continue;
                }
                if path.is_dir() {
                    all.insert(path.clone(), String::new());
                    folders.push(path);
                } else {
                    all.insert(path.clone(), text_of(&path));
                }
            }
        }
        all
    }
}

/// The text of a file; of one that holds no text, its bytes.
fn text_of(path: &Path) -> String {
    let bytes = std::fs::read(path).expect("readable");
    String::from_utf8(bytes).unwrap_or_else(|e| format!("{:?}", e.as_bytes()))
}

/// What differs between two snapshots, a line each.
pub fn diff(before: &BTreeMap<PathBuf, String>, after: &BTreeMap<PathBuf, String>) -> Vec<String> {
    let all: std::collections::BTreeSet<_> = before.keys().chain(after.keys()).collect();
    let of = |path: &&PathBuf| {
        let (old, new) = (before.get(*path), after.get(*path));
        (old != new).then(|| format!("{}: {old:?} -> {new:?}", path.display()))
    };
    all.iter().filter_map(of).collect()
}

fn samples() -> Samples {
    Samples {
        clock: Some(ClockSync { synchronised: true, max_error_us: 300 }),
        venue_offset_us: Some(-900),
        venue_unknown: None,
        hot_irqs_per_s: Some(0.0),
        steal_pct: Some(0.0),
        disk_free: Some(100 << 30),
        sync_p99_us: Some(300),
        heavy: Some(Vec::new()),
        fifo: Some(FifoTrial::Granted),
        // Those of the machine, asked at each look.
        cards: Vec::new(),
    }
}

/// A lane a CPU; the first two wait.
pub fn lanes() -> Vec<PlannedLane> {
    let lane = |cpu: usize| PlannedLane {
        name: format!("lane.{cpu}"),
        cpu,
        hot: cpu >= 2,
        spins: cpu >= 2,
    };
    (0..CPUS).map(lane).collect()
}

fn need(machine: &Machine) -> Need {
    let key = machine.place("/home/key.pem");
    machine.put("/home/key.pem", "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIAbcdefgh");
    let journal = machine.place("/home/runs");
    std::fs::create_dir_all(&journal).expect("made");
    set_mode(&key, 0o600);
    set_mode(&journal, 0o700);
    let mut identity = Identity::of(&machine.root());
    identity.binary_sha256 = Some("aa".into());
    identity.config_sha256 = Some("bb".into());
    Need {
        mode: Mode::Paper,
        lanes: lanes(),
        cpus: CpuSet::default(),
        fifo: true,
        cpu_dma_latency_us: Some(0),
        huge_pages: 262,
        journal_bytes: 32 << 20,
        journal: Some(journal),
        keys: vec![key],
        manifest: Some(identity.clone()),
        identity,
    }
}

pub fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).expect("set");
}
