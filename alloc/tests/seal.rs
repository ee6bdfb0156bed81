//! The seal: charges what a sealed agent does, and nothing else; aborts where asked to. One
//! process, so the sums are compared under one lock.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::hint::black_box;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bot4_alloc::seal::{
    self, AGENTS_MAX, AgentTag, Class, allocations, deallocations, enter, register, release, seal,
    unseal,
};
use bot4_alloc::{SealedAlloc, check_options};

#[global_allocator]
static GLOBAL: SealedAlloc = SealedAlloc;

fn alone() -> MutexGuard<'static, ()> {
    static LOCK: Mutex<()> = Mutex::new(());
    LOCK.lock().unwrap_or_else(PoisonError::into_inner)
}

fn one_box() {
    drop(black_box(Box::new(1_u64)));
}

#[test]
fn a_planted_allocation_is_charged_once_and_others_never() {
    let _alone = alone();
    let (hot, io, cold) = (register(Class::Hot), register(Class::Io), register(Class::Cold));
    let before = (seal::hot_allocations(), seal::hot_deallocations(), seal::io_allocations());

    one_box();
    {
        let _scope = enter(hot);
        one_box();
    }
    assert_eq!((allocations(hot), deallocations(hot)), (0, 0), "warm-up is free");

    for tag in [hot, io, cold] {
        seal(tag);
    }
    one_box();
    {
        let _scope = enter(hot);
        one_box();
        let mut vec = black_box(Vec::<u64>::with_capacity(1));
        vec.reserve_exact(1000);
        {
            let _pause = enter(AgentTag::NONE);
            one_box();
            let _io = enter(io);
            one_box();
            let _cold = enter(cold);
            drop(black_box(vec![0_u8; 100]));
        }
        let _pause = enter(AgentTag::NONE);
        std::thread::scope(|s| {
            s.spawn(one_box);
        });
    }
    one_box();
    // Box, Vec and its growth; both freed.
    assert_eq!((allocations(hot), deallocations(hot)), (3, 2));
    assert_eq!((allocations(io), deallocations(io)), (1, 1));
    assert_eq!((allocations(cold), deallocations(cold)), (1, 1));
    let after = (seal::hot_allocations(), seal::hot_deallocations(), seal::io_allocations());
    assert_eq!(after, (before.0 + 3, before.1 + 2, before.2 + 1));

    unseal(hot);
    {
        let _scope = enter(hot);
        one_box();
    }
    assert_eq!(allocations(hot), 3);
    for tag in [hot, io, cold] {
        release(tag);
    }
    let released = (seal::hot_allocations(), seal::hot_deallocations(), seal::io_allocations());
    assert_eq!(released, after, "counts outlive their agents");
}

#[test]
fn nobody_is_never_charged_nor_sealed() {
    let _alone = alone();
    let sums = (seal::hot_allocations(), seal::io_allocations());
    seal(AgentTag::NONE);
    {
        let _scope = enter(AgentTag::NONE);
        one_box();
    }
    release(AgentTag::NONE);
    assert_eq!((allocations(AgentTag::NONE), AgentTag::NONE.is_some()), (0, false));
    assert_eq!((seal::hot_allocations(), seal::io_allocations()), sums);
}

#[test]
fn tags_run_out_visibly_and_come_back() {
    let _alone = alone();
    let unwatched = seal::unwatched();
    let mut tags: Vec<AgentTag> = (0..AGENTS_MAX).map(|_| register(Class::Hot)).collect();
    assert!(tags.iter().all(|tag| tag.is_some()));
    tags.sort_unstable_by_key(|tag| tag.number());
    tags.dedup();
    assert_eq!(tags.len(), AGENTS_MAX, "all different");
    assert_eq!(register(Class::Io), AgentTag::NONE);
    assert_eq!(seal::unwatched(), unwatched + 1);

    release(tags[10]);
    let again = register(Class::Io);
    assert_eq!(again, tags[10]);
    {
        let _scope = enter(again);
        one_box();
    }
    assert_eq!(allocations(again), 0, "the new owner is not sealed yet");
    for tag in tags {
        release(tag);
    }
}

