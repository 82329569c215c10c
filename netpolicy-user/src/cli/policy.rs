//! `netpolicy policy …`.

use std::path::PathBuf;

use super::context::Context;
use super::evaluate;
use super::failure::Exit;
use super::hits::{self, ShowArgs};
use super::input::{Input, ListFileOptions, RuleNote};
use super::lint::{self, LintArgs};
use super::listing::RuleFilter;
use super::policy_test;
use super::safety::Safety;
use super::service::mode_parser;
use super::submit::submit;
use crate::api::{PageQuery, RulesQuery};
use crate::model::change::{Change, ListEdit};
use crate::model::{Mode, Principal};

#[derive(Debug, clap::Subcommand)]
pub(super) enum PolicyCommand {
    /// Create a policy, by default active and bound to the host
    Create(Box<CreateArgs>),
    /// Change a policy's lists or comment; what is not named stays
    #[command(override_usage = "netpolicy policy alter [OPTIONS] <NAME>")]
    Alter(Box<AlterPolicyArgs>),
    /// Rename a policy
    Rename {
        /// The policy
        name: String,
        /// Its new name
        to: String,
        #[command(flatten)]
        safety: Safety,
    },
    /// Give a policy to another owner, who may then alter and drop it
    Owner {
        /// The policy
        name: String,
        /// An OS user or group: user:alice, group:dba
        #[arg(value_parser = |text: &str| text.parse::<Principal>())]
        to: Principal,
        #[command(flatten)]
        safety: Safety,
    },
    /// Drop a policy
    Drop {
        /// The policy
        name: String,
        #[command(flatten)]
        safety: Safety,
    },
    /// Activate a policy in the scopes that it is bound to
    Activate {
        /// The policy
        name: String,
        #[command(flatten)]
        safety: Safety,
    },
    /// Deactivate a policy, and keep it
    Deactivate {
        /// The policy
        name: String,
        #[command(flatten)]
        safety: Safety,
    },
    /// List all policies
    List,
    /// Show a policy with all its rules
    Show(ShowArgs),
    /// Judge a policy, or a policy file, over the sources that came
    Evaluate(evaluate::EvaluateArgs),
    /// Print the smallest allow list that covers the sources that came, as a policy file
    Recommend(evaluate::RecommendArgs),
    /// Find likely mistakes in policies; exit code 1 if there is more than notes
    Lint(LintArgs),
    /// Run the policy tests; exit code 1 if one does not hold
    Test(policy_test::PolicyTestArgs),
}

#[derive(Debug, clap::Args)]
pub(super) struct CreateArgs {
    /// Its name: 3 to 28 letters, digits, underscores and hyphens
    name: String,
    /// Allow only these addresses, CIDRs, a-b ranges and @lists; comma separated, may be repeated
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    allow: Vec<String>,
    /// Allow only what is on this list; `-` is standard input, may be repeated
    #[arg(long, value_name = "FILE")]
    allow_file: Vec<PathBuf>,
    /// Block these addresses, CIDRs, a-b ranges and @lists; comma separated, may be repeated
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    block: Vec<String>,
    /// Block what is on this list; `-` is standard input, may be repeated
    #[arg(long, value_name = "FILE")]
    block_file: Vec<PathBuf>,
    /// Do not block these, whatever this policy's block list says; comma separated, may be repeated
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    except: Vec<String>,
    /// Do not block what is on this list; `-` is standard input, may be repeated
    #[arg(long, value_name = "FILE")]
    except_file: Vec<PathBuf>,
    /// Have an allow list even if it is empty: every source is denied
    #[arg(long)]
    only: bool,
    /// Description
    #[arg(long)]
    comment: Option<String>,
    /// Make it without activating it
    #[arg(long)]
    inactive: bool,
    /// Enforce it, or only observe what it would deny
    #[arg(long, value_parser = mode_parser(), default_value = "enforce")]
    mode: Mode,
    /// Bind it to this service instead of the host; may be repeated
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    service: Vec<String>,
    #[command(flatten)]
    note: RuleNote,
    #[command(flatten)]
    list_options: ListFileOptions,
    #[command(flatten)]
    safety: Safety,
}

#[derive(Debug, clap::Args)]
pub(super) struct AlterPolicyArgs {
    /// The policy
    name: String,
    #[command(flatten)]
    set: PolicyAlterations,
    #[command(flatten)]
    note: RuleNote,
    #[command(flatten)]
    list_options: ListFileOptions,
    #[command(flatten)]
    safety: Safety,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = true)]
