//! Which roles run on which lane, and which lane on which CPU.

use std::collections::BTreeSet;
use std::fmt;

use crate::idle::IdleKind;

/// A lane as planned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LanePlan {
    /// Name; also the thread's name.
    pub name: String,
    /// Roles in the order in which they are cycled.
    pub roles: Vec<&'static str>,
    /// The CPU it is pinned to.
    pub cpu: usize,
    /// How it waits.
    pub idle: IdleKind,
}

impl LanePlan {
    /// Whether the lane has cold roles only: it never spins, and an order never waits for it.
    #[must_use]
    pub fn is_cold(&self) -> bool {
        is_cold(&self.roles)
    }

    /// Whether the lane has compute roles only: no system call and no page fault after warm-up.
    #[must_use]
    pub fn is_compute(&self) -> bool {
        self.roles.iter().all(|r| {
            ["parse.", "book."].iter().any(|p| r.starts_with(p)) || matches!(*r, "signal" | "risk")
        })
    }
}

/// The whole placement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Lanes; the first hosts the control role and runs on the main thread.
    pub lanes: Vec<LanePlan>,
    /// What a person should know, for example lanes that share a core.
    pub warnings: Vec<String>,
}

/// What a configuration may ask of the placement beyond a number of lanes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// Lanes that work must not share a core: refused where they would, not warned about.
    pub exclusive_cores: bool,
    /// How lanes that work shall wait; `None` takes what the host grants. Cold lanes park.
    pub idle: Option<IdleKind>,
}

/// Why lanes cannot be placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlacementError {
    /// Zero lanes, or more than there are roles.
    LaneCount {
        /// Lanes asked for.
        asked: usize,
        /// Roles there are.
        max: usize,
    },
    /// No CPU is allowed for this process.
    NoCpu,
    /// Exclusive cores are asked for and these two lanes would share one.
    SharedCore {
        /// One lane.
        first: String,
        /// The other.
        second: String,
        /// Cores that lanes can have.
        cores: usize,
    },
    /// Spinning is asked for where a lane has no CPU of its own.
    CannotSpin {
        /// Lanes asked for.
        lanes: usize,
        /// CPUs there are.
        cpus: usize,
    },
}

impl fmt::Display for PlacementError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LaneCount { asked, max } => {
                write!(f, "{asked} lanes cannot be placed: choose 1 to {max}, or `auto`")
            }
            Self::NoCpu => f.write_str("this process may run on no CPU: check its cpuset"),
            Self::SharedCore { first, second, cores } => write!(
                f,
                "run.exclusive_cores: lanes {first} and {second} would share a core\nhelp: there \
                 are {cores} cores: choose fewer lanes, switch SMT off, allow the process more \
                 CPUs, or set exclusive_cores = false"
            ),
            Self::CannotSpin { lanes, cpus } => write!(
                f,
                "run.idle: a lane that shares its CPU never spins ({lanes} lanes, {cpus} CPUs, an \
                 embedded venue and a cgroup quota count)\nhelp: choose fewer lanes than CPUs, \
                 lift the CPU quota, or set idle = \"auto\""
            ),
        }
    }
}

impl std::error::Error for PlacementError {}

/// The CPUs this process may use and how they are paired.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cpus {
    /// Allowed CPUs in ascending order.
    pub allowed: Vec<usize>,
    /// For each allowed CPU, a number that is equal for the threads of one core.
    pub core_of: Vec<usize>,
}

/// Dedicated lanes, in data order: every role on its own.
const DEDICATED: [&str; 12] = [
    "control",
    "wire.0",
    "wire.1",
    "parse.0",
    "parse.1",
    "book.0",
    "book.1",
    "signal",
    "risk",
    "execution",
    "journal",
    "telemetry",
];

const WIRE: [&str; 2] = ["wire.0", "wire.1"];
const PARSE: [&str; 2] = ["parse.0", "parse.1"];
const BOOK: [&str; 2] = ["book.0", "book.1"];

