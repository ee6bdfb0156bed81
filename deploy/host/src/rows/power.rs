//! Power: no ramp of the clock, no sleep that a message would have to end.

use crate::latency;
use crate::row::{Change, Class, Found, Row, Rule, Scope, Sight, Style, UNMEASURED, by_hand};

const CPU: &str = "/sys/devices/system/cpu";

/// Idle states whose end takes longer than this are too deep, microseconds.
const EXIT_MAX_US: i64 = 2;

/// The rows.
pub const ROWS: &[Row] = &[
    Row {
        id: "power.governor",
        class: Class::Warn,
        scope: Scope::Runtime,
        why: "the clock does not have to ramp up when a burst comes",
        mend: "cpupower frequency-set -g performance",
        undo: "cpupower frequency-set -g OLD",
        risk: "costs power and heat",
        measured: "not measured on this host: no cpufreq, the hypervisor's matter",
        rule: Rule::Look { check: governor, changes: set_governor },
    },
    Row {
        id: "power.idle_states",
        class: Class::Warn,
        scope: Scope::Runtime,
        why: "a lane that parks wakes without the delay of a deep sleep",
        mend: "echo 1 > /sys/devices/system/cpu/cpuN/cpuidle/stateM/disable for each state M that \
               takes longer, or see power.latency",
        undo: "echo 0 > /sys/devices/system/cpu/cpuN/cpuidle/stateM/disable",
        risk: "costs power; less turbo for the neighbours",
        measured: "not measured on this host: haltpoll only, where it is inert",
        rule: Rule::Look { check: idle_states, changes: no_deep_sleep },
    },
    Row {
        id: "power.latency",
        class: Class::Warn,
        scope: Scope::Hand,
        why: "the kernel lets no CPU sleep deeper than this while somebody holds \
              /dev/cpu_dma_latency open: launch.sh, `bot4 host hold` in bot4-tune.service, or the \
              engine itself ([host] cpu_dma_latency_us)",
        mend: "run `bot4 host hold` as root beside the engine, or let the engine's user open it: \
               chgrp bot4 /dev/cpu_dma_latency && chmod 0660 /dev/cpu_dma_latency",
        undo: "end the holder: nothing stays",
        risk: "costs power, on every CPU of the machine; less turbo for the neighbours",
        measured: "held by the engine for a whole run, and gone with it; latencies: not measured \
                   on this host, haltpoll only, where it is inert",
        rule: Rule::Look { check: latency_held, changes: by_hand },
    },
    Row {
        id: "power.mitigations",
        class: Class::Warn,
        scope: Scope::Boot,
        why: "what the kernel does against leaks of the CPU costs each system call, and keeps other \
              programs from reading the keys",
        mend: "an operator's decision with a measurement and a signature, never a default",
        undo: "none",
        risk: "switched off, other programs of the machine may read the engine's memory",
        measured: UNMEASURED,
        rule: Rule::Look { check: mitigations, changes: by_hand },
    },
];

/// The governors of planned CPUs that are not the right one.
fn slow(sight: &Sight<'_>) -> Vec<(String, String)> {
    let file = |cpu: usize| format!("{CPU}/cpu{cpu}/cpufreq/scaling_governor");
    let all = sight.need.all();
    let of = |cpu| Some((file(cpu), sight.root.text(&file(cpu))?));
    all.iter().filter_map(of).filter(|(_, governor)| governor != "performance").collect()
}

fn governor(sight: &Sight<'_>) -> Found {
    if !sight.root.has(&format!("{CPU}/cpu0/cpufreq")) {
        return Found::none("not ours to set (no cpufreq): the hypervisor's or the firmware's");
    }
    let boost = sight.root.text(&format!("{CPU}/cpufreq/boost"));
    let boost = boost.map_or(String::new(), |b| format!("; boost {b}"));
    let found = match slow(sight).first() {
        None => "performance".to_owned(),
        Some((file, governor)) => format!("{governor} in {file}"),
    };
    Found::that(slow(sight).is_empty(), format!("{found}{boost}"), "performance")
}

fn set_governor(sight: &Sight<'_>) -> Vec<Change> {
    let change = |(file, _)| Change::write(file, "performance", Style::Text);
    slow(sight).into_iter().map(change).collect()
}

/// The deepest idle state that hot lanes' CPUs may enter, unless something holds the latency.
fn idle_states(sight: &Sight<'_>) -> Found {
    if latency::limit(sight.root).is_some_and(|us| i64::from(us) <= EXIT_MAX_US) {
        return Found::that(true, "/dev/cpu_dma_latency is held", "no deep sleep");
    }
    let states = enabled_states(sight);
    match states.iter().max() {
        Some((us, _, name)) => {
            let want = format!("at most {EXIT_MAX_US} us to wake, or cpu_dma_latency held");
            Found::that(*us <= EXIT_MAX_US, format!("{name}: {us} us to wake"), want)
        }
        None => Found::none("the machine names no idle states"),
    }
}

/// Whether the limit that the engine is to hold is held, or can be.
fn latency_held(sight: &Sight<'_>) -> Found {
    let limit = latency::limit(sight.root);
    let Some(want) = sight.need.cpu_dma_latency_us else {
        return match limit.filter(|us| i64::from(*us) <= EXIT_MAX_US) {
            Some(us) => Found::that(true, format!("held at {us} us"), ""),
            None => Found::none("not asked for ([host] cpu_dma_latency_us), and nobody holds it"),
        };
    };
    let words = format!("held at {want} us at most while the engine runs");
    if let Some(us) = limit.filter(|us| *us <= want) {
        return Found::that(true, format!("held at {us} us"), words);
    }
    if latency::is_held_by(sight.root, "self") {
        return Found::that(true, "held by this process", words);
    }
    match latency::may_hold(sight.root) {
        Ok(()) => Found::that(true, "the engine will hold it", words),
        Err(e) => Found::that(false, format!("{}: {e}", latency::DEVICE), words),
    }
}

/// Idle states that hot lanes' CPUs may enter: microseconds to wake, folder, name.
fn enabled_states(sight: &Sight<'_>) -> Vec<(i64, String, String)> {
    let root = sight.root;
    let of_cpu = |cpu: usize| {
        let folder = format!("{CPU}/cpu{cpu}/cpuidle");
        let states = root.names(&folder).into_iter().map(move |name| format!("{folder}/{name}"));
        let enabled = states.filter(|s| root.number(&format!("{s}/disable")) != Some(1));
        let of_state = |state: String| {
            let name = root.text(&format!("{state}/name")).unwrap_or_default();
            Some((root.number(&format!("{state}/latency"))?, state, name))
        };
        enabled.filter_map(of_state).collect::<Vec<_>>()
    };
    sight.need.hot().iter().flat_map(of_cpu).collect()
}

fn no_deep_sleep(sight: &Sight<'_>) -> Vec<Change> {
    let deep = enabled_states(sight).into_iter().filter(|(us, ..)| *us > EXIT_MAX_US);
    deep.map(|(_, state, _)| Change::write(format!("{state}/disable"), "1", Style::Text)).collect()
}

fn mitigations(sight: &Sight<'_>) -> Found {
    let line = sight.root.text("/proc/cmdline").unwrap_or_default();
    let word = line.split_whitespace().find(|word| word.starts_with("mitigations="));
    let off = line.split_whitespace().any(|word| word == "mitigations=off");
    let found = word.unwrap_or("mitigations=auto (the kernel's default)");
    Found::that(!off, found, "on, or off by a decision that is written down (--waive)")
}