struct PolicyAlterations {
    /// Add to the allow list
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    add_allow: Vec<String>,
    /// Add a file's lines to the allow list
    #[arg(long, value_name = "FILE")]
    add_allow_file: Vec<PathBuf>,
    /// Remove from the allow list
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    remove_allow: Vec<String>,
    /// Remove a file's lines from the allow list
    #[arg(long, value_name = "FILE")]
    remove_allow_file: Vec<PathBuf>,
    /// Replace the allow list
    #[arg(long, value_name = "CIDR", value_delimiter = ',', conflicts_with_all = EDIT_ALLOW)]
    set_allow: Vec<String>,
    /// Replace the allow list with a file's lines
    #[arg(long, value_name = "FILE", conflicts_with_all = EDIT_ALLOW)]
    set_allow_file: Vec<PathBuf>,
    /// Drop the allow list: the policy allows any
    #[arg(long, conflicts_with_all = EDIT_ALLOW, conflicts_with_all = ["set_allow", "set_allow_file"])]
    any: bool,
    /// Add to the block list
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    add_block: Vec<String>,
    /// Add a file's lines to the block list
    #[arg(long, value_name = "FILE")]
    add_block_file: Vec<PathBuf>,
    /// Remove from the block list
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    remove_block: Vec<String>,
    /// Remove a file's lines from the block list
    #[arg(long, value_name = "FILE")]
    remove_block_file: Vec<PathBuf>,
    /// Replace the block list
    #[arg(long, value_name = "CIDR", value_delimiter = ',', conflicts_with_all = EDIT_BLOCK)]
    set_block: Vec<String>,
    /// Replace the block list with a file's lines
    #[arg(long, value_name = "FILE", conflicts_with_all = EDIT_BLOCK)]
    set_block_file: Vec<PathBuf>,
    /// Empty the block list
    #[arg(long, conflicts_with_all = EDIT_BLOCK, conflicts_with_all = ["set_block", "set_block_file"])]
    clear_block: bool,
    /// Add to the exceptions from the block list
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    add_except: Vec<String>,
    /// Add a file's lines to the exceptions
    #[arg(long, value_name = "FILE")]
    add_except_file: Vec<PathBuf>,
    /// Remove from the exceptions
    #[arg(long, value_name = "CIDR", value_delimiter = ',')]
    remove_except: Vec<String>,
    /// Remove a file's lines from the exceptions
    #[arg(long, value_name = "FILE")]
    remove_except_file: Vec<PathBuf>,
    /// Replace the exceptions
    #[arg(long, value_name = "CIDR", value_delimiter = ',', conflicts_with_all = EDIT_EXCEPT)]
    set_except: Vec<String>,
    /// Replace the exceptions with a file's lines
    #[arg(long, value_name = "FILE", conflicts_with_all = EDIT_EXCEPT)]
    set_except_file: Vec<PathBuf>,
    /// End all exceptions
    #[arg(long, conflicts_with_all = EDIT_EXCEPT, conflicts_with_all = ["set_except", "set_except_file"])]
    clear_except: bool,
    /// Description; an empty one removes it
    #[arg(long)]
    comment: Option<String>,
    /// Enforce it, or only observe what it would deny; a change of its own
    #[arg(
        long,
        value_parser = mode_parser(),
        conflicts_with_all = EDIT_ALLOW,
        conflicts_with_all = EDIT_BLOCK,
        conflicts_with_all = EDIT_EXCEPT,
        conflicts_with_all = OTHER_ALTERATIONS
    )]
    mode: Option<Mode>,
}

const EDIT_ALLOW: [&str; 4] = [
    "add_allow",
    "add_allow_file",
    "remove_allow",
    "remove_allow_file",
];
const EDIT_BLOCK: [&str; 4] = [
    "add_block",
    "add_block_file",
    "remove_block",
    "remove_block_file",
];

const EDIT_EXCEPT: [&str; 4] = [
    "add_except",
    "add_except_file",
    "remove_except",
    "remove_except_file",
];

const OTHER_ALTERATIONS: [&str; 10] = [
    "set_allow",
    "set_allow_file",
    "any",
    "set_block",
    "set_block_file",
    "clear_block",
    "set_except",
    "set_except_file",
    "clear_except",
    "comment",
];

