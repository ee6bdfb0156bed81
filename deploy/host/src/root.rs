//! The machine as files: the real one below `/`, or a fixture tree that looks like one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::cpu_set::CpuSet;

/// Where `/proc`, `/sys` and `/run` are.
#[derive(Clone, Debug)]
pub struct Root {
    dir: PathBuf,
}

impl Root {
    /// The machine below `dir`; `/` is the real one.
    #[must_use]
    pub fn at(dir: &Path) -> Self {
        Self { dir: dir.to_owned() }
    }

    /// Whether it is this machine.
    #[must_use]
    pub fn is_live(&self) -> bool {
        self.dir == Path::new("/")
    }

    /// The place of `path`, which is absolute on the machine.
    #[must_use]
    pub fn path(&self, path: &str) -> PathBuf {
        self.dir.join(path.trim_start_matches('/'))
    }

    /// Whether there is such a file or folder.
    #[must_use]
    pub fn has(&self, path: &str) -> bool {
        self.path(path).exists()
    }

    /// The text of a file without blanks around it; `None` when it cannot be read.
    #[must_use]
    pub fn text(&self, path: &str) -> Option<String> {
        let bytes = fs::read(self.path(path)).ok()?;
        Some(String::from_utf8_lossy(&bytes).trim().to_owned())
    }

    /// The number that a file holds.
    #[must_use]
    pub fn number(&self, path: &str) -> Option<i64> {
        self.text(path)?.parse().ok()
    }

    /// The word in brackets of a file such as `always [madvise] never`.
    #[must_use]
    pub fn selected(&self, path: &str) -> Option<String> {
        selected(&self.text(path)?)
    }

    /// The CPUs of a file that holds a list.
    #[must_use]
    pub fn cpus(&self, path: &str) -> Option<CpuSet> {
        self.text(path).map(|text| CpuSet::of_list(&text))
    }

    /// The value behind `key` in a file of lines `key: value` or `key value`.
    #[must_use]
    pub fn field(&self, path: &str, key: &str) -> Option<String> {
        let text = self.text(path)?;
        let value = |line: &str| {
            let rest = line.trim_start().strip_prefix(key)?;
            let value = rest.trim_start_matches([' ', '\t']);
            let value = value.strip_prefix(':').unwrap_or(value);
            // Not the beginning of a longer key.
            rest.starts_with([' ', '\t', ':']).then(|| value.trim().to_owned())
        };
        text.lines().find_map(value)
    }

    /// Names in a folder, sorted by their numbers and then by their letters.
    #[must_use]
    pub fn names(&self, path: &str) -> Vec<String> {
        let entries = fs::read_dir(self.path(path)).into_iter().flatten().flatten();
        let mut names: Vec<String> =
            entries.map(|e| e.file_name().to_string_lossy().into_owned()).collect();
        let number = |name: &str| {
            let digits: String = name.chars().filter(char::is_ascii_digit).collect();
            digits.parse::<u64>().unwrap_or(0)
        };
        names.sort_by(|a, b| number(a).cmp(&number(b)).then_with(|| a.cmp(b)));
        names
    }

    /// Writes `value` as the kernel's files want it: in one call, to a file that exists.
    ///
    /// # Errors
    /// What the system says.
    pub fn write(&self, path: &str, value: &str) -> io::Result<()> {
        use std::io::Write as _;
        let mut file = fs::OpenOptions::new().write(true).open(self.path(path))?;
        // A fixture's file is an ordinary one, which keeps what a shorter value does not cover.
        if !self.is_live() {
            file.set_len(0)?;
        }
        file.write_all(value.as_bytes())
    }
}

/// The word in brackets; the text itself where there are none.
#[must_use]
pub fn selected(text: &str) -> Option<String> {
    match text.split_once('[') {
        Some((_, rest)) => rest.split_once(']').map(|(word, _)| word.to_owned()),
        None => Some(text.trim().to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_read_as_the_kernel_writes_them() {
        let dir = tempfile::tempdir().expect("a folder");
        let root = Root::at(dir.path());
        let put = |path: &str, text: &str| {
            let path = root.path(path);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(path, text).expect("written");
        };
        put("/sys/thp", "always [madvise] never\n");
        put("/proc/meminfo", "MemTotal:       100 kB\nHugePages_Free:       7\n");
        put("/proc/n", "12\n");
        assert_eq!(root.selected("/sys/thp").as_deref(), Some("madvise"));
        assert_eq!(root.field("/proc/meminfo", "HugePages_Free").as_deref(), Some("7"));
        assert_eq!(root.number("/proc/n"), Some(12));
        assert_eq!(root.text("/proc/none"), None);
        root.write("/proc/n", "3").expect("written");
        assert_eq!(root.text("/proc/n").as_deref(), Some("3"));
        assert!(root.write("/proc/none", "3").is_err());
        put("/d/cpu10", "");
        put("/d/cpu2", "");
        assert_eq!(root.names("/d"), ["cpu2", "cpu10"]);
    }
}
