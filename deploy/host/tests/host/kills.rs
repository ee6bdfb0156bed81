//! A writer killed with -9 at each of its system calls that leave something behind: the next start
//! takes back what it did.

use std::process::{Command, Stdio};

use bot4_host::apply::{apply, recover};
use bot4_host::plan::Plan;
use bot4_host::undo::{Undo, restore};
use bot4_host::{Need, Report, Root, Samples, Sight, Waivers};

use crate::changes::{NOTHING, undo_of};
use crate::machine::{self, Machine, diff};

/// Names the machine's folder to the child.
const CHILD: &str = "BOT4_HOST_TEST_MACHINE";
/// A machine with little to set: huge pages, a word in brackets, a number, a control group.
const FILES: [(&str, &str); 8] = [
    ("/sys/devices/system/cpu/online", "0-11"),
    ("/sys/kernel/mm/transparent_hugepage/enabled", "[always] madvise never"),
    ("/sys/fs/cgroup/cgroup.controllers", "cpuset cpu"),
    ("/sys/fs/cgroup/cgroup.subtree_control", "cpu"),
    ("/proc/meminfo", "MemTotal: 65000000 kB\nHugePages_Free: 10"),
    ("/proc/sys/vm/nr_hugepages", "12"),
    ("/proc/sys/vm/swappiness", "60"),
    ("/proc/sys/kernel/random/boot_id", "this-boot"),
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
    let plan = Plan::of(&sight, &Report::of(&sight, &Waivers::default()), &[]);
    assert_eq!(plan.steps.len(), 6, "{}", plan.to_text());
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
            let machine = Machine::of(&FILES);
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
