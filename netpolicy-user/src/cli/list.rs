//! `netpolicy list …`.

use std::path::PathBuf;

use super::context::Context;
use super::end::RuleEnd;
use super::failure::Exit;
use super::input::{Input, ListFileOptions, RuleNote};
use super::listing::RuleFilter;
use super::safety::Safety;
use super::submit::submit;
use crate::api::{EntriesQuery, PageQuery};
use crate::model::Principal;
use crate::model::change::{Change, ListEdit};

#[derive(Debug, clap::Subcommand)]
pub(super) enum ListCommand {
    /// Create a list, which policies refer to as @NAME
    Create(Box<CreateListArgs>),
    /// Change a list's entries or comment; what is not named stays
    #[command(override_usage = "netpolicy list alter [OPTIONS] <NAME>")]
    Alter(Box<AlterListArgs>),
    /// Add entries to a list; every policy that refers to it follows
    Add(Box<AddEntriesArgs>),
    /// Remove entries from a list; every policy that refers to it follows
    Remove(EntriesArgs),
    /// Rename a list; policies go on referring to it
    Rename {
        /// The list
        name: String,
        /// Its new name
        to: String,
        #[command(flatten)]
        safety: Safety,
    },
    /// Give a list to another owner, who may then alter and drop it
    Owner {
        /// The list
        name: String,
        /// An OS user or group: user:alice, group:dba
        #[arg(value_parser = |text: &str| text.parse::<Principal>())]
        to: Principal,
        #[command(flatten)]
        safety: Safety,
    },
    /// Drop a list to which no policy refers
    Drop {
        /// The list
        name: String,
        #[command(flatten)]
        safety: Safety,
    },
    /// List all lists
    List,
    /// Show a list with all its entries
    Show {
        /// The list
        name: String,
        #[command(flatten)]
        filter: RuleFilter,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct CreateListArgs {
    /// Its name: 3 to 28 letters, digits, underscores and hyphens
    name: String,
    /// Addresses, CIDRs and a-b ranges; comma separated, may be repeated
    #[arg(value_name = "CIDR", value_delimiter = ',')]
    entries: Vec<String>,
    /// What is in this file; `-` is standard input, may be repeated
    #[arg(long, value_name = "FILE")]
    file: Vec<PathBuf>,
    /// Description
    #[arg(long)]
    comment: Option<String>,
    #[command(flatten)]
    list_options: ListFileOptions,
    #[command(flatten)]
    safety: Safety,
}

#[derive(Debug, clap::Args)]
pub(super) struct AlterListArgs {
    /// The list
    name: String,
    #[command(flatten)]
    set: ListAlterations,
    #[command(flatten)]
    list_options: ListFileOptions,
    #[command(flatten)]
    safety: Safety,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = true)]
struct ListAlterations {
    /// Replace all entries
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    set: Vec<String>,
    /// Replace all entries with a file's lines; `-` is standard input, may be repeated
    #[arg(long, value_name = "FILE")]
    set_file: Vec<PathBuf>,
    /// Remove all entries
    #[arg(long, conflicts_with_all = ["set", "set_file"])]
    clear: bool,
    /// Description; an empty one removes it
    #[arg(long)]
    comment: Option<String>,
}

#[derive(Debug, clap::Args)]
pub(super) struct EntriesArgs {
    /// The list
    name: String,
    /// Addresses, CIDRs and a-b ranges; comma separated, may be repeated
    #[arg(
        value_name = "CIDR",
        value_delimiter = ',',
        required_unless_present = "file"
    )]
    entries: Vec<String>,
    /// A file's lines; `-` is standard input, may be repeated
    #[arg(long, value_name = "FILE")]
    file: Vec<PathBuf>,
    #[command(flatten)]
    list_options: ListFileOptions,
    #[command(flatten)]
    safety: Safety,
}