pub(super) async fn run(command: PolicyCommand, cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    let (change, safety) = match command {
        PolicyCommand::List => {
            let policies = cx.client.policies().await?;
            cx.print(policies.as_slice())?;
            return Ok(Exit::Done);
        }
        PolicyCommand::Show(args) => {
            let Some(name) = args
                .name
                .as_ref()
                .filter(|_| !args.hits && args.unused.is_none())
            else {
                return hits::show(&args, cx).await;
            };
            return show(name, &args.filter, cx).await;
        }
        PolicyCommand::Evaluate(args) => return evaluate::evaluate(args, cx).await,
        PolicyCommand::Recommend(args) => return evaluate::recommend(args, cx).await,
        PolicyCommand::Lint(args) => return lint::run(&args, cx).await,
        PolicyCommand::Test(args) => return policy_test::run(args, cx).await,
        PolicyCommand::Create(args) => {
            let safety = args.safety.clone();
            (create(*args, cx)?, safety)
        }
        PolicyCommand::Alter(args) => {
            let safety = args.safety.clone();
            (alter(*args, cx)?, safety)
        }
        PolicyCommand::Rename { name, to, safety } => (Change::RenamePolicy { name, to }, safety),
        PolicyCommand::Owner { name, to, safety } => {
            let owner = to.to_owner();
            (
                Change::SetOwner {
                    policy: name,
                    owner,
                },
                safety,
            )
        }
        PolicyCommand::Activate { name, safety } => {
            (Change::SetActive { name, active: true }, safety)
        }
        PolicyCommand::Deactivate { name, safety } => {
            let active = false;
            (Change::SetActive { name, active }, safety)
        }
        PolicyCommand::Drop { name, safety } => (Change::DropPolicy { name }, safety),
    };
    submit(&change, &safety, cx).await
}

/// Prints a policy with all its rules, or those of its rules that are looked for.
async fn show(name: &str, filter: &RuleFilter, cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    if filter.is_empty() {
        let policy = cx.client.policy(name).await?;
        cx.print(&policy)?;
        return Ok(Exit::Done);
    }
    let client = &cx.client;
    let part = async |page: PageQuery| {
        let query = RulesQuery {
            limit: page.limit,
            after: page.after,
            text: page.text,
            covers: filter.covers,
            ..RulesQuery::default()
        };
        client.rules(name, &query).await
    };
    let found = filter.listing().read(part).await?;
    cx.print(found.items.as_slice())?;
    Ok(Exit::Done)
}

fn create(a: CreateArgs, cx: &Context<'_>) -> anyhow::Result<Change> {
    let items = [&a.allow, &a.block, &a.except];
    let files = [&a.allow_file, &a.block_file, &a.except_file];
    a.note.check_added(
        items.iter().any(|items| !items.is_empty()) || files.iter().any(|files| !files.is_empty()),
    )?;
    let options = a.list_options;
    let mut input = Input::with_databases(&options.geo, &cx.config);
    let has_allow = a.only || !a.allow.is_empty() || !a.allow_file.is_empty();
    let mut list = |items, files: &[PathBuf]| a.note.on(input.list(items, files, &options));
    let allow = has_allow.then(|| list(a.allow, &a.allow_file));
    let block = list(a.block, &a.block_file);
    let except = list(a.except, &a.except_file);
    input.check()?;
    Ok(Change::CreatePolicy {
        name: a.name,
        allow,
        block,
        except,
        comment: a.comment,
        inactive: a.inactive,
        mode: a.mode,
        services: a.service,
        unbound: false,
        replace: false,
        compat: Default::default(),
    })
}

fn alter(args: AlterPolicyArgs, cx: &Context<'_>) -> anyhow::Result<Change> {
    let (s, note, list_options) = (args.set, args.note, args.list_options);
    let mut input = Input::with_databases(&list_options.geo, &cx.config);
    let mut adds_rules = false;
    let mut edit = |any, set: Given, add: Given, remove: Given| {
        adds_rules |= set.is_given() || add.is_given();
        let mut list = |given: Given| input.list(given.0, &given.1, &list_options);
        if any {
            ListEdit::Any
        } else if set.is_given() {
            ListEdit::Set {
                list: note.on(list(set)),
            }
        } else if add.is_given() || remove.is_given() {
            ListEdit::Edit {
                add: note.on(list(add)),
                remove: list(remove),
            }
        } else {
            ListEdit::Keep
        }
    };
    let allow = edit(
        s.any,
        Given(s.set_allow, s.set_allow_file),
        Given(s.add_allow, s.add_allow_file),
        Given(s.remove_allow, s.remove_allow_file),
    );
    let block = edit(
        s.clear_block,
        Given(s.set_block, s.set_block_file),
        Given(s.add_block, s.add_block_file),
        Given(s.remove_block, s.remove_block_file),
    );
    let except = edit(
        s.clear_except,
        Given(s.set_except, s.set_except_file),
        Given(s.add_except, s.add_except_file),
        Given(s.remove_except, s.remove_except_file),
    );
    note.check_added(adds_rules)?;
    input.check()?;
    if let Some(mode) = s.mode {
        return Ok(Change::SetMode {
            policy: args.name,
            mode,
        });
    }
    Ok(Change::AlterPolicy {
        name: args.name,
        allow,
        block,
        except,
        comment: s.comment,
        compat: Default::default(),
    })
}

/// Items and files of one flag.
struct Given(Vec<String>, Vec<PathBuf>);

impl Given {
    fn is_given(&self) -> bool {
        !self.0.is_empty() || !self.1.is_empty()
    }
}
