//! The machine as files: the real one below `/`, or a fixture tree that looks like one.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::cpu_set::CpuSet;
use crate::row::Style;

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

    /// The CPUs that a [`field`](Self::field) lists; none where it is not there.
    #[must_use]
    pub fn cpus_of_field(&self, path: &str, key: &str) -> CpuSet {
        CpuSet::of_list(&self.field(path, key).unwrap_or_default())
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

    /// Writes `value` as the kernel's files want it: in one call, to a file that exists. In a
    /// fixture the file then reads as the kernel's would.
    ///
    /// # Errors
    /// What the system says.
    pub fn write(&self, path: &str, value: &str, style: Style) -> io::Result<()> {
        let place = self.path(path);
        let mut file = fs::OpenOptions::new().write(true).open(&place)?;
        // An empty value has to be written, too.
        let value = if value.is_empty() { "\n" } else { value };
        if self.is_live() {
            return file.write_all(value.as_bytes());
        }
        // At once, as the kernel does it.
        let before = fs::read_to_string(&place).unwrap_or_default();
        fs::create_dir_all(self.path("/run"))?;
        let fresh = self.path("/run/fresh");
        fs::write(&fresh, as_kernel(&before, value, style))?;
        fs::rename(fresh, place)
    }

    /// Makes the folder of a control group. In a fixture it gets the files that the kernel's has.
    ///
    /// # Errors
    /// What the system says; a folder that is there is one.
    pub fn make_group(&self, path: &str) -> io::Result<()> {
        let place = self.path(path);
        fs::create_dir(&place)?;
        if self.is_live() {
            return Ok(());
        }
        let files = ["cgroup.procs", "cpuset.cpus", "cpuset.mems"];
        files.iter().try_for_each(|file| fs::write(place.join(file), "\n"))?;
        fs::write(place.join("cpuset.cpus.partition"), "member\n")
    }

    /// Removes the folder of a control group; one that is not there is no error.
    ///
    /// # Errors
    /// What the system says: it is busy while a process is in it.
    pub fn remove_group(&self, path: &str) -> io::Result<()> {
        let place = self.path(path);
        let gone = match self.is_live() {
            true => fs::remove_dir(&place),
            false => fs::remove_dir_all(&place),
        };
        gone.or_else(|e| if e.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(e) })
    }
}

/// What a file of the kernel reads after `value` was written over `before`.
fn as_kernel(before: &str, value: &str, style: Style) -> String {
    match style {
        Style::Selected => {
            let words = before.split_whitespace().map(|word| {
                let word = word.trim_matches(['[', ']']);
                if word == value { format!("[{word}]") } else { word.to_owned() }
            });
            words.collect::<Vec<_>>().join(" ") + "\n"
        }
        Style::Switch => {
            let word = value.trim_start_matches(['+', '-']);
            let mut words: Vec<&str> = before.split_whitespace().filter(|w| *w != word).collect();
            if value.starts_with('+') {
                words.push(word);
            }
            words.join(" ") + "\n"
        }
        _ => format!("{}\n", value.trim_end()),
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
        root.write("/proc/n", "3", Style::Text).expect("written");
        assert_eq!(root.text("/proc/n").as_deref(), Some("3"));
        root.write("/sys/thp", "never", Style::Selected).expect("written");
        assert_eq!(root.text("/sys/thp").as_deref(), Some("always madvise [never]"));
        assert!(root.write("/proc/none", "3", Style::Text).is_err());
        put("/d/cpu10", "");
        put("/d/cpu2", "");
        assert_eq!(root.names("/d"), ["cpu2", "cpu10"]);
    }
}
