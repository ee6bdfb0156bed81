//! The table: every host setting, in the order in which it is applied.

mod clock;
mod cpus;
mod interrupts;
mod isolation;
mod kernel;
mod memory;
mod network;
mod power;
mod process;

use crate::row::Row;

pub use isolation::GROUP;

/// Groups of rows. Huge pages come first, before memory is fragmented; then the control group.
const GROUPS: [(&str, &[Row]); 9] = [
    ("memory", memory::ROWS),
    ("isolation", isolation::ROWS),
    ("interrupts", interrupts::ROWS),
    ("network", network::ROWS),
    ("power", power::ROWS),
    ("kernel", kernel::ROWS),
    ("CPUs", cpus::ROWS),
    ("clock", clock::ROWS),
    ("process", process::ROWS),
];

/// Groups with their names.
pub fn groups() -> impl Iterator<Item = (&'static str, &'static [Row])> {
    GROUPS.into_iter()
}

/// All rows.
pub fn all() -> impl Iterator<Item = &'static Row> {
    GROUPS.into_iter().flat_map(|(_, rows)| rows)
}

/// The row called `id`.
#[must_use]
pub fn find(id: &str) -> Option<&'static Row> {
    all().find(|row| row.id == id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_row_has_a_name_of_its_own_and_says_everything() {
        let ids: BTreeSet<_> = all().map(|row| row.id).collect();
        assert_eq!(ids.len(), all().count());
        for row in all() {
            let said = [row.why, row.mend, row.undo, row.risk, row.measured];
            assert!(said.iter().all(|text| text.len() > 3), "{}: a column is empty", row.id);
            let figure = row.measured.chars().any(|c| c.is_ascii_digit());
            let said = row.measured.contains(crate::row::UNMEASURED);
            assert!(figure || said, "{}: neither a figure nor that there is none", row.id);
            assert!(find(row.id).is_some());
        }
    }
}
