//! The differences between two states, as a unified diff of their policy files.
//!
//! The files are never written out: what both states share, or have alike, is passed over
//! rule by rule, so that a difference of millions of rules needs no memory for the rest.

use std::cmp::Ordering;
use std::fmt::Write;

use super::file::{Section, SectionPart, sections};
use super::list::{Segment, ascending, rules_of};
use super::{Rule, RuleList, State};

/// Lines of both files around what differs.
const CONTEXT: usize = 3;

/// A unified diff.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unified {
    /// Its lines, without the two that name the files; empty: the files are the same.
    pub text: String,
    /// How many lines that differ are not in it, since it would be longer than allowed.
    pub left_out: u64,
}

/// The difference between the policy files of `old` and `new`, of `limit` bytes at most.
#[must_use]
pub fn unified(old: &State, new: &State, limit: usize) -> Unified {
    let mut hunks = Hunks::new(limit);
    let (old, new) = (sections(old), sections(new));
    let (mut i, mut j) = (0, 0);
    loop {
        let (a, b) = (old.get(i), new.get(j));
        let order = match (a, b) {
            (None, None) => break,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(a), Some(b)) => a.key.cmp(&b.key),
        };
        let a = a.filter(|_| order.is_le());
        let b = b.filter(|_| order.is_ge());
        i += usize::from(a.is_some());
        j += usize::from(b.is_some());
        match (a, b) {
            (Some(a), Some(b)) => section(a, b, &mut hunks),
            (a, b) => {
                a.into_iter()
                    .for_each(|a| whole(a, Sign::Removed, &mut hunks));
                b.into_iter()
                    .for_each(|b| whole(b, Sign::Added, &mut hunks));
            }
        }
    }
    hunks.finish()
}

/// A section that only one of the files has.
fn whole(section: &Section<'_>, sign: Sign, hunks: &mut Hunks) {
    for part in &section.parts {
        whole_part(part, sign, hunks);
    }
}

/// A part that only one of the files has.
fn whole_part(part: &SectionPart<'_>, sign: Sign, hunks: &mut Hunks) {
    match part {
        SectionPart::Rules(key, references, list) => {
            hunks.change(sign, &format!("{key} = ["));
            references.iter().for_each(|line| hunks.change(sign, line));
            hunks.changes(sign, list.len(), list.iter());
            hunks.change(sign, "]");
        }
        SectionPart::Lines(..) => part.lines(|line| hunks.change(sign, line)),
    }
}

/// A section that both files have.
fn section(old: &Section<'_>, new: &Section<'_>, hunks: &mut Hunks) {
    let is = |key: &'static str| move |part: &&SectionPart<'_>| part.key() == key;
    for key in ["head", "allow", "block", "except", "entries", "tail"] {
        let a = old.parts.iter().find(is(key));
        let b = new.parts.iter().find(is(key));
        match (a, b) {
            (Some(SectionPart::Rules(_, before, a)), Some(SectionPart::Rules(_, after, b))) => {
                hunks.keep(1, |_| format!("{key} = ["));
                lines(before, after, hunks);
                rules(a, b, hunks);
                hunks.keep(1, |_| "]".to_owned());
            }
            (Some(SectionPart::Lines(_, a)), Some(SectionPart::Lines(_, b))) => lines(a, b, hunks),
            (a, b) => {
                if let Some(part) = a {
                    whole_part(part, Sign::Removed, hunks);
                }
                if let Some(part) = b {
                    whole_part(part, Sign::Added, hunks);
                }
            }
        }
    }
}

