//! What is on the screen, and what keys make of it. Draws nothing, asks nothing.

use std::collections::{HashMap, VecDeque};

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::output::{RenderOptions, TopList, TopRow, TopView};

/// How many looks back rates are kept.
const KEPT: usize = 120;

/// What is shown and what was typed.
pub(super) struct Screen {
    /// How times are printed.
    pub(super) options: RenderOptions,
    /// What was seen last; `None`: nothing yet.
    pub(super) view: Option<TopView>,
    /// Denied attempts a second, by scope.
    pub(super) rates: HashMap<String, VecDeque<u64>>,
    /// Which list is shown.
    pub(super) list: TopList,
    /// The chosen line.
    pub(super) chosen: usize,
    /// Only lines with this text.
    pub(super) filter: String,
    /// What keys are for.
    pub(super) mode: ScreenMode,
    /// What became of the last order, or why nothing new comes.
    pub(super) message: Option<String>,
    /// Whether what is shown stays.
    pub(super) is_paused: bool,
}

/// What keys are for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ScreenMode {
    /// Choosing lines.
    Browse,
    /// Typing a filter.
    Filter,
    /// Answering whether something is to be done.
    Ask(Order),
    /// Reading text in front of the lists.
    Read(String),
}

/// What is asked of the agent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// Why a source is denied or gets in.
    Explain {
        /// Its address or network.
        source: String,
        /// The scope of its attempts.
        scope: String,
    },
    /// Bans a source for an hour.
    Ban {
        /// Its address or network.
        source: String,
    },
    /// Exempts a source for half an hour.
    Bypass {
        /// Its address or network.
        source: String,
    },
}

impl Order {
    /// What is asked before it is done; `None`: it changes nothing.
    pub(super) fn question(&self) -> Option<String> {
        match self {
            Self::Explain { .. } => None,
            Self::Ban { source } => Some(format!("Ban {source} on the host for 1 hour?")),
            Self::Bypass { source } => Some(format!("Exempt {source} on the host for 30 minutes?")),
        }
    }
}

/// What follows of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum KeyEffect {
    /// The screen is drawn again.
    Redraw,
    /// The agent is asked.
    Do(Order),
    /// It ends.
    Quit,
}

/// Keys and what they do.
const HELP: &str = "\
1 2 3 4, Tab   denied sources, networks, rules, allowed sources
Up Down, j k   choose a line
Enter, e       explain the chosen source
b              ban it for 1 hour
p              exempt it for 30 minutes (bypass)
/              show only lines with a text; Esc ends it
Space          pause, go on
q, Ctrl-C      quit";

impl Screen {
    pub(super) fn new(options: RenderOptions) -> Self {
        Self {
            options,
            view: None,
            rates: HashMap::new(),
            list: TopList::default(),
            chosen: 0,
            filter: String::new(),
            mode: ScreenMode::Browse,
            message: None,
            is_paused: false,
        }
    }

    /// Takes a new look at it in.
    pub(super) fn take(&mut self, view: TopView) {
        self.options.now = view.time;
        for scope in &view.scopes {
            let rates = self.rates.entry(scope.scope.clone()).or_default();
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "rounded, and of a rate of packets"
            )]
            rates.push_back(scope.denied_per_second.round().max(0.0) as u64);
            while rates.len() > KEPT {
                rates.pop_front();
            }
        }
        if !self.is_paused {
            self.view = Some(view);
            self.message = None;
            self.keep_choice();
        }
    }

    /// The lines of the list that is shown.
    pub(super) fn rows(&self) -> Vec<TopRow> {
        let view = self.view.as_ref();
        view.map(|view| view.rows(self.list, &self.filter, &self.options))
            .unwrap_or_default()
    }

    fn keep_choice(&mut self) {
        let last = self.rows().len().saturating_sub(1);
        self.chosen = self.chosen.min(last);
    }

    /// What a key does.
    pub(super) fn press(&mut self, key: KeyEvent) -> KeyEffect {
        if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') {
            return KeyEffect::Quit;
        }
        match std::mem::replace(&mut self.mode, ScreenMode::Browse) {
            ScreenMode::Browse => return self.browse(key.code),
            ScreenMode::Filter => self.type_filter(key.code),
            ScreenMode::Read(_) => {}
            ScreenMode::Ask(order) => match key.code {
                KeyCode::Char('y' | 'Y') => return KeyEffect::Do(order),
                _ => self.message = Some("not done".to_owned()),
            },
        }
        KeyEffect::Redraw
    }

    fn browse(&mut self, key: KeyCode) -> KeyEffect {
        match key {
            KeyCode::Char('q') => return KeyEffect::Quit,
            KeyCode::Char('?' | 'h') => self.mode = ScreenMode::Read(HELP.to_owned()),
            KeyCode::Char('/') => self.mode = ScreenMode::Filter,
            KeyCode::Char(' ') => self.is_paused = !self.is_paused,
            KeyCode::Esc => self.filter.clear(),
            KeyCode::Tab | KeyCode::Right => self.show(1),
            KeyCode::BackTab | KeyCode::Left => self.show(TopList::ALL.len() - 1),
            KeyCode::Char(digit @ '1'..='4') => {
                let at = digit.to_digit(10).map_or(0, |digit| digit as usize - 1);
                self.list = TopList::ALL.get(at).copied().unwrap_or_default();
                self.chosen = 0;
            }
            KeyCode::Down | KeyCode::Char('j') => self.chosen = self.chosen.saturating_add(1),
            KeyCode::Up | KeyCode::Char('k') => self.chosen = self.chosen.saturating_sub(1),
            KeyCode::PageDown => self.chosen = self.chosen.saturating_add(10),
            KeyCode::PageUp => self.chosen = self.chosen.saturating_sub(10),
            KeyCode::Home => self.chosen = 0,
            KeyCode::End => self.chosen = usize::MAX,
            KeyCode::Enter | KeyCode::Char('e') => {
                return self.order(|source, scope| Order::Explain { source, scope });
            }
            KeyCode::Char('b') => return self.order(|source, _| Order::Ban { source }),
            KeyCode::Char('p') => return self.order(|source, _| Order::Bypass { source }),
            _ => {}
        }
        self.keep_choice();
        KeyEffect::Redraw
    }

    fn show(&mut self, further: usize) {
        let lists = TopList::ALL;
        let at = lists.iter().position(|list| *list == self.list);
        let next = (at.unwrap_or(0) + further) % lists.len();
        self.list = lists.get(next).copied().unwrap_or_default();
        self.chosen = 0;
    }

    fn type_filter(&mut self, key: KeyCode) {
        match key {
            KeyCode::Enter => return self.keep_choice(),
            KeyCode::Esc => {
                self.filter.clear();
                return self.keep_choice();
            }
            KeyCode::Backspace => _ = self.filter.pop(),
            KeyCode::Char(c) => self.filter.push(c),
            _ => {}
        }
        self.mode = ScreenMode::Filter;
        self.keep_choice();
    }

    /// An order about the chosen source; asked about first, if it changes anything.
    fn order(&mut self, order: impl FnOnce(String, String) -> Order) -> KeyEffect {
        let chosen = self.rows().into_iter().nth(self.chosen);
        let Some((source, scope)) = chosen.and_then(|row| row.source.zip(row.scope)) else {
            self.message = Some("no source is chosen".to_owned());
            return KeyEffect::Redraw;
        };
        let order = order(source, scope);
        match order.question() {
            None => KeyEffect::Do(order),
            Some(_) => {
                self.mode = ScreenMode::Ask(order);
                KeyEffect::Redraw
            }
        }
    }
}