#[test]
fn two_threads_count_together() {
    let _alone = alone();
    let tag = register(Class::Io);
    seal(tag);
    std::thread::scope(|s| {
        for _ in 0..2 {
            s.spawn(|| {
                let _scope = enter(tag);
                (0..1000).for_each(|_| one_box());
            });
        }
    });
    assert_eq!((allocations(tag), deallocations(tag)), (2000, 2000));
    release(tag);
}

#[test]
fn a_panic_in_a_sealed_agent_is_not_charged_for_its_message() {
    let _alone = alone();
    let tag = register(Class::Hot);
    seal(tag);
    let result = std::panic::catch_unwind(|| {
        let _scope = enter(tag);
        panic!("planted, number {}", black_box(7));
    });
    let text = result.unwrap_err().downcast::<String>().unwrap();
    assert_eq!((*text, allocations(tag)), ("planted, number 7".to_owned(), 0));
    one_box();
    assert_eq!(allocations(tag), 0, "unwinding left the scope");
    release(tag);
}

/// What a child process of this test does, by its environment.
const CHILD: &str = "BOT4_ALLOC_TEST_CHILD";

/// Runs the test `name` of this file again in a process of its own.
fn child(name: &str, task: &str) -> (Option<i32>, Option<i32>, String) {
    use std::os::unix::process::ExitStatusExt;
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", name, "--nocapture", "--test-threads=1"]).env(CHILD, task);
    if let Some(options) = task.strip_prefix("options ") {
        command.env("_RJEM_MALLOC_CONF", options);
    }
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    (output.status.code(), output.status.signal(), text)
}

#[test]
fn a_violation_aborts_where_asked_to() {
    let name = "a_violation_aborts_where_asked_to";
    let Ok(task) = std::env::var(CHILD) else {
        let expectations = [
            ("allocate", "a sealed hot agent allocated: tag 1, bytes 1234\n"),
            ("grow", "a sealed hot agent reallocated: tag 1, bytes 4321\n"),
            ("free", "a sealed hot agent freed: tag 1, bytes 1234\n"),
        ];
        for (task, message) in expectations {
            let (_, signal, text) = child(name, task);
            assert!(signal == Some(libc::SIGABRT) && text.contains(message), "{task}: {text}");
        }
        for task in ["nothing", "io", "unsealed", "panic"] {
            let (code, signal, text) = child(name, task);
            assert_eq!((code, signal), (Some(0), None), "{task}: {text}");
        }
        return;
    };
    seal::set_abort(true);
    let tag = register(if task == "io" { Class::Io } else { Class::Hot });
    let mut block = Vec::<u8>::with_capacity(1234);
    if task != "unsealed" {
        seal(tag);
    }
    let scope = enter(tag);
    match task.as_str() {
        "allocate" | "io" | "unsealed" => drop(black_box(Vec::<u8>::with_capacity(1234))),
        "grow" => block.reserve_exact(4321),
        "free" => drop(black_box(block)),
        "panic" => {
            // The lane catches it outside of the agent's scope and frees the message there.
            let _pause = enter(AgentTag::NONE);
            let caught = std::panic::catch_unwind(|| {
                let _scope = enter(tag);
                panic!("{}", black_box(5))
            });
            assert!(caught.is_err());
        }
        _ => {}
    }
    drop(scope);
    // What the harness does from here on is nobody's.
    release(tag);
}

#[test]
fn the_options_are_in_force_and_an_override_is_found_out() {
    let name = "the_options_are_in_force_and_an_override_is_found_out";
    let Ok(task) = std::env::var(CHILD) else {
        assert_eq!(check_options(), Ok(()));
        for options in
            ["background_thread:true", "dirty_decay_ms:1000", "narenas:4", "retain:false"]
        {
            let (code, _, text) = child(name, &format!("options {options}"));
            assert!(code == Some(0) && text.contains(&format!("with {options}")), "{text}");
        }
        let (_, signal, text) = child(name, "options no_such_option:1");
        assert_eq!(signal, Some(libc::SIGABRT), "abort_conf stops it: {text}");
        return;
    };
    let error = check_options().expect_err(&task);
    eprintln!("{error}");
}
