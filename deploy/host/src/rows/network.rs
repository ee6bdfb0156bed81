//! The network: packets reach the wire lanes without a detour, connections do not slow down.

use crate::cpu_set::CpuSet;
use crate::ethtool;
use crate::row::{Change, Class, Found, Row, Rule, Scope, Sight, Style, UNMEASURED, by_hand};
use crate::samples::Card;

/// Bytes that a socket may hold: a venue's snapshot and what comes behind it.
const RMEM_MIN: i64 = 8 << 20;
const CARDS: &str = "/sys/class/net";

/// The rows.
pub const ROWS: &[Row] = &[
    Row {
        id: "net.busy_poll",
        class: Class::Warn,
        scope: Scope::Runtime,
        why: "a thread that waits for a socket polls the card for this long, microseconds",
        mend: "sysctl -w net.core.busy_poll=50",
        undo: "sysctl -w net.core.busy_poll=OLD",
        risk: "costs the CPU that waits; needs a driver that supports it",
        measured: UNMEASURED,
        rule: Rule::Number {
            path: "/proc/sys/net/core/busy_poll",
            good: |n| n >= 50,
            want: "at least 50",
            set: "50",
        },
    },
    Row {
        id: "net.busy_read",
        class: Class::Warn,
        scope: Scope::Runtime,
        why: "the same for a read of one socket",
        mend: "sysctl -w net.core.busy_read=50",
        undo: "sysctl -w net.core.busy_read=OLD",
        risk: "as net.busy_poll",
        measured: UNMEASURED,
        rule: Rule::Number {
            path: "/proc/sys/net/core/busy_read",
            good: |n| n >= 50,
            want: "at least 50",
            set: "50",
        },
    },
    Row {
        id: "net.slow_start",
        class: Class::Warn,
        scope: Scope::Runtime,
        why: "an order after a quiet minute leaves at full speed",
        mend: "sysctl -w net.ipv4.tcp_slow_start_after_idle=0",
        undo: "sysctl -w net.ipv4.tcp_slow_start_after_idle=OLD",
        risk: "a burst after a pause may meet a path that has become narrower",
        measured: UNMEASURED,
        rule: Rule::Number {
            path: "/proc/sys/net/ipv4/tcp_slow_start_after_idle",
            good: |n| n == 0,
            want: "0",
            set: "0",
        },
    },
    Row {
        id: "net.rmem",
        class: Class::Warn,
        scope: Scope::Runtime,
        why: "a burst of market data waits in the socket instead of closing the window",
        mend: "sysctl -w net.core.rmem_max=16777216",
        undo: "sysctl -w net.core.rmem_max=OLD",
        risk: "more kernel memory for each socket",
        measured: UNMEASURED,
        rule: Rule::Number {
            path: "/proc/sys/net/core/rmem_max",
            good: |n| n >= RMEM_MIN,
            want: "at least 8388608",
            set: "16777216",
        },
    },
    Row {
        id: "net.rps",
        class: Class::Warn,
        scope: Scope::Runtime,
        why: "the kernel does not hand packets of the card to CPUs of hot lanes",
        mend: "echo MASK > /sys/class/net/CARD/queues/rx-N/rps_cpus",
        undo: "echo OLD > /sys/class/net/CARD/queues/rx-N/rps_cpus",
        risk: "the remaining CPUs do that work",
        measured: UNMEASURED,
        rule: Rule::Look {
            check: |sight| off_queues(sight, &RPS),
            changes: |sight| off_hot(sight, &RPS),
        },
    },
    Row {
        id: "net.xps",
        class: Class::Warn,
        scope: Scope::Runtime,
        why: "the queues that hot lanes' CPUs send through are not emptied by them for others",
        mend: "echo MASK > /sys/class/net/CARD/queues/tx-N/xps_cpus",
        undo: "echo OLD > /sys/class/net/CARD/queues/tx-N/xps_cpus",
        risk: "with a queue for each CPU the map may be the faster way for the wire lane: measure",
        measured: "not measured on this host: one queue, no map",
        rule: Rule::Look {
            check: |sight| off_queues(sight, &XPS),
            changes: |sight| off_hot(sight, &XPS),
        },
    },
    Row {
        id: "net.retries",
        class: Class::Warn,
        scope: Scope::Runtime,
        why: "a line that died silently is given up within a minute instead of a quarter of an hour",
        mend: "sysctl -w net.ipv4.tcp_retries2=8",
        undo: "sysctl -w net.ipv4.tcp_retries2=OLD",
        risk: "connections over a network that is down for minutes end",
        measured: UNMEASURED,
        rule: Rule::Number {
            path: "/proc/sys/net/ipv4/tcp_retries2",
            good: |n| n <= 8,
            want: "at most 8",
            set: "8",
        },
    },
    Row {
        id: "net.coalesce",
        class: Class::Warn,
        scope: Scope::Runtime,
        why: "the card tells of a packet at once instead of waiting for more",
        mend: "ethtool -C CARD adaptive-rx off rx-usecs 0 tx-usecs 0",
        undo: "ethtool -C CARD rx-usecs OLD tx-usecs OLD adaptive-rx OLD",
        risk: "an interrupt for each packet: more CPU time where they are handled",
        measured: "not measured on this host: its card has no such setting",
        rule: Rule::Look { check: coalesce, changes: tell_at_once },
    },
    Row {
        id: "net.rings",
        class: Class::Warn,
        scope: Scope::Runtime,
        why: "a burst waits in the card's ring instead of being dropped",
        mend: "ethtool -G CARD rx N (what `ethtool -g CARD` calls the maximum)",
        undo: "ethtool -G CARD rx OLD",
        risk: "setting it resets the card for a millisecond; a long ring hides a slow reader",
        measured: UNMEASURED,
        rule: Rule::Look { check: rings, changes: long_rings },
    },
    Row {
        id: "net.shaped",
        class: Class::Warn,
        scope: Scope::Cloud,
        why: "above its allowance the cloud queues and drops packets of the machine",
        mend: "take a larger size, or send less from this machine",
        undo: "none",
        risk: "costs money",
        measured: "not measured on this host: its card has no such counter",
        rule: Rule::Look { check: shaped, changes: by_hand },
    },
];

