//! The table as text: the appendix of `tuning.md`.

use std::fmt::Write as _;

use crate::row::{Row, Rule, Scope};
use crate::rows;

/// The line above the appendix; what follows it is generated.
pub const BEGIN: &str = "<!-- generated from deploy/host/src/rows: do not edit below -->";

/// All rows as Markdown tables, a table a group.
#[must_use]
pub fn markdown() -> String {
    let mut out = String::new();
    for (name, rows) in rows::groups() {
        let _ = writeln!(out, "\n### {name}\n");
        out.push_str("| row | what it buys | by hand | undo | cost, risk | measured |\n");
        out.push_str("|---|---|---|---|---|---|\n");
        rows.iter().for_each(|row| out.push_str(&line(row)));
    }
    out
}

fn line(row: &Row) -> String {
    let who = match row.scope {
        Scope::Runtime => "`bot4 host apply`",
        Scope::Hand => "you",
        Scope::Boot => "you, boot line",
        Scope::Cloud => "you, choice of the machine",
    };
    let seen = match row.rule {
        Rule::Number { path, want, .. } => format!("<br>{want} in `{path}`"),
        Rule::Word { path, good } => format!("<br>{} in `{path}`", good.join(" or ")),
        Rule::Look { .. } => String::new(),
    };
    let Row { id, class, why, mend, undo, risk, measured, .. } = row;
    let class = class.name();
    format!("| `{id}` {class}<br>{who}{seen} | {why} | {mend} | {undo} | {risk} | {measured} |\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `BOT4_WRITE_TABLES=1` writes it.
    #[test]
    fn the_appendix_is_the_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tuning.md");
        let text = std::fs::read_to_string(path).expect("tuning.md");
        let (hand, generated) = text.split_once(BEGIN).expect("the line above the appendix");
        let want = format!("\n{}", markdown());
        if std::env::var_os("BOT4_WRITE_TABLES").is_some() {
            std::fs::write(path, format!("{hand}{BEGIN}{want}")).expect("written");
        } else {
            assert_eq!(generated, want, "run this test with BOT4_WRITE_TABLES=1");
        }
    }

    #[test]
    fn a_row_is_a_line() {
        let text = markdown();
        for row in rows::all() {
            let lines: Vec<&str> =
                text.lines().filter(|l| l.contains(&format!("`{}` ", row.id))).collect();
            assert_eq!(lines.len(), 1, "{}", row.id);
            assert_eq!(lines[0].matches(" | ").count(), 5, "{}: a bar in a text", row.id);
        }
    }
}
