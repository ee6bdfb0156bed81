//! What is deployed: the configuration files of deploy/config, laid one over the other.

use std::path::{Path, PathBuf};

use crate::common::{bot4, check_account, output, report, stderr};

fn deployed(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/config").join(name)
}

#[test]
fn the_default_resolves_alone_and_under_every_overlay() {
    let state = tempfile::tempdir().expect("a folder");
    let check = |overlays: &[&str]| {
        let mut command = bot4(state.path());
        command.arg("check");
        for name in ["default.toml"].iter().chain(overlays) {
            command.arg("--config").arg(deployed(name));
        }
        output(&mut command)
    };
    for overlays in [
        &[][..],
        &["folded-4.toml"],
        &["folded-2.toml"],
        &["paper.toml"],
        &["folded-2.toml", "site.toml"],
    ] {
        let out = check(overlays);
        assert_eq!(out.status.code(), Some(0), "{overlays:?}: {}", stderr(&out));
    }
    let lanes = String::from_utf8_lossy(&check(&["folded-2.toml"]).stdout).into_owned();
    assert_eq!(lanes.lines().filter(|line| line.contains(" cpu ")).count(), 2, "{lanes}");
    let dedicated = check(&["dedicated-12.toml"]);
    let cpus = bot4_lanes::placement::Cpus::of_this_process().allowed.len();
    // Not with the embedded venue beside twelve lanes either: then they have 13 CPUs' work.
    if cpus <= 12 {
        assert_eq!(dedicated.status.code(), Some(2), "{}", stderr(&dedicated));
        assert!(stderr(&dedicated).contains("run.idle"), "{}", stderr(&dedicated));
    }
}

#[test]
fn a_run_on_layered_files_trades_and_says_which_file_is_wrong() {
    let state = tempfile::tempdir().expect("a folder");
    let own = state.path().join("own.toml");
    std::fs::write(&own, "[run]\nlanes = 2\ncapture = false\n[journal]\nstall_max = \"30s\"\n")
        .expect("written");
    let file = state.path().join("report.json");
    let run = || {
        let mut command = bot4(state.path());
        command.args(["run", "--for", "2s", "--report"]).arg(&file);
        for path in [deployed("default.toml"), deployed("paper.toml"), own.clone()] {
            command.arg("--config").arg(path);
        }
        output(&mut command)
    };
    let out = run();
    assert_eq!(out.status.code(), Some(0), "{}", stderr(&out));
    let report = report(&file);
    check_account(&report);
    assert_eq!(report["lanes"].as_array().map(Vec::len), Some(2), "{report}");
    std::fs::write(&own, "[run]\nlanes = 2\n\n[risk]\nposition_pct = 0\n").expect("written");
    let out = run();
    assert_eq!(out.status.code(), Some(2));
    let told = stderr(&out);
    assert!(told.contains("own.toml:5:") && told.contains("default.toml, then"), "{told}");
}
