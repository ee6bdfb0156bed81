//! Changes and their way back: nothing differs after it, whoever died in between.

use std::path::Path;

use bot4_host::apply::{apply, recover};
use bot4_host::plan::Plan;
use bot4_host::row::{Change, Scope};
use bot4_host::undo::{Outcome, Undo, Undone, restore};
use bot4_host::{Mode, Need, Report, Root, Samples, Sight, State, Waivers, rows};

use crate::machine::{Machine, diff};
use crate::rows::BREAKS;

/// No line of a diff.
pub const NOTHING: Vec<String> = Vec::new();

/// A machine on which every row that `apply` can set is wrong.
pub fn wrong_machine() -> Machine {
    let mut machine = Machine::good();
    let settable = |id: &str| {
        let row = rows::find(id).expect("a row");
        row.scope == Scope::Runtime && id != "irq.rate"
    };
    BREAKS.iter().filter(|(id, _)| settable(id)).for_each(|(_, breaks)| breaks(&mut machine));
    machine
}

pub fn plan_of(machine: &Machine) -> Plan {
    let (root, need, samples) = (machine.root(), machine.need.clone(), machine.samples());
    let sight = Sight { root: &root, need: &need, samples: &samples };
    Plan::of(&sight, &Report::of(&sight, &Waivers::default()), &[])
}

pub fn undo_of(machine: &Machine) -> Undo {
    Undo::hold(&machine.place("/run/bot4/tune-state.json")).expect("held")
}

#[test]
fn applied_and_taken_back_nothing_differs() {
    let machine = wrong_machine();
    let before = machine.snapshot();
    let plan = plan_of(&machine);
    assert!(plan.to_text().contains("/proc/sys/vm/swappiness: 60 -> 1"), "{}", plan.to_text());
    assert!(plan.boot.contains(&"isolcpus=managed_irq,domain,2-11".to_owned()));
    assert_eq!(diff(&before, &machine.snapshot()), NOTHING, "a plan changes nothing");
    let undo = undo_of(&machine);
    let records = apply(&machine.root(), &undo, &plan.steps).expect("applied");
    assert!(records.len() > 25, "{} changes", records.len());
    for record in &records {
        assert_eq!(record.outcome, Outcome::Applied, "{}", record.change.path());
    }
    let control = machine.root().text("/sys/fs/cgroup/cgroup.subtree_control");
    assert_eq!(control.as_deref(), Some("cpu memory pids cpuset"));
    let group = machine.place("/sys/fs/cgroup/bot4");
    let partition = std::fs::read_to_string(group.join("cpuset.cpus.partition"));
    assert_eq!(partition.expect("a group").trim(), "member", "no CPU would be the kernel's");
    for (id, state) in machine.states(Mode::Live, &[]) {
        // The kernel of a fixture counts no free pages and isolates nothing.
        let by_kernel = ["memory.huge_pages", "isolation.cpus"].contains(&id);
        assert!(by_kernel || state == State::Ok, "{id} is {}", state.name());
    }
    assert_ne!(machine.snapshot(), before);
    let undone = restore(&machine.root(), &undo).expect("restored");
    assert_eq!(undone.len(), records.len());
    assert_eq!(undone[0].0, records[records.len() - 1], "last change first");
    for (record, undone) in &undone {
        let in_group = record.change.path().starts_with("/sys/fs/cgroup/bot4/");
        let want = if in_group { Undone::Unchanged } else { Undone::Restored };
        assert!(*undone == want || in_group, "{}: {undone:?}", record.change.path());
    }
    assert_eq!(diff(&before, &machine.snapshot()), NOTHING);
    assert_eq!(restore(&machine.root(), &undo).expect("nothing left"), Vec::new());
}

#[test]
fn a_card_is_set_in_an_order_that_it_takes_and_back_again() {
    let machine = Machine::good();
    machine.put("/cards/eth0/adaptive-rx", "on");
    machine.put("/cards/eth0/rx-usecs", "20");
    machine.put("/cards/eth0/rx", "1024");
    let (before, plan, undo) = (machine.snapshot(), plan_of(&machine), undo_of(&machine));
    let told = plan.to_text();
    for line in ["-C eth0 adaptive-rx: on -> off", "-C eth0 rx-usecs: 20 -> 0", "-G eth0 rx: 1024"]
    {
        assert!(told.contains(line), "{told}");
    }
    let records = apply(&machine.root(), &undo, &plan.steps).expect("applied");
    assert!(records.iter().all(|r| r.outcome == Outcome::Applied), "{records:?}");
    let states = machine.states(Mode::Live, &[]);
    assert_eq!((states["net.coalesce"], states["net.rings"]), (State::Ok, State::Ok));
    let undone = restore(&machine.root(), &undo).expect("restored");
    assert!(undone.iter().all(|(_, u)| *u == Undone::Restored), "{undone:?}");
    assert_eq!(diff(&before, &machine.snapshot()), NOTHING);
    // Without the program the card says nothing, and nothing is tried.
    std::fs::remove_file(machine.place("/usr/sbin/ethtool")).expect("removed");
    assert_eq!(machine.states(Mode::Live, &[])["net.coalesce"], State::Absent);
    assert!(plan_of(&machine).steps.is_empty());
}

