//! A terminal, drawn on until the user leaves.

use std::io;
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyEvent, KeyEventKind};
use tokio::sync::mpsc;

use super::actions;
use super::collect::{self, TopCollector};
use super::draw;
use super::screen::{KeyEffect, Screen, ScreenMode};
use crate::cli::context::Context;

/// What a terminal says.
enum TerminalInput {
    Key(KeyEvent),
    Resized,
}

/// The terminal, given back as it was.
struct BorrowedTerminal(DefaultTerminal);

impl BorrowedTerminal {
    fn take() -> io::Result<Self> {
        ratatui::try_init().map(Self)
    }
}

impl Drop for BorrowedTerminal {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

/// Draws until `q`, or until the terminal is gone.
///
/// # Errors
/// The terminal cannot be drawn on.
pub(super) async fn run(
    collector: TopCollector,
    interval: Duration,
    cx: &mut Context<'_>,
) -> anyhow::Result<()> {
    let client = cx.client.clone();
    let mut screen = Screen::new(cx.options.clone());
    let mut views = collect::watch(collector, interval);
    let mut inputs = inputs()?;
    let mut terminal = BorrowedTerminal::take()?;
    loop {
        terminal.0.draw(|frame| draw::draw(frame, &screen))?;
        tokio::select! {
            view = views.recv() => match view {
                Some(Ok(view)) => screen.take(view),
                Some(Err(error)) => screen.message = Some(error),
                None => return Ok(()),
            },
            input = inputs.recv() => match input {
                None => return Ok(()),
                Some(TerminalInput::Resized) => {}
                Some(TerminalInput::Key(key)) => match screen.press(key) {
                    KeyEffect::Redraw => {}
                    KeyEffect::Quit => return Ok(()),
                    KeyEffect::Do(order) => match actions::carry_out(&client, &order).await {
                        Ok(answer) => match order.question() {
                            None => screen.mode = ScreenMode::Read(answer),
                            Some(_) => screen.message = Some(answer),
                        },
                        Err(error) => screen.message = Some(error),
                    },
                },
            },
        }
    }
}

/// Keys, read by a thread that ends with the process, or with the terminal.
fn inputs() -> io::Result<mpsc::UnboundedReceiver<TerminalInput>> {
    let (sender, receiver) = mpsc::unbounded_channel();
    let read = move || {
        while let Ok(event) = event::read() {
            let input = match event {
                Event::Key(key) if key.kind == KeyEventKind::Press => TerminalInput::Key(key),
                Event::Resize(..) => TerminalInput::Resized,
                _ => continue,
            };
            if sender.send(input).is_err() {
                return;
            }
        }
    };
    std::thread::Builder::new()
        .name("keys".to_owned())
        .spawn(read)?;
    Ok(receiver)
}
