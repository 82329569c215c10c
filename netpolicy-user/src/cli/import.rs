//! `netpolicy import`.

mod into_bans;

use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use netpolicy_formats::{
    Filter, Format, Options, Reading, Unrecognised, detect, hba, read_with, write,
};
use serde_json::json;

use self::into_bans::BanOptions;
use super::context::Context;
use super::failure::{Exit, Failure};
use super::input::Input;
use super::list_file::{empty, of_file, remarks, summary};
use super::safety::Safety;
use super::submit::submit;
use crate::client::ClientError;
use crate::model::ListKind;
use crate::model::change::{Change, ListEdit, ListInput, SourceText};
use crate::output::{Format as Output, write_json};

/// The name of a policy that is made of pg_hba.conf.
const HBA_POLICY: &str = "pg_hba";

#[derive(Debug, clap::Args)]
pub(super) struct ImportArgs {
    /// The file; `-` is standard input
    file: PathBuf,
    /// Its format, by default told from the content: plain, ipset-save, ipset-list, nft,
    /// nft-json, iptables-save, firewalld, drop-json, aws, gcp, azure, github, cloudflare,
    /// crowdsec-json, crowdsec-csv, fail2ban, tor, p2p, geo-csv, mmdb, pg-hba
    #[arg(long, value_parser = formats(), hide_possible_values = true)]
    format: Option<Format>,
    #[command(flatten)]
    into: Made,
    /// Leave out bad entries, with a note
    #[arg(long)]
    skip_invalid: bool,
    /// Accept a file without any entry
    #[arg(long)]
    allow_empty: bool,
    /// Make the list, or the policy's side, instead of printing it; what it holds is replaced
    #[arg(long)]
    apply: bool,
    #[command(flatten)]
    wanted: EntrySelection,
    #[command(flatten)]
    bans: BanOptions,
    #[command(flatten)]
    safety: Safety,
}

/// What is made of the entries; nothing: a list file is printed.
#[derive(Debug, clap::Args)]
struct Made {
    /// A named list, which policies refer to as @NAME
    #[arg(long, value_name = "NAME", conflicts_with_all = ["policy", "allow", "block"])]
    list: Option<String>,
    /// A policy, with --allow or --block
    #[arg(long, value_name = "NAME")]
    policy: Option<String>,
    /// The policy allows the entries alone
    #[arg(long, requires = "policy", conflicts_with = "block")]
    allow: bool,
    /// The policy blocks the entries
    #[arg(long, requires = "policy")]
    block: bool,
}

/// Which entries are wanted.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Selection")]
struct EntrySelection {
    /// A set of ipset or nftables, a chain of iptables or nftables, a jail of fail2ban; may be
    /// repeated
    #[arg(long, value_name = "NAME")]
    set: Vec<String>,
    /// A service of a cloud, as in S3 or actions; may be repeated
    #[arg(long, value_name = "NAME")]
    service: Vec<String>,
    /// A region of a cloud, as in eu-central-1; may be repeated
    #[arg(long, value_name = "NAME")]
    region: Vec<String>,
    /// A country by two letters, as in DE; may be repeated
    #[arg(long, value_name = "XX")]
    country: Vec<String>,
    /// An autonomous system, as in 64500; may be repeated
    #[arg(long = "as", value_name = "NUMBER", value_parser = autonomous_system)]
    asn: Vec<u32>,
}

/// Formats by name, which the shell completes.
fn formats() -> impl TypedValueParser<Value = Format> {
    let names = PossibleValuesParser::new(Format::ALL.map(Format::name));
    names.try_map(|name| name.parse::<Format>())
}

fn autonomous_system(text: &str) -> Result<u32, String> {
    let digits = text.trim_start_matches(['A', 'S', 'a', 's']);
    let expected = || "expected a number, as in 64500".to_owned();
    digits.parse().map_err(|_| expected())
}

impl From<EntrySelection> for Filter {
    fn from(wanted: EntrySelection) -> Self {
        Self {
            service: wanted.service,
            region: wanted.region,
            country: wanted.country,
            asn: wanted.asn,
            set: wanted.set,
        }
    }
}

/// What becomes of the entries.
enum Aim {
    ListFile,
    List(String),
    Policy(String, ListKind),
}

impl Made {
    fn target(self) -> Result<Aim, Failure> {
        match (self.list, self.policy) {
            (Some(list), _) => Ok(Aim::List(list.trim_start_matches('@').to_owned())),
            (None, None) => Ok(Aim::ListFile),
            (None, Some(policy)) if self.allow => Ok(Aim::Policy(policy, ListKind::Allow)),
            (None, Some(policy)) if self.block => Ok(Aim::Policy(policy, ListKind::Block)),
            (None, Some(_)) => Err(Failure {
                exit: Exit::Usage,
                ..Failure::new("--policy needs --allow or --block: what the policy does with them")
            }),
        }
    }
}

