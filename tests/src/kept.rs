//! Frames that once got a wrong verdict, kept in `tests/corpus/frames/`: each a JSON file with
//! the rules, the frame and the reason that it must get.

use std::path::PathBuf;

use netpolicy_common::Reason;
use serde::{Deserialize, Serialize};

use crate::binary::workspace;
use crate::reference::Rules;

/// A frame to be judged, and what must come of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Kept {
    /// What is told by it.
    pub sentence: String,
    /// It begins with an Ethernet header, else with the IP header.
    pub ethernet: bool,
    /// So many of its bytes are in the first buffer; `None`: as many as fit.
    pub linear: Option<usize>,
    /// Its bytes, hexadecimal.
    pub frame: String,
    /// The name of its reason.
    pub expected: String,
    /// What governs.
    pub rules: Rules,
}

impl Kept {
    /// A frame for a file.
    #[must_use]
    pub fn new(
        rules: &Rules,
        ethernet: bool,
        frame: &[u8],
        linear: Option<usize>,
        expected: Reason,
    ) -> Self {
        Self {
            sentence: "(what it is)".to_owned(),
            ethernet,
            linear,
            frame: frame.iter().map(|byte| format!("{byte:02x}")).collect(),
            expected: expected.name().to_owned(),
            rules: rules.clone(),
        }
    }

    /// As the text of a file.
    ///
    /// # Panics
    /// Never: it can be written as JSON.
    #[must_use]
    pub fn text(&self) -> String {
        serde_json::to_string_pretty(self).expect("plain data")
    }

    /// The frame's bytes.
    ///
    /// # Panics
    /// When the text is not hexadecimal.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let digits = self.frame.as_bytes().chunks(2);
        digits
            .map(|pair| {
                let text = std::str::from_utf8(pair).expect("digits");
                u8::from_str_radix(text, 16).expect("hexadecimal digits")
            })
            .collect()
    }

    /// The reason that it must get.
    ///
    /// # Panics
    /// When no reason has that name.
    #[must_use]
    pub fn reason(&self) -> Reason {
        let named = Reason::ALL.iter().find(|r| r.name() == self.expected);
        *named.unwrap_or_else(|| panic!("no reason is called {}", self.expected))
    }
}

/// All that are kept, by the names of their files.
///
/// # Panics
/// When one of them cannot be read.
#[must_use]
pub fn all() -> Vec<(String, Kept)> {
    let dir: PathBuf = workspace().join("tests/corpus/frames");
    let entries = std::fs::read_dir(&dir).expect("read tests/corpus/frames");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let mut all: Vec<(String, Kept)> = paths
        .filter(|path| path.extension().is_some_and(|ending| ending == "json"))
        .map(|path| {
            let name = path.display().to_string();
            let text = std::fs::read_to_string(&path).expect("read a kept frame");
            let kept = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}"));
            (name, kept)
        })
        .collect();
    all.sort_by(|(a, _), (b, _)| a.cmp(b));
    all
}