#[derive(Debug, clap::Args)]
pub(super) struct AddEntriesArgs {
    /// A name for each of these entries; an entry that is there gets it as well
    #[arg(id = "entry_name", long = "name", value_name = "NAME")]
    name: Option<String>,
    /// A comment for each of these entries; an entry that is there gets it as well
    #[arg(long, value_name = "TEXT")]
    comment: Option<String>,
    #[command(flatten)]
    end: RuleEnd,
    #[command(flatten)]
    entries: EntriesArgs,
}

pub(super) async fn run(command: ListCommand, cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    let (change, safety) = match command {
        ListCommand::List => {
            let lists = cx.client.lists().await?;
            cx.print(lists.as_slice())?;
            return Ok(Exit::Done);
        }
        ListCommand::Show { name, filter } => return show(&name, &filter, cx).await,
        ListCommand::Create(args) => {
            let safety = args.safety.clone();
            (create(*args, cx)?, safety)
        }
        ListCommand::Alter(args) => {
            let safety = args.safety.clone();
            (alter(*args, cx)?, safety)
        }
        ListCommand::Add(args) => {
            let args = *args;
            let safety = args.entries.safety.clone();
            let note = RuleNote::of(args.name, args.comment, args.end);
            (edit(args.entries, Some(&note), cx)?, safety)
        }
        ListCommand::Remove(args) => {
            let safety = args.safety.clone();
            (edit(args, None, cx)?, safety)
        }
        ListCommand::Rename { name, to, safety } => (Change::RenameList { name, to }, safety),
        ListCommand::Owner { name, to, safety } => {
            let owner = to.to_owner();
            (Change::SetListOwner { list: name, owner }, safety)
        }
        ListCommand::Drop { name, safety } => (Change::DropList { name }, safety),
    };
    submit(&change, &safety, cx).await
}

/// Prints a list with all its entries, or those of its entries that are looked for.
async fn show(name: &str, filter: &RuleFilter, cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    let name = name.strip_prefix('@').unwrap_or(name);
    if filter.is_empty() {
        let list = cx.client.named_list(name).await?;
        cx.print(&list)?;
        return Ok(Exit::Done);
    }
    let client = &cx.client;
    let part = async |page: PageQuery| {
        let query = EntriesQuery {
            limit: page.limit,
            after: page.after,
            text: page.text,
            covers: filter.covers,
        };
        client.entries(name, &query).await
    };
    let found = filter.listing().read(part).await?;
    cx.print(found.items.as_slice())?;
    Ok(Exit::Done)
}

fn create(args: CreateListArgs, cx: &Context<'_>) -> anyhow::Result<Change> {
    let options = args.list_options;
    let mut input = Input::with_databases(&options.geo, &cx.config);
    let entries = input.list(args.entries, &args.file, &options);
    input.check()?;
    Ok(Change::CreateList {
        name: args.name,
        entries,
        comment: args.comment,
        replace: false,
        network_rule: None,
    })
}

fn alter(args: AlterListArgs, cx: &Context<'_>) -> anyhow::Result<Change> {
    let (s, options) = (args.set, args.list_options);
    let mut input = Input::with_databases(&options.geo, &cx.config);
    let entries = if s.clear {
        ListEdit::Any
    } else if s.set.is_empty() && s.set_file.is_empty() {
        ListEdit::Keep
    } else {
        ListEdit::Set {
            list: input.list(s.set, &s.set_file, &options),
        }
    };
    input.check()?;
    Ok(Change::AlterList {
        name: args.name,
        entries,
        comment: s.comment,
        values: None,
    })
}

/// Adds entries, called so, or removes them.
fn edit(args: EntriesArgs, add: Option<&RuleNote>, cx: &Context<'_>) -> anyhow::Result<Change> {
    let options = args.list_options;
    let mut input = Input::with_databases(&options.geo, &cx.config);
    let entries = input.list(args.entries, &args.file, &options);
    input.check()?;
    let (add, remove) = match add {
        Some(note) => (note.on(entries), Default::default()),
        None => (Default::default(), entries),
    };
    Ok(Change::AlterList {
        name: args.name,
        entries: ListEdit::Edit { add, remove },
        comment: None,
        values: None,
    })
}
