//! The screen, drawn: on 80 columns, and without colour where none is wanted.

use ratatui::Frame;
use ratatui::layout::{Alignment, Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Clear, Paragraph, Row, Sparkline, Table, TableState, Wrap};

use super::screen::{Screen, ScreenMode};
use crate::output::{TopList, TopScope, TopView, one_line};

/// Scopes that are shown; of more, those with most denials.
const SCOPES: usize = 5;

/// Columns that are left to what stands behind a source.
const OTHERS: usize = 52;

/// Colours, or the lack of them.
#[derive(Clone, Copy)]
struct Palette {
    is_coloured: bool,
}

impl Palette {
    fn of(self, colour: Color) -> Style {
        match self.is_coloured {
            true => Style::new().fg(colour),
            false => Style::new(),
        }
    }

    fn bad(self) -> Style {
        self.of(Color::Red).add_modifier(Modifier::BOLD)
    }
}

const BOLD: Style = Style::new().add_modifier(Modifier::BOLD);
const CHOSEN: Style = Style::new().add_modifier(Modifier::REVERSED);

/// Draws it all.
pub(super) fn draw(frame: &mut Frame<'_>, screen: &Screen) {
    let palette = Palette {
        is_coloured: screen.options.colour,
    };
    let scopes = screen.view.as_ref().map_or_else(Vec::new, shown_scopes);
    let height = u16::try_from(scopes.len()).unwrap_or(0) + 1;
    let [head, rates, tabs, list, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(height),
        Constraint::Length(1),
        Constraint::Min(1),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    draw_head(frame, head, screen, palette);
    draw_rates(frame, rates, screen, &scopes, palette);
    draw_tabs(frame, tabs, screen);
    draw_list(frame, list, screen);
    draw_foot(frame, foot, screen, palette);
    match &screen.mode {
        ScreenMode::Read(text) => draw_text(frame, text),
        ScreenMode::Ask(order) => {
            let question = order.question().unwrap_or_default();
            draw_text(
                frame,
                &format!("{}\n\ny: yes   any other key: no", one_line(&question)),
            );
        }
        ScreenMode::Browse | ScreenMode::Filter => {}
    }
}

fn shown_scopes(view: &TopView) -> Vec<&TopScope> {
    let mut scopes: Vec<_> = view.scopes.iter().collect();
    scopes.sort_by(|a, b| {
        let by_rate = b.denied_per_second.total_cmp(&a.denied_per_second);
        by_rate.then(b.denied.cmp(&a.denied))
    });
    scopes.truncate(SCOPES);
    scopes
}

fn draw_head(frame: &mut Frame<'_>, area: Rect, screen: &Screen, palette: Palette) {
    let mut parts = vec![Span::styled("netpolicy top", BOLD)];
    match &screen.view {
        None => parts.push(Span::raw("  waiting for the agent")),
        Some(view) => {
            let zone = screen.options.zone.clone();
            let zone = zone.unwrap_or_else(jiff::tz::TimeZone::system);
            let at = view.time.to_zoned(zone).strftime("%H:%M:%S").to_string();
            parts.push(Span::raw(format!("  {at}")));
            if screen.is_paused {
                parts.push(Span::styled("  paused", BOLD));
            }
            match &view.gap {
                Some(gap) => {
                    parts.push(Span::styled(format!("  {}", one_line(gap)), palette.bad()));
                }
                None => parts.push(Span::raw("  all interfaces filtered")),
            }
        }
    }
    frame.render_widget(Line::from(parts), area);
}

fn draw_rates(
    frame: &mut Frame<'_>,
    area: Rect,
    screen: &Screen,
    scopes: &[&TopScope],
    palette: Palette,
) {
    const NUMBERS: u16 = 46;
    let mut lines = vec![Line::styled(
        format!(
            "{:<20} {:>11} {:>11}  {}",
            "SCOPE", "PASSED/s", "DENIED/s", "DENIED"
        ),
        BOLD,
    )];
    lines.extend(scopes.iter().map(|scope| {
        let name: String = one_line(&scope.scope).chars().take(20).collect();
        let denied = format!("{:>11.1}", scope.denied_per_second);
        let style = match scope.denied_per_second > 0.0 {
            true => palette.bad(),
            false => Style::new(),
        };
        Line::from(vec![
            Span::raw(format!("{name:<20} {:>11.1} ", scope.passed_per_second)),
            Span::styled(denied, style),
        ])
    }));
    frame.render_widget(Paragraph::new(lines), area);
    let (line, width) = (1, area.width.saturating_sub(NUMBERS));
    for (scope, at) in scopes.iter().zip(line..) {
        let Some(rates) = screen.rates.get(&scope.scope) else {
            continue;
        };
        let row = Rect::new(area.x + NUMBERS, area.y + at, width, 1).intersection(area);
        let kept = rates.len().saturating_sub(usize::from(width));
        let data: Vec<u64> = rates.iter().skip(kept).copied().collect();
        frame.render_widget(
            Sparkline::default()
                .data(data)
                .style(palette.of(Color::Red)),
            row,
        );
    }
}

fn draw_tabs(frame: &mut Frame<'_>, area: Rect, screen: &Screen) {
    let tabs = TopList::ALL.iter().zip(1..).flat_map(|(list, key)| {
        let style = match *list == screen.list {
            true => CHOSEN,
            false => Style::new(),
        };
        let view = screen.view.as_ref();
        let title = view.map_or(list.title(), |view| view.title(*list));
        [
            Span::styled(format!(" {key} {title} "), style),
            Span::raw(" "),
        ]
    });
    let mut tabs: Vec<_> = tabs.collect();
    if screen.mode == ScreenMode::Filter || !screen.filter.is_empty() {
        let cursor = match screen.mode {
            ScreenMode::Filter => "_",
            _ => "",
        };
        tabs.push(Span::styled(
            format!(" /{}{cursor}", one_line(&screen.filter)),
            BOLD,
        ));
    }
    frame.render_widget(Line::from(tabs), area);
}

fn draw_list(frame: &mut Frame<'_>, area: Rect, screen: &Screen) {
    let rows = screen.rows();
    let widest = |column: usize, least: usize, most: usize| {
        let cells = rows.iter().filter_map(|row| row.cells.get(column));
        let widest = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
        Constraint::Length(u16::try_from(widest.clamp(least, most)).unwrap_or(u16::MAX))
    };
    // What decided is read before the end of a long address.
    let most = usize::from(area.width).saturating_sub(OTHERS).max(22);
    let widths = [
        widest(0, 7, most),
        widest(1, 5, 14),
        widest(2, 8, 12),
        widest(3, 4, 11),
        Constraint::Fill(1),
    ];
    let mut state = TableState::default();
    state.select((!rows.is_empty()).then_some(screen.chosen));
    let is_empty = rows.is_empty();
    let rows = rows.into_iter().map(|row| {
        let [name, scope, attempts, last, by] = row.cells;
        let attempts = Line::from(attempts).alignment(Alignment::Right);
        Row::new([
            Line::from(name),
            Line::from(scope),
            attempts,
            Line::from(last),
            Line::from(by),
        ])
    });
    let table = Table::new(rows, widths)
        .header(Row::new(screen.list.columns()).style(BOLD))
        .row_highlight_style(CHOSEN)
        .column_spacing(1);
    frame.render_stateful_widget(table, area, &mut state);
    if is_empty && area.height > 1 {
        let below = Rect::new(area.x, area.y + 1, area.width, 1);
        let text = match (&screen.view, screen.filter.is_empty()) {
            (None, _) => "",
            (_, true) => "nothing yet",
            (_, false) => "nothing with this text; Esc shows all",
        };
        frame.render_widget(Line::from(text), below);
    }
}

fn draw_foot(frame: &mut Frame<'_>, area: Rect, screen: &Screen, palette: Palette) {
    let foot = match &screen.message {
        Some(message) => Line::styled(one_line(message), palette.of(Color::Yellow)),
        None => Line::from(
            "q quit  1-4 lists  Enter explain  b ban  p bypass  / filter  Space pause  ? help",
        ),
    };
    frame.render_widget(foot, area);
}

/// Text in front of all.
fn draw_text(frame: &mut Frame<'_>, text: &str) {
    let whole = frame.area();
    let width = whole.width.saturating_sub(4).min(100);
    let inner = usize::from(width.saturating_sub(2)).max(1);
    let lines = text
        .lines()
        .map(|line| line.chars().count().div_ceil(inner).max(1));
    let height = u16::try_from(lines.sum::<usize>() + 2).unwrap_or(u16::MAX);
    let height = height.min(whole.height);
    let area = Rect::new(
        whole.x + (whole.width - width) / 2,
        whole.y + (whole.height - height) / 2,
        width,
        height,
    );
    frame.render_widget(Clear, area);
    let block = Block::bordered();
    let paragraph = Paragraph::new(text).wrap(Wrap { trim: false }).block(block);
    frame.render_widget(paragraph, area);
}

#[cfg(test)]
#[path = "draw_tests.rs"]
mod tests;