/// A few lines.
fn lines(old: &[String], new: &[String], hunks: &mut Hunks) {
    let mut next = 0;
    let mut kept = Vec::new();
    for (at, line) in old.iter().enumerate() {
        // Lines of one part stand in one order, each key once.
        if let Some(found) = new[next..].iter().position(|other| other == line) {
            kept.push((at, next + found));
            next += found + 1;
        }
    }
    let (mut i, mut j) = (0, 0);
    for (at, to) in kept.into_iter().chain([(old.len(), new.len())]) {
        old[i..at]
            .iter()
            .for_each(|line| hunks.change(Sign::Removed, line));
        new[j..to]
            .iter()
            .for_each(|line| hunks.change(Sign::Added, line));
        if let Some(line) = old.get(at) {
            hunks.keep(1, |_| line.clone());
        }
        (i, j) = (at + 1, to + 1);
    }
}

/// Two long lists, a rule a line.
fn rules(old: &RuleList, new: &RuleList, hunks: &mut Hunks) {
    for segment in old.segments(new) {
        match segment {
            Segment::Shared(chunk) => {
                let rules = chunk.rules();
                hunks.keep(rules.len(), |i| SectionPart::rule_line(&rules[i]));
            }
            Segment::Differing(a, b) => {
                let (a, b): (Vec<&Rule>, Vec<&Rule>) =
                    (rules_of(a).collect(), rules_of(b).collect());
                differing(&a, &b, hunks);
            }
        }
    }
}

fn differing(a: &[&Rule], b: &[&Rule], hunks: &mut Hunks) {
    let line = |rule: &Rule| SectionPart::rule_line(rule);
    let alike = a.iter().zip(b).take_while(|(a, b)| a.same_words(b)).count();
    hunks.keep(alike, |i| line(a[i]));
    let (a, b) = (&a[alike..], &b[alike..]);
    let pairs = a.iter().rev().zip(b.iter().rev());
    let back = pairs.take_while(|(a, b)| a.same_words(b)).count();
    let (a_end, b_end) = (a.len() - back, b.len() - back);
    let (mut i, mut j) = (0, 0);
    for (at, to) in common(&a[..a_end], &b[..b_end])
        .into_iter()
        .chain([(a_end, b_end)])
    {
        hunks.changes(Sign::Removed, at - i, a[i..at].iter().copied());
        hunks.changes(Sign::Added, to - j, b[j..to].iter().copied());
        if at < a_end {
            hunks.keep(1, |_| line(a[at]));
        }
        (i, j) = (at + 1, to + 1);
    }
    hunks.keep(back, |k| line(a[a_end + k]));
}

/// The most rules that both have in the same order, as pairs of places: a longest ascending
/// sequence, since a list has each rule once.
fn common(old: &[&Rule], new: &[&Rule]) -> Vec<(usize, usize)> {
    let sorted = |rules: &[&Rule]| {
        let mut order: Vec<usize> = (0..rules.len()).collect();
        order.sort_by(|&a, &b| words(rules[a]).cmp(&words(rules[b])).then(a.cmp(&b)));
        order
    };
    let (ours, theirs) = (sorted(old), sorted(new));
    let mut pairs = Vec::new();
    let (mut i, mut j) = (0, 0);
    while let (Some(&a), Some(&b)) = (ours.get(i), theirs.get(j)) {
        let order = words(old[a]).cmp(&words(new[b]));
        if order.is_eq() {
            pairs.push((a, b));
        }
        i += usize::from(order.is_le());
        j += usize::from(order.is_ge());
    }
    pairs.sort_unstable();
    ascending(&pairs)
}

/// What a rule's line says, as something to sort by.
fn words(rule: &Rule) -> impl Ord + '_ {
    (rule.net, rule.note.as_deref())
}

/// Whose line it is.
#[derive(Clone, Copy)]
enum Sign {
    Removed,
    Added,
}

/// Lines to hunks.
struct Hunks {
    text: String,
    limit: usize,
    left_out: u64,
    /// Lines passed of the old file and the new one.
    passed: (usize, usize),
    /// The last lines that were kept, at most [`CONTEXT`], which a hunk may begin with.
    held: Vec<String>,
    hunk: Option<Hunk>,
}

