//! Draws an [`App`]: two lines about the run, the tabs, the grids, the keys.

use bot4_telemetry::shared::Snapshot;
use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Flex, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph, Row, Table, Wrap};

use super::app::App;
use super::grid::{Cell, Column, Grid, Tone, short};
use super::tabs::TABS;

/// Lines of a grid beside its rows: title and heads.
const GRID_LINES: u16 = 2;
/// Characters between grids that stand side by side.
const BESIDE: u16 = 3;
/// Lines that the main grid has at least.
const MAIN_LINES_MIN: u16 = 5;

/// Draws everything.
pub fn draw(frame: &mut Frame<'_>, app: &App) {
    let lines = [2, 1].map(Constraint::Length);
    let [head, tabs, body, foot] = Layout::vertical([
        lines[0],
        lines[1],
        Constraint::Min(MAIN_LINES_MIN),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    frame.render_widget(Paragraph::new(head_of(&app.seen.now, app.ended)), head);
    frame.render_widget(Paragraph::new(tabs_of(app.tab)), tabs);
    match app.seen.now.run.id.is_empty() {
        true => frame.render_widget(Paragraph::new(nothing()).centered(), body),
        false => draw_grids(frame, app, body),
    }
    frame.render_widget(Paragraph::new(foot_of(app)), foot);
    if app.confirm {
        confirm(frame, &app.seen.now.run.id);
    }
}

/// What stands where there is no engine.
fn nothing() -> Vec<Line<'static>> {
    [
        "",
        "",
        "No engine runs here.",
        "",
        "`bot4 run` starts one; it is shown as soon as it is there.",
    ]
    .map(Line::from)
    .to_vec()
}

fn head_of(s: &Snapshot, ended: bool) -> Vec<Line<'static>> {
    if s.run.id.is_empty() {
        return vec![Line::from("bot4: no engine")];
    }
    let (kill, tone) = if ended { ("ENDED".to_owned(), Tone::Bad) } else { phase_of(s) };
    let beat = match s.stale && !ended {
        true => Span::styled(format!(" NO BEAT FOR {} ms", s.beat_age_ms), style(Tone::Bad)),
        false => Span::raw(""),
    };
    let r = &s.risk;
    let money = |v: Option<f64>| v.map_or_else(|| "-".to_owned(), |v| format!("{v:.2}"));
    let pnl = r.pnl.realized.zip(r.pnl.unrealized).map(|(a, b)| a + b - r.pnl.fees.unwrap_or(0.0));
    let loud = |bad: bool| style(if bad { Tone::Bad } else { Tone::Plain });
    let first = vec![
        Span::raw(format!("bot4 {} {} ", s.run.id, s.run.venue)),
        Span::styled(kill, style(tone)),
        Span::raw(format!(" {} up {} s", s.kill.mode, s.run.uptime_ms / 1_000)),
        beat,
    ];
    let second = vec![
        Span::raw(format!("equity {} {} pnl {} ", money(r.equity.now), s.run.asset, money(pnl))),
        Span::raw(format!("open {} fills {} ", s.orders.open, short(s.orders.fills as f64))),
        Span::styled(format!("unknown {} ", s.orders.unknown), loud(s.orders.unknown > 0)),
        Span::styled(
            format!("allocs {} ", s.memory.hot_allocations),
            loud(s.memory.hot_allocations > 0),
        ),
        Span::styled(shed(s), style(Tone::Bad)),
    ];
    vec![Line::from(first), Line::from(second)]
}

/// What a lane that cannot keep up gave up; nothing where none had to.
fn shed(s: &Snapshot) -> String {
    match s.memory.shed.as_str() {
        "none" | "" => String::new(),
        what => format!("shed {what}"),
    }
}

fn phase_of(s: &Snapshot) -> (String, Tone) {
    match s.kill.phase.as_str() {
        "run" if s.risk.breakers.global == "open" => ("BREAKERS OPEN".to_owned(), Tone::Bad),
        "run" => ("trading".to_owned(), Tone::Good),
        "kill" if s.kill.flatten => ("STOPPED, CLOSING".to_owned(), Tone::Bad),
        "kill" => ("STOPPED".to_owned(), Tone::Bad),
        other => (other.to_owned(), Tone::Warn),
    }
}

fn tabs_of(chosen: usize) -> Line<'static> {
    let name = |(i, name): (usize, &&str)| {
        let style = match i == chosen {
            true => Style::new().add_modifier(Modifier::REVERSED),
            false => Style::new(),
        };
        Span::styled(format!(" {} {name} ", i + 1), style)
    };
    Line::from(TABS.iter().enumerate().map(name).collect::<Vec<_>>())
}

