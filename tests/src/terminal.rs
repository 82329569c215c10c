//! A program at a terminal: keys go in, and what a user would see comes out.

use std::fs::File;
use std::io::{Read, Write};
use std::num::NonZero;
use std::os::fd::OwnedFd;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use nix::pty::{Winsize, openpty};

/// High enough that nothing scrolls out, wide enough that no line is wrapped.
const SIZE: Winsize = Winsize {
    ws_row: 1000,
    ws_col: 200,
    ws_xpixel: 0,
    ws_ypixel: 0,
};

/// Longest that a test waits for what is to be seen.
const PATIENCE: Duration = Duration::from_secs(30);
/// Longest that reading hangs behind a program's end.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A program that believes that it talks to a user; killed when dropped.
pub struct Terminal {
    child: Child,
    keys: File,
    output: Receiver<Vec<u8>>,
    parser: vt100::Parser,
    columns: u16,
}

impl Terminal {
    /// Starts a command with a terminal for its input, output and errors.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn start(command: Command) -> Self {
        Self::sized(command, SIZE.ws_row, SIZE.ws_col)
    }

    /// As [`Self::start`], with a terminal of so many rows and columns.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn sized(mut command: Command, rows: u16, columns: u16) -> Self {
        let size = Winsize {
            ws_row: rows,
            ws_col: columns,
            ..SIZE
        };
        let pty = openpty(&size, None).expect("open a terminal");
        let handle = |fd: &OwnedFd| fd.try_clone().expect("a second handle");
        let child = command
            .env("TERM", "xterm")
            .stdin(handle(&pty.slave))
            .stdout(handle(&pty.slave))
            .stderr(Stdio::from(pty.slave))
            .spawn()
            .unwrap_or_else(|e| panic!("start {command:?}: {e}"));
        // The command holds the program's side, and would keep the terminal open.
        drop(command);
        let mut from = File::from(handle(&pty.master));
        let (sender, output) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // The last program that closes its side makes reading fail.
            while let Ok(len) = from.read(&mut buffer) {
                if len == 0 || sender.send(buffer[..len].to_vec()).is_err() {
                    return;
                }
            }
        });
        let cells = |n| NonZero::new(n).expect("a size");
        Self {
            child,
            keys: File::from(pty.master),
            output,
            parser: vt100::Parser::new(cells(rows), cells(columns), 0),
            columns,
        }
    }

    /// Presses keys, as the bytes that a terminal sends for them.
    ///
    /// # Panics
    /// When the terminal is gone.
    pub fn press(&mut self, keys: &str) {
        self.keys
            .write_all(keys.as_bytes())
            .expect("press the keys");
    }

    /// Types a line and waits until a prompt stands below it; returns what was printed
    /// between the two.
    ///
    /// # Panics
    /// When the prompt does not come.
    #[track_caller]
    pub fn enter(&mut self, line: &str, prompt: &str) -> String {
        self.answer(&format!("{line}\r"), prompt)
    }

    /// Presses keys and waits until a prompt stands below the line on which the cursor
    /// was; returns what was printed between the two.
    ///
    /// # Panics
    /// When the prompt does not come.
    #[track_caller]
    pub fn answer(&mut self, keys: &str, prompt: &str) -> String {
        let start = self.row();
        self.press(keys);
        self.wait(prompt, |seen| seen.row() > start && seen.line() == prompt);
        let between = usize::from(self.row() - start - 1);
        let rows = self.rows().into_iter().skip(usize::from(start) + 1);
        rows.take(between).map(|row| row + "\n").collect()
    }

    /// Waits until the cursor's line is this one.
    ///
    /// # Panics
    /// When it does not become so.
    #[track_caller]
    pub fn wait_for_line(&mut self, line: &str) {
        self.wait(line, |seen| seen.line() == line);
    }

    /// Waits until a text is to be seen.
    ///
    /// # Panics
    /// When it does not come.
    #[track_caller]
    pub fn wait_for_text(&mut self, text: &str) {
        self.wait(text, |seen| seen.seen().contains(text));
    }

    /// Waits for the program's end, and takes in its last words.
    ///
    /// # Panics
    /// When it goes on.
    #[track_caller]
    pub fn end(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child of this process") {
                while let Ok(bytes) = self.output.recv_timeout(LAST_WORDS) {
                    self.parser.process(&bytes);
                }
                return status;
            }
            assert!(Instant::now() < deadline, "it goes on:\n{}", self.seen());
            self.see(Duration::from_millis(20));
        }
    }

    /// All that is to be seen.
    #[must_use]
    pub fn seen(&self) -> String {
        self.rows().join("\n").trim_end().to_owned()
    }

    /// Whether anything on it has a colour of its own.
    #[must_use]
    pub fn is_coloured(&self) -> bool {
        let screen = self.parser.screen();
        let (rows, columns) = screen.size();
        let mut cells =
            (0..rows.get()).flat_map(|row| (0..columns.get()).map(move |column| (row, column)));
        cells.any(|(row, column)| {
            let cell = screen.cell(row, column);
            cell.is_some_and(|cell| {
                cell.fgcolor() != vt100::Color::Default || cell.bgcolor() != vt100::Color::Default
            })
        })
    }

    #[track_caller]
    fn wait(&mut self, what: &str, is_there: impl Fn(&Self) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !is_there(self) {
            let ended = self.child.try_wait().expect("a child of this process");
            assert!(
                Instant::now() < deadline && ended.is_none(),
                "no {what:?}, {ended:?}:\n{}",
                self.seen()
            );
            self.see(Duration::from_millis(100));
        }
    }

    /// Takes in what the program prints for so long, or until it prints something.
    fn see(&mut self, time: Duration) {
        match self.output.recv_timeout(time) {
            Ok(bytes) => self.parser.process(&bytes),
            Err(RecvTimeoutError::Timeout) => {}
            // Nothing comes any more; its end is for others to see.
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(time),
        }
    }

    fn rows(&self) -> Vec<String> {
        let rows = self.parser.screen().rows(0, self.columns);
        rows.map(|row| row.trim_end().to_owned()).collect()
    }

    fn row(&self) -> u16 {
        self.parser.screen().cursor_position().0
    }

    /// The cursor's line.
    fn line(&self) -> String {
        let mut rows = self.rows().into_iter();
        rows.nth(usize::from(self.row())).unwrap_or_default()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
