//! Clocks: cheap stamps on the lanes, a wall clock that venues agree with.

use crate::row::{Class, Found, RULE, Row, Rule, Scope, Sight, by_hand};

/// Largest error of the wall clock, microseconds: a request of a second's life must not look old.
const MAX_ERROR_US: u64 = 5_000;

/// The rows.
pub const ROWS: &[Row] = &[
    Row {
        id: "clock.source",
        class: Class::Fail,
        scope: Scope::Boot,
        why: "a stamp costs about ten nanoseconds instead of a system call",
        mend: "boot line `clocksource=tsc tsc=reliable`, only where the TSC is invariant; else \
               another machine",
        undo: "remove the words",
        risk: "a TSC that is not what it is said to be makes stamps wrong",
        measured: "10 ns for rdtsc and 30 ns for clock_gettime on this host",
        rule: Rule::Look { check: source, changes: by_hand },
    },
    Row {
        id: "clock.sync",
        class: Class::Fail,
        scope: Scope::Hand,
        why: "venues refuse requests whose time is not theirs, and deadlines are read by their clock",
        mend: "run chrony with one source; on AWS the PHC device or 169.254.169.123, never both: \
               the one is not smeared, the other is",
        undo: "none",
        risk: "two sources that smear differently pull the clock to and fro at a leap second",
        measured: RULE,
        rule: Rule::Look { check: sync, changes: by_hand },
    },
    Row {
        id: "clock.smear",
        class: Class::Warn,
        scope: Scope::Hand,
        why: "sources that spread a leap second and sources that do not are up to half a second \
              apart on that day",
        mend: "name sources of one kind in chrony.conf: 169.254.169.123 and Google's are smeared, \
               a PHC device, PTP and most public servers are not",
        undo: "the old sources",
        risk: "none",
        measured: "not measured on this host: it has no time service",
        rule: Rule::Look { check: smear, changes: by_hand },
    },
    Row {
        id: "clock.venue",
        class: Class::Fail,
        scope: Scope::Hand,
        why: "a request is refused when its time is off by more than the venue's window",
        mend: "as clock.sync; where ours is right, tell the venue",
        undo: "none",
        risk: "none",
        measured: RULE,
        rule: Rule::Look { check: venue, changes: by_hand },
    },
];

fn source(sight: &Sight<'_>) -> Found {
    let path = "/sys/devices/system/clocksource/clocksource0/current_clocksource";
    let source = sight.root.text(path).unwrap_or_else(|| "unknown".to_owned());
    let flags = sight.root.field("/proc/cpuinfo", "flags").unwrap_or_default();
    let has = |flag: &str| flags.split_whitespace().any(|f| f == flag);
    let invariant = has("constant_tsc") && has("nonstop_tsc");
    let word = if invariant { "invariant" } else { "not invariant" };
    let good = source == "tsc" && invariant;
    Found::that(good, format!("{source}, TSC {word}"), "tsc, TSC invariant")
}

fn sync(sight: &Sight<'_>) -> Found {
    let Some(clock) = sight.samples.clock else {
        return Found::none("not measured: needs the running machine");
    };
    let word = if clock.synchronised { "synchronised" } else { "NOT synchronised" };
    let good = clock.synchronised && clock.max_error_us < MAX_ERROR_US;
    let found = format!("{word}, error at most {} us", clock.max_error_us);
    Found::that(good, found, format!("synchronised, error below {MAX_ERROR_US} us"))
}

/// Files in which time services have their sources.
const SOURCES: [&str; 3] =
    ["/etc/chrony/chrony.conf", "/etc/chrony.conf", "/etc/systemd/timesyncd.conf"];
/// Folders of further ones.
const MORE_SOURCES: [&str; 2] = ["/etc/chrony/sources.d", "/etc/chrony/conf.d"];
/// Sources that spread a leap second over a day.
const SMEARED: [&str; 4] = ["169.254.169.123", "time.google.com", "time.aws.com", "fd00:ec2::123"];

/// The sources of the machine's time service.
fn sources(sight: &Sight<'_>) -> Vec<String> {
    let root = sight.root;
    let further = MORE_SOURCES.iter().flat_map(|folder| {
        root.names(folder).into_iter().map(move |name| format!("{folder}/{name}"))
    });
    let files = SOURCES.iter().map(|path| (*path).to_owned()).chain(further);
    let lines: String = files.filter_map(|f| root.text(&f)).map(|text| text + "\n").collect();
    let of_line = |line: &str| -> Vec<String> {
        let line = line.trim();
        if let Some(names) = line.strip_prefix("NTP=") {
            return names.split_whitespace().map(str::to_owned).collect();
        }
        let mut words = line.split_whitespace();
        let kinds = ["server", "pool", "peer", "refclock"];
        let is_source = words.next().is_some_and(|word| kinds.contains(&word));
        let rest = words.next().filter(|_| is_source);
        rest.map(|name| match line.starts_with("refclock") {
            true => format!("{name} {}", words.next().unwrap_or("")).trim_end().to_owned(),
            false => name.to_owned(),
        })
        .into_iter()
        .collect()
    };
    lines.lines().flat_map(of_line).collect()
}

fn smear(sight: &Sight<'_>) -> Found {
    let all = sources(sight);
    if all.is_empty() {
        return Found::none("no time service names its sources here");
    }
    let is_smeared = |name: &&String| {
        let google = name.starts_with("time") && name.ends_with(".google.com");
        google || SMEARED.contains(&name.as_str())
    };
    let smeared = all.iter().filter(is_smeared).count();
    let good = smeared == 0 || smeared == all.len();
    Found::that(good, all.join(", "), "all smeared, or none")
}

/// Farthest that a venue's clock may be from ours, microseconds: a tenth of the shortest window
/// that a venue gives a request.
const VENUE_OFFSET_MAX_US: u64 = 100_000;

fn venue(sight: &Sight<'_>) -> Found {
    match sight.samples.venue_offset_us {
        Some(us) => {
            let want = format!("within {VENUE_OFFSET_MAX_US} us");
            Found::that(us.unsigned_abs() <= VENUE_OFFSET_MAX_US, format!("{us} us"), want)
        }
        None => Found::none(match &sight.samples.venue_unknown {
            Some(why) => format!("not measured: {why}"),
            None => "not asked: a live run asks at its start, `bot4 host check --venue-clock` now"
                .to_owned(),
        }),
    }
}
