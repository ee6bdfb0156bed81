//! A table of texts that can be sorted by any column.

use std::fmt::Write as _;

/// How a cell looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    /// As usual.
    #[default]
    Plain,
    /// As it should be.
    Good,
    /// A person should look.
    Warn,
    /// Something is wrong.
    Bad,
}

/// One cell.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cell {
    /// What is shown.
    pub text: String,
    /// What it is sorted by; texts without a number sort by themselves.
    pub rank: Option<f64>,
    /// How it looks.
    pub tone: Tone,
}

impl Cell {
    /// A text.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self { text: text.into(), ..Self::default() }
    }

    /// A count, with `k`, `M`, `G` where it is long.
    #[must_use]
    pub fn count(count: u64) -> Self {
        Self { text: short(count as f64), rank: Some(count as f64), tone: Tone::Plain }
    }

    /// A number with `decimals`; `-` for none.
    #[must_use]
    pub fn number(value: Option<f64>, decimals: usize) -> Self {
        let text = value.map_or_else(|| "-".to_owned(), |v| format!("{v:.decimals$}"));
        Self { text, rank: Some(value.unwrap_or(f64::NEG_INFINITY)), tone: Tone::Plain }
    }

    /// The same cell in another tone where `when`.
    #[must_use]
    pub fn toned(mut self, tone: Tone, when: bool) -> Self {
        if when {
            self.tone = tone;
        }
        self
    }
}

/// A number of up to six characters: `999999`, `1.20M`.
#[must_use]
pub fn short(value: f64) -> String {
    match value.abs() {
        v if v < 1e6 => format!("{value:.0}"),
        v if v < 1e9 => format!("{:.2}M", value / 1e6),
        v if v < 1e12 => format!("{:.2}G", value / 1e9),
        _ => format!("{:.2}T", value / 1e12),
    }
}

/// A column: its head, its width in characters, and whether it is numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// What stands above it.
    pub head: &'static str,
    /// Characters; the last column takes what is left.
    pub width: u16,
    /// Aligned to the right.
    pub right: bool,
}

/// A column of texts.
#[must_use]
pub const fn left(head: &'static str, width: u16) -> Column {
    Column { head, width, right: false }
}

/// A column of numbers.
#[must_use]
pub const fn right(head: &'static str, width: u16) -> Column {
    Column { head, width, right: true }
}

/// A table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Grid {
    /// What it tells of.
    pub title: String,
    /// Its columns.
    pub columns: Vec<Column>,
    /// Its rows, a cell a column.
    pub rows: Vec<Vec<Cell>>,
}

impl Grid {
    /// Sorts by column `at`, the largest first where it is numbers, else by alphabet; the other way
    /// round when `reversed`. Equal rows keep their order.
    pub fn sort(&mut self, at: usize, reversed: bool) {
        let numbers = self.columns.get(at).is_some_and(|c| c.right);
        self.rows.sort_by(|a, b| {
            let (Some(a), Some(b)) = (a.get(at), b.get(at)) else {
                return std::cmp::Ordering::Equal;
            };
            let order = match (a.rank, b.rank) {
                (Some(a), Some(b)) => a.total_cmp(&b),
                _ => a.text.cmp(&b.text),
            };
            if numbers == reversed { order } else { order.reverse() }
        });
    }

    /// Characters that all columns take, with the spaces between them.
    #[must_use]
    pub fn width(&self) -> u16 {
        self.columns.iter().map(|c| c.width + 1).sum::<u16>().saturating_sub(1)
    }

    /// As plain text.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut out = format!("{}\n", self.title);
        let heads = self.columns.iter().map(|c| c.head.to_owned());
        let rows = self.rows.iter().map(|row| row.iter().map(|c| c.text.clone()).collect());
        let lines: Vec<Vec<String>> = std::iter::once(heads.collect()).chain(rows).collect();
        // Here a column may take what it needs.
        let widest = |at: usize, least: u16| {
            let all = lines.iter().filter_map(|line| line.get(at)).map(|text| text.chars().count());
            all.max().unwrap_or(0).max(usize::from(least))
        };
        let widths: Vec<_> =
            self.columns.iter().enumerate().map(|(at, c)| widest(at, c.width)).collect();
        for row in &lines {
            let mut line = String::new();
            for ((text, column), width) in row.iter().zip(&self.columns).zip(widths.iter().copied())
            {
                // Writing to a String cannot fail.
                let _ = match column.right {
                    true => write!(line, " {text:>width$}"),
                    false => write!(line, " {text:<width$}"),
                };
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let texts = [0.0, 999_999.0, 1_200_000.0, 2.5e9, 3e12].map(short);
        assert_eq!(texts, ["0", "999999", "1.20M", "2.50G", "3.00T"]);
    }

    #[test]
    fn rows_sort_by_number_largest_first_and_by_text() {
        let row = |name: &str, n: u64| vec![Cell::text(name), Cell::count(n)];
        let mut grid = Grid {
            title: "t".to_owned(),
            columns: vec![left("name", 5), right("n", 4)],
            rows: vec![row("b", 9), row("a", 10), row("c", 10)],
        };
        let names = |g: &Grid| g.rows.iter().map(|r| r[0].text.clone()).collect::<String>();
        grid.sort(1, false);
        assert_eq!(names(&grid), "acb");
        grid.sort(1, true);
        assert_eq!(names(&grid), "bac");
        grid.sort(0, false);
        assert_eq!(names(&grid), "abc");
        assert_eq!(grid.to_text(), "t\n name     n\n a       10\n b        9\n c       10\n");
    }
}
