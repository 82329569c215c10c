//! The screen, on a buffer in place of a terminal.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::*;
use crate::cli::top::screen::{KeyEffect, Order};
use crate::output::{Format, RenderOptions, TopRule, TopSource};

fn options(colour: bool) -> RenderOptions {
    RenderOptions {
        format: Format::Table,
        colour,
        zone: Some(TimeZone::UTC),
        now: Timestamp::UNIX_EPOCH,
    }
}

fn source(source: &str, policy: &str, attempts: u64) -> TopSource {
    TopSource {
        source: source.to_owned(),
        scope: "postgres".to_owned(),
        reason: "blocked".to_owned(),
        policy: Some(policy.to_owned()),
        rule: Some("198.51.100.0/24".to_owned()),
        attempts,
        sampled: false,
        last_seen: Timestamp::UNIX_EPOCH,
    }
}

fn view() -> TopView {
    TopView {
        time: Timestamp::UNIX_EPOCH,
        since: Timestamp::UNIX_EPOCH,
        gap: None,
        service: None,
        scopes: vec![TopScope {
            scope: "postgres".to_owned(),
            passed_per_second: 1.5,
            denied_per_second: 40.0,
            passed: 9,
            denied: 400,
        }],
        denied: vec![
            source("198.51.100.7", "abuse", 41),
            source("2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", "other", 3),
        ],
        networks: vec![source("198.51.100.0/24", "abuse", 41)],
        rules: vec![TopRule {
            policy: "abuse".to_owned(),
            list: Some("block".to_owned()),
            rule: Some("198.51.100.0/24".to_owned()),
            hits: 41,
            sampled: true,
            last_hit: None,
        }],
        allowed: Vec::new(),
    }
}

fn screen(colour: bool) -> Screen {
    let mut screen = Screen::new(options(colour));
    for _ in 0..10 {
        screen.take(view());
    }
    screen
}

fn terminal(screen: &Screen, width: u16, height: u16) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, screen)).unwrap();
    terminal
}

fn drawn(screen: &Screen, width: u16, height: u16) -> String {
    terminal(screen, width, height).backend().to_string()
}

fn press(screen: &mut Screen, keys: &str) -> KeyEffect {
    let mut last = KeyEffect::Redraw;
    for key in keys.chars() {
        let code = match key {
            '\n' => KeyCode::Enter,
            '\t' => KeyCode::Tab,
            key => KeyCode::Char(key),
        };
        last = screen.press(KeyEvent::new(code, KeyModifiers::NONE));
    }
    last
}

#[test]
fn eighty_columns_hold_rates_sources_and_who_decided() {
    let text = drawn(&screen(false), 80, 24);
    for part in [
        "netpolicy top  00:00:00  all interfaces filtered",
        "postgres                     1.5        40.0",
        " 1 Denied ",
        "198.51.100.7",
        "2001:db8:ffff:ffff:",
        "abuse: 198.51.100.0/24",
        "q quit",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    assert!(text.contains('█'), "no sparkline in\n{text}");
}

#[test]
fn nothing_has_colour_where_none_is_wanted() {
    let is_coloured = |colour| {
        let mut screen = screen(colour);
        screen.message = Some("a message".to_owned());
        let terminal = terminal(&screen, 80, 24);
        let cells = terminal.backend().buffer().content().iter();
        cells
            .clone()
            .any(|cell| cell.fg != Color::Reset || cell.bg != Color::Reset)
    };
    assert!(!is_coloured(false));
    assert!(is_coloured(true));
}

#[test]
fn screens_of_any_size_are_drawn() {
    let mut screen = screen(true);
    for (width, height) in [(1, 1), (3, 2), (20, 4), (80, 3), (500, 100)] {
        screen.mode = ScreenMode::Browse;
        drawn(&screen, width, height);
        press(&mut screen, "?");
        drawn(&screen, width, height);
        screen.mode = ScreenMode::Browse;
        press(&mut screen, "b");
        drawn(&screen, width, height);
    }
}

#[test]
fn keys_choose_lists_and_lines_and_ask_before_anything_changes() {
    let mut screen = screen(false);
    press(&mut screen, "jjj");
    assert_eq!(screen.chosen, 1);
    press(&mut screen, "k");
    let explain = Order::Explain {
        source: "198.51.100.7".to_owned(),
        scope: "postgres".to_owned(),
    };
    assert_eq!(press(&mut screen, "\n"), KeyEffect::Do(explain));
    assert_eq!(press(&mut screen, "b"), KeyEffect::Redraw);
    let text = drawn(&screen, 80, 24);
    assert!(
        text.contains("Ban 198.51.100.7 on the host for 1 hour?"),
        "{text}"
    );
    assert_eq!(press(&mut screen, "n"), KeyEffect::Redraw);
    let ban = Order::Ban {
        source: "198.51.100.0/24".to_owned(),
    };
    assert_eq!(press(&mut screen, "2by"), KeyEffect::Do(ban));
    press(&mut screen, "3p");
    assert_eq!(screen.message.as_deref(), Some("no source is chosen"));
    assert_eq!(press(&mut screen, "q"), KeyEffect::Quit);
}

#[test]
fn filter_leaves_lines_with_its_text() {
    let mut screen = screen(false);
    press(&mut screen, "/other\n");
    let rows = screen.rows();
    assert_eq!(rows.len(), 1);
    assert!(rows[0].cells[0].starts_with("2001:db8"));
    let text = drawn(&screen, 80, 24);
    assert!(
        text.contains("/other") && !text.contains("198.51.100.7 "),
        "{text}"
    );
    screen.press(KeyEvent::new(KeyCode::Esc, KeyModifiers::NONE));
    assert_eq!(screen.rows().len(), 2);
}

#[test]
fn paused_screen_stays_and_rates_go_on() {
    let mut screen = screen(false);
    press(&mut screen, " ");
    let empty = TopView {
        denied: Vec::new(),
        ..view()
    };
    let kept = screen.rates["postgres"].len();
    screen.take(empty);
    assert_eq!(screen.rows().len(), 2);
    assert_eq!(screen.rates["postgres"].len(), kept + 1);
}

#[test]
fn rules_are_said_to_be_of_all_scopes_where_one_is_selected() {
    let mut screen = screen(false);
    assert!(drawn(&screen, 80, 24).contains(" 3 Rules "));
    screen.take(TopView {
        service: Some("postgres".to_owned()),
        ..view()
    });
    let text = drawn(&screen, 80, 24);
    let tabs = " 3 Rules of all scopes   4 Allowed";
    assert!(text.contains(tabs), "{text}");
}

#[test]
fn control_characters_of_names_are_not_drawn() {
    let mut screen = screen(false);
    let mut view = view();
    view.denied = vec![source("198.51.100.7", "ab\u{1b}[31muse", 1)];
    view.scopes[0].scope = "post\u{1b}gres".to_owned();
    screen.take(view);
    assert!(!drawn(&screen, 80, 24).contains('\u{1b}'));
}