struct Hunk {
    /// Lines before it.
    start: (usize, usize),
    /// Its lines.
    count: (usize, usize),
    body: String,
    /// Lines kept since its last change, of which the first [`CONTEXT`] are in it.
    kept: usize,
}

impl Hunks {
    fn new(limit: usize) -> Self {
        Self {
            text: String::new(),
            limit,
            left_out: 0,
            passed: (0, 0),
            held: Vec::new(),
            hunk: None,
        }
    }

    /// Lines that both files have; `line` makes those that are shown.
    fn keep(&mut self, count: usize, line: impl Fn(usize) -> String) {
        if self.left_out > 0 {
            return;
        }
        let mut index = 0;
        if let Some(hunk) = &mut self.hunk {
            while index < count && hunk.kept < CONTEXT {
                push(&mut hunk.body, ' ', &line(index));
                hunk.count.0 += 1;
                hunk.count.1 += 1;
                hunk.kept += 1;
                index += 1;
            }
            hunk.kept += count - index;
        }
        let from = index.max(count.saturating_sub(CONTEXT));
        self.held.extend((from..count).map(line));
        let surplus = self.held.len().saturating_sub(CONTEXT);
        self.held.drain(..surplus);
        self.passed.0 += count;
        self.passed.1 += count;
        if self
            .hunk
            .as_ref()
            .is_some_and(|hunk| hunk.kept > 2 * CONTEXT)
        {
            self.close();
        }
    }

    /// A line that only one of the files has.
    fn change(&mut self, sign: Sign, line: &str) {
        let length = self.text.len() + self.hunk.as_ref().map_or(0, |hunk| hunk.body.len());
        if self.left_out > 0 || length + line.len() > self.limit {
            self.left_out += 1;
            return;
        }
        let held = &mut self.held;
        let passed = self.passed;
        let hunk = self.hunk.get_or_insert_with(|| Hunk {
            start: (passed.0 - held.len(), passed.1 - held.len()),
            count: (0, 0),
            body: String::new(),
            kept: 0,
        });
        for line in held.drain(..) {
            push(&mut hunk.body, ' ', &line);
            hunk.count.0 += 1;
            hunk.count.1 += 1;
        }
        hunk.kept = 0;
        let mark = match sign {
            Sign::Removed => {
                self.passed.0 += 1;
                hunk.count.0 += 1;
                '-'
            }
            Sign::Added => {
                self.passed.1 += 1;
                hunk.count.1 += 1;
                '+'
            }
        };
        push(&mut hunk.body, mark, line);
    }

    /// So many rules that only one of the files has; once the text is full they are counted.
    fn changes<'r>(&mut self, sign: Sign, count: usize, rules: impl Iterator<Item = &'r Rule>) {
        let mut left = count;
        for rule in rules {
            if self.left_out > 0 {
                self.left_out += u64::try_from(left).unwrap_or(u64::MAX);
                return;
            }
            self.change(sign, &SectionPart::rule_line(rule));
            left -= 1;
        }
    }

    fn close(&mut self) {
        let Some(hunk) = self.hunk.take() else {
            return;
        };
        // Writing to a `String` cannot fail.
        let _ = writeln!(
            self.text,
            "@@ -{} +{} @@",
            range(hunk.start.0, hunk.count.0),
            range(hunk.start.1, hunk.count.1)
        );
        self.text.push_str(&hunk.body);
    }

    fn finish(mut self) -> Unified {
        self.close();
        Unified {
            text: self.text,
            left_out: self.left_out,
        }
    }
}

fn push(body: &mut String, mark: char, line: &str) {
    body.push(mark);
    body.push_str(line);
    body.push('\n');
}

/// As GNU diff writes it: one line without its count, none by the line before.
fn range(before: usize, count: usize) -> String {
    match count {
        0 => format!("{before},0"),
        1 => format!("{}", before + 1),
        _ => format!("{},{count}", before + 1),
    }
}

#[cfg(test)]
mod tests;
