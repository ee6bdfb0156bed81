//! The program that sustains a load, for three seconds at a low rate: every order leaves or is
//! refused for a reason, and the account is exact. On a machine with other work some are refused,
//! for too many of them are open; how many an idle one sustains is a benchmark.

use std::process::Command;

#[test]
fn three_seconds_of_orders_leave_an_exact_account() {
    let mut program = Command::new(env!("CARGO_BIN_EXE_sustained"));
    let out = program.args(["--per-second", "500", "--seconds", "3"]).output().expect("it runs");
    let told = String::from_utf8_lossy(&out.stdout);
    let errors = String::from_utf8_lossy(&out.stderr);
    let line: serde_json::Value =
        serde_json::from_str(&told).unwrap_or_else(|e| panic!("{e}: {told}{errors}"));
    let of = |name: &str| line[name].as_u64().unwrap_or_else(|| panic!("{name} in {line}"));
    assert_eq!(of("sent") + of("refused"), 1_500, "{line}");
    assert_eq!((&line["exact"], of("open_at_end")), (&true.into(), 0), "{line}");
    assert_eq!((of("hot_allocations"), &line["journal"]["lost"]), (0, &0.into()), "{line}");
    // Orders that take are among them, or nothing was compared.
    assert!(of("sent") > 100 && of("fills") > 0, "{line}");
    assert_eq!(out.status.success(), of("refused") == 0, "it says whether it kept up: {line}");
}
