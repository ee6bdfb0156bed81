//! The machine a run ran on, read from `/proc` and `/sys`.
//!
//! What only the engine knows (which clock it chose, what lies under its arenas) is passed in.
//! Hardware counters are not opened here (that needs a system call this crate may not make):
//! the kernel registers a `cpu` event source exactly when it drives a performance monitoring
//! unit, and that is looked for.

use std::fs;
use std::path::Path;

use crate::report::Host;

/// Event sources that stand for a CPU's own counters: the common name, and the two of hybrid
/// Intel CPUs.
const CPU_EVENT_SOURCES: [&str; 3] = ["cpu", "cpu_core", "cpu_atom"];

/// Reads the machine below `root` (`/` for the real one, a fixture in tests). `tsc` is
/// `invariant` or `fallback`, `huge_pages` is `hugetlb`, `thp` or `none`. What cannot be read is
/// `unknown` or empty; nothing fails. `simd` is left to the caller.
#[must_use]
pub fn collect(root: &Path, tsc: &str, huge_pages: &str) -> Host {
    let read = |path: &str| fs::read_to_string(root.join(path)).unwrap_or_default();
    let cpuinfo = read("proc/cpuinfo");
    let status = read("proc/self/status");
    let allowed = cpu_list(field(&status, "Cpus_allowed_list").unwrap_or_default());
    let sources = root.join("sys/bus/event_source/devices");
    let source = CPU_EVENT_SOURCES.into_iter().find(|s| sources.join(s).exists());
    let kernel = read("proc/sys/kernel/osrelease");
    Host {
        cpu: or_unknown(field(&cpuinfo, "model name").unwrap_or_default()),
        cpus: allowed.len() as u32,
        kernel: or_unknown(kernel.trim()),
        huge_pages: huge_pages.to_owned(),
        isolated: cpu_list(read("sys/devices/system/cpu/isolated").trim()),
        hw_counters: source.is_some(),
        tsc: tsc.to_owned(),
        simd: String::new(),
        allowed,
        cpu_dma_latency: if holds_latency(root) { "held" } else { "not held" }.to_owned(),
        hw_counters_how: source.map_or_else(
            || "no cpu event source below /sys/bus/event_source/devices".to_owned(),
            |s| format!("/sys/bus/event_source/devices/{s} exists"),
        ),
    }
}

/// This process has the device open that keeps CPUs from deep sleep.
fn holds_latency(root: &Path) -> bool {
    let open = fs::read_dir(root.join("proc/self/fd")).into_iter().flatten().flatten();
    let mut to = open.filter_map(|fd| fs::read_link(fd.path()).ok());
    to.any(|path| path == Path::new("/dev/cpu_dma_latency"))
}

fn or_unknown(text: &str) -> String {
    if text.is_empty() { "unknown".to_owned() } else { text.to_owned() }
}

/// The value of the first line `name: value` or `name : value`.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.trim() == name)
        .map(|(_, value)| value.trim())
}

/// Highest CPU number believed; a longer list is a damaged file.
const CPU_MAX: u32 = 8191;

/// The CPUs of a kernel list such as `0-2,5`. Parts that are not one are skipped.
#[must_use]
pub fn cpu_list(text: &str) -> Vec<u32> {
    let mut cpus = Vec::new();
    for part in text.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        if let (Ok(first), Ok(last)) = (first.trim().parse::<u32>(), last.trim().parse::<u32>()) {
            cpus.extend(first..=last.min(CPU_MAX));
        }
    }
    cpus
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn put(root: &Path, path: &str, text: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().expect("a parent")).expect("make");
        fs::write(path, text).expect("write");
    }

    #[test]
    fn reads_a_fixture() {
        let dir = tempfile::tempdir().expect("dir");
        let root = dir.path();
        put(
            root,
            "proc/cpuinfo",
            "processor\t: 0\nmodel name\t: Test CPU 9000\nmodel name\t: no\n",
        );
        put(root, "proc/self/status", "Name:\tx\nCpus_allowed_list:\t0-2,5\n");
        put(root, "proc/sys/kernel/osrelease", "6.1.0-test\n");
        put(root, "sys/devices/system/cpu/isolated", "2,5\n");
        put(root, "sys/bus/event_source/devices/software/type", "1\n");
        let host = collect(root, "invariant", "thp");
        assert_eq!((host.cpu.as_str(), host.kernel.as_str()), ("Test CPU 9000", "6.1.0-test"));
        assert_eq!((host.cpus, host.allowed, host.isolated), (4, vec![0, 1, 2, 5], vec![2, 5]));
        assert!(!host.hw_counters && host.hw_counters_how.starts_with("no cpu event source"));
        put(root, "sys/bus/event_source/devices/cpu/type", "4\n");
        let host = collect(root, "invariant", "thp");
        assert!(host.hw_counters && host.hw_counters_how.contains("devices/cpu exists"));
    }

    #[test]
    fn an_empty_machine_is_unknown_and_the_real_one_is_not() {
        let dir = tempfile::tempdir().expect("dir");
        let host = collect(dir.path(), "fallback", "none");
        assert_eq!((host.cpu.as_str(), host.cpus), ("unknown", 0));
        let real = collect(Path::new("/"), "fallback", "none");
        assert!(real.cpus > 0 && real.kernel != "unknown");
    }

    proptest! {
        #[test]
        fn any_text_is_some_list(text in "[0-9, -]{0,24}") {
            prop_assert!(cpu_list(&text).iter().all(|c| *c <= CPU_MAX || !text.contains('-')));
        }
    }
}
