//! What the keys change. No terminal, no engine: a test presses keys as a person does.

use bot4_telemetry::shared::Snapshot;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::grid::Grid;
use super::tabs::{self, Seen, TABS};

/// What a key asks of the program around.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ask {
    /// Nothing.
    Nothing,
    /// End.
    Quit,
    /// The next running engine.
    NextEngine,
    /// Stop trading; with `flatten`, close what is held, too. A person has confirmed it.
    Kill {
        /// Close what is held, too.
        flatten: bool,
    },
}

/// The state of the screen.
#[derive(Clone, Debug, Default)]
pub struct App {
    /// What is shown.
    pub seen: Seen,
    /// Which tab.
    pub tab: usize,
    /// Column that the main grid is sorted by, by tab; none: as the engine has them.
    pub sorts: [Option<usize>; TABS.len()],
    /// The other way round.
    pub reversed: bool,
    /// First row shown of the main grid, and the chosen book.
    pub row: usize,
    /// A kill waits for its confirmation.
    pub confirm: bool,
    /// What is shown was seen last of an engine that has ended.
    pub ended: bool,
    /// What a person should read: what became of a kill, why nothing is shown.
    pub message: String,
}

impl App {
    /// Takes a newer snapshot.
    pub fn take(&mut self, snapshot: Snapshot) {
        self.ended = false;
        let same = self.seen.now.run.id == snapshot.run.id;
        let before = std::mem::replace(&mut self.seen.now, snapshot);
        // Two looks within one beat show the same words: rates need two beats.
        if self.seen.now.now_ns > before.now_ns || !same {
            self.seen.before = same.then_some(before);
        }
    }

    /// The grids of the chosen tab, sorted.
    #[must_use]
    pub fn grids(&self) -> Vec<Grid> {
        let mut main = tabs::main(self.tab, &self.seen);
        if let Some(at) = self.sorts[self.tab] {
            main.sort(at, self.reversed);
        }
        let chosen = main.rows.get(self.row).or(main.rows.last()).and_then(|row| row.first());
        let name = chosen.map_or("", |cell| cell.text.as_str());
        let beside = tabs::beside(self.tab, &self.seen, name);
        std::iter::once(main).chain(beside).collect()
    }

    /// The engine ends, or there is none: what was seen of it stays, with a word about it.
    pub fn lose(&mut self, why: &str) {
        self.ended = !self.seen.now.run.id.is_empty();
        self.confirm = false;
        self.message = why.to_owned();
    }

    /// A key was pressed.
    pub fn key(&mut self, key: KeyEvent) -> Ask {
        if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') {
            return Ask::Quit;
        }
        if std::mem::take(&mut self.confirm) {
            return self.confirmed(key.code);
        }
        self.message.clear();
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc => return Ask::Quit,
            KeyCode::Tab | KeyCode::Right => self.turn_to(self.tab + 1),
            KeyCode::BackTab | KeyCode::Left => self.turn_to(self.tab + TABS.len() - 1),
            KeyCode::Char(digit @ '1'..='7') => self.turn_to(digit as usize - '1' as usize),
            KeyCode::Char('s') => self.sort_by_next(),
            KeyCode::Char('r') => self.reversed = !self.reversed,
            KeyCode::Char('n') => return Ask::NextEngine,
            KeyCode::Char('k') => {
                self.confirm = !self.ended && !self.seen.now.run.id.is_empty();
            }
            KeyCode::Down => self.move_to(self.row + 1),
            KeyCode::Up => self.move_to(self.row.saturating_sub(1)),
            KeyCode::PageDown => self.move_to(self.row + 10),
            KeyCode::PageUp => self.move_to(self.row.saturating_sub(10)),
            KeyCode::Home => self.row = 0,
            _ => {}
        }
        Ask::Nothing
    }

    fn confirmed(&mut self, code: KeyCode) -> Ask {
        match code {
            KeyCode::Char('y') => Ask::Kill { flatten: false },
            KeyCode::Char('f') => Ask::Kill { flatten: true },
            _ => {
                self.message = "not killed".to_owned();
                Ask::Nothing
            }
        }
    }

    fn turn_to(&mut self, tab: usize) {
        (self.tab, self.row) = (tab % TABS.len(), 0);
    }

    fn move_to(&mut self, row: usize) {
        let rows = self.grids().first().map_or(0, |grid| grid.rows.len());
        self.row = row.min(rows.saturating_sub(1));
    }

    /// The next column, and after the last the engine's own order.
    fn sort_by_next(&mut self) {
        let columns = self.grids().first().map_or(0, |grid| grid.columns.len());
        let next = self.sorts[self.tab].map_or(0, |at| at + 1);
        (self.sorts[self.tab], self.row) = ((next < columns).then_some(next), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top::fixture::snapshot;

    fn press(app: &mut App, keys: &str) -> Vec<Ask> {
        keys.chars().map(|c| app.key(KeyEvent::from(KeyCode::Char(c)))).collect()
    }

    #[test]
    fn a_kill_wants_two_keys_and_every_other_second_key_is_a_no() {
        let mut app = App::default();
        assert_eq!(press(&mut app, "ky"), [Ask::Nothing, Ask::Nothing], "there is no engine");
        app.take(snapshot());
        assert_eq!(press(&mut app, "kn"), [Ask::Nothing, Ask::Nothing]);
        assert_eq!(app.message, "not killed");
        assert_eq!(press(&mut app, "y"), [Ask::Nothing]);
        assert_eq!(press(&mut app, "ky"), [Ask::Nothing, Ask::Kill { flatten: false }]);
        assert_eq!(press(&mut app, "kf"), [Ask::Nothing, Ask::Kill { flatten: true }]);
        assert_eq!(press(&mut app, "kq"), [Ask::Nothing, Ask::Nothing], "q is a no, too");
        assert_eq!(press(&mut app, "q"), [Ask::Quit]);
    }

    #[test]
    fn tabs_go_round_and_columns_sort() {
        let mut app = App::default();
        app.take(snapshot());
        app.key(KeyEvent::from(KeyCode::BackTab));
        assert_eq!(TABS[app.tab], "latency");
        app.key(KeyEvent::from(KeyCode::Tab));
        assert_eq!(TABS[app.tab], "lanes");
        let first = |app: &App| app.grids()[0].rows[0][0].text.clone();
        assert_eq!(first(&app), "tick");
        press(&mut app, "sss");
        assert_eq!((app.sorts[0], first(&app)), (Some(2), "wire".to_owned()), "the busiest first");
        press(&mut app, "r");
        assert_eq!(first(&app), "tick");
        let columns = app.grids()[0].columns.len();
        press(&mut app, &"s".repeat(columns - 2));
        assert_eq!(app.sorts[0], None, "the engine's own order again");
    }

    #[test]
    fn rates_are_between_two_beats_of_one_run() {
        let mut app = App::default();
        let first = snapshot();
        app.take(first.clone());
        let mut second = first.clone();
        second.now_ns += 1_000_000_000;
        second.lanes[1].turns += 500;
        app.take(second.clone());
        app.take(second);
        let turns = &app.grids()[0].rows[1][5];
        assert_eq!(turns.text, "500");
        let mut other = first;
        other.run.id = "9-9".to_owned();
        app.take(other);
        assert!(app.seen.before.is_none());
    }
}
