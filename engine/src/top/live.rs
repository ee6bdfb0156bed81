//! The loop of `bot4 top` on a terminal, and its one look without.

use std::io::IsTerminal as _;
use std::time::Duration;

use bot4_telemetry::shared::{ReadError, Reader, Snapshot};
use ratatui::crossterm::event::{self, Event, KeyEventKind};

use super::app::{App, Ask};
use super::screen;
use super::tabs::{Seen, TABS};
use crate::operator::client::ask;
use crate::operator::counters::attach;
use crate::operator::message::Request;
use crate::run::history::EarlierRun;

/// Why an engine is stopped from here, as its latch keeps it.
const REASON: &str = "by a person in bot4 top";

/// The engine that is shown.
struct Attached {
    engine: EarlierRun,
    reader: Reader,
}

/// The engine called `run`, or the newest; `skip` passes over one of that name, where there is
/// another. An engine whose counters cannot be read is told only where no other can.
fn find(run: Option<&str>, skip: Option<&str>) -> Result<Attached, ReadError> {
    let mut all = attach(run);
    // The newest first; the one that is to be passed over last.
    all.reverse();
    if let Some(at) = skip.and_then(|name| all.iter().position(|(e, _)| e.record.id == name)) {
        all.rotate_left(at + 1);
    }
    let mut why = ReadError(match run {
        None => "error: no engine runs\nhelp: `bot4 run` starts one".to_owned(),
        Some(run) => format!("error: no run `{run}`\nhelp: `bot4 status` lists those that run"),
    });
    for (engine, reader) in all {
        match reader {
            Ok(reader) => return Ok(Attached { engine, reader }),
            Err(e) => why = e,
        }
    }
    Err(why)
}

/// One snapshot of the engine called `run`, or of the newest.
///
/// # Errors
/// When none runs, or its counters cannot be read.
pub fn once(run: Option<&str>) -> Result<Snapshot, ReadError> {
    find(run, None)?.reader.snapshot()
}

/// `snapshot` as plain text: every tab.
#[must_use]
pub fn text(snapshot: Snapshot) -> String {
    let s = &snapshot;
    let head = format!(
        "run {} {} {} {} up {} s, beat {} ms ago\n",
        s.run.id,
        s.run.venue,
        s.kill.phase,
        s.kill.mode,
        s.run.uptime_ms / 1_000,
        s.beat_age_ms
    );
    let seen = Seen { now: snapshot, before: None };
    let all = |tab| App { seen: seen.clone(), tab, ..App::default() }.grids();
    let grids = (0..TABS.len()).flat_map(all);
    grids.fold(head, |text, grid| text + "\n" + &grid.to_text())
}

/// Shows the engine called `run`, or the newest, until a person quits. Looks every `every`.
///
/// # Errors
/// Where standard input or output is no terminal, or it fails.
pub fn show(run: Option<&str>, every: Duration) -> Result<(), Box<dyn std::error::Error>> {
    if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        return Err(
            "error: not a terminal\nhelp: --once prints what there is, --json for programs".into(),
        );
    }
    let mut terminal = ratatui::try_init()?;
    let outcome = cycle(&mut terminal, run, every);
    ratatui::try_restore()?;
    outcome
}

fn cycle(
    terminal: &mut ratatui::DefaultTerminal,
    run: Option<&str>,
    every: Duration,
) -> Result<(), Box<dyn std::error::Error>> {
    let (mut app, mut attached) = (App::default(), None);
    loop {
        look(&mut app, &mut attached, run);
        terminal.draw(|frame| screen::draw(frame, &app))?;
        if !event::poll(every)? {
            continue;
        }
        let Event::Key(key) = event::read()? else { continue };
        if key.kind != KeyEventKind::Press {
            continue;
        }
        match app.key(key) {
            Ask::Nothing => {}
            Ask::Quit => return Ok(()),
            Ask::NextEngine => {
                let name = attached.as_ref().map(|a: &Attached| a.engine.record.id.clone());
                attached = find(run, name.as_deref()).ok();
            }
            Ask::Kill { flatten } => app.message = kill(attached.as_ref(), flatten),
        }
    }
}

/// Takes a snapshot; where the engine has ended, looks for another.
fn look(app: &mut App, attached: &mut Option<Attached>, run: Option<&str>) {
    if let Some(known) = attached {
        match known.reader.snapshot() {
            Ok(snapshot) => return app.take(snapshot),
            Err(_) => *attached = None,
        }
    }
    match find(run, None) {
        Ok(found) => {
            app.message.clear();
            *attached = Some(found);
        }
        Err(e) => app.lose(e.0.lines().next().unwrap_or_default().trim_start_matches("error: ")),
    }
}

/// Asks the engine to stop; what became of it, in a line.
fn kill(attached: Option<&Attached>, flatten: bool) -> String {
    let Some(Attached { engine, .. }) = attached else { return "no engine".to_owned() };
    let request = Request::Kill { reason: REASON.to_owned(), flatten };
    match ask(&engine.path, &request) {
        Ok(reply) => match reply.error {
            None => format!("run {} is stopped; `bot4 resume` ends it", engine.record.id),
            Some(error) => error.lines().next().unwrap_or_default().to_owned(),
        },
        Err(e) => format!("IT DOES NOT ANSWER ({e}): `bot4 kill` ends it and cancels its orders"),
    }
}
