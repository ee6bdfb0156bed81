//! A writer killed with -9 at each of its system calls that leave something behind: the next start
//! takes back what it did.

use std::process::{Command, Stdio};

use bot4_host::apply::{apply, recover};
use bot4_host::plan::Plan;
use bot4_host::undo::{Undo, restore};
use bot4_host::{Need, Report, Root, Samples, Sight, Waivers};

use crate::changes::{NOTHING, undo_of, wrong_machine};
use crate::machine::{self, Machine, diff};

/// Names the machine's folder to the child.
const CHILD: &str = "BOT4_HOST_TEST_MACHINE";
/// Steps of the plan that the child makes: huge pages, words in brackets, numbers, a group.
const STEPS: [&str; 5] = [
    "nr_hugepages",
    "transparent_hugepage/enabled",
    "swappiness",
    "subtree_control",
    "cgroup/bot4",
];
/// System calls that leave something behind.
const CALLS: [&str; 4] = ["write", "fsync", "rename", "mkdir"];

fn child(machine: &Machine, command: &mut Command) -> std::process::ExitStatus {
    let exe = std::env::current_exe().expect("this binary");
    command.arg(exe).args(["--exact", "kills::the_child_applies", "--test-threads", "1"]);
    command.env(CHILD, machine.dir.path()).stdin(Stdio::null());
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().expect("strace runs")
}

/// Does something in a child of the test below alone.
#[test]
fn the_child_applies() {
    let Some(dir) = std::env::var_os(CHILD) else { return };
    let fixture = std::path::PathBuf::from(dir);
    let root = Root::at(&fixture);
    let undo = Undo::hold(&fixture.join("run/bot4/tune-state.json")).expect("held");
    recover(&root, &undo).expect("recovered");
    let need = Need { lanes: machine::lanes(), huge_pages: 262, ..Need::default() };
    let sight = Sight { root: &root, need: &need, samples: &Samples::default() };
    let mut plan = Plan::of(&sight, &Report::of(&sight, &Waivers::default()), &[]);
    plan.steps.retain(|s| STEPS.iter().any(|part| s.change.path().contains(part)));
    apply(&root, &undo, &plan.steps).expect("applied");
}

#[test]
fn killed_anywhere_nothing_differs() {
    let probe = Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).status();
    if !probe.is_ok_and(|status| status.success()) {
        println!("skipped: strace is missing or may not trace here");
        return;
    }
    let (mut kills, mut left) = (0, 0);
    for call in CALLS {
        for n in 1.. {
            let machine = wrong_machine();
            let before = machine.snapshot();
            let inject = format!("inject={call}:signal=KILL:when={n}");
            let mut strace = Command::new("strace");
            strace.args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={call}")]);
            let ended = child(&machine, strace.args(["-e", &inject])).success();
            kills += usize::from(!ended);
            left += usize::from(machine.snapshot() != before);
            let undo = undo_of(&machine);
            recover(&machine.root(), &undo).expect("taken back");
            // One that came to its end before it was killed is taken back when somebody says so.
            restore(&machine.root(), &undo).expect("taken back");
            assert_eq!(diff(&before, &machine.snapshot()), NOTHING, "killed at {call} {n}");
            if ended {
                break;
            }
            assert!(n < 400, "{call} without an end");
        }
    }
    println!("killed {kills} times, {left} times something was changed by then");
    assert!(kills > 30 && left > 10, "{kills} kills, {left} with a change");
}
