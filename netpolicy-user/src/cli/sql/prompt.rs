//! The prompt: reads statements, sends each script as it becomes whole, and goes on
//! whatever comes of it.

use jiff::Timestamp;

use super::super::context::Context;
use super::super::failure::{self, Exit, Failure};
use super::editor::{Editor, Guide, PromptInput, history_file};
use super::meta::{META, Meta};
use super::names::Names;
use super::variables::PromptVariables;
use super::{script, syntax};
use crate::api::{ChangeQuery, SqlRequest};
use crate::client::ClientError;
use crate::sql::{Dialect, Ending, Tail};

/// Reads and carries out statements until the user ends it.
pub(super) async fn run(
    mut request: SqlRequest,
    query: &ChangeQuery,
    cx: &mut Context<'_>,
) -> anyhow::Result<Exit> {
    let mut guide = Guide {
        // Without an agent there is nothing to do here. One that refuses to list the
        // names may still run statements.
        names: match Names::of(&cx.client).await {
            Err(ClientError::Refused { .. }) => Names::default(),
            names => names?,
        },
        has_hints: cx.options.colour,
        ..Guide::default()
    };
    let variable = std::env::var_os;
    let history = history_file(variable("XDG_STATE_HOME"), variable("HOME"));
    let mut editor = Editor::open(history, cx.options.colour)?;
    cx.say("SQL for network policies. A statement ends with ';'. \\h for help, \\q to quit.")?;
    let mut text = String::new();
    let mut expanded = false;
    let mut variables = PromptVariables::default();
    loop {
        cx.out.flush()?;
        guide.dialect = request.dialect;
        guide.before.clone_from(&text);
        let line = match editor
            .read(label(request.dialect, &text), guide.clone())
            .await?
        {
            PromptInput::Text(line) => line,
            PromptInput::Cleared => {
                text.clear();
                continue;
            }
            PromptInput::Ended => return Ok(Exit::Done),
        };
        cx.options.now = Timestamp::now();
        let done = if let Some(meta) = command(&line, &text, request.dialect) {
            remember(&mut editor, line.trim(), cx)?;
            if meta == Meta::Quit {
                return Ok(Exit::Done);
            }
            obey(meta, &mut request.dialect, &mut expanded, cx).await
        } else {
            text.push_str(&line);
            text.push('\n');
            match Tail::of(&text, request.dialect).ending {
                Ending::Whole | Ending::Wrong => {}
                Ending::Blank if text.trim().is_empty() => {
                    text.clear();
                    continue;
                }
                // A comment may name the dialect of what follows it.
                Ending::Blank | Ending::Open { .. } | Ending::Within { .. } => continue,
            }
            request.text = std::mem::take(&mut text).trim_end().to_owned();
            remember(&mut editor, &request.text, cx)?;
            carry_out(&mut request, &mut variables, query, expanded, cx).await
        };
        report(done, cx)?;
        // What was there before is better than nothing.
        if let Ok(names) = Names::of(&cx.client).await {
            guide.names = names;
        }
    }
}

/// The prompt's command in a line. Within a statement only what begins with a backslash
/// is one, and within a string, a quoted name or a comment nothing is.
fn command(line: &str, text: &str, dialect: Option<Dialect>) -> Option<Meta> {
    let meta = Meta::of(line)?;
    if text.is_empty() {
        return Some(meta);
    }
    let is_inside = matches!(Tail::of(text, dialect).ending, Ending::Within { .. });
    (line.trim_start().starts_with('\\') && !is_inside).then_some(meta)
}

fn label(dialect: Option<Dialect>, text: &str) -> String {
    let sign = if text.is_empty() { '=' } else { '-' };
    match dialect {
        Some(dialect) => format!("netpolicy({dialect}){sign}> "),
        None => format!("netpolicy{sign}> "),
    }
}

fn remember(editor: &mut Editor, entry: &str, cx: &mut Context<'_>) -> anyhow::Result<()> {
    if let Err(why) = editor.remember(entry) {
        writeln!(cx.err, "note: {why}")?;
    }
    Ok(())
}

async fn carry_out(
    request: &mut SqlRequest,
    variables: &mut PromptVariables,
    query: &ChangeQuery,
    expanded: bool,
    cx: &mut Context<'_>,
) -> anyhow::Result<()> {
    let prefix = variables.put_before(request);
    let mut response = script::send(request, query, cx).await?;
    let done = response.error.as_ref().map(|_| response.results.len());
    variables.take_from(request, done);
    prefix.take_off(&mut response);
    if let Some(dialect) = script::dialect_after(request, done) {
        request.dialect = Some(dialect);
    }
    let layout = script::layout(cx, expanded);
    script::show(&response, request, query, layout, cx).await?;
    Ok(())
}