/// The roles of each lane when `n` lanes are to be used. Roles of one lane are in data order, so
/// one cycle carries a message through all of them; the journal sits between risk and execution.
/// The control role's lane comes first.
fn fold(n: usize) -> Vec<Vec<&'static str>> {
    let cold = vec!["control", "telemetry"];
    let orders = vec!["signal", "risk", "journal", "execution"];
    let feed = [WIRE, PARSE, BOOK].concat();
    let pair = |roles: [&'static str; 2]| roles.to_vec();
    let each = |roles: [&'static str; 2]| roles.into_iter().map(|r| vec![r]).collect::<Vec<_>>();
    let order_lanes: Vec<Vec<&'static str>> = match n {
        0..=5 => vec![orders.clone()],
        6 => vec![vec!["signal"], vec!["risk", "journal", "execution"]],
        7 => vec![vec!["signal"], vec!["risk"], vec!["journal", "execution"]],
        _ => vec![vec!["signal"], vec!["risk"], vec!["journal"], vec!["execution"]],
    };
    let mut lanes = match n {
        1 => return vec![[feed, orders, cold].concat()],
        2 => return vec![cold, [feed, orders].concat()],
        3 => vec![cold, feed],
        4 => vec![cold, pair(WIRE), [PARSE, BOOK].concat()],
        5..=8 => vec![cold, pair(WIRE), pair(PARSE), pair(BOOK)],
        _ => {
            let mut lanes = vec![vec!["control"], vec!["telemetry"]];
            for (roles, from) in [(WIRE, 10), (PARSE, 11), (BOOK, 12)] {
                if n >= from { lanes.extend(each(roles)) } else { lanes.push(pair(roles)) }
            }
            lanes
        }
    };
    lanes.extend(order_lanes);
    lanes
}

/// Adds `extra` roles to the lanes that have their kind: `wire.3` joins `wire.1`, `execution.2`
/// joins `execution`, each behind the last role of its kind, so that data order stays.
fn join(lanes: &mut [Vec<&'static str>], extra: &[&'static str]) {
    for role in extra {
        let (kind, number) = role.split_once('.').unwrap_or((role, "0"));
        let number: usize = number.parse().unwrap_or(0);
        let home = match kind {
            "wire" => WIRE[number % WIRE.len()],
            "parse" => PARSE[number % PARSE.len()],
            _ => kind,
        };
        let Some(lane) = lanes.iter_mut().find(|lane| lane.contains(&home)) else { continue };
        let of_kind = |r: &&str| r.split_once('.').map_or(*r, |(kind, _)| kind) == kind;
        let behind = lane.iter().rposition(of_kind).map_or(lane.len(), |at| at + 1);
        lane.insert(behind, role);
    }
}

/// Lanes to use when nobody asked for a number: one a CPU, one CPU left for an embedded venue.
#[must_use]
pub fn auto_lanes(cpus: &Cpus, venue_embedded: bool) -> usize {
    let free = cpus.allowed.len().min(DEDICATED.len())
        - usize::from(venue_embedded && !cpus.allowed.is_empty());
    free.max(1)
}

