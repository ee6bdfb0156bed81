//! The machine that a figure belongs to.

use std::fmt;
use std::fs;

/// What is told with every record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// Model name by `/proc/cpuinfo`.
    pub cpu: String,
    /// CPU family, which tells the generation where the name does not.
    pub family: u32,
    /// CPU model within the family.
    pub model: u32,
    /// CPUs this process may use.
    pub cpus: usize,
    /// A hypervisor is below: the CPUs are virtual.
    pub is_virtual: bool,
    /// Kernel release.
    pub kernel: String,
}

impl Machine {
    /// This machine. What cannot be read is empty or zero.
    #[must_use]
    pub fn here() -> Self {
        let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        Self::read(&info, &kernel, bot4_lanes::placement::allowed_cpus().len())
    }

    fn read(info: &str, kernel: &str, cpus: usize) -> Self {
        let field = |name: &str| {
            let lines = info.lines().filter_map(|line| line.split_once(':'));
            lines.into_iter().find(|(key, _)| key.trim() == name).map_or("", |(_, v)| v.trim())
        };
        Self {
            cpu: field("model name").to_owned(),
            family: field("cpu family").parse().unwrap_or(0),
            model: field("model").parse().unwrap_or(0),
            cpus,
            is_virtual: field("flags").split(' ').any(|flag| flag == "hypervisor"),
            kernel: kernel.trim().to_owned(),
        }
    }

    /// A name for folders: brand, generation where known, CPUs; for example `epyc-zen5-2vcpu`.
    #[must_use]
    pub fn name(&self) -> String {
        let noise = ["amd", "intel", "r", "tm", "cpu", "processor", "genuine", "core"];
        let lower = self.cpu.to_lowercase();
        let words = lower.split(|c: char| !c.is_ascii_alphanumeric());
        let brand: Vec<&str> =
            words.filter(|w| !w.is_empty() && !noise.contains(w)).take(3).collect();
        let mut name = if brand.is_empty() { "unknown".to_owned() } else { brand.join("-") };
        if let Some(generation) = self.generation() {
            name = format!("{name}-{generation}");
        }
        format!("{name}-{}{}", self.cpus, if self.is_virtual { "vcpu" } else { "cpu" })
    }

    /// By family and model, as AMD numbers them; Intel's model names tell their own.
    fn generation(&self) -> Option<&'static str> {
        if !self.cpu.starts_with("AMD") {
            return None;
        }
        match (self.family, self.model) {
            (26, _) => Some("zen5"),
            (25, 0x10..=0x1f | 0x60..=0xaf) => Some("zen4"),
            (25, _) => Some("zen3"),
            _ => None,
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.is_virtual { "virtual CPUs" } else { "CPUs" };
        let Self { cpu, family, model, cpus, kernel, .. } = self;
        write!(f, "{cpu} (family {family} model {model}), {cpus} {kind}, Linux {kernel}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_brand_generation_and_cpus() {
        let info =
            "cpu family\t: 26\nmodel\t\t: 2\nmodel name\t: AMD EPYC\nflags\t: fpu hypervisor\n";
        let machine = Machine::read(info, "6.18.44\n", 2);
        assert_eq!(machine.name(), "epyc-zen5-2vcpu");
        assert_eq!(machine.kernel, "6.18.44");
        let info = "cpu family\t: 6\nmodel\t: 143\nmodel name\t: Intel(R) Xeon(R) Gold 6430\n";
        assert_eq!(Machine::read(info, "", 8).name(), "xeon-gold-6430-8cpu");
        assert_eq!(Machine::read("", "", 1).name(), "unknown-1cpu");
    }
}
