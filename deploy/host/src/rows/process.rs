//! The process: its limits, its files, its disk, and whether it is the program that was meant.

use std::path::Path;

use crate::row::{Class, Found, RULE, Row, Rule, Scope, Sight, by_hand};

/// Files that may be open: sockets, segments, libraries.
const FILES_MIN: u64 = 4_096;
/// Longest sync of the journal's disk at the 99th percentile, microseconds.
const SYNC_MAX_US: u64 = 10_000;

/// The rows.
pub const ROWS: &[Row] = &[
    Row {
        id: "process.files",
        class: Class::Fail,
        scope: Scope::Hand,
        why: "a reconnect must not fail because no descriptor is left",
        mend: "LimitNOFILE=65536 in the unit, or `ulimit -n 65536`",
        undo: "the old limit",
        risk: "none",
        measured: RULE,
        rule: Rule::Look { check: files, changes: by_hand },
    },
    Row {
        id: "process.core",
        class: Class::Fail,
        scope: Scope::Hand,
        why: "a core dump would hold the keys",
        mend: "LimitCORE=0 in the unit, or `ulimit -c 0`",
        undo: "the old limit",
        risk: "a crash leaves less to look at; the journal is there",
        measured: RULE,
        rule: Rule::Look { check: core, changes: by_hand },
    },
    Row {
        id: "process.keys",
        class: Class::Fail,
        scope: Scope::Hand,
        why: "whoever reads the keys can trade",
        mend: "chmod 0600 FILE",
        undo: "none",
        risk: "none",
        measured: RULE,
        rule: Rule::Look { check: keys, changes: by_hand },
    },
    Row {
        id: "process.binary",
        class: Class::Fail,
        scope: Scope::Hand,
        why: "the program that runs is the one that was tested and rolled out, on every machine",
        mend: "deploy again, or write a new manifest (`bot4 host check --json > FILE`)",
        undo: "none",
        risk: "none",
        measured: RULE,
        rule: Rule::Look { check: binary, changes: by_hand },
    },
    Row {
        id: "disk.free",
        class: Class::Fail,
        scope: Scope::Hand,
        why: "no record, no trade: a full disk ends the run",
        mend: "make room, or [journal] dir on another disk",
        undo: "none",
        risk: "none",
        measured: RULE,
        rule: Rule::Look { check: free, changes: by_hand },
    },
    Row {
        id: "disk.sync",
        class: Class::Fail,
        scope: Scope::Hand,
        why: "what a power failure may take is what was not yet synced",
        mend: "give the journal a disk that nobody else writes to",
        undo: "none",
        risk: "none",
        measured: "p50 0.2 ms, p99 0.3 ms for 16 MiB segments on an idle ext4 of this host",
        rule: Rule::Look { check: sync, changes: by_hand },
    },
    Row {
        id: "process.secrets",
        class: Class::Fail,
        scope: Scope::Hand,
        why: "everybody on the machine can read a program's arguments, its owner its environment, \
              and both end up in logs",
        mend: "keep keys in files of mode 0600 (LoadCredential= in the unit), not in variables",
        undo: "none",
        risk: "none",
        measured: RULE,
        rule: Rule::Look { check: secrets, changes: by_hand },
    },
    Row {
        id: "process.journal",
        class: Class::Fail,
        scope: Scope::Hand,
        why: "who can write the journal can change what the engine believes of the account",
        mend: "chown and chmod 0700 the folder, for the engine's user",
        undo: "the old mode",
        risk: "none",
        measured: RULE,
        rule: Rule::Look { check: journal, changes: by_hand },
    },
];

/// The soft limit called `name`.
fn limit(sight: &Sight<'_>, name: &str) -> Option<u64> {
    let line = sight.root.field("/proc/self/limits", name)?;
    match line.split_whitespace().next()? {
        "unlimited" => Some(u64::MAX),
        number => number.parse().ok(),
    }
}

fn files(sight: &Sight<'_>) -> Found {
    match limit(sight, "Max open files") {
        Some(n) => Found::that(n >= FILES_MIN, n.to_string(), format!("at least {FILES_MIN}")),
        None => Found::none("/proc/self/limits does not say"),
    }
}

fn core(sight: &Sight<'_>) -> Found {
    match limit(sight, "Max core file size") {
        Some(0) => Found::that(true, "0", "0"),
        Some(u64::MAX) => Found::that(false, "unlimited", "0"),
        Some(n) => Found::that(false, n.to_string(), "0"),
        None => Found::none("/proc/self/limits does not say"),
    }
}

/// Whether a file is for its owner alone.
fn is_private(path: &Path) -> std::io::Result<bool> {
    use std::os::unix::fs::MetadataExt as _;
    Ok(std::fs::metadata(path)?.mode() & 0o077 == 0)
}