/// Where packets of a queue may be handled: how its folders begin, and the file in them.
struct Steering {
    queues: &'static str,
    file: &'static str,
}

const RPS: Steering = Steering { queues: "rx-", file: "rps_cpus" };
const XPS: Steering = Steering { queues: "tx-", file: "xps_cpus" };

/// Queues whose packets may be handled on a hot lane's CPU: file and CPUs.
fn steered(sight: &Sight<'_>, by: &Steering) -> Vec<(String, CpuSet)> {
    let hot = sight.need.hot();
    let queues = sight.root.names(CARDS).into_iter().flat_map(|card| {
        let folder = format!("{CARDS}/{card}/queues");
        let of = |name: &String| name.starts_with(by.queues);
        let file = |name: String| format!("{folder}/{name}/{}", by.file);
        sight.root.names(&folder).into_iter().filter(of).map(file).collect::<Vec<_>>()
    });
    let cpus = |file: String| {
        let cpus = CpuSet::of_mask(&sight.root.text(&file)?);
        Some((file, cpus))
    };
    queues.filter_map(cpus).filter(|(_, cpus)| !cpus.and(&hot).is_empty()).collect()
}

fn off_queues(sight: &Sight<'_>, by: &Steering) -> Found {
    if sight.root.names(CARDS).is_empty() {
        return Found::none("no network card");
    }
    let wrong = steered(sight, by);
    let names: Vec<String> = wrong.iter().map(|(file, cpus)| format!("{file}: {cpus}")).collect();
    let found = if names.is_empty() { "no queue".to_owned() } else { names.join(", ") };
    Found::that(wrong.is_empty(), found, "no packet on hot lanes' CPUs")
}

