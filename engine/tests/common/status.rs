//! What the one engine of a state folder says of itself while it runs.

use std::path::Path;

use serde_json::Value;

use super::{bot4, output, sleep};

/// Looks a second, and the time between two, ms.
const LOOKS_A_SECOND: u32 = 10;
const LOOK_EVERY_MS: u64 = 100;

/// How often an engine is asked that does not come to answer.
const ASKED: usize = 10;

/// The status of the one engine in `state`, once it comes to answer; null where there is none.
pub fn of(state: &Path) -> Value {
    let mut all = std::iter::repeat_with(|| asked(state)).take(ASKED);
    all.find(|status| status["phase"] != "silent").unwrap_or_else(|| asked(state))
}

fn asked(state: &Path) -> Value {
    let out = output(bot4(state).args(["status", "--json"]));
    let first = String::from_utf8_lossy(&out.stdout).lines().next().map(str::to_owned);
    first.and_then(|line| serde_json::from_str(&line).ok()).unwrap_or(Value::Null)
}

/// The first status that `holds`, half a minute at most.
pub fn until(state: &Path, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    within(30, state, what, holds)
}

/// The same, `seconds` at most.
pub fn within(seconds: u32, state: &Path, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..seconds * LOOKS_A_SECOND {
        let status = of(state);
        if holds(&status) {
            return status;
        }
        sleep(LOOK_EVERY_MS);
    }
    panic!("not within {seconds} s: {what}; {}", of(state));
}
