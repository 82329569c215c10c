//! Fuzzing of what reads users' text: inputs made from a small corpus by mutation,
//! read in this process.
//!
//! Guided by what the reader answers: an input to which it answers in a new way (other
//! statements, another kind of error) is kept and mutated further.

use std::collections::HashSet;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::panic::{self, AssertUnwindSafe};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use netpolicy_formats::{Filter, Format};
use netpolicy_user::model::{ChangeContext, Limits, SourceText, file};
use netpolicy_user::sql::{Dialect, SqlError, Statements, decode};

use crate::binary::workspace;

/// Bytes of an input at most.
const LONGEST: usize = 2048;
/// Inputs that are kept at most.
const KEPT: usize = 20_000;
/// How long reading one input may take, on a busy machine.
const SLOWEST: Duration = Duration::from_secs(10);

/// What is fuzzed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// SQL in every dialect.
    Sql,
    /// The policy file.
    PolicyFile,
    /// Address lists in the formats of other programs.
    Formats,
}

impl Target {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Sql, Self::PolicyFile, Self::Formats];

    /// As commands and directories name it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Sql => "sql",
            Self::PolicyFile => "policy-file",
            Self::Formats => "formats",
        }
    }

    /// Reads an input; returns what kind of answer came.
    fn read(self, input: &[u8]) -> Result<u64, String> {
        match self {
            Self::Sql => read_sql(input),
            Self::PolicyFile => Ok(read_policy_file(input)),
            Self::Formats => read_formats(input),
        }
    }
}

/// What a run did.
#[derive(Clone, Copy, Debug)]
pub struct Summary {
    /// Inputs that were read.
    pub executions: u64,
    /// Inputs in the corpus and those that made new answers.
    pub kept: usize,
}

/// An input that is not read as it should be.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The input.
    pub input: Vec<u8>,
    /// What happened.
    pub what: String,
}

/// Reads the corpus, then inputs made of it, until `is_over` of their number.
///
/// # Errors
/// The first input that makes the reader panic, takes too long, or breaks a promise.
///
/// # Panics
/// When the corpus cannot be read.
pub fn run(
    target: Target,
    seed: u64,
    mut is_over: impl FnMut(u64) -> bool,
) -> Result<Summary, Failure> {
    let mut kept = corpus(target);
    let mut answers = HashSet::new();
    for input in &kept {
        answers.insert(execute(target, input)?);
    }
    let mut random = Random(seed);
    let mut executions = 0;
    while !is_over(executions) {
        let input = mutated(&kept, &mut random);
        executions += 1;
        if answers.insert(execute(target, &input)?) && kept.len() < KEPT {
            kept.push(input);
        }
    }
    Ok(Summary {
        executions,
        kept: kept.len(),
    })
}

/// The corpus in its files' order of names.
fn corpus(target: Target) -> Vec<Vec<u8>> {
    let dir = workspace().join("tests/corpus").join(target.name());
    let mut paths: Vec<_> = fs::read_dir(&dir)
        .expect("read the corpus")
        .map(|entry| entry.expect("read the corpus").path())
        .collect();
    paths.sort();
    let inputs: Vec<_> = paths
        .iter()
        .map(|path| fs::read(path).expect("read the corpus"))
        .collect();
    assert!(!inputs.is_empty(), "no corpus in {}", dir.display());
    inputs
}

fn execute(target: Target, input: &[u8]) -> Result<u64, Failure> {
    let start = Instant::now();
    let answer = panic::catch_unwind(AssertUnwindSafe(|| target.read(input)));
    let failure = |what| Failure {
        input: input.to_vec(),
        what,
    };
    let answer = match answer {
        Ok(answer) => answer.map_err(failure)?,
        Err(_) => return Err(failure("a panic, whose message stands above".to_owned())),
    };
    if start.elapsed() > SLOWEST {
        return Err(failure(format!("it took {:?}", start.elapsed())));
    }
    Ok(answer)
}

fn read_sql(input: &[u8]) -> Result<u64, String> {
    let mut answer = DefaultHasher::new();
    let text = match decode(input) {
        Ok(text) => text,
        Err(_) => return Ok(0),
    };
    let dialects = [None].into_iter().chain(Dialect::ALL.map(Some));
    for dialect in dialects {
        let statements = match Statements::new(text, dialect) {
            Ok(statements) => statements,
            Err(error) => {
                told(text, &error, &mut answer)?;
                continue;
            }
        };
        for statement in statements {
            let statement = match statement {
                Ok(statement) => statement,
                Err(error) => {
                    told(text, &error, &mut answer)?;
                    continue;
                }
            };
            let printed = statement.to_string();
            // The first words tell enough of what it is.
            printed.split(' ').take(6).for_each(|word| {
                word.get(..1).hash(&mut answer);
            });
            let again = Statements::new(&printed, Some(statement.dialect))
                .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                .map_err(|error| format!("its print is not read: {error}: {printed}"))?;
            match &again[..] {
                [again] if again.to_string() == printed => {}
                _ => return Err(format!("its print is read as something else: {printed}")),
            }
        }
    }
    Ok(answer.finish())
}

/// An error's place is within the text.
fn told(text: &str, error: &SqlError, answer: &mut DefaultHasher) -> Result<(), String> {
    shape(&error.to_string()).hash(answer);
    let lines = text.split('\n').zip(1..);
    let length = lines
        .filter(|(_, number)| *number == error.line)
        .map(|(line, _)| line.chars().count())
        .next();
    match length {
        Some(length) if (1..=length + 1).contains(&(error.column as usize)) => Ok(()),
        _ => Err(format!("its place is not in the text: {error}")),
    }
}

