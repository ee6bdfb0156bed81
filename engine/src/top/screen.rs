//! Draws an [`App`]: two lines about the run, the tabs, the grids, the keys.

use bot4_telemetry::shared::Snapshot;
use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph, Row, Table};

use super::app::App;
use super::grid::{Cell, Column, Grid, Tone, short};
use super::tabs::TABS;

/// Lines of a grid beside its rows: title and heads.
const GRID_LINES: u16 = 2;
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
    frame.render_widget(Paragraph::new(head_of(&app.seen.now)), head);
    frame.render_widget(Paragraph::new(tabs_of(app.tab)), tabs);
    draw_grids(frame, app, body);
    frame.render_widget(Paragraph::new(foot_of(app)), foot);
    if app.confirm {
        confirm(frame, &app.seen.now.run.id);
    }
}

fn head_of(s: &Snapshot) -> Vec<Line<'static>> {
    if s.run.id.is_empty() {
        return vec![Line::from("no engine")];
    }
    let (kill, tone) = phase_of(s);
    let beat = match s.stale {
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
            format!("hot allocs {} ", s.memory.hot_allocations),
            loud(s.memory.hot_allocations > 0),
        ),
        Span::styled(format!("shed {}", s.memory.shed), loud(s.memory.shed != "none")),
    ];
    vec![Line::from(first), Line::from(second)]
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

/// The main grid takes what the others leave.
fn draw_grids(frame: &mut Frame<'_>, app: &App, area: Rect) {
    let grids = app.grids();
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
    let bold = Style::new().add_modifier(Modifier::BOLD);
    frame.render_widget(Paragraph::new(Line::styled(grid.title.clone(), bold)), title);
    let visible = usize::from(body.height.saturating_sub(1));
    // The chosen row is the last one that is shown, or above.
    let first = chosen.map_or(0, |row| (row + 1).saturating_sub(visible.max(1)));
    let rows = grid.rows.iter().enumerate().skip(first).take(visible).map(|(i, row)| {
        let cells = row.iter().zip(&grid.columns).map(|(cell, column)| shown(cell, *column));
        let mark = chosen.is_some_and(|at| at == i && at > 0);
        let modifier = if mark { Modifier::UNDERLINED } else { Modifier::empty() };
        Row::new(cells.collect::<Vec<_>>()).style(Style::new().add_modifier(modifier))
    });
    let last = grid.columns.len().saturating_sub(1);
    let widths = grid.columns.iter().enumerate().map(|(i, column)| match i == last {
        true if !column.right => Constraint::Min(column.width),
        _ => Constraint::Length(column.width),
    });
    let heads = grid.columns.iter().map(|column| {
        shown(&Cell::text(column.head), *column).style(Style::new().add_modifier(Modifier::DIM))
    });
    let table = Table::new(rows, widths.collect::<Vec<_>>());
    frame.render_widget(table.header(Row::new(heads.collect::<Vec<_>>())).column_spacing(1), body);
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
    let [area] = Layout::horizontal([Constraint::Length(70)])
        .flex(ratatui::layout::Flex::Center)
        .areas(area);
    let [area] =
        Layout::vertical([Constraint::Length(6)]).flex(ratatui::layout::Flex::Center).areas(area);
    frame.render_widget(Clear, area);
    let text = lines.map(Line::from).to_vec();
    let block = Block::bordered().title("KILL").style(style(Tone::Bad));
    frame.render_widget(Paragraph::new(text).block(block), area);
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
            &["partially_filled", "unknown", "collar", "risk judged 90"],
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
        assert!(drawn(&App::default(), (80, 24))[0].contains("no engine"));
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