fn keys(sight: &Sight<'_>) -> Found {
    if sight.need.keys.is_empty() {
        return Found::none("no key file is configured");
    }
    let wrong = |path: &std::path::PathBuf| match is_private(path) {
        Ok(true) => None,
        Ok(false) => Some(format!("{}: others may read it", path.display())),
        Err(error) => Some(format!("{}: {error}", path.display())),
    };
    let wrong: Vec<String> = sight.need.keys.iter().filter_map(wrong).collect();
    let found = match wrong.is_empty() {
        true => format!("{} files, for their owner alone", sight.need.keys.len()),
        false => wrong.join("; "),
    };
    Found::that(wrong.is_empty(), found, "mode 0600")
}

fn binary(sight: &Sight<'_>) -> Found {
    let Some(manifest) = &sight.need.manifest else {
        return Found::none("no manifest was given (--manifest FILE)");
    };
    let own = &sight.need.identity;
    let pairs = [
        ("program", &own.binary_sha256, &manifest.binary_sha256),
        ("configuration", &own.config_sha256, &manifest.config_sha256),
    ];
    let named = |digest: &Option<String>| digest.clone().unwrap_or_else(|| "none".to_owned());
    let wrong = pairs.iter().find(|(_, found, want)| want.is_some() && found != want);
    match wrong {
        None => Found::that(true, "as in the manifest", "as in the manifest"),
        Some((what, found, want)) => Found::that(
            false,
            format!("{what} {}", named(found)),
            format!("{what} {}", named(want)),
        ),
    }
}

fn free(sight: &Sight<'_>) -> Found {
    match sight.samples.disk_free {
        Some(bytes) => {
            let need = sight.need.journal_bytes;
            let mib = |bytes: u64| format!("{} MiB", bytes >> 20);
            Found::that(bytes >= need, format!("{} free", mib(bytes)), mib(need))
        }
        None => Found::none("not measured: needs the running machine"),
    }
}

fn sync(sight: &Sight<'_>) -> Found {
    match sight.samples.sync_p99_us {
        Some(us) => {
            let want = format!("below {SYNC_MAX_US} us");
            Found::that(us < SYNC_MAX_US, format!("p99 {us} us"), want)
        }
        None => Found::none("not measured: needs the running machine"),
    }
}

/// Words in a variable's name that promise a secret.
const SECRET_NAMES: [&str; 4] = ["SECRET", "PRIVATE_KEY", "API_KEY", "PASSPHRASE"];
/// What every key file in PEM has.
const PEM: &str = "PRIVATE KEY-----";
/// Shorter lines of a key file are not looked for.
const SECRET_MIN: usize = 16;

/// Arguments and variables of this process that hold a key; told by name, never by value.
fn secrets(sight: &Sight<'_>) -> Found {
    let read = |path: &str| sight.root.text(path).unwrap_or_default();
    let (arguments, variables) = (read("/proc/self/cmdline"), read("/proc/self/environ"));
    let lines = |path: &std::path::PathBuf| {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.lines().map(|l| l.trim().to_owned()).collect::<Vec<_>>()
    };
    let known: Vec<String> = sight.need.keys.iter().flat_map(lines).collect();
    let known = known.iter().filter(|line| line.len() >= SECRET_MIN && !line.starts_with('-'));
    let known: Vec<&String> = known.collect();
    let holds = |text: &str| text.contains(PEM) || known.iter().any(|k| text.contains(k.as_str()));
    let named = variables.split('\0').filter_map(|variable| {
        let (name, value) = variable.split_once('=')?;
        let said = SECRET_NAMES.iter().any(|word| name.to_uppercase().contains(word));
        ((said && !value.is_empty()) || holds(value)).then(|| format!("variable {name}"))
    });
    let mut wrong: Vec<String> = named.collect();
    wrong.extend(holds(&arguments).then(|| "the arguments".to_owned()));
    let found = if wrong.is_empty() { "none".to_owned() } else { wrong.join(", ") };
    Found::that(wrong.is_empty(), found, "no key in arguments or variables")
}

fn journal(sight: &Sight<'_>) -> Found {
    use std::os::unix::fs::MetadataExt as _;
    let Some(path) = &sight.need.journal else { return Found::none("no journal is configured") };
    let Ok(folder) = std::fs::metadata(path) else {
        return Found::none("not there yet: the engine makes it with mode 0700");
    };
    let mine = rustix::process::geteuid().as_raw();
    let (mode, owner) = (folder.mode() & 0o777, folder.uid());
    let found = format!("{}: mode {mode:04o}, user {owner}", path.display());
    // Root may look at the folder of the engine's user.
    let owned = owner == mine || mine == 0;
    Found::that(owned && mode & 0o077 == 0, found, format!("mode 0700, user {mine}"))
}
