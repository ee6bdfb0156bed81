//! Style and walls as an ordinary test: sizes, bans, safety notes, dependencies between stages,
//! the visible top level.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

const FILE_LINES_MAX: usize = 600;
const FUNCTION_LINES_MAX: usize = 70;
const COLUMNS_MAX: usize = 100;

/// What a person sees in the project's folder, beside dot-files and `target`.
const TOP_LEVEL: [&str; 12] = [
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "alloc",
    "bench",
    "deploy",
    "engine",
    "feeds",
    "risk",
    "simd",
    "tuning.md",
];

/// Crates that may hold unsafe code.
const UNSAFE_CRATES: [&str; 4] = ["alloc/", "simd/", "engine/lanes/", "feeds/wire/"];

/// Stages: none may depend on another.
const STAGES: [(&str, &str); 7] = [
    ("bot4-feeds", "feeds"),
    ("bot4-book", "engine/book"),
    ("bot4-signals", "engine/signals"),
    ("bot4-risk", "risk"),
    ("bot4-execution", "engine/execution"),
    ("bot4-journal", "engine/journal"),
    ("bot4-telemetry", "engine/telemetry"),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace").to_owned()
}

fn sources() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a readable folder").flatten() {
            let (path, name) = (entry.path(), entry.file_name().to_string_lossy().into_owned());
            if name == "target" || name.starts_with('.') {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                let short = path.strip_prefix(root()).expect("below").display().to_string();
                found.push((short, std::fs::read_to_string(&path).expect("UTF-8")));
            }
        }
    }
    assert!(found.len() > 50, "the sources were found");
    found
}

fn check(what: &str, complaints: &[String]) {
    assert!(complaints.is_empty(), "{what}:\n{}", complaints.join("\n"));
}

/// What a run tells is told by cold threads: the stages cannot, because they do not know how.
#[test]
fn stages_do_not_log() {
    let mut complaints = Vec::new();
    for (name, folder) in STAGES.iter().chain(&[("bot4-lanes", "engine/lanes")]) {
        let text = std::fs::read_to_string(root().join(folder).join("Cargo.toml")).expect("read");
        if text.contains("tracing") {
            complaints.push(format!("{name} depends on tracing"));
        }
    }
    check("only the composition root logs", &complaints);
}

#[test]
fn top_level_is_what_the_card_says() {
    let seen: BTreeSet<String> = std::fs::read_dir(root())
        .expect("readable")
        .flatten()
        .map(|e| e.file_name().to_string_lossy().into_owned())
        .filter(|n| !n.starts_with('.') && n != "target")
        .collect();
    assert_eq!(seen, TOP_LEVEL.iter().map(|s| (*s).to_owned()).collect());
}

#[test]
fn files_and_lines_have_a_size() {
    let mut complaints = Vec::new();
    for (path, text) in sources() {
        let lines = text.lines().count();
        if lines > FILE_LINES_MAX {
            complaints.push(format!("{path}: {lines} lines"));
        }
        for (i, line) in text.lines().enumerate() {
            let columns = columns_of_code(line);
            // Raw strings and continued texts are venue messages and tables.
            let text_alone = line.contains("r#\"") || line.trim_end().ends_with("\\n\\");
            if columns > COLUMNS_MAX && !text_alone {
                complaints.push(format!("{path}:{}: {columns} columns", i + 1));
            }
        }
    }
    check("too large", &complaints);
}

/// Columns of a line without the insides of its string literals: a venue's message in a test is
/// as long as it is.
fn columns_of_code(line: &str) -> usize {
    let (mut columns, mut inside, mut escaped) = (0, false, false);
    for c in line.chars() {
        let quote = c == '"' && !escaped;
        escaped = inside && c == '\\' && !escaped;
        if quote {
            inside = !inside;
        }
        columns += usize::from(!inside || quote);
    }
    columns
}

/// Lines from each `fn` to the closing brace at its own indentation (the code is formatted).
#[test]
fn functions_have_a_size() {
    let mut complaints = Vec::new();
    for (path, text) in sources() {
        let lines: Vec<&str> = text.lines().collect();
        for (i, line) in lines.iter().enumerate() {
            let code = line.trim_start();
            let indent = line.len() - code.len();
            if !(code.starts_with("fn ") || code.contains(" fn ")) || code.starts_with("//") {
                continue;
            }
            let close = format!("{}}}", " ".repeat(indent));
            let Some(end) = lines[i..].iter().position(|l| l.trim_end() == close) else { continue };
            let next = lines[i + 1..].iter().position(|l| l.trim_start().starts_with("fn "));
            let one_liner = next.is_some_and(|n| n + 1 < end) && code.ends_with('}');
            if end > FUNCTION_LINES_MAX && !one_liner && !code.ends_with(';') {
                complaints.push(format!("{path}:{}: {end} lines", i + 1));
            }
        }
    }
    check("functions too long", &complaints);
}

#[test]
fn unsafe_code_is_where_it_may_be_and_argued() {
    let mut complaints = Vec::new();
    for (path, text) in sources() {
        let allowed = UNSAFE_CRATES.iter().any(|c| path.starts_with(c));
        let lines: Vec<&str> = text.lines().collect();
        for (i, line) in lines.iter().enumerate() {
            let code = line.split("//").next().unwrap_or("");
            let block = code.contains("unsafe {") || code.contains("unsafe impl");
            if block && !allowed && !path.ends_with("tidy.rs") {
                complaints.push(format!("{path}:{}: unsafe outside its crates", i + 1));
            }
            let from = i.saturating_sub(8);
            let argued = lines[from..=i].iter().any(|l| l.contains("SAFETY"));
            if block && allowed && !argued {
                complaints.push(format!("{path}:{}: no SAFETY note", i + 1));
            }
        }
    }
    check("unsafe", &complaints);
}

