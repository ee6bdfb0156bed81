//! The program that sustains a load, for three seconds at a rate that any machine keeps up with:
//! every order leaves, and the account is exact.

use std::process::Command;

#[test]
fn three_seconds_of_orders_leave_an_exact_account() {
    let mut program = Command::new(env!("CARGO_BIN_EXE_sustained"));
    let out = program.args(["--per-second", "500", "--seconds", "3"]).output().expect("it runs");
    let told = String::from_utf8_lossy(&out.stdout);
    assert!(out.status.success(), "{told}{}", String::from_utf8_lossy(&out.stderr));
    let line: serde_json::Value = serde_json::from_str(&told).expect("one line");
    assert_eq!(line["sent"], 1_500, "{line}");
    assert_eq!((&line["exact"], &line["open_at_end"]), (&true.into(), &0.into()), "{line}");
    // Orders that take are among them, or nothing was compared.
    assert!(line["fills"].as_u64().is_some_and(|fills| fills > 20), "{line}");
}