pub(super) async fn run(args: ImportArgs, cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    let mut input = Input::default();
    let (name, bytes) = input.bytes(&args.file);
    input.check()?;
    let format = match args.format {
        Some(format) => format,
        None => detect(&bytes).map_err(|why| unrecognised(&name, &why))?,
    };
    if format == Format::PgHba {
        return policies(&name, &bytes, &args, cx);
    }
    let target = args.into.target()?;
    if args.apply && matches!(target, Aim::ListFile) {
        return Err(Failure {
            exit: Exit::Usage,
            ..Failure::new("--apply needs --list NAME, or --policy NAME with --allow or --block")
        }
        .into());
    }
    let options = Options {
        skip_invalid: args.skip_invalid,
        ..Options::default()
    };
    let filter = Filter::from(args.wanted);
    let reading = read_with(Some(format), &bytes, &filter, options);
    let reading = reading.map_err(|errors| Failure {
        errors: of_file(&name, &errors),
        ..Failure::default()
    })?;
    if reading.entries.is_empty() && !args.allow_empty {
        let mut failure = Failure::new(empty(&name, &reading));
        failure.errors.extend(reading.left_out(&name));
        return Err(failure.into());
    }
    cx.note(&summary(&name, &reading))?;
    for remark in remarks(&name, &reading) {
        cx.note(&remark)?;
    }
    if args.bans.into.is_some() {
        return into_bans::ban(&args.bans, &reading, args.safety.dry_run, cx).await;
    }
    if args.apply {
        let change = change(target, &name, &reading, cx).await?;
        return submit(&change, &args.safety, cx).await;
    }
    if cx.options.format == Output::Json {
        write_json(&as_json(&name, &reading), cx.out)?;
        return Ok(Exit::Done);
    }
    let comment = format!("from {name}");
    let text = match target {
        Aim::ListFile => write::list_file(&reading),
        Aim::List(list) => write::list_table(&list, &comment, &reading),
        Aim::Policy(policy, kind) => write::policy_table(&policy, &comment, kind, &reading),
    };
    cx.out.write_all(text.as_bytes())?;
    Ok(Exit::Done)
}

fn unrecognised(name: &str, why: &Unrecognised) -> Failure {
    Failure::new(format!("{name}: {why}"))
}

/// Prints the policy file that pg_hba.conf makes.
fn policies(
    name: &str,
    bytes: &[u8],
    args: &ImportArgs,
    cx: &mut Context<'_>,
) -> anyhow::Result<Exit> {
    let is_list = args.into.list.is_some() || args.into.allow || args.into.block;
    if args.apply || is_list || args.bans.into.is_some() {
        return Err(Failure::new(format!(
            "{name}: pg_hba.conf makes a policy file of its own, not a list"
        ))
        .hint("print it, read it, then apply it: netpolicy import FILE > policy.toml")
        .into());
    }
    let hba = hba::read(bytes).map_err(|errors| Failure {
        errors: of_file(name, &errors),
        ..Failure::default()
    })?;
    let policy = args.into.policy.as_deref().unwrap_or(HBA_POLICY);
    let text = hba.policy_file(policy, name);
    if hba.is_incomplete {
        cx.note(&format!(
            "{name}: some lines that admit are not carried; the policy is inactive until they are added"
        ))?;
    }
    match cx.options.format {
        Output::Table => cx.out.write_all(text.as_bytes())?,
        Output::Json => write_json(&json!({ "policy_file": text }), cx.out)?,
    }
    Ok(Exit::Done)
}

/// The change that makes the list, or the policy's side, what was read.
async fn change(
    target: Aim,
    file: &str,
    reading: &Reading,
    cx: &Context<'_>,
) -> anyhow::Result<Change> {
    let entries = ListInput {
        files: vec![SourceText {
            name: file.to_owned(),
            text: write::list_file_by_lines(reading),
        }],
        allow_empty: reading.entries.is_empty(),
        ..ListInput::default()
    };
    let comment = Some(format!("from {file}"));
    Ok(match target {
        Aim::ListFile => anyhow::bail!("a list file is not applied"),
        Aim::List(name) => match exists(cx.client.named_list(&name).await)? {
            true => Change::AlterList {
                name,
                entries: ListEdit::Set { list: entries },
                comment: None,
                values: None,
            },
            false => Change::CreateList {
                name,
                entries,
                comment,
                replace: false,
                network_rule: None,
            },
        },
        Aim::Policy(name, kind) => {
            let is_there = exists(cx.client.policy(&name).await)?;
            of_policy(name, kind, entries, comment, is_there)
        }
    })
}

fn of_policy(
    name: String,
    kind: ListKind,
    entries: ListInput,
    comment: Option<String>,
    is_there: bool,
) -> Change {
    if is_there {
        let set = ListEdit::Set { list: entries };
        let (mut allow, mut block, mut except) = Default::default();
        *match kind {
            ListKind::Allow => &mut allow,
            ListKind::Block => &mut block,
            ListKind::Except => &mut except,
        } = set;
        return Change::AlterPolicy {
            name,
            allow,
            block,
            except,
            comment: None,
            compat: Default::default(),
        };
    }
    let (mut allow, mut block, mut except) = Default::default();
    match kind {
        ListKind::Allow => allow = Some(entries),
        ListKind::Block => block = entries,
        ListKind::Except => except = entries,
    }
    Change::CreatePolicy {
        name,
        allow,
        block,
        except,
        comment,
        inactive: false,
        mode: Default::default(),
        services: Vec::new(),
        unbound: false,
        replace: false,
        compat: Default::default(),
    }
}

fn exists<T>(answer: Result<T, ClientError>) -> Result<bool, ClientError> {
    match answer {
        Ok(_) => Ok(true),
        Err(ClientError::Refused { status: 404, .. }) => Ok(false),
        Err(error) => Err(error),
    }
}

fn as_json(name: &str, reading: &Reading) -> serde_json::Value {
    let entries = reading.entries.iter().map(|entry| {
        json!({
            "address": entry.net.to_string(),
            "text": entry.text,
            "comment": entry.comment,
            "line": (entry.place.line > 0).then_some(entry.place.line),
            "expires_seconds": entry.expires.map(|left| left.as_secs()),
        })
    });
    json!({
        "file": name,
        "format": reading.format.name(),
        "entries": entries.collect::<Vec<_>>(),
        "notes": reading.notes,
        "left_out": reading.left_out(name),
    })
}