fn foot_of(app: &App) -> Line<'static> {
    if !app.message.is_empty() {
        return Line::styled(app.message.clone(), style(Tone::Warn));
    }
    let sorted = app.sorts[app.tab].and_then(|at| app.grids().first()?.columns.get(at).copied());
    let by = sorted.map_or_else(String::new, |c| format!(" by {}", c.head));
    Line::styled(
        format!("q quit  tab next  s sort{by}  r reverse  arrows move  n engine  k KILL"),
        Style::new().add_modifier(Modifier::DIM),
    )
}

/// Side by side where both do not fit below each other but beside; else the main grid takes what
/// the other leaves.
fn draw_grids(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let grids = app.grids();
    if let [main, other] = grids.as_slice()
        && main.rows.len() + other.rows.len() + 2 * usize::from(GRID_LINES) > area.height.into()
        && main.width() + BESIDE + other.width() <= area.width
    {
        let parts = [Constraint::Length(main.width() + BESIDE), Constraint::Min(0)];
        let [left, right] = Layout::horizontal(parts).areas(area);
        draw_grid(frame, main, left, Some(app.row));
        return draw_grid(frame, other, right, None);
    }
    let wanted = |grid: &Grid| grid.rows.len() as u16 + GRID_LINES;
    let others: u16 = grids.iter().skip(1).map(wanted).sum();
    let main = grids.first().map_or(0, wanted);
    let main = main.min(area.height.saturating_sub(others).max(MAIN_LINES_MIN));
    let heights = grids.iter().enumerate().map(|(i, grid)| match i {
        0 if grids.len() == 1 => Constraint::Min(0),
        0 => Constraint::Length(main),
        _ => Constraint::Max(wanted(grid)),
    });
    let areas = Layout::vertical(heights.collect::<Vec<_>>()).split(area);
    for (i, (grid, area)) in grids.iter().zip(areas.iter()).enumerate() {
        let chosen = (i == 0).then_some(app.row);
        draw_grid(frame, grid, *area, chosen);
    }
}

fn draw_grid(frame: &mut Frame<'_>, grid: &Grid, area: Rect, chosen: Option<usize>) {
    let [title, body] = Layout::vertical([Constraint::Length(1), Constraint::Min(0)]).areas(area);
    let visible = usize::from(body.height.saturating_sub(1));
    // The chosen row is the last one that is shown, or above.
    let first = chosen.map_or(0, |row| (row + 1).saturating_sub(visible.max(1)));
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let told = titled(grid, first, visible, area.width);
    frame.render_widget(Paragraph::new(Line::styled(told, bold)), title);
    // A column that does not fit is left out: half a number is a wrong one.
    let fitting = fitting(grid, area.width);
    let rows = grid.rows.iter().enumerate().skip(first).take(visible).map(|(i, row)| {
        let cells = row.iter().zip(fitting).map(|(cell, column)| shown(cell, *column));
        let mark = chosen.is_some_and(|at| at == i && at > 0);
        let modifier = if mark { Modifier::UNDERLINED } else { Modifier::empty() };
        Row::new(cells.collect::<Vec<_>>()).style(Style::new().add_modifier(modifier))
    });
    let last = fitting.len().saturating_sub(1);
    let widths = fitting.iter().enumerate().map(|(i, column)| match i == last {
        true if !column.right => Constraint::Min(column.width),
        _ => Constraint::Length(column.width),
    });
    let heads = fitting.iter().map(|column| {
        shown(&Cell::text(column.head), *column).style(Style::new().add_modifier(Modifier::DIM))
    });
    let table = Table::new(rows, widths.collect::<Vec<_>>());
    frame.render_widget(table.header(Row::new(heads.collect::<Vec<_>>())).column_spacing(1), body);
}

/// The title, and which rows are in sight where not all are.
fn titled(grid: &Grid, first: usize, visible: usize, width: u16) -> String {
    let all = grid.rows.len();
    if visible >= all {
        return grid.title.clone();
    }
    let part = format!(" ({} to {} of {all})", first + 1, (first + visible).min(all));
    let room = usize::from(width).saturating_sub(part.len());
    grid.title.chars().take(room).collect::<String>() + &part
}

/// The columns that fit into `width`, the first one always.
fn fitting(grid: &Grid, width: u16) -> &[Column] {
    let ends = grid.columns.iter().scan(0, |end, column| {
        *end += column.width + 1;
        Some(*end - 1)
    });
    let count = ends.take_while(|end| *end <= width).count();
    &grid.columns[..count.max(1).min(grid.columns.len())]
}