/// Places `count` lanes on `cpus`; `extra` are the roles that a run of several venues has beside
/// the twelve, each on the lane of its kind. A lane spins only where it has a CPU of its own and
/// `quota_free` says that neither a cgroup quota nor an embedded venue can take it away.
///
/// # Errors
/// See [`PlacementError`].
pub fn place(
    count: usize,
    cpus: &Cpus,
    quota_free: bool,
    wishes: Wishes,
    extra: &[&'static str],
) -> Result<Placement, PlacementError> {
    if count == 0 || count > DEDICATED.len() {
        return Err(PlacementError::LaneCount { asked: count, max: DEDICATED.len() });
    }
    if cpus.allowed.is_empty() {
        return Err(PlacementError::NoCpu);
    }
    let own_cpu = count <= cpus.allowed.len();
    let may_spin = own_cpu && quota_free;
    if wishes.idle == Some(IdleKind::Spin) && !may_spin {
        let cpus = cpus.allowed.len();
        return Err(PlacementError::CannotSpin { lanes: count, cpus });
    }
    let order = cpu_order(count, cpus);
    let mut folded = fold(count);
    join(&mut folded, extra);
    let lanes = folded
        .into_iter()
        .enumerate()
        .map(|(i, roles)| LanePlan {
            name: lane_name(&roles),
            idle: idle_of(&roles, may_spin, wishes.idle),
            roles,
            cpu: order[i % order.len()],
        })
        .collect::<Vec<_>>();
    if wishes.exclusive_cores {
        refuse_shared_cores(&lanes, cpus)?;
    }
    let warnings = warnings(&lanes, cpus, own_cpu, quota_free);
    Ok(Placement { lanes, warnings })
}

/// Refuses two lanes on one core unless one of them is cold: a parked lane takes its sibling
/// nothing.
fn refuse_shared_cores(lanes: &[LanePlan], cpus: &Cpus) -> Result<(), PlacementError> {
    for (i, a) in lanes.iter().enumerate() {
        for b in &lanes[i + 1..] {
            if !a.is_cold() && !b.is_cold() && cpus.core(a.cpu) == cpus.core(b.cpu) {
                let (first, second) = (a.name.clone(), b.name.clone());
                return Err(PlacementError::SharedCore { first, second, cores: cpus.cores() });
            }
        }
    }
    Ok(())
}

/// Order in which lanes take CPUs. With all twelve lanes on cores of two threads, lanes are
/// paired so that a hot lane's sibling is its neighbour in the data flow (DESIGN: wire+wire,
/// parse+parse, book+book, signal+journal, risk+execution, control+telemetry). With fewer, every
/// core gives its first thread before any gives its second.
fn cpu_order(count: usize, cpus: &Cpus) -> Vec<usize> {
    let mut by_core: Vec<(usize, usize)> =
        cpus.core_of.iter().copied().zip(cpus.allowed.iter().copied()).collect();
    by_core.sort_unstable();
    let paired: Vec<usize> = by_core.iter().map(|(_, cpu)| *cpu).collect();
    let smt = by_core.windows(2).any(|w| w[0].0 == w[1].0);
    if count != DEDICATED.len() || paired.len() < DEDICATED.len() || !smt {
        return spread(&by_core);
    }
    // Lanes as `fold(12)` lists them: control telemetry | wires | parses | books | signal risk
    // journal execution. Signal pairs with journal, risk with execution.
    let mut order = paired;
    order.swap(9, 10);
    order
}

/// The CPUs of `by_core` (sorted), first threads of all cores first, ascending within a rank.
fn spread(by_core: &[(usize, usize)]) -> Vec<usize> {
    let rank = |at: usize| by_core[..at].iter().filter(|(core, _)| *core == by_core[at].0).count();
    let mut ranked: Vec<(usize, usize)> =
        by_core.iter().enumerate().map(|(at, (_, cpu))| (rank(at), *cpu)).collect();
    ranked.sort_unstable();
    ranked.into_iter().map(|(_, cpu)| cpu).collect()
}

fn lane_name(roles: &[&'static str]) -> String {
    match roles {
        [one] => (*one).to_owned(),
        [first, .., last] => format!("{first}+{last}"),
        [] => String::new(),
    }
}

fn idle_of(roles: &[&'static str], may_spin: bool, wish: Option<IdleKind>) -> IdleKind {
    match (is_cold(roles), wish, may_spin) {
        (true, _, _) => IdleKind::Park,
        (false, Some(wish), _) => wish,
        (false, None, true) => IdleKind::Spin,
        (false, None, false) => IdleKind::YieldPark,
    }
}

fn is_cold(roles: &[&str]) -> bool {
    roles.iter().all(|r| matches!(*r, "control" | "telemetry"))
}

fn warnings(lanes: &[LanePlan], cpus: &Cpus, own_cpu: bool, quota_free: bool) -> Vec<String> {
    let mut out = Vec::new();
    if !own_cpu {
        out.push(format!(
            "{} lanes share {} CPUs: no lane spins, latency is that of the scheduler",
            lanes.len(),
            cpus.allowed.len()
        ));
        return out;
    }
    if !quota_free {
        out.push(
            "no CPU is free of other work (an embedded venue or a cgroup quota): no lane spins"
                .to_owned(),
        );
    }
    for (i, a) in lanes.iter().enumerate() {
        for b in &lanes[i + 1..] {
            if a.idle == IdleKind::Spin
                && b.idle == IdleKind::Spin
                && cpus.core(a.cpu) == cpus.core(b.cpu)
            {
                out.push(format!("{} and {} spin on two threads of one core", a.name, b.name));
            }
        }
    }
    out
}

impl Cpus {
    /// The CPUs this process may run on, and which of them are threads of one core, from the
    /// affinity mask and sysfs.
    #[must_use]
    pub fn of_this_process() -> Self {
        let allowed = allowed_cpus();
        let core_of = allowed.iter().map(|cpu| core_id(*cpu)).collect();
        Self { allowed, core_of }
    }

    /// The core of an allowed CPU.
    fn core(&self, cpu: usize) -> Option<usize> {
        self.allowed.iter().position(|c| *c == cpu).map(|i| self.core_of[i])
    }

    /// Cores with at least one allowed CPU.
    fn cores(&self) -> usize {
        self.core_of.iter().collect::<BTreeSet<_>>().len()
    }
}

/// Pins this thread to `cpu`. Returns the mask read back: more or others than `cpu` where the
/// kernel refused.
pub fn pin(cpu: usize) -> Vec<usize> {
    core_affinity::set_for_current(core_affinity::CoreId { id: cpu });
    allowed_cpus()
}

/// The CPUs in this thread's affinity mask, ascending.
#[must_use]
pub fn allowed_cpus() -> Vec<usize> {
    let mut ids: Vec<usize> =
        core_affinity::get_core_ids().unwrap_or_default().into_iter().map(|c| c.id).collect();
    ids.sort_unstable();
    ids
}

/// The lowest sibling of `cpu`; itself where sysfs does not say.
fn core_id(cpu: usize) -> usize {
    let path = format!("/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list");
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let first: String = text.trim().chars().take_while(char::is_ascii_digit).collect();
    first.parse().unwrap_or(cpu)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(n: usize, cpus: &Cpus, quota_free: bool) -> Result<Placement, PlacementError> {
        super::place(n, cpus, quota_free, Wishes::default(), &[])
    }

    fn cpus(n: usize, threads_a_core: usize) -> Cpus {
        Cpus {
            allowed: (0..n).collect(),
            core_of: (0..n).map(|c| c / threads_a_core * threads_a_core).collect(),
        }
    }

    #[test]
    fn every_count_places_every_role_once() {
        for n in 1..=12 {
            let plan = place(n, &cpus(12, 1), true).expect("placeable");
            assert_eq!(plan.lanes.len(), n, "{n} lanes");
            let roles: Vec<_> = plan.lanes.iter().flat_map(|l| l.roles.clone()).collect();
            assert_eq!(roles.len(), 12, "{n} lanes");
            assert_eq!(roles.iter().collect::<BTreeSet<_>>().len(), 12);
            let used: BTreeSet<_> = plan.lanes.iter().map(|l| l.cpu).collect();
            assert_eq!(used.len(), n, "one CPU a lane");
            assert!(plan.lanes[0].roles.contains(&"control"));
        }
    }

    #[test]
    fn roles_of_further_venues_join_their_kind() {
        let extra = ["wire.2", "parse.2", "execution.1", "wire.3", "parse.3"];
        for n in 1..=12 {
            let plan = super::place(n, &cpus(12, 1), true, Wishes::default(), &extra);
            let plan = plan.expect("placeable");
            let lane = |role: &str| plan.lanes.iter().position(|l| l.roles.contains(&role));
            assert_eq!(plan.lanes.iter().map(|l| l.roles.len()).sum::<usize>(), 17);
            for (role, home) in [("wire.3", "wire.1"), ("parse.2", "parse.0")] {
                assert_eq!(lane(role), lane(home), "{n} lanes");
            }
            assert_eq!(lane("execution.1"), lane("execution"));
            let order = &plan.lanes[lane("execution.1").expect("placed")].roles;
            let at = |role: &str| order.iter().position(|r| *r == role);
            assert!(at("execution.1") > at("execution"), "{n} lanes");
        }
    }

    #[test]
    fn twelve_lanes_on_six_cores_pair_neighbours() {
        let plan = place(12, &cpus(12, 2), true).expect("placeable");
        let core = |role: &str| {
            plan.lanes.iter().find(|l| l.roles == [role]).map(|l| l.cpu / 2).expect("placed")
        };
        for (a, b) in [
            ("control", "telemetry"),
            ("wire.0", "wire.1"),
            ("parse.0", "parse.1"),
            ("book.0", "book.1"),
            ("signal", "journal"),
            ("risk", "execution"),
        ] {
            assert_eq!(core(a), core(b), "{a} and {b}");
        }
        assert_eq!(plan.warnings.len(), 5, "{:?}", plan.warnings);
    }

    #[test]
    fn shared_cpus_and_quotas_never_spin() {
        for plan in [place(12, &cpus(2, 1), true), place(2, &cpus(2, 1), false)] {
            let plan = plan.expect("placeable");
            assert!(plan.lanes.iter().all(|l| l.idle != IdleKind::Spin));
            assert_eq!(plan.warnings.len(), 1);
        }
    }

    #[test]
    fn exclusive_cores_are_kept_or_refused() {
        let wishes = Wishes { exclusive_cores: true, idle: None };
        let plan = super::place(6, &cpus(12, 2), true, wishes, &[]).expect("six cores are enough");
        let cores: BTreeSet<_> = plan.lanes.iter().map(|l| l.cpu / 2).collect();
        assert_eq!((cores.len(), plan.warnings.len()), (6, 0), "{:?}", plan.warnings);
        // Twelve lanes on twelve CPUs of six cores; eight lanes on eight CPUs of four.
        for (n, c) in [(12, 12), (8, 8)] {
            let error = super::place(n, &cpus(c, 2), true, wishes, &[]).expect_err("a shared core");
            assert!(matches!(error, PlacementError::SharedCore { .. }), "{error:?}");
            assert!(error.to_string().contains("help:"), "{error}");
            assert!(!place(n, &cpus(c, 2), true).expect("a warning").warnings.is_empty());
        }
        // Sharing a CPU is sharing a core.
        assert!(super::place(4, &cpus(2, 1), true, wishes, &[]).is_err());
        assert!(super::place(12, &cpus(12, 1), true, wishes, &[]).is_ok());
    }

    #[test]
    fn a_lane_that_shares_its_cpu_never_spins_whatever_is_asked() {
        let wish = |idle| Wishes { exclusive_cores: false, idle: Some(idle) };
        for (n, c, quota_free) in [(12, 2, true), (2, 2, false)] {
            let error = super::place(n, &cpus(c, 1), quota_free, wish(IdleKind::Spin), &[]);
            assert!(matches!(error, Err(PlacementError::CannotSpin { .. })), "{error:?}");
        }
        for idle in [IdleKind::Spin, IdleKind::YieldPark, IdleKind::Park] {
            let plan = super::place(12, &cpus(12, 1), true, wish(idle), &[]).expect("granted");
            assert!(plan.lanes.iter().all(|l| l.idle == idle || l.is_cold()));
            assert!(plan.lanes.iter().all(|l| l.idle == IdleKind::Park || !l.is_cold()));
        }
        assert!(super::place(12, &cpus(2, 1), true, wish(IdleKind::Park), &[]).is_ok());
    }

    #[test]
    fn every_core_gives_its_first_thread_first() {
        let plan = place(3, &cpus(6, 2), true).expect("placeable");
        assert_eq!(plan.lanes.iter().map(|l| l.cpu).collect::<Vec<_>>(), [0, 2, 4]);
        let plan = place(5, &cpus(6, 2), true).expect("placeable");
        assert_eq!(plan.lanes.iter().map(|l| l.cpu).collect::<Vec<_>>(), [0, 2, 4, 1, 3]);
    }

    #[test]
    fn counts_are_bounded() {
        assert!(place(0, &cpus(2, 1), true).is_err());
        assert!(place(13, &cpus(16, 1), true).is_err());
        assert_eq!(place(1, &cpus(0, 1), true), Err(PlacementError::NoCpu));
        assert_eq!(auto_lanes(&cpus(2, 1), true), 1);
        assert_eq!(auto_lanes(&cpus(1, 1), true), 1);
        assert_eq!(auto_lanes(&cpus(64, 1), false), 12);
        assert_eq!(auto_lanes(&cpus(13, 1), true), 11);
    }
}
