//! `netpolicy policy evaluate` and `netpolicy policy recommend`.

use std::path::PathBuf;

use super::apply::read_policy_file;
use super::context::Context;
use super::failure::Exit;
use super::input::Input;
use super::list_file::ListTolerance;
use super::submit::show_progress;
use crate::api::{EvaluatePolicyQuery, EvaluateQuery, RecommendQuery};
use crate::model::change::Change;
use crate::output::RecommendedPolicy;

#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("judged").args(["name", "file"]).required(true))]
pub(super) struct EvaluateArgs {
    /// The policy, judged as if it were active and enforced
    name: Option<String>,
    /// Judge this policy file; `-` is standard input
    #[arg(long, short, conflicts_with = "service")]
    file: Option<PathBuf>,
    /// Leave what the file does not name as it is
    #[arg(long, requires = "file")]
    no_prune: bool,
    /// Judge it as if it were bound to this service as well; `host`: to the host
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// Sources seen since then: how long ago, as in 30d, or a time, as in 2026-11-30T18:00:00Z
    #[arg(long, value_name = "TIME", default_value = "30d")]
    since: String,
    /// List at most N sources
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
    /// Leave out bad lines of list files
    #[arg(long, requires = "file")]
    skip_invalid: bool,
    /// Database for country:XX and as:NUMBER in the policy file; may be repeated
    #[arg(long, value_name = "FILE", requires = "file")]
    geo: Vec<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(super) struct RecommendArgs {
    /// The service whose sources are to be covered [default: the host]
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// Sources seen since then: how long ago, as in 90d, or a time, as in 2026-09-01T00:00:00Z
    #[arg(long, value_name = "TIME", default_value = "90d")]
    since: String,
    /// Join IPv4 sources of one network of this length (8 to 32) to the narrowest that holds them
    #[arg(long, value_name = "LENGTH", value_parser = clap::value_parser!(u8).range(8..=32))]
    aggregate: Option<u8>,
    /// Join IPv6 sources of one network of this length (32 to 128) to that network [default: 64]
    #[arg(long, value_name = "LENGTH", value_parser = clap::value_parser!(u8).range(32..=128))]
    aggregate6: Option<u8>,
    /// Cover sources with so much time between their first and last attempt; 0s: all that got in
    #[arg(long, value_name = "TIME", default_value = "1h")]
    stayed: String,
    /// What the policy is called [default: the service's name and -clients]
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// Have the policy only observed until its mode is enforce
    #[arg(long)]
    observe: bool,
}

pub(super) async fn evaluate(args: EvaluateArgs, cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    let limit = Some(usize::from(args.limit));
    let answer = match (args.name, args.file) {
        (_, Some(path)) => {
            let mut input = Input::with_databases(&args.geo, &cx.config);
            let tolerance = ListTolerance {
                skip_invalid: args.skip_invalid,
                allow_empty: false,
            };
            let (file, lists) = read_policy_file(&path, tolerance, &mut input)?;
            let change = Change::Apply {
                file,
                lists,
                skip_invalid: args.skip_invalid,
                allow_empty: false,
                keep_others: args.no_prune,
            };
            let query = EvaluateQuery {
                since: Some(args.since),
                limit,
            };
            show_progress(cx.client.evaluate_change(change, &query), cx).await?
        }
        (name, None) => {
            let query = EvaluatePolicyQuery {
                policy: name.unwrap_or_default(),
                service: args.service,
                since: Some(args.since),
                limit,
            };
            show_progress(cx.client.evaluate(&query), cx).await?
        }
    };
    cx.print(&answer)?;
    Ok(Exit::Done)
}

pub(super) async fn recommend(args: RecommendArgs, cx: &mut Context<'_>) -> anyhow::Result<Exit> {
    let query = RecommendQuery {
        service: args.service,
        since: Some(args.since),
        aggregate: args.aggregate,
        aggregate6: args.aggregate6,
        stayed: Some(args.stayed),
    };
    let answer = cx.client.recommend(&query).await?;
    cx.print(&RecommendedPolicy {
        answer: &answer,
        name: args.name.as_deref(),
        observe: args.observe,
    })?;
    Ok(Exit::Done)
}
