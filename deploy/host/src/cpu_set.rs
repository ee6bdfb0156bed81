//! Sets of CPUs as the kernel writes them: lists such as `0-2,5`, masks such as `ff,00000001`.

use std::collections::BTreeSet;
use std::fmt;

/// Highest CPU number believed; a longer list is a damaged file.
const CPU_MAX: usize = 8_191;
/// Bits of a group of a mask.
const GROUP: usize = 32;

/// CPUs, ascending, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct CpuSet(BTreeSet<usize>);

impl CpuSet {
    /// The CPUs of a kernel list. Parts that are not one are skipped.
    #[must_use]
    pub fn of_list(text: &str) -> Self {
        let mut cpus = BTreeSet::new();
        for part in text.trim().split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            if let (Ok(first), Ok(last)) = (first.trim().parse(), last.trim().parse::<usize>()) {
                cpus.extend(first..=last.min(CPU_MAX));
            }
        }
        Self(cpus)
    }

    /// The CPUs of a kernel mask: groups of eight hexadecimal digits, the lowest last.
    #[must_use]
    pub fn of_mask(text: &str) -> Self {
        let mut cpus = BTreeSet::new();
        for (n, group) in text.trim().rsplit(',').enumerate().take(CPU_MAX / GROUP) {
            let bits = u32::from_str_radix(group.trim(), 16).unwrap_or(0);
            cpus.extend((0..GROUP).filter(|bit| bits >> bit & 1 == 1).map(|bit| n * GROUP + bit));
        }
        Self(cpus)
    }

    /// As a kernel mask.
    #[must_use]
    pub fn to_mask(&self) -> String {
        let groups = self.0.last().map_or(1, |last| last / GROUP + 1);
        let bits = |n: usize| {
            let of = |bit: usize| u32::from(self.0.contains(&(n * GROUP + bit))) << bit;
            (0..GROUP).map(of).sum::<u32>()
        };
        let first = format!("{:x}", bits(groups - 1));
        (0..groups - 1).rev().fold(first, |text, n| format!("{text},{:08x}", bits(n)))
    }

    /// In ascending order.
    pub fn iter(&self) -> impl Iterator<Item = usize> {
        self.0.iter().copied()
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether `cpu` is one of them.
    #[must_use]
    pub fn contains(&self, cpu: usize) -> bool {
        self.0.contains(&cpu)
    }

    /// Whether all of `other` are among them.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        other.0.is_subset(&self.0)
    }

    /// Those of both.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        Self(self.0.intersection(&other.0).copied().collect())
    }

    /// Those of either.
    #[must_use]
    pub fn or(&self, other: &Self) -> Self {
        Self(self.0.union(&other.0).copied().collect())
    }

    /// Those that are not in `other`.
    #[must_use]
    pub fn without(&self, other: &Self) -> Self {
        Self(self.0.difference(&other.0).copied().collect())
    }
}

impl FromIterator<usize> for CpuSet {
    fn from_iter<I: IntoIterator<Item = usize>>(cpus: I) -> Self {
        Self(cpus.into_iter().collect())
    }
}

impl fmt::Display for CpuSet {
    /// As a kernel list.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut cpus = self.iter().peekable();
        let mut comma = "";
        while let Some(first) = cpus.next() {
            let mut last = first;
            while cpus.next_if_eq(&(last + 1)).is_some() {
                last += 1;
            }
            match last - first {
                0 => write!(f, "{comma}{first}")?,
                _ => write!(f, "{comma}{first}-{last}")?,
            }
            comma = ",";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn lists_and_masks_come_back(cpus in prop::collection::btree_set(0usize..130, 0..24)) {
            let set: CpuSet = cpus.iter().copied().collect();
            prop_assert_eq!(&CpuSet::of_list(&set.to_string()), &set);
            prop_assert_eq!(&CpuSet::of_mask(&set.to_mask()), &set);
        }

        #[test]
        fn any_text_is_some_set(text in "[0-9a-f, -]{0,24}") {
            let _ = (CpuSet::of_list(&text), CpuSet::of_mask(&text));
        }
    }

    #[test]
    fn as_the_kernel_writes_them() {
        let set = CpuSet::of_list("0-2,5,33\n");
        assert_eq!(set.to_string(), "0-2,5,33");
        assert_eq!(set.to_mask(), "2,00000027");
        assert_eq!(CpuSet::default().to_mask(), "0");
        assert!(set.covers(&CpuSet::of_list("1,33")) && !set.covers(&CpuSet::of_list("3")));
    }
}
