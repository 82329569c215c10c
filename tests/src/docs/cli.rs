//! The command line as Markdown, from clap's own description of it.
//!
//! Options of a group that many commands have (safety, global) are listed once.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use clap::{Arg, ArgAction, Command};

/// The group of options that every command has.
const GLOBAL: &str = "Global options";

/// All commands, depth first, as Markdown.
///
/// # Errors
/// Two commands have different options under the same heading.
pub fn page(mut root: Command) -> Result<String> {
    root.build();
    let mut commands = Vec::new();
    collect(&root, &mut commands);
    let groups = groups(&root, &commands)?;

    let mut out = String::from("| Command | Purpose |\n|---|---|\n");
    for command in &commands {
        let name = name(command);
        out += &format!("| [`{name}`](#{}) | {} |\n", anchor(name), about(command));
    }
    for (heading, rows) in &groups {
        out += &format!("\n## {heading}\n\n{}", table("Option", rows));
    }
    out += "\n## Commands\n";
    for command in &commands {
        out += &section(command);
    }
    Ok(out)
}

/// Commands that do something, with those above them left out.
fn collect<'c>(command: &'c Command, into: &mut Vec<&'c Command>) {
    let inner = command
        .get_subcommands()
        .filter(|inner| inner.get_name() != "help" && !inner.is_hide_set());
    for inner in inner {
        if inner.has_subcommands() {
            collect(inner, into);
        } else {
            into.push(inner);
        }
    }
}

/// The options under each heading, which are the same wherever the heading is.
fn groups(root: &Command, commands: &[&Command]) -> Result<BTreeMap<String, Vec<[String; 2]>>> {
    let mut groups: BTreeMap<String, Vec<[String; 2]>> = BTreeMap::new();
    groups.insert(GLOBAL.to_owned(), rows(root, Some(GLOBAL)));
    for command in commands {
        for heading in headings(command) {
            let rows = rows(command, Some(&heading));
            let known = groups
                .entry(heading.clone())
                .or_insert_with(|| rows.clone());
            ensure!(
                *known == rows,
                "`{}` has other options under '{heading}' than the commands before it",
                name(command)
            );
        }
    }
    Ok(groups)
}

fn headings(command: &Command) -> Vec<String> {
    let mut headings: Vec<_> = shown(command)
        .filter_map(|arg| arg.get_help_heading().map(str::to_owned))
        .collect();
    headings.sort();
    headings.dedup();
    headings
}

fn section(command: &Command) -> String {
    let name = name(command);
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage:").trim();
    let mut out = format!(
        "\n### `{name}`\n\n{}.\n\n```usage\n{usage}\n```\n",
        about(command)
    );
    let arguments = positionals(command);
    if !arguments.is_empty() {
        out += &format!("\n{}", table("Argument", &arguments));
    }
    let options = rows(command, None);
    if !options.is_empty() {
        out += &format!("\n{}", table("Option", &options));
    }
    let after = command.get_after_help().map(ToString::to_string);
    let after = after.unwrap_or_default();
    let (notes, examples) = after.split_once("Examples:\n").unwrap_or((&after, ""));
    for paragraph in notes.lines().filter(|line| !line.is_empty()) {
        out += &format!("\n{}\n", escape(paragraph));
    }
    if !examples.is_empty() {
        let lines: Vec<_> = examples.lines().map(str::trim).collect();
        out += &format!("\n```\n{}\n```\n", lines.join("\n"));
    }
    let links: Vec<_> = headings(command)
        .iter()
        .filter(|heading| *heading != GLOBAL)
        .map(|heading| format!("[{}](#{})", heading.to_lowercase(), anchor(heading)))
        .collect();
    if !links.is_empty() {
        out += &format!("\nAlso accepts the {}.\n", links.join(" and the "));
    }
    out
}

/// Arguments that are of interest: not hidden, not `--help`.
fn shown(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|arg| {
        let is_help = matches!(
            arg.get_action(),
            ArgAction::Help | ArgAction::HelpShort | ArgAction::HelpLong | ArgAction::Version
        );
        !arg.is_hide_set() && !is_help
    })
}

fn positionals(command: &Command) -> Vec<[String; 2]> {
    shown(command)
        .filter(|arg| arg.is_positional())
        .map(|arg| [format!("`{}`", values(arg)), help(arg)])
        .collect()
}

/// The options under a heading, or those without one.
fn rows(command: &Command, heading: Option<&str>) -> Vec<[String; 2]> {
    shown(command)
        .filter(|arg| !arg.is_positional() && arg.get_help_heading() == heading)
        .map(|arg| [format!("`{}`", spelling(arg)), help(arg)])
        .collect()
}

/// `-o, --output <FORMAT>`
fn spelling(arg: &Arg) -> String {
    let short = arg.get_short().map(|short| format!("-{short}"));
    let long = arg.get_long().map(|long| format!("--{long}"));
    let names: Vec<_> = short.into_iter().chain(long).collect();
    let values = if arg.get_action().takes_values() {
        format!(" {}", values(arg))
    } else {
        String::new()
    };
    format!("{}{values}", names.join(", "))
}

fn values(arg: &Arg) -> String {
    match arg.get_value_names() {
        Some(names) => {
            let names: Vec<_> = names.iter().map(|name| format!("<{name}>")).collect();
            names.join(" ")
        }
        None => format!("<{}>", arg.get_id().as_str().to_uppercase()),
    }
}

fn help(arg: &Arg) -> String {
    let text = arg.get_long_help().or(arg.get_help());
    let mut text = text.map(ToString::to_string).unwrap_or_default();
    let is_listed = !arg.is_hide_possible_values_set() && arg.get_action().takes_values();
    let possible: Vec<_> = arg
        .get_possible_values()
        .iter()
        .filter(|value| !value.is_hide_set())
        .map(|value| format!("`{}`", value.get_name()))
        .collect();
    if is_listed && !possible.is_empty() {
        text += &format!(". Values: {}", possible.join(", "));
    }
    let defaults: Vec<_> = arg
        .get_default_values()
        .iter()
        .map(|value| format!("`{}`", value.to_string_lossy()))
        .collect();
    if arg.get_action().takes_values() && !defaults.is_empty() {
        text += &format!(". Default: {}", defaults.join(", "));
    }
    if let Some(variable) = arg.get_env() {
        text += &format!(". Environment: `{}`", variable.to_string_lossy());
    }
    escape(&text.split_whitespace().collect::<Vec<_>>().join(" "))
}

fn about(command: &Command) -> String {
    let text = command.get_about().map(ToString::to_string);
    escape(text.unwrap_or_default().trim_end_matches('.'))
}

fn name(command: &Command) -> &str {
    command.get_bin_name().unwrap_or(command.get_name())
}

fn table(title: &str, rows: &[[String; 2]]) -> String {
    let mut out = format!("| {title} | |\n|---|---|\n");
    for [left, right] in rows {
        out += &format!("| {} | {right} |\n", left.replace('|', "\\|"));
    }
    out
}

fn escape(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "\\<")
}

fn anchor(heading: &str) -> String {
    super::page::anchor(heading)
}
