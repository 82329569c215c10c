//! Completion in the shell: what can stand at the cursor, names as the agent knows them.
//!
//! The shell's function calls `netpolicy` with [`VARIABLE`] set and the words so far. Whoever
//! presses the tabulator must not wait and wants no error: where no agent answers within
//! [`LIMIT`], there are no names.

use std::ffi::OsString;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Arg, Command};
use clap_complete::engine::{ArgValueCandidates, CompletionCandidate};
use clap_complete::env::{CompleteEnv, Shells};

use crate::api::{EntriesQuery, RevisionsQuery, RulesQuery};
use crate::client::{Client, ClientError};
use crate::config::{Config, Overrides};
use crate::model::ListKind;

/// Names the shell that asks.
const VARIABLE: &str = "NETPOLICY_COMPLETE";

/// Longest wait for the agent.
const LIMIT: Duration = Duration::from_millis(300);

/// Most revisions and list entries that are offered.
const MOST: usize = 200;

/// Where the kernel lists the interfaces.
const INTERFACES: &str = "/sys/class/net";

/// What an argument names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Completable {
    Policy,
    List,
    Service,
    Revision,
    /// An address of a policy's allow list, or of its block list.
    Allowed,
    Blocked,
    /// An address among a policy's exceptions.
    Excepted,
    /// An entry of a named list.
    Entry,
    /// A named list where addresses stand as well: `@name`.
    Reference,
    /// A source with a bypass.
    Bypass,
    Interface,
}

/// Answers the shell; whether that was what this process is for.
///
/// # Errors
/// The shell is unknown.
pub(super) fn answer(args: &[OsString]) -> Result<bool, clap::Error> {
    let directory = std::env::current_dir().ok();
    environment().try_complete(args, directory.as_deref())
}

/// What zsh needs where it loads the script as the function `_netpolicy`, at the first
/// completion: that is to be answered already.
const ZSH_AUTOLOAD: &str = "\
if [ \"${funcstack[1]}\" = _netpolicy ]; then
    _clap_dynamic_completer_netpolicy \"$@\"
fi
";

/// For bash, where `@` is by default a word of its own: puts the words together that it splits
/// at an `@`, and takes off what of the answer stands there already.
const BASH_REFERENCES: &str = r#"
_netpolicy() {
    local typed="${COMP_LINE:0:COMP_POINT}"
    typed="${typed##*[[:space:]]}"
    local first=$COMP_CWORD joined="${COMP_WORDS[COMP_CWORD]}"
    if [[ "$typed" == *@* && "$COMP_WORDBREAKS" == *@* ]]; then
        while [[ "$joined" != "$typed" && $first -gt 1 ]]; do
            first=$((first - 1))
            joined="${COMP_WORDS[first]}$joined"
        done
    fi
    if [[ "$typed" != *@* || "$COMP_WORDBREAKS" != *@* || "$joined" != "$typed" ]]; then
        _clap_complete_netpolicy "$@"
        return
    fi
    local before=("${COMP_WORDS[@]:0:first}") at
    local COMP_WORDS=("${before[@]}" "$typed") COMP_CWORD=$first
    _clap_complete_netpolicy "$1" "$typed" "$3"
    for at in "${!COMPREPLY[@]}"; do
        COMPREPLY[at]="${COMPREPLY[at]#"${typed%"${typed##*@}"}"}"
    done
}
complete -o nospace -o bashdefault -F _netpolicy netpolicy
"#;

/// The function that a shell has to read; `None`: no such shell.
pub(super) fn script(shell: &str) -> Option<String> {
    let shells = Shells::builtins();
    let completer = shells.completer(shell)?;
    let mut script = Vec::new();
    completer
        .write_registration(VARIABLE, "netpolicy", "netpolicy", "netpolicy", &mut script)
        .ok()?;
    let script = String::from_utf8(script).ok()?;
    Some(match shell {
        "zsh" => script + ZSH_AUTOLOAD,
        "bash" => script + BASH_REFERENCES,
        _ => script,
    })
}

fn environment() -> CompleteEnv<'static, fn() -> Command> {
    let command: fn() -> Command = super::usage::command;
    CompleteEnv::with_factory(command).var(VARIABLE)
}

/// Adds to each argument that names something how it is completed.
pub(super) fn add(command: Command) -> Command {
    added(command, &mut Vec::new())
}

fn added(mut command: Command, path: &mut Vec<String>) -> Command {
    command = command.mut_args(|arg| match kind(path, &arg) {
        Some(kind) => arg.add(ArgValueCandidates::new(move || candidates(kind))),
        None => arg,
    });
    command.mut_subcommands(|inner| {
        path.push(inner.get_name().to_owned());
        let inner = added(inner, path);
        path.pop();
        inner
    })
}