#[test]
fn nothing_is_left_undone_or_silenced() {
    let words = ["todo", "unimplemented"].map(|w| format!("{w}!("));
    let marks = [["#[ign", "ore"].concat(), ["FIX", "ME"].concat(), ["dbg", "!("].concat()];
    let mut complaints = Vec::new();
    for (path, text) in sources() {
        for (i, line) in text.lines().enumerate() {
            if words.iter().chain(&marks).any(|w| line.contains(w.as_str())) {
                complaints.push(format!("{path}:{}: {}", i + 1, line.trim()));
            }
        }
    }
    check("left undone", &complaints);
}

fn dependencies(manifest: &str) -> Vec<String> {
    let text =
        std::fs::read_to_string(root().join(manifest).join("Cargo.toml")).expect("a manifest");
    let start = text.find("[dependencies]").expect("dependencies");
    let end = text.find("[dev-dependencies]").unwrap_or(text.len());
    let names = text[start..end].lines().filter_map(|l| l.split(['.', ' ', '=']).next());
    names.map(str::to_owned).collect()
}

#[test]
fn stages_do_not_know_each_other() {
    let mut complaints = Vec::new();
    for (name, folder) in STAGES {
        for dependency in dependencies(folder) {
            if dependency != name && STAGES.iter().any(|(stage, _)| *stage == dependency) {
                complaints.push(format!("{name} depends on {dependency}"));
            }
        }
    }
    check("stages must only know types, lanes and tools", &complaints);
}

#[test]
fn the_simulated_venue_knows_no_client_code() {
    let own: Vec<String> =
        dependencies("engine/venue").into_iter().filter(|d| d.starts_with("bot4-")).collect();
    check("the venue would agree on the client's mistakes", &own);
}

#[test]
fn portfolio_mathematics_know_types_and_kernels_alone() {
    let own = dependencies("risk/portfolio").into_iter().filter(|d| d.starts_with("bot4-"));
    let own: Vec<String> = own.filter(|d| d != "bot4-types" && d != "bot4-simd").collect();
    check("a tool for risk and signals must stay one", &own);
}

#[test]
fn memory_and_kernels_know_no_domain() {
    for folder in ["alloc", "simd"] {
        let own: Vec<String> =
            dependencies(folder).into_iter().filter(|d| d.starts_with("bot4-")).collect();
        check(folder, &own);
    }
}

/// Code between backticks.
fn spans(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// What the runbook quotes of the program's words: the column of each table that says so, and
/// what stands out in a list.
fn quoted(runbook: &str) -> Vec<&str> {
    let (mut column, mut found) = (None, Vec::new());
    for line in runbook.lines() {
        let cells: Vec<&str> = line.split('|').collect();
        match line.starts_with('|') {
            false => column = None,
            true if column.is_none() => {
                column = Some(cells.iter().position(|cell| cell.trim() == "bot4 says"));
            }
            true => {}
        }
        found.extend(
            column.flatten().and_then(|at| cells.get(at)).into_iter().copied().flat_map(spans),
        );
        let bold = line.strip_prefix("- **`").and_then(|rest| rest.split_once("`**"));
        found.extend(bold.map(|(words, _)| words));
    }
    found
}

#[test]
fn the_runbook_quotes_what_the_program_says() {
    let runbook = std::fs::read_to_string(root().join("deploy/runbook.md")).expect("a runbook");
    let own: Vec<String> = sources()
        .into_iter()
        .filter(|(path, _)| !path.ends_with("tidy.rs"))
        .map(|(_, text)| {
            // A text that is continued on the next line is one text.
            let mut parts = text.split("\\\n");
            let first = parts.next().unwrap_or_default().to_owned();
            parts.fold(first, |whole, part| whole + part.trim_start())
        })
        .collect();
    let said = |words: &str| own.iter().any(|text| text.contains(words));
    let quoted = quoted(&runbook);
    assert!(quoted.len() > 30, "the quotes were found: {}", quoted.len());
    let parts = quoted.iter().flat_map(|words| words.split('…')).map(str::trim);
    let unsaid = parts.filter(|part| !part.is_empty() && !said(part));
    check("the program does not say", &unsaid.map(str::to_owned).collect::<Vec<_>>());
    assert!(
        !said("words that nobody ever said of anything"),
        "the search finds what is there alone"
    );
}

#[test]
fn the_runbook_knows_every_end_and_every_stop() {
    let runbook = std::fs::read_to_string(root().join("deploy/runbook.md")).expect("a runbook");
    let read = |path: &str| std::fs::read_to_string(root().join(path)).expect("a source");
    let (cli, latch, risk) = (
        read("engine/src/cli/mod.rs"),
        read("engine/src/operator/latch.rs"),
        read("risk/src/latch.rs"),
    );
    let codes = cli.lines().filter_map(|line| {
        line.trim().strip_prefix("pub const ")?.split_once(": u8 = ")?.1.strip_suffix(';')
    });
    let codes: Vec<String> = codes.map(|code| format!("| {code} |")).collect();
    let names = |text: &str, of: &str| -> Vec<String> {
        let rows = text.lines().filter_map(|line| line.trim().split_once(" => \""));
        let rows = rows.filter(|(what, _)| what.starts_with(of));
        rows.map(|(_, name)| format!("`{}`", name.trim_end_matches("\","))).collect()
    };
    let stops = [names(&latch, "By::"), names(&risk, "Self::")].concat();
    assert!(codes.len() >= 5 && stops.len() >= 7, "{codes:?} {stops:?}");
    let missing: Vec<String> =
        codes.into_iter().chain(stops).filter(|word| !runbook.contains(word.as_str())).collect();
    check("the runbook does not know", &missing);
}
