//! Network cards, as the program `ethtool` shows and sets them.
//!
//! A setting is named by the words that set it, without the value: `ethtool -C eth0 rx-usecs`. In a
//! fixture the program is a script below its root.

use std::io;
use std::process::{Command, Output};

use crate::root::Root;
use crate::samples::Card;

const CARDS: &str = "/sys/class/net";
/// Where a fixture has the program.
const SCRIPT: &str = "/usr/sbin/ethtool";

/// The setting `key` of `card`: `-C` sets delays, `-G` the ring.
#[must_use]
pub fn setting(option: &str, card: &str, key: &str) -> String {
    format!("ethtool {option} {card} {key}")
}

/// What the card has for `setting` now; `None` where program, driver or card do not say.
#[must_use]
pub fn read(root: &Root, setting: &str) -> Option<String> {
    let mut words = setting.split_whitespace().skip(1);
    let (option, card, key) = (words.next()?, words.next()?, words.next()?);
    let text = ask(root, &option.to_lowercase(), card)?;
    match key {
        "adaptive-rx" => {
            let value = value(&text, "Adaptive RX")?;
            value.split_whitespace().next().map(str::to_owned)
        }
        "rx" => value(text.split_once(NOW)?.1, "RX"),
        key => value(&text, key),
    }
}

/// Sets `setting` to `value`.
///
/// # Errors
/// When the program is missing, or what it says.
pub fn write(root: &Root, setting: &str, value: &str) -> io::Result<()> {
    let words = setting.split_whitespace().skip(1).chain([value]);
    let out = run(root, &words.collect::<Vec<_>>())?;
    match out.status.success() {
        true => Ok(()),
        false => Err(io::Error::other(String::from_utf8_lossy(&out.stderr).trim().to_owned())),
    }
}

/// Cards that are devices, as their drivers tell them.
#[must_use]
pub fn cards(root: &Root) -> Vec<Card> {
    let names = root.names(CARDS).into_iter();
    let devices = names.filter(|name| root.has(&format!("{CARDS}/{name}/device")));
    devices
        .map(|name| {
            let link = std::fs::read_link(root.path(&format!("{CARDS}/{name}/device/driver")));
            let driver =
                link.ok().and_then(|l| Some(l.file_name()?.to_string_lossy().into_owned()));
            let told =
                ["-c", "-g", "-S"].map(|option| ask(root, option, &name).unwrap_or_default());
            card(name, driver.unwrap_or_default(), [&told[0], &told[1], &told[2]])
        })
        .collect()
}

fn ask(root: &Root, option: &str, card: &str) -> Option<String> {
    let out = run(root, &[option, card]).ok()?;
    out.status.success().then(|| String::from_utf8_lossy(&out.stdout).into_owned())
}

fn run(root: &Root, arguments: &[&str]) -> io::Result<Output> {
    let mut program = match (root.is_live(), root.has(SCRIPT)) {
        (true, _) => Command::new("ethtool"),
        (false, true) => {
            // A file that was just written may not be executed yet; it may be read.
            let mut shell = Command::new("sh");
            shell.arg(root.path(SCRIPT));
            shell
        }
        (false, false) => return Err(io::ErrorKind::NotFound.into()),
    };
    let missing = |e: io::Error| match e.kind() {
        io::ErrorKind::NotFound => io::Error::other("the program ethtool is missing"),
        _ => e,
    };
    program.args(arguments).output().map_err(missing)
}

/// The line above what a ring has, below what it could have.
const NOW: &str = "Current hardware settings";

/// The value behind `key` in lines `key: value`.
fn value(text: &str, key: &str) -> Option<String> {
    let line = text.lines().find_map(|l| l.trim().strip_prefix(key)?.strip_prefix(':'))?;
    Some(line.trim().to_owned())
}

/// A card from what `ethtool -c`, `-g` and `-S` print.
fn card(name: String, driver: String, [delays, rings, counters]: [&str; 3]) -> Card {
    let number = |text: &str, key: &str| value(text, key)?.parse().ok();
    let adaptive = value(delays, "Adaptive RX").map(|word| word.starts_with("on"));
    let (most, now) = rings.split_once(NOW).unwrap_or(("", ""));
    let shaped: Vec<u64> = counters
        .lines()
        .filter_map(|line| line.split_once("_allowance_exceeded:")?.1.trim().parse().ok())
        .collect();
    Card {
        name,
        driver,
        adaptive,
        rx_us: number(delays, "rx-usecs"),
        tx_us: number(delays, "tx-usecs"),
        rx_ring: number(now, "RX").zip(number(most, "RX")),
        shaped: (!shaped.is_empty()).then(|| shaped.iter().sum()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cards_as_ethtool_prints_them() {
        let delays = "Coalesce parameters for ens5:\nAdaptive RX: on  TX: n/a\nrx-usecs:\t20\n\
                      tx-usecs:\t64\n";
        let rings = "Ring parameters for ens5:\nPre-set maximums:\nRX:\t\t16384\nTX: 1024\n\
                     Current hardware settings:\nRX:\t\t1024\nTX: 1024\n";
        let counters = "NIC statistics:\n     bw_in_allowance_exceeded: 3\n     \
                        pps_allowance_exceeded: 4\n     rx_drops: 9\n";
        let card = card("ens5".into(), "ena".into(), [delays, rings, counters]);
        assert_eq!((card.adaptive, card.rx_us, card.tx_us), (Some(true), Some(20), Some(64)));
        assert_eq!((card.rx_ring, card.shaped), (Some((1_024, 16_384)), Some(7)));
        let silent = super::card("eth0".into(), "virtio_net".into(), ["", "", ""]);
        assert_eq!((silent.rx_us, silent.rx_ring, silent.shaped), (None, None, None));
    }

    #[test]
    fn a_machine_without_the_program_says_nothing_and_refuses() {
        let dir = tempfile::tempdir().expect("a folder");
        let root = Root::at(dir.path());
        let setting = setting("-C", "eth0", "rx-usecs");
        assert_eq!(read(&root, &setting), None);
        let refused = write(&root, &setting, "0").expect_err("no program");
        assert_eq!(refused.kind(), io::ErrorKind::NotFound);
        assert!(cards(&root).is_empty());
    }
}