/// What an argument of a command names.
fn kind(path: &[String], arg: &Arg) -> Option<Completable> {
    let path: Vec<_> = path.iter().map(String::as_str).collect();
    match (path.as_slice(), arg.get_id().as_str()) {
        (["policy" | "list" | "feed", "create"], "name") | (["service", "add"], "name") => None,
        (["feed", ..] | ["import"], "service") => None,
        (["list" | "feed", ..], "name") => Some(Completable::List),
        (["list", "remove"], "entries") => Some(Completable::Entry),
        (["policy", ..], "name") | (_, "policy") => Some(Completable::Policy),
        (["service", ..], "name") | (_, "service") => Some(Completable::Service),
        (["diff"], "from" | "to") | (_, "revision") => Some(Completable::Revision),
        (["policy", "create"], "allow" | "block" | "except")
        | (
            ["policy", "alter"],
            "add_allow" | "add_block" | "add_except" | "set_allow" | "set_block" | "set_except",
        ) => Some(Completable::Reference),
        (["policy", "alter"], "remove_allow") => Some(Completable::Allowed),
        (["policy", "alter"], "remove_block") => Some(Completable::Blocked),
        (["policy", "alter"], "remove_except") => Some(Completable::Excepted),
        (["bypass", "revoke"], "source") => Some(Completable::Bypass),
        (_, "interface") => Some(Completable::Interface),
        _ => None,
    }
}

fn candidates(kind: Completable) -> Vec<CompletionCandidate> {
    let words: Vec<_> = std::env::args_os().collect();
    let found = match kind {
        Completable::Interface => interfaces(),
        _ => asked(kind, &words).unwrap_or_default(),
    };
    let candidates = found.into_iter().map(|(value, help)| {
        let help = (!help.is_empty()).then(|| help.into());
        CompletionCandidate::new(value).help(help)
    });
    candidates.collect()
}

/// Values, and what is said about each.
type Candidates = Vec<(String, String)>;

fn interfaces() -> Candidates {
    let entries = fs::read_dir(INTERFACES).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut names: Vec<_> = names.filter(|name| name != "lo").collect();
    names.sort();
    names
        .into_iter()
        .map(|name| (name, String::new()))
        .collect()
}

/// Asks the agent; `None`: it does not answer, or not in time.
fn asked(kind: Completable, words: &[OsString]) -> Option<Candidates> {
    let config = Config::from_process(&Overrides {
        socket: option(words, "--socket"),
        file: option(words, "--config"),
        ..Overrides::default()
    });
    let client = Client::new(&config.ok()?.socket);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .ok()?;
    runtime.block_on(async {
        let answer = tokio::time::timeout(LIMIT, found(kind, &client, words));
        answer.await.ok()?.ok()
    })
}

async fn found(
    kind: Completable,
    client: &Client,
    words: &[OsString],
) -> Result<Candidates, ClientError> {
    Ok(match kind {
        Completable::Policy => {
            let policies = client.policies().await?.into_iter();
            let named = policies.map(|p| (p.name, p.comment.unwrap_or_default()));
            named.collect()
        }
        Completable::List => {
            let lists = client.lists().await?.into_iter();
            let named = lists.map(|list| (list.name, list.comment.unwrap_or_default()));
            named.collect()
        }
        Completable::Reference => {
            let lists = client.lists().await?.into_iter();
            let named = lists.filter_map(|list| {
                Some((reference(&list.name)?, list.comment.unwrap_or_default()))
            });
            named.collect()
        }
        Completable::Entry => entries(client, words).await?,
        Completable::Service => {
            let services = client.services().await?.into_iter();
            let named = services.map(|s| (s.name, s.ports));
            named.collect()
        }
        Completable::Revision => {
            let query = RevisionsQuery {
                limit: Some(MOST),
                ..RevisionsQuery::default()
            };
            let revisions = client.revisions(&query).await?.items.into_iter();
            let named = revisions.map(|r| (r.revision.to_string(), r.action));
            named.collect()
        }
        Completable::Allowed => rules(client, words, ListKind::Allow).await?,
        Completable::Blocked => rules(client, words, ListKind::Block).await?,
        Completable::Excepted => rules(client, words, ListKind::Except).await?,
        Completable::Bypass => {
            let bypasses = client.bypasses().await?.into_iter();
            let named = bypasses.map(|b| (b.source, b.scope));
            named.collect()
        }
        Completable::Interface => Vec::new(),
    })
}

/// The beginning of a list of the policy that the words name.
async fn rules(
    client: &Client,
    words: &[OsString],
    list: ListKind,
) -> Result<Candidates, ClientError> {
    let Some(policy) = after(words, "alter") else {
        return Ok(Vec::new());
    };
    let query = RulesQuery {
        limit: Some(MOST),
        list: Some(list),
        text: words.last().and_then(|word| begun(word.to_str()?)),
        ..RulesQuery::default()
    };
    let rules = client.rules(&policy, &query).await?.items.into_iter();
    let named = rules.map(|item| (item.rule.text, item.rule.comment.unwrap_or_default()));
    let policies = client.policies().await?.into_iter();
    let named_lists = policies
        .filter(|one| one.name == policy)
        .flat_map(|policy| match list {
            ListKind::Allow => policy.allow_lists,
            ListKind::Block => policy.block_lists,
            ListKind::Except => policy.except_lists,
        });
    let references = named_lists.filter_map(|name| Some((reference(&name)?, String::new())));
    Ok(named.chain(references).collect())
}

