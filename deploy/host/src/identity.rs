//! What is rolled out on a machine, in a form that can be compared with what was meant.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::root::Root;

/// Program, configuration, kernel and CPU. In a manifest what is missing is not compared.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Identity {
    /// SHA-256 of the program, hexadecimal digits.
    pub binary_sha256: Option<String>,
    /// SHA-256 of the configuration file, hexadecimal digits.
    pub config_sha256: Option<String>,
    /// The kernel's release.
    pub kernel: Option<String>,
    /// The kernel's boot line.
    pub cmdline: Option<String>,
    /// The CPU's name.
    pub cpu: Option<String>,
    /// The CPU's microcode.
    pub microcode: Option<String>,
    /// Widest vector instructions that the CPU has: `avx512`, `avx2` or `none`.
    pub vectors: Option<String>,
    /// Whether a hypervisor runs below.
    pub virtual_machine: Option<bool>,
    /// CPUs that are on.
    pub cpus: Option<String>,
}

impl Identity {
    /// The machine's part of it.
    #[must_use]
    pub fn of(root: &Root) -> Self {
        let info = |key| root.field("/proc/cpuinfo", key);
        let flags = info("flags").unwrap_or_default();
        let has = |flag: &str| flags.split_whitespace().any(|f| f == flag);
        let vectors = match (has("avx512f"), has("avx2")) {
            (true, _) => "avx512",
            (false, true) => "avx2",
            _ => "none",
        };
        Self {
            binary_sha256: None,
            config_sha256: None,
            kernel: root.text("/proc/sys/kernel/osrelease"),
            cmdline: root.text("/proc/cmdline"),
            cpu: info("model name"),
            microcode: info("microcode"),
            vectors: Some(vectors.to_owned()),
            virtual_machine: Some(has("hypervisor")),
            cpus: root.text("/sys/devices/system/cpu/online"),
        }
    }

    /// A manifest: what an earlier `bot4 host check --json` printed, or its `host` alone.
    ///
    /// # Errors
    /// A sentence that names the file.
    pub fn read(path: &Path) -> Result<Self, String> {
        let wrong = |e: &dyn std::fmt::Display| {
            format!(
                "error: the manifest {}: {e}\nhelp: `bot4 host check --json > {0}` writes one on a \
                 machine that is as it should be",
                path.display()
            )
        };
        let text = std::fs::read_to_string(path).map_err(|e| wrong(&e))?;
        let whole: Value = serde_json::from_str(&text).map_err(|e| wrong(&e))?;
        let host = whole.get("host").cloned().unwrap_or(whole);
        serde_json::from_value(host).map_err(|e| wrong(&e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_is_what_was_printed() {
        let dir = tempfile::tempdir().expect("a folder");
        let file = dir.path().join("manifest.json");
        std::fs::write(&file, r#"{"schema":1,"host":{"kernel":"6.1","cpus":"0-3"}}"#).expect("ok");
        let read = Identity::read(&file).expect("a manifest");
        assert_eq!((read.kernel.as_deref(), read.cmdline), (Some("6.1"), None));
        std::fs::write(&file, "not JSON").expect("ok");
        assert!(Identity::read(&file).expect_err("damaged").contains("manifest.json"));
    }
}