fn off_hot(sight: &Sight<'_>, by: &Steering) -> Vec<Change> {
    let hot = sight.need.hot();
    let change = |(file, cpus): (String, CpuSet)| {
        Change::write(file, cpus.without(&hot).to_mask(), Style::Mask)
    };
    steered(sight, by).into_iter().map(change).collect()
}

/// What the cards of the machine say, as far as `of` finds something: wrong ones, and all.
fn of_cards(sight: &Sight<'_>, want: &str, of: impl Fn(&Card) -> Option<(bool, String)>) -> Found {
    let told: Vec<(bool, String)> = sight
        .samples
        .cards
        .iter()
        .filter_map(|card| {
            let (good, what) = of(card)?;
            Some((good, format!("{} ({}): {what}", card.name, card.driver)))
        })
        .collect();
    if told.is_empty() {
        return Found::none(
            "no card tells: the driver has no such setting, or ethtool is missing (install it, and \
             look again)",
        );
    }
    let texts: Vec<&str> = told.iter().map(|(_, text)| text.as_str()).collect();
    Found::that(told.iter().all(|(good, _)| *good), texts.join("; "), want)
}

/// A card's delays: whether it chooses them, receive, transmit; `None` where it has none.
fn delays(card: &Card) -> Option<(bool, u64, u64)> {
    let none = card.adaptive.is_none() && card.rx_us.is_none() && card.tx_us.is_none();
    let of = |us: Option<u64>| us.unwrap_or(0);
    (!none).then(|| (card.adaptive.unwrap_or(false), of(card.rx_us), of(card.tx_us)))
}

fn coalesce(sight: &Sight<'_>) -> Found {
    of_cards(sight, "not adaptive, 0 us", |card| {
        let (adaptive, rx, tx) = delays(card)?;
        let word = if adaptive { "adaptive" } else { "not adaptive" };
        Some((!adaptive && rx == 0 && tx == 0, format!("{word}, rx {rx} us, tx {tx} us")))
    })
}

/// First nothing chooses the delays any more, then there are none.
fn tell_at_once(sight: &Sight<'_>) -> Vec<Change> {
    let of = |card: &Card| {
        let (adaptive, rx, tx) = delays(card).unwrap_or_default();
        let wrong = [
            (adaptive, "adaptive-rx", "off"),
            (rx > 0, "rx-usecs", "0"),
            (tx > 0, "tx-usecs", "0"),
        ];
        let change = |(_, key, value): (bool, &str, &str)| Change::Card {
            path: ethtool::setting("-C", &card.name, key),
            value: value.to_owned(),
        };
        wrong.into_iter().filter(|(wrong, ..)| *wrong).map(change).collect::<Vec<_>>()
    };
    sight.samples.cards.iter().flat_map(of).collect()
}

/// Whether a receive ring of `now` places is long enough where it can have `most`.
const fn is_long(now: u64, most: u64) -> bool {
    now * 2 >= most
}

fn rings(sight: &Sight<'_>) -> Found {
    of_cards(sight, "at least half of what the card can", |card| {
        let (now, most) = card.rx_ring?;
        Some((is_long(now, most), format!("{now} of {most}")))
    })
}

fn long_rings(sight: &Sight<'_>) -> Vec<Change> {
    let of = |card: &Card| {
        let (_, most) = card.rx_ring.filter(|(now, most)| !is_long(*now, *most))?;
        let path = ethtool::setting("-G", &card.name, "rx");
        Some(Change::Card { path, value: most.to_string() })
    };
    sight.samples.cards.iter().filter_map(of).collect()
}

fn shaped(sight: &Sight<'_>) -> Found {
    of_cards(sight, "0", |card| card.shaped.map(|n| (n == 0, format!("{n} packets held back"))))
}