/// A named list as it is referred to; `None`: the shell would need quotes around it.
fn reference(name: &str) -> Option<String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    name.chars().all(is_plain).then(|| format!("@{name}"))
}

/// The beginning of the named list that the words name.
async fn entries(client: &Client, words: &[OsString]) -> Result<Candidates, ClientError> {
    let Some(list) = after(words, "remove") else {
        return Ok(Vec::new());
    };
    let query = EntriesQuery {
        limit: Some(MOST),
        text: words.last().and_then(|word| begun(word.to_str()?)),
        ..EntriesQuery::default()
    };
    let entries = client.entries(&list, &query).await?.items.into_iter();
    let named = entries.map(|item| (item.entry.text, item.entry.comment.unwrap_or_default()));
    Ok(named.collect())
}

/// What of a list with commas is being typed; `None`: nothing is yet.
fn begun(word: &str) -> Option<String> {
    let last = word.rsplit([',', '=']).next()?;
    (!last.is_empty()).then(|| last.to_owned())
}

/// The first word behind a command's that is no option.
fn after(words: &[OsString], command: &str) -> Option<String> {
    let mut words = words.iter().skip_while(|word| *word != command).skip(1);
    let word = words.find(|word| !word.as_encoded_bytes().starts_with(b"-"))?;
    word.to_str().map(str::to_owned)
}

/// The value of an option among the words: `--socket PATH` or `--socket=PATH`.
fn option(words: &[OsString], name: &str) -> Option<PathBuf> {
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word == name {
            return words.next().map(PathBuf::from);
        }
        let text = word.to_str().and_then(|word| word.strip_prefix(name));
        if let Some(value) = text.and_then(|text| text.strip_prefix('=')) {
            return Some(value.into());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<OsString> {
        line.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn arguments_that_name_something_are_completed_by_its_kind() {
        let command = super::super::usage::command();
        let kind_of = |line: &str, id: &str| {
            let path: Vec<_> = line.split(' ').map(str::to_owned).collect();
            let mut inner = &command;
            for name in &path {
                inner = inner.find_subcommand(name).expect("a command");
            }
            let arg = inner.get_arguments().find(|arg| arg.get_id() == id);
            kind(&path, arg.expect("an argument"))
        };
        for (line, id, expected) in [
            ("policy show", "name", Some(Completable::Policy)),
            ("policy drop", "name", Some(Completable::Policy)),
            ("policy create", "name", None),
            ("policy create", "service", Some(Completable::Service)),
            ("policy alter", "remove_allow", Some(Completable::Allowed)),
            ("policy alter", "remove_block", Some(Completable::Blocked)),
            ("policy alter", "remove_except", Some(Completable::Excepted)),
            ("policy alter", "add_allow", Some(Completable::Reference)),
            ("policy create", "block", Some(Completable::Reference)),
            ("policy create", "except", Some(Completable::Reference)),
            ("list show", "name", Some(Completable::List)),
            ("list create", "name", None),
            ("feed create", "name", None),
            ("feed alter", "name", Some(Completable::List)),
            ("import", "service", None),
            ("list remove", "entries", Some(Completable::Entry)),
            ("list add", "entries", None),
            ("service alter", "name", Some(Completable::Service)),
            ("service add", "name", None),
            ("bind", "policy", Some(Completable::Policy)),
            ("bind", "service", Some(Completable::Service)),
            ("grant", "policy", Some(Completable::Policy)),
            ("bypass revoke", "source", Some(Completable::Bypass)),
            ("rollback", "revision", Some(Completable::Revision)),
            ("export", "revision", Some(Completable::Revision)),
            ("diff", "from", Some(Completable::Revision)),
            ("explain", "interface", Some(Completable::Interface)),
            ("bypass revoke", "from", None),
        ] {
            assert_eq!(kind_of(line, id), expected, "{line} {id}");
        }
    }

    #[test]
    fn words_of_the_command_line_are_found() {
        let line =
            words("netpolicy --socket /a policy alter --dry-run office --remove-allow 10.,19");
        assert_eq!(after(&line, "alter").as_deref(), Some("office"));
        assert_eq!(after(&line, "rename"), None);
        assert_eq!(option(&line, "--socket"), Some("/a".into()));
        assert_eq!(
            option(&words("x --config=/b"), "--config"),
            Some("/b".into())
        );
        assert_eq!(option(&line, "--config"), None);
        assert_eq!(begun("10.,19").as_deref(), Some("19"));
        assert_eq!(begun("10.0.0.0/8,"), None);
    }

    #[test]
    fn every_shell_of_the_command_has_a_script() {
        for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
            let script = script(shell).expect(shell);
            assert!(script.contains(VARIABLE), "{script}");
        }
        assert_eq!(script("tcsh"), None);
    }
}
