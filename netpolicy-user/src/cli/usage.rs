//! The command line: clap's description of it with examples, and its errors without tips that
//! mislead.

use std::ffi::OsString;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Command, CommandFactory as _, FromArgMatches as _};

use super::{Cli, complete, examples};

/// The command line's description, with examples.
pub(super) fn command() -> Command {
    complete::add(examples::add(Cli::command()))
}

/// Reads a command line, program name first.
pub(super) fn parse(args: &[OsString]) -> Result<Cli, clap::Error> {
    let mut command = command();
    let matches = command
        .try_get_matches_from_mut(args)
        .map_err(|error| without_misleading_tips(error, &mut command, args))?;
    Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

/// Whether a command line that cannot be read requests JSON.
pub(super) fn wants_json(args: &[OsString]) -> bool {
    let args: Vec<_> = args.iter().map(|arg| arg.to_string_lossy()).collect();
    let given = args.iter().take_while(|arg| *arg != "--");
    let mut pairs = given.clone().zip(given.skip(1));
    let is_whole = |arg: &std::borrow::Cow<'_, str>| {
        ["-ojson", "-o=json", "--output=json"].contains(&arg.as_ref())
    };
    args.iter().any(is_whole)
        || pairs
            .any(|(option, value)| ["-o", "--output"].contains(&option.as_ref()) && value == "json")
}

/// Clap suggests what is as similar as `--socket` is to `--reset`, and shows the usage of that;
/// and it proposes to pass an unknown option as a value, which no argument can be.
fn without_misleading_tips(
    mut error: clap::Error,
    command: &mut Command,
    args: &[OsString],
) -> clap::Error {
    let (given, suggested) = match error.kind() {
        ErrorKind::UnknownArgument => (ContextKind::InvalidArg, ContextKind::SuggestedArg),
        ErrorKind::InvalidSubcommand => (
            ContextKind::InvalidSubcommand,
            ContextKind::SuggestedSubcommand,
        ),
        ErrorKind::InvalidValue => (ContextKind::InvalidValue, ContextKind::SuggestedValue),
        _ => return error,
    };
    let Some(ContextValue::String(given)) = error.get(given).cloned() else {
        return error;
    };
    let suggestion = error.remove(suggested);
    if suggested == ContextKind::SuggestedArg {
        let command = innermost(command, args);
        if suggestion.is_some() {
            let usage = ContextValue::StyledStr(command.render_usage());
            error.insert(ContextKind::Usage, usage);
        }
        if let Some(option) = closest_option(&given, command) {
            error.insert(suggested, ContextValue::String(option));
        }
    } else if let Some(suggestion) = suggestion.and_then(|all| typos(&given, all)) {
        error.insert(suggested, suggestion);
    }
    if let Some(ContextValue::StyledStrs(mut tips)) = error.remove(ContextKind::Suggested) {
        // The tip that is left is about a superfluous `--`.
        tips.retain(|tip| tip.to_string().contains("to use it, remove"));
        if !tips.is_empty() {
            error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips));
        }
    }
    error
}

/// The option of a command of which `given` is most likely a typo.
fn closest_option(given: &str, command: &Command) -> Option<String> {
    let longs = command
        .get_arguments()
        .filter(|arg| !arg.is_hide_set())
        .filter_map(clap::Arg::get_long);
    longs
        .filter(|long| is_typo(given, long))
        // False comes first.
        .min_by_key(|long| (!begins(given, long), distance(given, long)))
        .map(|long| format!("--{long}"))
}

/// What of clap's suggestions `given` may be a typo of.
fn typos(given: &str, suggestion: ContextValue) -> Option<ContextValue> {
    match suggestion {
        ContextValue::String(one) => is_typo(given, &one).then_some(ContextValue::String(one)),
        ContextValue::Strings(mut many) => {
            many.retain(|one| is_typo(given, one));
            (!many.is_empty()).then_some(ContextValue::Strings(many))
        }
        _ => None,
    }
}

/// Whether `given` may be a typo of `known`: a third of its letters differ at most, or one
/// begins with the other.
fn is_typo(given: &str, known: &str) -> bool {
    begins(given, known) || distance(given, known) <= (known.len() / 3).max(1)
}

/// Whether one begins with the other, of which three letters are there at least.
fn begins(given: &str, known: &str) -> bool {
    let given = given.trim_start_matches('-');
    given.len().min(known.len()) >= 3 && (given.starts_with(known) || known.starts_with(given))
}

/// How many letters differ.
fn distance(given: &str, known: &str) -> usize {
    // Longer texts are not worth the quadratic comparison.
    match given.trim_start_matches('-') {
        given if given.len() <= 64 => strsim::osa_distance(given, known),
        _ => usize::MAX,
    }
}

/// The command that the arguments name, as far as they do.
fn innermost<'c>(command: &'c mut Command, args: &[OsString]) -> &'c mut Command {
    let mut command = command;
    for arg in args.iter().skip(1) {
        let name = arg.to_string_lossy();
        if command.find_subcommand(&*name).is_some() {
            command = command
                .find_subcommand_mut(&*name)
                .unwrap_or_else(|| unreachable!());
        }
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(line: &str) -> String {
        let words = ["netpolicy"].into_iter().chain(line.split(' '));
        let args: Vec<_> = words.map(OsString::from).collect();
        parse(&args).unwrap_err().to_string()
    }

    #[test]
    fn tip_for_unknown_option_names_only_a_likely_typo() {
        for (line, tip) in [
            ("policy alter office --addallow 10.0.0.1", "--add-allow"),
            ("status --outptu json", "--output"),
            ("apply -f x --confirm 60s", "--confirm-within"),
        ] {
            let error = error(line);
            let tip = format!("tip: a similar argument exists: '{tip}'");
            assert!(error.contains(&tip), "{error}");
        }
        for line in ["store reset --reset", "--reset", "sql --block 10.0.0.1"] {
            let error = error(line);
            assert!(!error.contains("tip:"), "{error}");
            assert!(!error.contains("--socket <PATH>"), "{error}");
        }
        assert!(error("--reset").contains("Usage: netpolicy [OPTIONS] <COMMAND>"));
        let error = error("store reset --socker-reset");
        assert!(
            error.contains("Usage: netpolicy store reset [OPTIONS]"),
            "{error}"
        );
    }

    #[test]
    fn unknown_option_is_not_proposed_as_a_value() {
        let error = error("policy drop office --now");
        assert!(!error.contains("as a value"), "{error}");
        assert!(!error.contains("tip:"), "{error}");
        assert!(
            error.contains("unexpected argument '--now' found"),
            "{error}"
        );
    }

    #[test]
    fn tip_for_unknown_command_names_only_a_likely_typo() {
        assert!(error("polcy list").contains("a similar subcommand exists: 'policy'"));
        for line in ["block 10.0.0.1", "policy delete office"] {
            let error = error(line);
            assert!(!error.contains("tip:"), "{error}");
        }
    }

    #[test]
    fn superfluous_dashes_before_a_command_have_a_tip() {
        let error = error("-- status");
        assert!(error.contains("remove the '--' before it"), "{error}");
    }
}