fn read_policy_file(input: &[u8]) -> u64 {
    let mut answer = DefaultHasher::new();
    let source = SourceText {
        name: "policy.toml".to_owned(),
        text: String::from_utf8_lossy(input).into_owned(),
    };
    let cx = ChangeContext {
        now: Timestamp::UNIX_EPOCH,
        actor: "fuzz",
        limits: Limits::default(),
        force: false,
    };
    for skip_invalid in [false, true] {
        match file::parse(&source, &[], skip_invalid, &cx) {
            Ok(applied) => {
                let state = &applied.state;
                (state.policies.len().min(3), state.services.len().min(3)).hash(&mut answer);
            }
            Err(errors) => errors
                .iter()
                .take(3)
                .for_each(|error| shape(&error.to_string()).hash(&mut answer)),
        }
    }
    answer.finish()
}

/// Reads the input as what it seems to be, and as another format by its length.
fn read_formats(input: &[u8]) -> Result<u64, String> {
    let mut answer = DefaultHasher::new();
    match netpolicy_formats::detect(input) {
        Ok(format) => format.hash(&mut answer),
        Err(why) => shape(&why.to_string()).hash(&mut answer),
    }
    let other = Format::ALL[input.len() % Format::ALL.len()];
    let some = Filter {
        country: vec!["DE".to_owned(), "GB".to_owned()],
        asn: vec![64500],
        ..Filter::default()
    };
    for (format, filter) in [
        (None, Filter::default()),
        (None, some),
        (Some(other), Filter::default()),
    ] {
        match netpolicy_formats::read(format, input, &filter) {
            Ok(reading) => {
                (reading.entries.len().min(9), reading.skipped.total.min(3)).hash(&mut answer);
                let written = netpolicy_formats::write::list_file(&reading);
                let again = netpolicy_formats::read(
                    Some(Format::Plain),
                    written.as_bytes(),
                    &Filter::default(),
                );
                let nets = |reading: &netpolicy_formats::Reading| {
                    let entries = reading.entries.iter();
                    entries.map(|entry| entry.net).collect::<Vec<_>>()
                };
                match again {
                    Ok(again) if nets(&again) == nets(&reading) => {}
                    _ if reading.entries.is_empty() => {}
                    other => return Err(format!("it does not read back: {written}: {other:?}")),
                }
            }
            Err(errors) => errors
                .iter()
                .take(3)
                .for_each(|error| shape(&error.to_string()).hash(&mut answer)),
        }
    }
    if let Err(errors) = netpolicy_formats::hba::read(input) {
        errors.len().min(3).hash(&mut answer);
    }
    Ok(answer.finish())
}

/// An error without what it repeats of the text.
fn shape(message: &str) -> String {
    let outside = message.split('\'').step_by(2);
    outside
        .flat_map(str::chars)
        .filter(char::is_ascii_alphabetic)
        .collect()
}

/// One or more changes to a kept input.
fn mutated(kept: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    const WORDS: [&str; 42] = [
        "'",
        "\"",
        "''",
        "\\'",
        "(",
        ")",
        ",",
        ";",
        "=",
        "--",
        "/*",
        "*/",
        "\n",
        "\0",
        "\u{feff}",
        "\u{2019}",
        "\u{a0}",
        "ü",
        "$$",
        "E'",
        "0.0.0.0/0",
        "::/0",
        "'10.0.0.0/33'",
        " IF EXISTS ",
        " RULES ",
        " SET ",
        " FORCE",
        "[[policy]]",
        "allow = [",
        "\"\"\"",
        "add s 10.0.0.1\n",
        " nomatch",
        "elements = { ",
        "{\"prefix\":{\"addr\":\"10.0.0.0\",\"len\":8}}",
        "-A INPUT -s ",
        " -j DROP\n",
        "<entry>",
        "\"cidr\":\"::/0\"",
        "1.0.0.0,1.0.0.9,DE\n",
        "'10.0.0.1', ",
        "10.0.0.9-10.0.0.1",
        "host all all all reject\n",
    ];
    let mut input = random.of(kept).clone();
    for _ in 0..=random.below(4) {
        let at = random.below(input.len() + 1);
        let end = (at + random.below(12)).min(input.len());
        match random.below(7) {
            0 => drop(input.splice(at..end, [])),
            1 => drop(input.splice(at..at, random.of(&WORDS).bytes())),
            2 => drop(input.splice(at..end, random.of(&WORDS).bytes())),
            3 => {
                if let Some(byte) = input.get_mut(at) {
                    *byte ^= 1 << random.below(8);
                }
            }
            4 => {
                // A piece of another input.
                let other = random.of(kept);
                let from = random.below(other.len() + 1);
                let to = (from + random.below(80)).min(other.len());
                drop(input.splice(at..at, other[from..to].iter().copied()));
            }
            5 => {
                let piece = input[at..end].to_vec();
                let to = random.below(input.len() + 1);
                drop(input.splice(to..to, piece));
            }
            _ => {
                if let Some(byte) = input.get_mut(at) {
                    *byte = u8::try_from(random.below(256)).unwrap_or_default();
                }
            }
        }
    }
    input.truncate(LONGEST);
    input
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % bound.max(1) as u64).unwrap_or_default()
    }

    fn of<'a, T>(&mut self, values: &'a [T]) -> &'a T {
        &values[self.below(values.len())]
    }
}