/// Reports what the agent or the user did wrong; everything else ends the prompt.
fn report(done: anyhow::Result<()>, cx: &mut Context<'_>) -> anyhow::Result<()> {
    let Err(error) = done else {
        return Ok(());
    };
    if !(error.is::<ClientError>() || error.is::<Failure>()) {
        return Err(error);
    }
    cx.out.flush()?;
    failure::report(&error, cx.err)?;
    Ok(())
}

async fn obey(
    meta: Meta,
    dialect: &mut Option<Dialect>,
    expanded: &mut bool,
    cx: &mut Context<'_>,
) -> anyhow::Result<()> {
    match meta {
        Meta::Quit => {}
        Meta::Expanded => {
            *expanded = !*expanded;
            cx.say(if *expanded {
                "expanded display is on"
            } else {
                "expanded display is off"
            })?;
        }
        Meta::Help => cx.out.write_all(help(*dialect).as_bytes())?,
        Meta::Policies(None) => cx.print(cx.client.policies().await?.as_slice())?,
        Meta::Policies(Some(name)) => cx.print(&cx.client.policy(&name).await?)?,
        Meta::Dialect(None) => match dialect {
            Some(dialect) => cx.say(&format!("the dialect is {dialect}"))?,
            None => {
                cx.say("no dialect is set: it is detected from each statement where that is safe")?;
            }
        },
        Meta::Dialect(Some(name)) if name.eq_ignore_ascii_case("auto") => *dialect = None,
        Meta::Dialect(Some(name)) => {
            let named = name.parse::<Dialect>();
            *dialect = Some(named.map_err(|e| Failure::new(e.to_string()))?);
        }
        Meta::Unknown(command) => {
            let unknown = Failure::new(format!("the prompt has no command {command}"));
            return Err(unknown.hint("\\h lists the commands").into());
        }
    }
    Ok(())
}

/// The prompt's commands and the statements of the dialect.
fn help(dialect: Option<Dialect>) -> String {
    let mut text = String::new();
    for (command, what) in META.iter().filter(|(command, _)| *command != "\\?") {
        text.push_str(&format!("{command:9} {what}\n"));
    }
    text.push_str("Ctrl-C    forget what was typed; Tab completes keywords and names\n\n");
    let Some(dialect) = dialect else {
        text.push_str(
            "No dialect is set. \\dialect snowflake, materialize or lakehouse sets one; \\h then \
             shows its statements.\n",
        );
        return text;
    };
    text.push_str(&format!("Statements of {}:\n", dialect.title()));
    for statement in syntax::statements(Some(dialect)) {
        text.push_str(&format!("  {statement};\n"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn prompt_shows_dialect_and_unfinished_statement() {
        assert_eq!(label(None, ""), "netpolicy=> ");
        assert_eq!(label(None, "SHOW\n"), "netpolicy-> ");
        assert_eq!(
            label(Some(Dialect::Snowflake), ""),
            "netpolicy(snowflake)=> "
        );
        assert_eq!(
            label(Some(Dialect::Snowflake), "x"),
            "netpolicy(snowflake)-> "
        );
    }

    #[test]
    fn command_within_a_statement_begins_with_a_backslash() {
        let of = |line, text| command(line, text, Some(Dialect::Snowflake));
        assert_eq!(of("\\q", "SHOW NETWORK\n"), Some(Meta::Quit));
        assert_eq!(of("\\x", "SHOW NETWORK\n"), Some(Meta::Expanded));
        assert_eq!(of("quit", "SHOW NETWORK\n"), None);
        assert_eq!(of("quit", ""), Some(Meta::Quit));
        assert_eq!(of("\\q", "SHOW NETWORK POLICIES LIKE 'a\n"), None);
        assert_eq!(of("\\q", "SHOW /* NETWORK\n"), None);
    }

    #[test]
    fn help_lists_the_statements_of_the_dialect() {
        let text = help(Some(Dialect::Materialize));
        assert!(text.contains("  ALTER SYSTEM {SET"), "{text}");
        assert!(!text.contains("ALTER ACCOUNT"), "{text}");
        assert!(help(None).contains("\\dialect snowflake"));
    }
}