fn shown(cell: &Cell, column: Column) -> ratatui::widgets::Cell<'static> {
    let alignment = if column.right { Alignment::Right } else { Alignment::Left };
    let line = Line::from(cell.text.clone()).alignment(alignment);
    ratatui::widgets::Cell::from(line).style(style(cell.tone))
}

fn style(tone: Tone) -> Style {
    match tone {
        Tone::Plain => Style::new(),
        Tone::Good => Style::new().fg(Color::Green),
        Tone::Warn => Style::new().fg(Color::Yellow),
        Tone::Bad => Style::new().fg(Color::Red).add_modifier(Modifier::BOLD),
    }
}

/// The question before a kill.
fn confirm(frame: &mut Frame<'_>, run: &str) {
    let lines = [
        format!("Stop run {run}?"),
        "No new order, everything open is cancelled, until `bot4 resume`.".to_owned(),
        String::new(),
        "y  stop     f  stop and close what is held     any other key  no".to_owned(),
    ];
    let area = frame.area();
    // Lines break on a narrow terminal.
    let height = if area.width < 72 { 10 } else { 6 };
    let [area] = Layout::horizontal([Constraint::Length(70)]).flex(Flex::Center).areas(area);
    let [area] = Layout::vertical([Constraint::Length(height)]).flex(Flex::Center).areas(area);
    frame.render_widget(Clear, area);
    let text = lines.map(Line::from).to_vec();
    let block = Block::bordered().title("KILL").style(style(Tone::Bad));
    let question = Paragraph::new(text).wrap(Wrap { trim: true });
    frame.render_widget(question.block(block), area);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::top::fixture::snapshot;
    use ratatui::Terminal;
    use ratatui::backend::TestBackend;

    /// The screen as text, lines without what trails.
    fn drawn(app: &App, (columns, lines): (u16, u16)) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(columns, lines)).expect("a terminal");
        terminal.draw(|frame| draw(frame, app)).expect("drawn");
        let buffer = terminal.backend().buffer().clone();
        let line = |y: u16| (0..columns).map(|x| buffer[(x, y)].symbol()).collect::<String>();
        (0..lines).map(|y| line(y).trim_end().to_owned()).collect()
    }

    fn app_at(tab: usize) -> App {
        let mut app = App::default();
        app.take(snapshot());
        app.tab = tab;
        app
    }

    #[test]
    fn every_tab_fits_into_80_by_24_and_says_what_it_must() {
        let wanted: [&[&str]; 7] = [
            &["tick", "wire", "busy%", "12.5", "7"],
            &["frames[0]", "512", "50.0", "stop-input"],
            &["wire.0", "DOWN", "binance", "ready"],
            &["BTCUSDT", "live", "61000.10", "61000.20", "0.5", "ETHUSDT", "gap"],
            &["gross exposure", "250.00", "1000.00", "25.0", "breakers half_open", "strategy:1"],
            &["partially_filled", "unknown", "collar", "risk refused 0 of 90"],
            &["tick_to_trade", "18.50", "msg_parse"],
        ];
        for (tab, texts) in wanted.iter().enumerate() {
            let screen = drawn(&app_at(tab), (80, 24));
            let all = screen.join("\n");
            assert!(screen[0].contains("1-2") && screen[0].contains("trading"), "{all}");
            assert!(screen[1].contains("equity 10000.50 USDT"), "{all}");
            assert!(screen[23].contains("k KILL"), "{all}");
            texts.iter().for_each(|text| assert!(all.contains(text), "tab {tab}: {text}\n{all}"));
        }
    }

    #[test]
    fn what_is_wrong_is_loud() {
        let mut app = app_at(0);
        app.seen.now.stale = true;
        app.seen.now.beat_age_ms = 9_000;
        app.seen.now.kill.phase = "kill".to_owned();
        let screen = drawn(&app, (80, 24));
        assert!(screen[0].contains("STOPPED") && screen[0].contains("NO BEAT FOR 9000 ms"));
        app.confirm = true;
        let all = drawn(&app, (80, 24)).join("\n");
        assert!(all.contains("Stop run 1-2?") && all.contains("f  stop and close"), "{all}");
        app.confirm = false;
        app.message = "stopped".to_owned();
        assert!(drawn(&app, (80, 24))[23].contains("stopped"));
    }

    #[test]
    fn small_and_empty_screens_are_drawn() {
        for size in [(1, 1), (20, 5), (200, 60)] {
            (0..TABS.len()).for_each(|tab| drop(drawn(&app_at(tab), size)));
            drawn(&App::default(), size);
        }
        let none = drawn(&App::default(), (80, 24)).join("\n");
        assert!(none.contains("no engine") && none.contains("`bot4 run` starts one"), "{none}");
    }

    /// A price without its first digit looks like a price.
    #[test]
    fn numbers_are_whole_or_not_there() {
        let mut app = app_at(3);
        let long = |price: &str| {
            vec![bot4_telemetry::shared::snapshot::Level {
                price: price.to_owned(),
                qty: "0.06790000".to_owned(),
            }]
        };
        let book = &mut app.seen.now.books[0];
        (book.bids, book.asks) = (long("159991.32000000"), long("159991.50000000"));
        let screen = drawn(&app, (80, 24));
        let row = screen.iter().find(|line| line.starts_with("BTCUSDT  ")).expect("its row");
        assert!(row.contains(" 159991.32 ") && row.contains(" 159991.50 "), "{row}");
        let all = screen.join("\n");
        assert!(all.contains("0.0679") && !all.contains("0.06790"), "{all}");
        app.tab = 6;
        let narrow = drawn(&app, (60, 24)).join("\n");
        assert!(narrow.contains("p99 us") && !narrow.contains("max us"), "{narrow}");
    }

    /// At 80 by 24 every state and refusal of a busy run is in sight.
    #[test]
    fn what_does_not_fit_below_stands_beside_or_is_counted() {
        let mut app = app_at(5);
        let orders = &mut app.seen.now.orders;
        orders.by_state = (0..13).map(|n| (format!("state_{n:02}"), n)).collect();
        orders.refused_by = (0..12).map(|n| (format!("reason_{n:02}"), n)).collect();
        let all = drawn(&app, (80, 24)).join("\n");
        let every = (0..13).all(|n| all.contains(&format!("state_{n:02}")));
        assert!(every && (0..12).all(|n| all.contains(&format!("reason_{n:02}"))), "{all}");
        app.seen.now.orders.by_state = (0..40).map(|n| (format!("state_{n:02}"), n)).collect();
        assert!(drawn(&app, (80, 24)).join("\n").contains("(1 to 18 of 40)"));
    }

    #[test]
    fn the_ladder_is_that_of_the_chosen_row_however_it_is_sorted() {
        let mut app = app_at(3);
        app.sorts[3] = Some(0);
        app.reversed = true;
        let first = app.grids()[0].rows[0][0].text.clone();
        assert_eq!(first, "ETHUSDT");
        assert!(app.grids()[1].title.starts_with("ETHUSDT at"), "{}", app.grids()[1].title);
        app.row = 1;
        assert!(app.grids()[1].title.starts_with("BTCUSDT at"));
    }

    #[test]
    fn what_was_seen_of_an_engine_that_ended_stays_and_cannot_be_killed() {
        use ratatui::crossterm::event::{KeyCode, KeyEvent};
        let mut app = app_at(6);
        app.lose("no engine runs");
        let screen = drawn(&app, (80, 24));
        assert!(screen[0].contains("ENDED") && screen[23].contains("no engine runs"), "{screen:?}");
        assert!(screen.join("\n").contains("tick_to_trade"));
        app.key(KeyEvent::from(KeyCode::Char('k')));
        assert!(!app.confirm, "there is nobody to stop");
        app.take(snapshot());
        assert!(drawn(&app, (80, 24))[0].contains("trading"));
    }

    #[test]
    fn a_narrow_terminal_asks_the_whole_question() {
        let mut app = app_at(0);
        app.confirm = true;
        let all = drawn(&app, (50, 20)).join("\n");
        assert!(all.contains("y  stop") && all.contains("any other key"), "{all}");
    }

    /// The names that two lanes for five venues have.
    #[test]
    fn folded_lanes_tell_what_runs_on_them() {
        let mut app = app_at(0);
        let lane = &mut app.seen.now.lanes[0];
        lane.name = "execution+execution.4".to_owned();
        lane.agents = (0..5).map(|n| format!("execution.{n}")).collect();
        lane.agents.extend((0..5).map(|n| format!("wire.{n}")));
        let all = drawn(&app, (80, 24)).join("\n");
        assert!(all.contains("execution+execution.4 "), "{all}");
        assert!(all.contains("execution.0 execution.1") && all.contains("wire.4"), "{all}");
    }

    #[test]
    fn the_chosen_row_stays_in_sight() {
        let mut app = app_at(1);
        let link = app.seen.now.links[0].clone();
        app.seen.now.links = vec![link; 60];
        for (i, link) in app.seen.now.links.iter_mut().enumerate() {
            link.plate.name = format!("l{i}");
        }
        app.row = 59;
        assert!(drawn(&app, (80, 24)).join("\n").contains("l59"));
    }
}
