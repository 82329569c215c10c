//! Which characters control a terminal, or hide what stands around them.

/// Whether a character steers a terminal, or hides or reorders what stands around it:
/// Unicode's categories Cc, Cf, Zl and Zp (Unicode 17.0, `DerivedGeneralCategory.txt`),
/// except the line break.
#[must_use]
pub fn steers(c: char) -> bool {
    c != '\n'
        && (c.is_control()
            || matches!(c,
                '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}'
                | '\u{890}'..='\u{891}' | '\u{8e2}' | '\u{180e}' | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}'
                | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}'
                | '\u{1d173}'..='\u{1d17a}' | '\u{e0001}' | '\u{e0020}'..='\u{e007f}'))
}

/// The text with what [`steers`] escaped; line breaks are kept.
#[must_use]
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if steers(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// The text on one line, without what steers a terminal.
#[must_use]
pub fn one_line(text: &str) -> String {
    escape(text).replace('\n', "\\n")
}