#[test]
fn what_somebody_else_set_since_is_left_alone_and_told() {
    let machine = wrong_machine();
    let undo = undo_of(&machine);
    apply(&machine.root(), &undo, &plan_of(&machine).steps).expect("applied");
    machine.put("/proc/sys/vm/swappiness", "33");
    let undone = restore(&machine.root(), &undo).expect("restored");
    let of = undone.iter().find(|(r, _)| r.change.path() == "/proc/sys/vm/swappiness");
    assert_eq!(of.expect("listed").1, Undone::Foreign("33".into()));
    assert_eq!(machine.root().text("/proc/sys/vm/swappiness").as_deref(), Some("33"));
    assert!(!machine.place("/run/bot4/tune-state.json").exists(), "told once, then forgotten");
}

#[test]
fn less_than_was_asked_for_is_taken_back_as_well() {
    let machine = wrong_machine();
    let undo = undo_of(&machine);
    apply(&machine.root(), &undo, &plan_of(&machine).steps).expect("applied");
    assert_eq!(machine.root().text("/proc/sys/vm/nr_hugepages").as_deref(), Some("264"));
    machine.put("/proc/sys/vm/nr_hugepages", "100");
    restore(&machine.root(), &undo).expect("restored");
    assert_eq!(machine.root().text("/proc/sys/vm/nr_hugepages").as_deref(), Some("12"));
}

#[test]
fn what_the_machine_refuses_is_told_and_needs_no_way_back() {
    let machine = wrong_machine();
    let mut plan = plan_of(&machine);
    plan.steps.truncate(2);
    let gone = machine.place(plan.steps[0].change.path());
    std::fs::remove_file(gone).expect("removed");
    let undo = undo_of(&machine);
    let records = apply(&machine.root(), &undo, &plan.steps).expect("applied");
    assert!(matches!(records[0].outcome, Outcome::Refused(_)), "{:?}", records[0]);
    assert_eq!(records[1].outcome, Outcome::Applied, "the others go on");
    let undone = restore(&machine.root(), &undo).expect("restored");
    assert_eq!(undone[1].1, Undone::Unchanged);
}

#[test]
fn applied_twice_the_first_values_come_back() {
    let machine = wrong_machine();
    let before = machine.snapshot();
    let undo = undo_of(&machine);
    apply(&machine.root(), &undo, &plan_of(&machine).steps).expect("applied");
    machine.put("/proc/sys/vm/swappiness", "40");
    let again = plan_of(&machine);
    apply(&machine.root(), &undo, &again.steps).expect("applied again");
    restore(&machine.root(), &undo).expect("restored");
    // What was 60, then ours, then 40 by somebody, then ours: 40, and from there nothing of ours.
    machine.put("/proc/sys/vm/swappiness", "60");
    assert_eq!(diff(&before, &machine.snapshot()), NOTHING);
}

#[test]
fn this_machine_is_as_before() {
    let root = Root::at(Path::new("/"));
    let may = |change: &Change| match change {
        Change::Write { path, .. } => {
            let file = std::fs::OpenOptions::new().write(true).open(root.path(path));
            file.is_ok() && path.starts_with("/proc/sys/")
        }
        Change::Card { .. } | Change::MakeDir { .. } => false,
    };
    // Memory is the business of others who run here.
    let harmless = |id: &str| !["memory.huge_pages", "memory.compaction"].contains(&id);
    let need = Need::default();
    let sight = Sight { root: &root, need: &need, samples: &Samples::default() };
    let mut plan = Plan::of(&sight, &Report::of(&sight, &Waivers::default()), &[]);
    plan.steps.retain(|step| harmless(step.row) && may(&step.change));
    if plan.steps.is_empty() {
        println!("skipped: nothing here is wrong, or nothing may be written");
        return;
    }
    let values = || plan.steps.iter().map(|s| s.change.now(&root)).collect::<Vec<_>>();
    let before = values();
    let dir = tempfile::tempdir().expect("a folder");
    let undo = Undo::hold(&dir.path().join("state.json")).expect("held");
    let records = apply(&root, &undo, &plan.steps).expect("applied");
    let during = values();
    let undone = restore(&root, &undo).expect("restored");
    assert_eq!(values(), before, "nothing differs");
    assert_ne!(during, before);
    for (record, (_, undone)) in records.iter().rev().zip(&undone) {
        assert_eq!(record.outcome, Outcome::Applied, "{}", record.change.path());
        assert_eq!(*undone, Undone::Restored, "{}", record.change.path());
    }
}

#[test]
fn a_writer_that_came_to_its_end_is_not_taken_back_by_the_next() {
    let machine = wrong_machine();
    let undo = undo_of(&machine);
    apply(&machine.root(), &undo, &plan_of(&machine).steps).expect("applied");
    assert_eq!(recover(&machine.root(), &undo), Ok(Vec::new()));
    assert_eq!(machine.root().text("/proc/sys/vm/swappiness").as_deref(), Some("1"));
}
