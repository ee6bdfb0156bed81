//! The ready file: an engine writes it when its lanes run, and adds when orders may leave.

use std::path::Path;

use serde_json::Value;

use super::sleep;

/// How often it is looked for, and between two looks, ms: half a minute in all.
const LOOKS: u32 = 600;
const LOOK_EVERY_MS: u64 = 50;

/// The engine with the ready file `ready` may send orders.
pub fn trades(ready: &Path) -> bool {
    std::fs::read_to_string(ready).is_ok_and(|text| text.contains("trading_after_ms"))
}

/// Waits until all lanes of the engine with this ready file run, and reads it.
pub fn until_lanes_run(ready: &Path) -> Value {
    until(
        || serde_json::from_str(&std::fs::read_to_string(ready).ok()?).ok(),
        "its lanes do not run",
    )
}

/// Waits until the engine with this ready file may send orders.
pub fn until_it_trades(ready: &Path) {
    until(|| trades(ready).then_some(()), "it does not trade");
}

fn until<T>(look: impl Fn() -> Option<T>, otherwise: &str) -> T {
    let found = (0..LOOKS).find_map(|_| {
        let found = look();
        if found.is_none() {
            sleep(LOOK_EVERY_MS);
        }
        found
    });
    found.unwrap_or_else(|| panic!("{otherwise} within 30 s"))
}
